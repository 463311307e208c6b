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

/* ---- substitution ------------------------------------------------------- */

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

/* ---- vmap --------------------------------------------------------------- */

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

/* ---- compilation -------------------------------------------------------- */

static int is_pending(const SdNode *n) {
  return !n->value && n->op->kind != SD_KIND_CONSTANT;
}

static int is_traced(const SdNode *n) { return n->trace != NULL; }

typedef struct List {
  SdNode **nodes;
  size_t count, capacity;
} List;

static SdStatus list_add(List *l, SdNode *n, SdError *err) {
  SdStatus s = sd_memory_grow(&l->nodes, &l->capacity, l->count + 1,
                              sizeof *l->nodes, err);
  if (s == SD_OK) l->nodes[l->count++] = n;
  return s;
}

static void list_free(List *l) {
  sd_memory_free(l->nodes, l->capacity * sizeof *l->nodes);
}

/* What dependent nodes read that is not dependent itself, as far as wanted
** says yes. */
static SdStatus frontier(const SdWalk *w, int ny, SdNode *const *y,
                         int (*wanted)(const SdNode *), List *list,
                         SdError *err) {
  SdStatus s = SD_OK;
  for (int i = 0; i < w->count + ny && s == SD_OK; i++) {
    SdNode *n = i < w->count ? w->nodes[i] : NULL;
    int nin = n ? n->nin : 1;
    for (int k = 0; k < nin && s == SD_OK; k++) {
      SdNode *in = n ? n->in[k] : y[i - w->count];
      if (sd_walk_slot(w, in) < 0 && wanted(in)) s = list_add(list, in, err);
    }
  }
  return s;
}

SdStatus sd_transform_compile(SdPlan **plan, const SdTrace *t, int nx,
                              SdNode *const *x, int ny, SdNode *const *y,
                              int ndonated, SdError *err) {
  SdWalk w;
  List list = {0};
  SdStatus s = sd_walk_make(&w, t, y, ny, x, nx, 1, err);
  if (s != SD_OK) return s;
  s = frontier(&w, ny, y, is_pending, &list, err);
  sd_walk_free(&w);
  if (s == SD_OK && list.count)
    s = sd_plan_eval(list.nodes, (int)list.count, err);
  list_free(&list);
  return s == SD_OK ? sd_plan_new(plan, y, ny, x, nx, ndonated, err) : s;
}

/* ---- stop_gradient ------------------------------------------------------ */

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

/* ---- checkpoint --------------------------------------------------------- */

/*
** A template is the function as a graph over abstract tracers, never
** evaluated itself: first the arguments, then what the function captured of
** outer traces.  The node's inputs are the results of one copy of it, then
** the arguments and captured nodes; each derivative makes a copy of its
** own.  A template shares no traced node with the graph around it, whose
** walk may be under way when a rule walks the template.
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

static SdNode *checkpoint_batch(SdBuilder *b, SdNode *n, SdNode *const *in,
                                const int *batched, int64_t size);

static const SdOp checkpoint_op = {.name = "checkpoint",
                                   .kind = SD_KIND_CALL,
                                   .flags = SD_OP_ALLOCATES,
                                   .infer = checkpoint_infer,
                                   .eval = checkpoint_eval,
                                   .vjp = checkpoint_vjp,
                                   .jvp = checkpoint_jvp,
                                   .batch = checkpoint_batch,
                                   .release = checkpoint_release};

static Template *template_new(SdBuilder *b, SdTrace *t, int nx,
                              SdNode *const *x, int ny, SdNode *const *y) {
  if (b->error.code) return NULL;
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

/* The node of template p over its ny results and nx arguments; takes over
** the reference in p. */
static SdNode *checkpoint_node(SdBuilder *b, Template *p, SdNode *const *in) {
  SdAttr attr = {.count = 0, .data = p};
  if (!p) return NULL;
  SdNode *n = sd_node_make(b, &checkpoint_op, p->ny + p->nx, in, &attr);
  template_release(p);
  return n;
}

/* x [s..] the same for size examples. */
static SdNode *repeated(SdBuilder *b, SdNode *x, int64_t size) {
  SdShape s = {.ndim = 1, .dims = {size}};
  if (!x) return NULL;
  if (x->shape.ndim == SD_MAX_DIMS)
    return sd_builder_fail(b, SD_EARGUMENT, "vmap: more than %d dims",
                           SD_MAX_DIMS);
  for (int i = 0; i < x->shape.ndim; i++) s.dims[s.ndim++] = x->shape.dims[i];
  return sd_expand(b, x, &s);
}

