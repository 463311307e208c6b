/*
** vjp and jvp: one walk each over the dependent part of the graph, asking
** every op for its rule.
*/
#include "transform/transform.h"

#include "base/memory.h"
#include "ops/ops.h"
#include "transform/walk.h"

#include <string.h>

/* For each output of each node of a walk, an expression or NULL. */
typedef struct Table {
  SdWalk walk;
  int *first; /* of each node's outputs in of */
  SdNode **of;
  size_t total;
} Table;

static int table_open(Table *t, SdBuilder *b, const SdTrace *trace,
                      SdNode *const *y, int ny, SdNode *const *x, int nx) {
  t->first = NULL;
  t->of = NULL;
  t->total = 0;
  if (b->error.code || sd_walk_make(&t->walk, trace, y, ny, x, nx, 0,
                                    &b->error) != SD_OK)
    return 0;
  size_t n = (size_t)t->walk.count;
  for (size_t i = 0; i < n; i++) t->total += t->walk.nodes[i]->nout;
  t->first = sd_memory_alloc(n * sizeof *t->first, &b->error);
  t->of = sd_memory_alloc(t->total * sizeof *t->of, &b->error);
  if (!t->first || !t->of) return 1;
  memset(t->of, 0, t->total * sizeof *t->of);
  int at = 0;
  for (size_t i = 0; i < n; i++) {
    t->first[i] = at;
    at += t->walk.nodes[i]->nout;
  }
  return 1;
}

static void table_close(Table *t) {
  sd_memory_free(t->first, (size_t)t->walk.count * sizeof *t->first);
  sd_memory_free(t->of, t->total * sizeof *t->of);
  sd_walk_free(&t->walk);
}

static SdNode **entry(const Table *t, const SdNode *n) {
  int slot = sd_walk_slot(&t->walk, n);
  return slot < 0 ? NULL : &t->of[t->first[slot]];
}

static int is_zero_grad(const SdNode *n) {
  return (n->op->flags & SD_OP_ZERO_GRAD) || !sd_dtype_is_float(n->dtype);
}

static SdNode *no_derivative(SdBuilder *b, const SdNode *n) {
  return sd_builder_fail(b, SD_EARGUMENT, "%s: has no derivative",
                         n->op->name);
}

/* ---- vjp ---------------------------------------------------------------- */

static void accumulate(SdBuilder *b, SdNode **sum, SdNode *g) {
  if (g) *sum = *sum ? sd_add(b, *sum, g) : g;
}

static SdNode *input_cotangent(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  const SdOp *op = y->op;
  if (op->transpose) g = op->transpose(b, y, i, g);
  else g = sd_mul(b, g, op->partial(b, y, i));
  if (op->kind == SD_KIND_ELEMENTWISE)
    g = sd_sum_to(b, g, &y->in[i]->shape);
  return g;
}

static void custom_vjp(Table *t, SdBuilder *b, SdNode *y, SdNode **g) {
  SdNode *gin[256] = {NULL};
  int wanted[256];
  for (int i = 0; i < y->nin; i++)
    wanted[i] = entry(t, y->in[i]) && sd_dtype_is_float(y->in[i]->dtype);
  y->op->vjp(b, y, g, wanted, gin);
  for (int i = 0; i < y->nin && !b->error.code; i++)
    if (wanted[i]) accumulate(b, entry(t, y->in[i]), gin[i]);
}

static void pull(Table *t, SdBuilder *b, SdNode *y, SdNode **g) {
  const SdOp *op = y->op;
  if (is_zero_grad(y)) return;
  if (op->kind == SD_KIND_ALIAS) {
    accumulate(b, entry(t, y->in[0]), g[0]);
  } else if (op == &sd_op_part) {
    accumulate(b, entry(t, y->in[0]) + y->attr->i[0], g[0]);
  } else if (op->vjp) {
    custom_vjp(t, b, y, g);
  } else if (op->transpose || op->partial) {
    for (int i = 0; i < y->nin && !b->error.code; i++) {
      SdNode **sum = entry(t, y->in[i]);
      if (sum && sd_dtype_is_float(y->in[i]->dtype))
        accumulate(b, sum, input_cotangent(b, y, i, g[0]));
    }
  } else {
    no_derivative(b, y);
  }
}

