/*
** Transforms that copy the dependent part of a graph over other inputs:
** vmap, substitution, compilation, checkpointing.
*/
#include "transform/transform.h"

#include "base/memory.h"
#include "ops/ops.h"
#include "transform/walk.h"

#include <string.h>

typedef struct Copy {
  SdWalk walk;
  SdNode **of; /* the new form of each node of the walk */
} Copy;

static int copy_open(Copy *c, SdBuilder *b, const SdTrace *t, int nx,
                     SdNode *const *x, SdNode *const *new_x, int ny,
                     SdNode *const *y) {
  c->of = NULL;
  if (b->error.code ||
      sd_walk_make(&c->walk, t, y, ny, x, nx, 0, &b->error) != SD_OK)
    return 0;
  c->of = sd_memory_alloc((size_t)c->walk.count * sizeof *c->of, &b->error);
  if (c->of) memcpy(c->of, new_x, (size_t)nx * sizeof *c->of);
  return 1;
}

static void copy_close(Copy *c) {
  sd_memory_free(c->of, (size_t)c->walk.count * sizeof *c->of);
  sd_walk_free(&c->walk);
}

static SdNode *copy_of(const Copy *c, const SdNode *n) {
  int slot = sd_walk_slot(&c->walk, n);
  return slot < 0 ? NULL : c->of[slot];
}

/* ---- substitution --------------------------------------------------------------- */

static SdNode *remake(SdBuilder *b, SdNode *n, SdNode *const *in) {
  if (n->op == &sd_op_tracer) return in[0];
  SdNode *m = sd_node_make(b, n->op, n->nin, in, n->attr);
  if (m && !n->op->infer) {
    m->shape = n->shape;
    m->dtype = n->dtype;
  }
  return m;
}

void sd_transform_substitute(SdBuilder *b, const SdTrace *t, int nx,
                             SdNode *const *x, SdNode *const *new_x, int ny,
                             SdNode *const *y, SdNode **new_y) {
  Copy c;
  if (!copy_open(&c, b, t, nx, x, new_x, ny, y)) return;
  for (int i = nx; i < c.walk.count && !b->error.code; i++) {
    SdNode *n = c.walk.nodes[i], *in[256];
    for (int k = 0; k < n->nin; k++) {
      SdNode *m = copy_of(&c, n->in[k]);
      in[k] = m ? m : n->in[k];
    }
    c.of[i] = remake(b, n, in);
  }
  for (int i = 0; i < ny && !b->error.code; i++) {
    SdNode *m = copy_of(&c, y[i]);
    new_y[i] = m ? m : y[i];
  }
  copy_close(&c);
}

/* ---- vmap -------------------------------------------------------------------------- */

/* [B, s..] as [B, 1.., s..], so that it broadcasts against rank dims. */
static SdNode *align(SdBuilder *b, SdNode *x, int rank) {
  if (!x || x->shape.ndim == rank + 1) return x;
  SdShape s = {.ndim = rank + 1};
  int pad = rank + 1 - x->shape.ndim;
  s.dims[0] = x->shape.dims[0];
  for (int i = 1; i <= pad; i++) s.dims[i] = 1;
  for (int i = 1; i < x->shape.ndim; i++) s.dims[pad + i] = x->shape.dims[i];
  return sd_reshape(b, x, &s);
}

static SdNode *batch_elementwise(SdBuilder *b, SdNode *n, SdNode *const *in,
                                 const int *batched) {
  SdNode *x[3];
  for (int k = 0; k < n->nin; k++)
    x[k] = batched[k] ? align(b, in[k], n->shape.ndim) : in[k];
  return sd_elementwise(b, n->op, x, n->nin);
}

static SdNode *batch_part(SdBuilder *b, SdNode *n, SdNode *parent,
                          int64_t size) {
  SdShape s = {.ndim = 1, .dims = {size}};
  for (int i = 0; i < n->shape.ndim; i++) s.dims[s.ndim++] = n->shape.dims[i];
  return sd_node_part(b, parent, (int)n->attr->i[0], (SdDtype)n->dtype, &s);
}