/* p's results as functions of x, whose batched ones have a leading dim. */
static void batch_template(SdBuilder *b, const Template *p, SdNode *const *x,
                           const int *batched, int64_t size, SdNode **y) {
  SdNode *from[2][256], *to[2][256], *by[SD_MAX_RESULTS];
  int n[2] = {0, 0};
  for (int i = 0; i < p->nx; i++) {
    int k = batched[i];
    from[k][n[k]] = p->nodes[i];
    to[k][n[k]++] = x[i];
  }
  sd_transform_vmap(b, p->trace, size, n[1], from[1], to[1], p->ny,
                    p->nodes + p->nx, by);
  for (int i = 0; i < p->ny && !b->error.code; i++)
    if (!by[i]) by[i] = repeated(b, p->nodes[p->nx + i], size);
  sd_transform_substitute(b, p->trace, n[0], from[0], to[0], p->ny, by, y);
}

static SdNode *checkpoint_batch(SdBuilder *b, SdNode *n, SdNode *const *in,
                                const int *batched, int64_t size) {
  const Template *p = n->attr->data;
  SdNode *all[256], *x[256], *y[SD_MAX_RESULTS];
  SdTrace *t;
  if (sd_trace_open(&t, "checkpoint", &b->error) != SD_OK) return NULL;
  for (int i = 0; i < p->nx; i++) {
    SdNode *a = all[p->ny + i] = in[p->ny + i];
    x[i] = sd_trace_abstract(b, t, (SdDtype)a->dtype, &a->shape);
  }
  for (int i = 0; i < p->ny; i++)
    all[i] = batched[i] ? in[i] : repeated(b, in[i], size);
  if (!b->error.code) batch_template(b, p, x, batched + p->ny, size, y);
  sd_trace_leave(t);
  SdNode *m = checkpoint_node(b, template_new(b, t, p->nx, x, p->ny, y), all);
  sd_trace_close(t);
  return m;
}

/* Puts what y reads of outer traces into captured; returns how many. */
static int find_captured(SdBuilder *b, const SdTrace *t, int nx,
                         SdNode *const *x, int ny, SdNode *const *y,
                         SdNode **captured, int most) {
  SdWalk w;
  List list = {0};
  int n = 0;
  if (sd_walk_make(&w, t, y, ny, x, nx, 0, &b->error) != SD_OK) return 0;
  frontier(&w, ny, y, is_traced, &list, &b->error);
  sd_walk_free(&w);
  for (size_t k = 0; k < list.count && n <= most; k++) {
    int known = 0;
    for (int i = 0; i < n; i++) known |= captured[i] == list.nodes[k];
    if (!known) captured[n++] = list.nodes[k];
  }
  list_free(&list);
  return n;
}

enum { MOST_INPUTS = 255 };

/* x and args have room for what y captured, which is added to both. */
static int add_captured(SdBuilder *b, SdTrace *t, int nx, SdNode **x,
                        SdNode **args, int ny, SdNode **y) {
  int most = MOST_INPUTS - ny - nx;
  int n = find_captured(b, t, nx, x, ny, y, args + nx, most);
  if (n > most) {
    sd_builder_fail(b, SD_EARGUMENT,
                    "checkpoint: more than %d arguments and captured tensors",
                    MOST_INPUTS);
    return nx;
  }
  for (int i = nx; i < nx + n; i++)
    x[i] = sd_trace_abstract(b, t, (SdDtype)args[i]->dtype, &args[i]->shape);
  if (n) sd_transform_substitute(b, t, n, args + nx, x + nx, ny, y, y);
  return nx + n;
}

void sd_transform_checkpoint(SdBuilder *b, SdTrace *t, int nx,
                             SdNode *const *x, SdNode *const *args, int ny,
                             SdNode *const *y, SdNode **out) {
  SdNode *from[MOST_INPUTS + 2], *in[MOST_INPUTS + 2], *to[SD_MAX_RESULTS];
  if (b->error.code) return;
  if (nx + ny > MOST_INPUTS || ny > SD_MAX_RESULTS || ny < 1) {
    sd_builder_fail(b, SD_EARGUMENT,
                    "checkpoint: %d arguments and %d results are too many",
                    nx, ny);
    return;
  }
  memcpy(from, x, (size_t)nx * sizeof *x);
  memcpy(in + ny, args, (size_t)nx * sizeof *args);
  memcpy(to, y, (size_t)ny * sizeof *y);
  nx = add_captured(b, t, nx, from, in + ny, ny, to);
  sd_transform_substitute(b, t, nx, from, in + ny, ny, to, in);
  SdNode *n = checkpoint_node(b, template_new(b, t, nx, from, ny, to), in);
  for (int i = 0; i < ny && n; i++)
    out[i] = sd_node_part(b, n, i, (SdDtype)y[i]->dtype, &y[i]->shape);
}