static int any_given(SdNode *const *g, int n) {
  int any = 0;
  for (int i = 0; i < n; i++) any |= g[i] != NULL;
  return any;
}

void sd_transform_vjp(SdBuilder *b, const SdTrace *t, int ny,
                      SdNode *const *y, SdNode *const *gy, int nx,
                      SdNode *const *x, SdNode **gx) {
  Table table;
  if (!table_open(&table, b, t, y, ny, x, nx)) return;
  for (int i = 0; i < ny && !b->error.code; i++) {
    SdNode **sum = entry(&table, y[i]);
    if (sum) accumulate(b, sum, gy[i]);
  }
  for (int i = table.walk.count - 1; i >= nx && !b->error.code; i--) {
    SdNode *n = table.walk.nodes[i];
    SdNode **g = &table.of[table.first[i]];
    if (any_given(g, n->nout)) pull(&table, b, n, g);
  }
  for (int j = 0; j < nx && !b->error.code; j++) gx[j] = *entry(&table, x[j]);
  table_close(&table);
}

/* ---- jvp ---------------------------------------------------------------- */

static SdNode *elementwise_jvp(SdBuilder *b, SdNode *y, SdNode *const *t) {
  SdNode *sum = NULL;
  for (int i = 0; i < y->nin && !b->error.code; i++) {
    if (!t[i]) continue;
    /* A diagonal map is its own transpose, but for a cast's dtype. */
    SdNode *d = y->op->transpose ? y->op->transpose(b, y, i, t[i])
                                 : sd_mul(b, t[i], y->op->partial(b, y, i));
    accumulate(b, &sum, d);
  }
  return sd_expand(b, sd_cast(b, sum, (SdDtype)y->dtype), &y->shape);
}

static SdNode *linear_jvp(SdBuilder *b, SdNode *y, SdNode *const *t) {
  SdNode *in[256], *sum = NULL;
  int joint = y->op->flags & SD_OP_JOINT;
  for (int i = 0; i < y->nin; i++)
    in[i] = !joint ? y->in[i] : t[i] ? t[i] : sd_zeros_like(b, y->in[i]);
  if (joint) return sd_node_make(b, y->op, y->nin, in, y->attr);
  for (int i = 0; i < y->nin && !b->error.code; i++) {
    if (!t[i]) continue;
    in[i] = t[i];
    accumulate(b, &sum, sd_node_make(b, y->op, y->nin, in, y->attr));
    in[i] = y->in[i];
  }
  return sum;
}

static void push(Table *table, SdBuilder *b, SdNode *y, SdNode **ty) {
  SdNode *t[256];
  int any = 0;
  if (is_zero_grad(y)) return;
  for (int i = 0; i < y->nin; i++) {
    SdNode **in = entry(table, y->in[i]);
    if (in && y->op == &sd_op_part) in += y->attr->i[0];
    t[i] = in ? *in : NULL;
    any |= t[i] != NULL;
  }
  if (!any) return;
  if (y->op->kind == SD_KIND_ALIAS || y->op == &sd_op_part) ty[0] = t[0];
  else if (y->op->jvp) y->op->jvp(b, y, t, ty);
  else if (!y->op->transpose && !y->op->partial) no_derivative(b, y);
  else if (y->op->kind == SD_KIND_ELEMENTWISE)
    ty[0] = elementwise_jvp(b, y, t);
  else ty[0] = linear_jvp(b, y, t);
}

void sd_transform_jvp(SdBuilder *b, const SdTrace *t, int nx,
                      SdNode *const *x, SdNode *const *tx, int ny,
                      SdNode *const *y, SdNode **ty) {
  Table table;
  if (!table_open(&table, b, t, y, ny, x, nx)) return;
  for (int j = 0; j < nx && !b->error.code; j++) table.of[j] = tx[j];
  for (int i = nx; i < table.walk.count && !b->error.code; i++)
    push(&table, b, table.walk.nodes[i], &table.of[table.first[i]]);
  for (int i = 0; i < ny && !b->error.code; i++) {
    SdNode **e = entry(&table, y[i]);
    ty[i] = e ? *e : NULL;
  }
  table_close(&table);
}