static SdNode *batch(SdBuilder *b, SdNode *n, SdNode *const *in,
                     const int *batched, int64_t size) {
  if (n->shape.ndim >= SD_MAX_DIMS)
    return sd_builder_fail(b, SD_EARGUMENT, "vmap: more than %d dims in %s",
                           SD_MAX_DIMS, n->op->name);
  if (n->op == &sd_op_tracer) return in[0];
  if (n->op == &sd_op_part) return batch_part(b, n, in[0], size);
  if (n->op->kind == SD_KIND_ALIAS) return sd_stop_gradient(b, in[0]);
  if (n->op->batch) return n->op->batch(b, n, in, batched, size);
  if (n->op->kind == SD_KIND_ELEMENTWISE)
    return batch_elementwise(b, n, in, batched);
  return sd_builder_fail(b, SD_EARGUMENT, "vmap: %s has no batching rule",
                         n->op->name);
}

void sd_transform_vmap(SdBuilder *b, const SdTrace *t, int64_t size, int nx,
                       SdNode *const *x, SdNode *const *bx, int ny,
                       SdNode *const *y, SdNode **by) {
  Copy c;
  if (!copy_open(&c, b, t, nx, x, bx, ny, y)) return;
  for (int i = nx; i < c.walk.count && !b->error.code; i++) {
    SdNode *n = c.walk.nodes[i], *in[256];
    int batched[256];
    for (int k = 0; k < n->nin; k++) {
      SdNode *m = copy_of(&c, n->in[k]);
      batched[k] = m != NULL;
      in[k] = m ? m : n->in[k];
    }
    c.of[i] = batch(b, n, in, batched, size);
  }
  for (int i = 0; i < ny && !b->error.code; i++) by[i] = copy_of(&c, y[i]);
  copy_close(&c);
}

/* ---- compilation ------------------------------------------------------------------ */

static int is_pending(const SdNode *n) {
  return !n->value && n->op->kind != SD_KIND_CONSTANT;
}

/* What dependent nodes read that is not dependent itself. */
static SdStatus frontier(const SdWalk *w, int ny, SdNode *const *y,
                         SdNode ***list, size_t *count, size_t *capacity,
                         SdError *err) {
  SdStatus s = SD_OK;
  for (int i = 0; i < w->count + ny && s == SD_OK; i++) {
    SdNode *n = i < w->count ? w->nodes[i] : NULL;
    int nin = n ? n->nin : 1;
    for (int k = 0; k < nin && s == SD_OK; k++) {
      SdNode *in = n ? n->in[k] : y[i - w->count];
      if (sd_walk_slot(w, in) >= 0 || !is_pending(in)) continue;
      s = sd_memory_grow(list, capacity, *count + 1, sizeof **list, err);
      if (s == SD_OK) (*list)[(*count)++] = in;
    }
  }
  return s;
}

SdStatus sd_transform_compile(SdPlan **plan, const SdTrace *t, int nx,
                              SdNode *const *x, int ny, SdNode *const *y,
                              SdError *err) {
  SdWalk w;
  SdNode **list = NULL;
  size_t count = 0, capacity = 0;
  SdStatus s = sd_walk_make(&w, t, y, ny, x, nx, 1, err);
  if (s != SD_OK) return s;
  s = frontier(&w, ny, y, &list, &count, &capacity, err);
  sd_walk_free(&w);
  if (s == SD_OK && count) s = sd_plan_eval(list, (int)count, err);
  sd_memory_free(list, capacity * sizeof *list);
  return s == SD_OK ? sd_plan_new(plan, y, ny, x, nx, err) : s;
}

/* ---- stop_gradient ------------------------------------------------------------------ */

static SdStatus alias_infer(SdNode *y, SdError *err) {
  (void)err;
  y->dtype = y->in[0]->dtype;
  y->shape = y->in[0]->shape;
  return SD_OK;
}

static const SdOp stop_op = {.name = "stop_gradient",
                             .kind = SD_KIND_ALIAS,
                             .flags = SD_OP_ZERO_GRAD,
                             .infer = alias_infer};

SdNode *sd_stop_gradient(SdBuilder *b, SdNode *x) {
  return sd_node_make(b, &stop_op, 1, &x, NULL);
}

/* ---- checkpoint ------------------------------------------------------------------------ */

/*
** A template is the function as a graph over abstract tracers, never
** evaluated itself.  The node's inputs are the results of one copy of it,
** then the arguments; each derivative makes a copy of its own.
*/
typedef struct Template {
  int refs;
  SdTrace *trace;
  int nx, ny;
  SdNode *nodes[]; /* x, then y; retained */
} Template;

static size_t template_bytes(int nx, int ny) {
  return sizeof(Template) + (size_t)(nx + ny) * sizeof(SdNode *);
}

static void template_release(Template *p) {
  if (--p->refs) return;
  for (int i = 0; i < p->nx + p->ny; i++) sd_node_release(p->nodes[i]);
  sd_trace_close(p->trace);
  sd_memory_free(p, template_bytes(p->nx, p->ny));
}

static SdStatus checkpoint_infer(SdNode *n, SdError *err) {
  Template *p = n->attr->data;
  (void)err;
  p->refs++;
  n->nout = (unsigned char)p->ny;
  n->dtype = n->in[0]->dtype;
  n->shape = n->in[0]->shape;
  return SD_OK;
}

static SdStatus checkpoint_eval(const SdNode *n, const SdArray *const *in,
                                SdArray *out, SdError *err) {
  (void)err;
  for (int k = 0; k < n->nout; k++) out[k] = sd_array_retain(in[k]);
  return SD_OK;
}

static void checkpoint_release(SdNode *n) {
  template_release(n->attr->data);
}

static void checkpoint_vjp(SdBuilder *b, SdNode *n, SdNode *const *g,
                           const int *wanted, SdNode **gin) {
  Template *p = n->attr->data;
  SdNode *x[256], *y[SD_MAX_RESULTS];
  SdTrace *t;
  (void)wanted;
  if (sd_trace_open(&t, NULL, &b->error) != SD_OK) return;
  for (int i = 0; i < p->nx; i++)
    x[i] = sd_trace_tracer(b, t, n->in[p->ny + i]);
  sd_transform_substitute(b, p->trace, p->nx, p->nodes, x, p->ny,
                          p->nodes + p->nx, y);
  sd_transform_vjp(b, t, p->ny, y, g, p->nx, x, gin + p->ny);
  sd_trace_close(t);
}

/* Forward derivatives need nothing kept: they are those of the results. */
static void checkpoint_jvp(SdBuilder *b, SdNode *n, SdNode *const *t,
                           SdNode **ty) {
  (void)b;
  for (int k = 0; k < n->nout; k++) ty[k] = t[k];
}

static const SdOp checkpoint_op = {.name = "checkpoint",
                                   .kind = SD_KIND_CALL,
                                   .flags = SD_OP_ALLOCATES,
                                   .infer = checkpoint_infer,
                                   .eval = checkpoint_eval,
                                   .vjp = checkpoint_vjp,
                                   .jvp = checkpoint_jvp,
                                   .release = checkpoint_release};

static Template *template_new(SdBuilder *b, SdTrace *t, int nx,
                              SdNode *const *x, int ny, SdNode *const *y) {
  Template *p = sd_memory_alloc(template_bytes(nx, ny), &b->error);
  if (!p) return NULL;
  p->refs = 1;
  p->trace = t;
  t->refs++; /* sd_trace_close drops one */
  p->nx = nx;
  p->ny = ny;
  for (int i = 0; i < nx; i++) p->nodes[i] = sd_node_retain(x[i]);
  for (int i = 0; i < ny; i++) p->nodes[nx + i] = sd_node_retain(y[i]);
  return p;
}

void sd_transform_checkpoint(SdBuilder *b, SdTrace *t, int nx,
                             SdNode *const *x, SdNode *const *args, int ny,
                             SdNode *const *y, SdNode **out) {
  SdNode *in[256];
  SdAttr attr = {.count = 0};
  if (b->error.code) return;
  if (nx + ny > 255 || ny > SD_MAX_RESULTS || ny < 1) {
    sd_builder_fail(b, SD_EARGUMENT,
                    "checkpoint: %d arguments and %d results are too many",
                    nx, ny);
    return;
  }
  Template *p = attr.data = template_new(b, t, nx, x, ny, y);
  if (!p) return;
  sd_transform_substitute(b, t, nx, x, args, ny, y, in);
  memcpy(in + ny, args, (size_t)nx * sizeof *in);
  SdNode *n = b->error.code
                  ? NULL
                  : sd_node_make(b, &checkpoint_op, nx + ny, in, &attr);
  template_release(p);
  for (int i = 0; i < ny && n; i++)
    out[i] = sd_node_part(b, n, i, (SdDtype)y[i]->dtype, &y[i]->shape);
}
