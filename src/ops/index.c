/*
** Indexing.  Indices are i64 and count from 1; negative ones count from the
** end.  gather and scatter_add, take and put_add are each other's
** transposes, so derivatives stay within the family.
** Attributes: i[0] the dim; i[1] of the transposes: its extent.
** writer says which of several elements laid at one place stays there: what
** is laid comes through gather or take, so the derivative needs no rule.
*/
#include "ops/ops.h"

#include "base/memory.h"
#include "graph/layout.h"
#include "kernels/rows.h"

#include <string.h>

enum { GATHER, SCATTER_ADD, TAKE, PUT_ADD, PICK, WRITER, ARGSORT, HISTOGRAM,
       SORT, MAX_, MIN_, NOPS };
static const SdOp table[NOPS];

static SdRows rows_of(const SdShape *s, int dim) {
  SdRows r = {1, s->dims[dim], 1};
  for (int i = 0; i < dim; i++) r.outer *= s->dims[i];
  for (int i = dim + 1; i < s->ndim; i++) r.inner *= s->dims[i];
  return r;
}

/* Contiguous forms of both inputs for the time of a kernel. */
static SdStatus two_inputs(const SdArray *const *in, SdArray *x, SdArray *k,
                           SdError *err) {
  SdStatus s = sd_array_contiguous(in[0], x, err);
  if (s != SD_OK) return s;
  s = sd_array_contiguous(in[1], k, err);
  if (s != SD_OK) sd_array_release(x);
  return s;
}

static SdStatus index_dtype(const SdNode *y, SdError *err) {
  if (y->in[1]->dtype == SD_I64) return SD_OK;
  return sd_error_set(err, SD_EARGUMENT,
                      "%s: the index must be i64, not %s", y->op->name,
                      sd_dtype_name((SdDtype)y->in[1]->dtype));
}

/* Leading dim of extent size on whatever lacks it. */
static SdNode *lead(SdBuilder *b, SdNode *x, int batched, int64_t size) {
  SdShape s = {.ndim = 1, .dims = {size}};
  if (batched || !x) return x;
  for (int i = 0; i < x->shape.ndim; i++) s.dims[s.ndim++] = x->shape.dims[i];
  return sd_expand(b, x, &s);
}

/* ---- gather, scatter_add ------------------------------------------------ */

/* Whose labels the index holds, by the last attribute of either: they do not
** count from the end, and errors speak of them. */
static const char *const labelled[] = {NULL, "cross_entropy", "nll"};

static SdStatus check_labels(int64_t whose, const SdArray *index,
                             int64_t classes, SdError *err) {
  if (!whose) return SD_OK;
  return sd_rows_labels(labelled[whose], sd_array_numel(index), index->data,
                        classes, err);
}

static SdStatus same_but(const SdNode *y, const SdShape *a, const SdShape *b,
                         int dim, SdError *err) {
  SdShape c = *a;
  if (c.ndim == b->ndim) c.dims[dim] = b->dims[dim];
  if (sd_shape_equal(&c, b)) return SD_OK;
  return sd_error_set(err, SD_EARGUMENT,
                      "%s: shapes differ beside dim %d: %s and index %s",
                      y->op->name, dim + 1, sd_shape_text(a).text,
                      sd_shape_text(b).text);
}

static SdStatus gather_infer(SdNode *y, SdError *err) {
  y->dtype = y->in[0]->dtype;
  y->shape = y->in[1]->shape;
  SdStatus s = index_dtype(y, err);
  if (s != SD_OK) return s;
  return same_but(y, &y->in[0]->shape, &y->in[1]->shape, (int)y->attr->i[0],
                  err);
}

static SdStatus gather_eval(const SdNode *y, const SdArray *const *in,
                            SdArray *out, SdError *err) {
  SdArray x, k;
  int dim = (int)y->attr->i[0];
  SdStatus s = two_inputs(in, &x, &k, err);
  if (s != SD_OK) return s;
  SdRows r = rows_of(&x.shape, dim);
  s = check_labels(y->attr->i[1], &k, r.len, err);
  if (s == SD_OK)
    s = sd_rows_gather(sd_dtype_size(x.dtype), &r, y->shape.dims[dim], x.data,
                       k.data, out->data, err);
  sd_array_release(&x);
  sd_array_release(&k);
  return s;
}

static SdNode *gather(SdBuilder *b, SdNode *x, int dim, SdNode *index,
                      int64_t whose) {
  SdAttr attr = {.count = 2, .i = {dim, whose}};
  SdNode *in[2] = {x, index};
  return sd_node_make(b, &table[GATHER], 2, in, &attr);
}

SdNode *sd_gather(SdBuilder *b, SdNode *x, int dim, SdNode *index) {
  return gather(b, x, dim, index, 0);
}

static SdNode *scatter_add(SdBuilder *b, SdNode *x, int dim, SdNode *index,
                           int64_t size, int64_t whose) {
  SdAttr attr = {.count = 3, .i = {dim, size, whose}};
  SdNode *in[2] = {x, index};
  return sd_node_make(b, &table[SCATTER_ADD], 2, in, &attr);
}

static SdNode *gather_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  int dim = (int)y->attr->i[0];
  if (i == 1) return NULL;
  return scatter_add(b, g, dim, y->in[1], y->in[0]->shape.dims[dim],
                     y->attr->i[1]);
}

static SdNode *gather_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                            const int *batched, int64_t size) {
  return gather(b, lead(b, in[0], batched[0], size), (int)y->attr->i[0] + 1,
                lead(b, in[1], batched[1], size), y->attr->i[1]);
}

static SdStatus scatter_infer(SdNode *y, SdError *err) {
  int dim = (int)y->attr->i[0];
  y->dtype = y->in[0]->dtype;
  y->shape = y->in[0]->shape;
  SdStatus s = index_dtype(y, err);
  if (s == SD_OK && !sd_shape_equal(&y->in[0]->shape, &y->in[1]->shape))
    s = sd_error_set(err, SD_EARGUMENT, "%s: shapes differ: %s and index %s",
                     y->op->name, sd_shape_text(&y->in[0]->shape).text,
                     sd_shape_text(&y->in[1]->shape).text);
  y->shape.dims[dim] = y->attr->i[1];
  return s == SD_OK ? sd_shape_check(&y->shape, y->op->name, err) : s;
}

static SdStatus scatter_eval(const SdNode *y, const SdArray *const *in,
                             SdArray *out, SdError *err) {
  SdArray x, k;
  int dim = (int)y->attr->i[0];
  SdStatus s = two_inputs(in, &x, &k, err);
  if (s != SD_OK) return s;
  SdRows r = rows_of(&y->shape, dim);
  s = check_labels(y->attr->i[2], &k, r.len, err);
  if (s == SD_OK)
    s = sd_rows_scatter_add(x.dtype, &r, x.shape.dims[dim], x.data, k.data,
                            out->data, err);
  sd_array_release(&x);
  sd_array_release(&k);
  return s;
}

SdNode *sd_scatter_add(SdBuilder *b, SdNode *x, int dim, SdNode *index,
                       int64_t size) {
  return scatter_add(b, x, dim, index, size, 0);
}

static SdNode *scatter_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  if (i == 1) return NULL;
  return gather(b, g, (int)y->attr->i[0], y->in[1], y->attr->i[2]);
}

static SdNode *scatter_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                             const int *batched, int64_t size) {
  return scatter_add(b, lead(b, in[0], batched[0], size),
                     (int)y->attr->i[0] + 1,
                     lead(b, in[1], batched[1], size), y->attr->i[1],
                     y->attr->i[2]);
}

/* The leading part of x that index covers: all of dim, of the others what
** index has. */
static SdNode *covered(SdBuilder *b, SdNode *x, int dim, SdNode *index) {
  int64_t start[SD_MAX_DIMS] = {0}, step[SD_MAX_DIMS];
  SdShape part = x->shape;
  for (int i = 0; i < part.ndim; i++) {
    step[i] = 1;
    if (i == dim || index->shape.ndim != part.ndim) continue;
    if (index->shape.dims[i] < part.dims[i])
      part.dims[i] = index->shape.dims[i];
  }
  if (sd_shape_equal(&part, &x->shape)) return x;
  return sd_slice(b, x, start, part.dims, step, 0);
}

static int gather_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                       SdNode **out) {
  int dim = sd_call_dim(b, op->name, c->a[1].i[0], c->a[0].x->shape.ndim);
  if (dim < 0) return 0;
  SdNode *x = covered(b, c->a[0].x, dim, c->a[2].x);
  out[0] = sd_gather(b, x, dim, c->a[2].x);
  return out[0] != NULL;
}

/* pick_(x, dim, labels, whose) */
static int pick_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                     SdNode **out) {
  int dim = sd_call_dim(b, op->name, c->a[1].i[0], c->a[0].x->shape.ndim);
  int64_t whose = c->a[3].i[0];
  int known = whose > 0 && whose < (int64_t)(sizeof labelled / sizeof(char *));
  if (dim < 0) return 0;
  out[0] = gather(b, c->a[0].x, dim, c->a[2].x, known ? whose : 0);
  return out[0] != NULL;
}

/* src of an index's shape from one at least as large. */
static SdNode *source(SdBuilder *b, SdNode *src, SdNode *index, int dim) {
  int64_t n = index->shape.ndim == src->shape.ndim
                  ? index->shape.dims[dim] : 0;
  src = covered(b, src, dim, index);
  if (src && n && n < src->shape.dims[dim]) src = sd_narrow(b, src, dim, 0, n);
  return src;
}

/* y as the leading part of zeros in a shape. */
static SdNode *embedded(SdBuilder *b, SdNode *y, const SdShape *shape) {
  int64_t start[SD_MAX_DIMS] = {0}, step[SD_MAX_DIMS];
  if (!y || sd_shape_equal(&y->shape, shape)) return y;
  for (int i = 0; i < shape->ndim; i++) {
    step[i] = 1;
    if (y->shape.ndim != shape->ndim || y->shape.dims[i] > shape->dims[i])
      return sd_builder_fail(b, SD_EARGUMENT,
                             "scatter_add: shapes differ: %s and %s",
                             sd_shape_text(shape).text,
                             sd_shape_text(&y->shape).text);
  }
  return sd_embed(b, y, shape, start, step, 0);
}

/* The script's scatter_add(x, dim, index, src): x plus what is scattered. */
static int scatter_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                        SdNode **out) {
  SdNode *x = c->a[0].x, *index = c->a[2].x;
  int dim = sd_call_dim(b, op->name, c->a[1].i[0], x->shape.ndim);
  if (dim < 0) return 0;
  SdNode *src = source(b, c->a[3].x, index, dim);
  SdNode *add = sd_scatter_add(b, sd_cast(b, src, (SdDtype)x->dtype), dim,
                               index, x->shape.dims[dim]);
  out[0] = sd_add(b, x, embedded(b, add, &x->shape));
  return out[0] != NULL;
}

/* ---- take, put_add: whole slices ---------------------------------------- */

static SdStatus take_infer(SdNode *y, SdError *err) {
  y->dtype = y->in[0]->dtype;
  y->shape = y->in[0]->shape;
  SdStatus s = index_dtype(y, err);
  if (s == SD_OK && y->in[1]->shape.ndim != 1)
    s = sd_error_set(err, SD_EARGUMENT,
                     "%s: the index must have 1 dim, not shape %s",
                     y->op->name, sd_shape_text(&y->in[1]->shape).text);
  y->shape.dims[y->attr->i[0]] = y->in[1]->shape.dims[0];
  return s;
}

static SdStatus take_eval(const SdNode *y, const SdArray *const *in,
                          SdArray *out, SdError *err) {
  SdArray x, k;
  int dim = (int)y->attr->i[0];
  SdStatus s = two_inputs(in, &x, &k, err);
  if (s != SD_OK) return s;
  SdRows r = rows_of(&x.shape, dim);
  s = sd_rows_take(sd_dtype_size(x.dtype), &r, y->shape.dims[dim], x.data,
                   k.data, out->data, err);
  sd_array_release(&x);
  sd_array_release(&k);
  return s;
}

SdNode *sd_take(SdBuilder *b, SdNode *x, int dim, SdNode *index) {
  SdAttr attr = {.count = 1, .i = {dim}};
  SdNode *in[2] = {x, index};
  return sd_node_make(b, &table[TAKE], 2, in, &attr);
}

static SdNode *take_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  int dim = (int)y->attr->i[0];
  if (i == 1) return NULL;
  return sd_put_add(b, g, dim, y->in[1], y->in[0]->shape.dims[dim]);
}

static SdStatus put_infer(SdNode *y, SdError *err) {
  int dim = (int)y->attr->i[0];
  SdStatus s = take_infer(y, err);
  if (s == SD_OK && y->in[0]->shape.dims[dim] != y->in[1]->shape.dims[0])
    s = sd_error_set(err, SD_EARGUMENT, "put_add: %s slices, %s indices",
                     sd_shape_text(&y->in[0]->shape).text,
                     sd_shape_text(&y->in[1]->shape).text);
  y->shape.dims[dim] = y->attr->i[1];
  return s == SD_OK ? sd_shape_check(&y->shape, y->op->name, err) : s;
}

static SdStatus put_eval(const SdNode *y, const SdArray *const *in,
                         SdArray *out, SdError *err) {
  SdArray x, k;
  int dim = (int)y->attr->i[0];
  SdStatus s = two_inputs(in, &x, &k, err);
  if (s != SD_OK) return s;
  SdRows r = rows_of(&y->shape, dim);
  s = sd_rows_put_add(x.dtype, &r, x.shape.dims[dim], x.data, k.data,
                      out->data, err);
  sd_array_release(&x);
  sd_array_release(&k);
  return s;
}

SdNode *sd_put_add(SdBuilder *b, SdNode *x, int dim, SdNode *index,
                   int64_t size) {
  SdAttr attr = {.count = 2, .i = {dim, size}};
  SdNode *in[2] = {x, index};
  return sd_node_make(b, &table[PUT_ADD], 2, in, &attr);
}

static SdNode *put_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  if (i == 1) return NULL;
  return sd_take(b, g, (int)y->attr->i[0], y->in[1]);
}

/* An index list for each example: the same slices picked elementwise. */
static SdNode *spread_index(SdBuilder *b, SdNode *index, const SdShape *s,
                            int dim) {
  SdShape shape = {.ndim = s->ndim};
  for (int i = 0; i < s->ndim; i++) shape.dims[i] = 1;
  if (!index) return NULL;
  shape.dims[0] = index->shape.dims[0];
  shape.dims[dim] = index->shape.dims[1];
  SdShape full = *s;
  full.dims[dim] = index->shape.dims[1];
  return sd_expand(b, sd_reshape(b, index, &shape), &full);
}

static SdNode *take_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                          const int *batched, int64_t size) {
  int dim = (int)y->attr->i[0] + 1, put = y->op == &table[PUT_ADD];
  if (!batched[1])
    return put ? sd_put_add(b, in[0], dim, in[1], y->attr->i[1])
               : sd_take(b, in[0], dim, in[1]);
  SdNode *x = lead(b, in[0], batched[0], size);
  if (!x) return NULL;
  SdNode *k = spread_index(b, in[1], &x->shape, dim);
  return put ? sd_scatter_add(b, x, dim, k, y->attr->i[1])
             : sd_gather(b, x, dim, k);
}

static int take_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                     SdNode **out) {
  int dim = sd_call_dim(b, op->name, c->a[1].i[0], c->a[0].x->shape.ndim);
  if (dim < 0) return 0;
  out[0] = sd_take(b, c->a[0].x, dim, c->a[2].x);
  return out[0] != NULL;
}

/* ---- writer: i[0] dim, i[1] its extent, i[2] who writes -------------- */

enum { SCATTER, ASSIGNMENT, ONE_HOT };

static SdStatus writer_infer(SdNode *y, SdError *err) {
  const SdNode *k = y->in[0];
  y->dtype = SD_I64;
  y->shape = k->shape;
  y->shape.dims[y->attr->i[0]] = y->attr->i[1];
  if (k->dtype != SD_I64)
    return sd_error_set(err, SD_EARGUMENT,
                        "scatter: the index must be i64, not %s",
                        sd_dtype_name((SdDtype)k->dtype));
  return sd_shape_check(&y->shape, "scatter", err);
}

static SdStatus writer_eval(const SdNode *y, const SdArray *const *in,
                            SdArray *out, SdError *err) {
  SdArray k;
  int dim = (int)y->attr->i[0];
  SdStatus s = sd_array_contiguous(in[0], &k, err);
  if (s != SD_OK) return s;
  SdRows r = rows_of(&y->shape, dim);
  if (y->attr->i[2] == ONE_HOT)
    s = sd_rows_labels("one_hot", sd_array_numel(&k), k.data, r.len, err);
  if (s == SD_OK)
    s = sd_rows_writer(y->attr->i[2] == SCATTER ? "scatter" : "index", &r,
                       k.shape.dims[dim], k.data, out->data, err);
  sd_array_release(&k);
  return s;
}

static SdNode *writer(SdBuilder *b, SdNode *index, int dim, int64_t size,
                      int who) {
  SdAttr attr = {.count = 3, .i = {dim, size, who}};
  return sd_node_make(b, &table[WRITER], 1, &index, &attr);
}

static SdNode *writer_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                            const int *batched, int64_t size) {
  (void)batched, (void)size;
  return writer(b, in[0], (int)y->attr->i[0] + 1, y->attr->i[1],
                (int)y->attr->i[2]);
}

static int writer_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                       SdNode **out) {
  (void)op;
  int dim = sd_call_dim(b, "scatter", c->a[1].i[0], c->a[0].x->shape.ndim);
  if (dim < 0) return 0;
  out[0] = writer(b, c->a[0].x, dim, c->a[2].i[0],
                  c->a[3].i[0] ? ONE_HOT : SCATTER);
  return out[0] != NULL;
}

SdNode *sd_put(SdBuilder *b, SdNode *x, SdNode *index, SdNode *v) {
  if (!x || !index || !v || index->shape.dims[0] == 0) return x;
  SdNode *one = sd_number(b, 1, 1);
  SdNode *w = writer(b, index, 0, x->shape.dims[0], ASSIGNMENT);
  SdNode *last = w ? sd_where(b, sd_lt(b, w, one), one, w) : NULL;
  SdNode *laid = sd_take(b, v, 0, sd_cast(b, last, SD_I64));
  for (int i = 1; i < x->shape.ndim; i++) w = sd_unsqueeze(b, w, i);
  return sd_where(b, sd_lt(b, sd_number(b, 0, 1), w), laid, x);
}

/* ---- sorting: attributes i[0] dim, i[1] descending ---------------------- */

static SdStatus argsort_infer(SdNode *y, SdError *err) {
  (void)err;
  y->dtype = SD_I64;
  y->shape = y->in[0]->shape;
  return SD_OK;
}

static SdStatus argsort_eval(const SdNode *y, const SdArray *const *in,
                             SdArray *out, SdError *err) {
  SdArray x;
  SdStatus s = sd_array_contiguous(in[0], &x, err);
  if (s != SD_OK) return s;
  SdRows r = rows_of(&y->shape, (int)y->attr->i[0]);
  size_t bytes = sd_rows_sort_scratch(&r);
  void *scratch = sd_memory_alloc(bytes, err);
  if (scratch)
    sd_rows_sort(x.dtype, &r, (int)y->attr->i[1], x.data, NULL, out->data,
                 scratch);
  sd_memory_free(scratch, bytes);
  sd_array_release(&x);
  return scratch ? SD_OK : err->code;
}

static SdNode *argsort(SdBuilder *b, SdNode *x, int dim, int descending) {
  SdAttr attr = {.count = 2, .i = {dim, descending}};
  return sd_node_make(b, &table[ARGSORT], 1, &x, &attr);
}

static SdNode *argsort_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                             const int *batched, int64_t size) {
  (void)batched, (void)size;
  return argsort(b, in[0], (int)y->attr->i[0] + 1, (int)y->attr->i[1]);
}

static SdNode *at_least_1d(SdBuilder *b, SdNode *x) {
  SdShape one = {1, {1}};
  return x && x->shape.ndim == 0 ? sd_reshape(b, x, &one) : x;
}

static int argsort_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                        SdNode **out) {
  SdNode *x = at_least_1d(b, c->a[0].x);
  int dim = x ? sd_call_dim(b, op->name, c->a[1].i[0], x->shape.ndim) : -1;
  if (dim < 0) return 0;
  SdNode *k = argsort(b, x, dim, (int)c->a[2].i[0]);
  out[0] = k ? sd_reshape(b, k, &c->a[0].x->shape) : NULL;
  return out[0] != NULL;
}

/* Values come through gather, which knows its derivative. */
static int sort_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                     SdNode **out) {
  SdNode *x = at_least_1d(b, c->a[0].x);
  int dim = x ? sd_call_dim(b, op->name, c->a[1].i[0], x->shape.ndim) : -1;
  if (dim < 0) return 0;
  SdNode *k = argsort(b, x, dim, (int)c->a[2].i[0]);
  SdNode *v = sd_gather(b, x, dim, k);
  if (!v) return 0;
  out[0] = sd_reshape(b, v, &c->a[0].x->shape);
  out[1] = sd_reshape(b, k, &c->a[0].x->shape);
  return out[0] && out[1] ? 2 : 0;
}

/* max and min: over all, the extreme; over one dim, values and indices. */
static int extreme_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                        SdNode **out) {
  SdNode *x = c->a[0].x, *k;
  int most = op == &table[MAX_];
  const SdOp *fold = sd_op_find(most ? "amax" : "amin");
  if (!c->a[1].given) return fold->call(b, fold, c, out);
  int dim = sd_call_dim(b, op->name, c->a[1].i[0], x->shape.ndim);
  if (dim < 0) return 0;
  SdCall arg = *c;
  const SdOp *find = sd_op_find(most ? "argmax" : "argmin");
  arg.a[2].i[0] = 1;
  if (!find->call(b, find, &arg, &k)) return 0;
  out[0] = sd_gather(b, x, dim, k);
  out[1] = k;
  if (!c->a[2].i[0])
    for (int i = 0; i < 2; i++) out[i] = sd_squeeze(b, out[i], dim);
  return out[0] && out[1] ? 2 : 0;
}

/* ---- histogram of the dims after the first i[1], in i[0] bins ----------- */

static SdNode *histogram(SdBuilder *b, SdNode *const *in, int64_t bins,
                         int64_t leading) {
  SdAttr attr = {.count = 2, .i = {bins, leading}};
  return sd_node_make(b, &table[HISTOGRAM], 3, in, &attr);
}


static SdStatus histogram_infer(SdNode *y, SdError *err) {
  int64_t bins = y->attr->i[0];
  if (bins < 1 || bins > 100000000)
    return sd_error_set(err, SD_EARGUMENT, "histogram: %lld bins",
                        (long long)bins);
  y->dtype = SD_F64;
  y->shape = y->in[0]->shape;
  y->shape.ndim = (int)y->attr->i[1] + 1;
  y->shape.dims[y->attr->i[1]] = bins;
  return sd_shape_check(&y->shape, "histogram", err);
}

static SdStatus histogram_eval(const SdNode *y, const SdArray *const *in,
                               SdArray *out, SdError *err) {
  SdArray x;
  SdStatus s = sd_array_contiguous(in[0], &x, err);
  if (s != SD_OK) return s;
  int64_t bins = y->attr->i[0], rows = sd_array_numel(out) / bins;
  int64_t n = rows ? sd_array_numel(&x) / rows : 0;
  for (int64_t i = 0; i < rows; i++)
    sd_rows_histogram(
        x.dtype, n,
        (const char *)x.data + i * n * (int64_t)sd_dtype_size(x.dtype),
        *(const double *)in[1]->data, *(const double *)in[2]->data, bins,
        (double *)out->data + i * bins);
  sd_array_release(&x);
  return SD_OK;
}

static SdNode *histogram_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                               const int *batched, int64_t size) {
  (void)batched, (void)size;
  return histogram(b, in, y->attr->i[0], y->attr->i[1] + 1);
}

static int histogram_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                          SdNode **out) {
  (void)op;
  SdNode *in[3] = {c->a[0].x, sd_constant(b, SD_F64, c->a[2].f),
                   sd_constant(b, SD_F64, c->a[3].f)};
  if (!(c->a[2].f < c->a[3].f)) {
    sd_builder_fail(b, SD_EARGUMENT, "histogram: range from %g to %g",
                    c->a[2].f, c->a[3].f);
    return 0;
  }
  out[0] = histogram(b, in, c->a[1].i[0], 0);
  return out[0] != NULL;
}

/* ---- the table ---------------------------------------------------------- */

#define CALLED(NAME, ARGS, DOC, SAMPLES) \
  .name = NAME, .kind = SD_KIND_CALL, .args = ARGS, .doc = DOC, \
  .samples = SAMPLES

static const SdOp table[NOPS] = {
    [GATHER] = {CALLED("gather", "x dim:I index",
                       "Elements picked along dim: index has their places.",
                       "r{3, 4}, 2, i(4, {3, 2})\nr{3, 4}, 1, i(3, {5, 4})"),
                .infer = gather_infer, .eval = gather_eval,
                .transpose = gather_t, .batch = gather_batch,
                .call = gather_call},
    [PICK] = {.name = "pick_", .args = "x dim:I labels whose:I",
              .call = pick_call,
              .doc = "gather by the labels of a loss, which errors name.",
              .samples = "r{3, 4}, 2, i(4, {3, 1}), 1"},
    [SCATTER_ADD] = {CALLED("scatter_add", "x dim:I index src",
                            "x with src added at the places in index.",
                            "r{3, 4}, 2, i(4, {3, 2}), r{3, 2}"),
                     .infer = scatter_infer, .eval = scatter_eval,
                     .transpose = scatter_t, .batch = scatter_batch,
                     .call = scatter_call},
    [TAKE] = {CALLED("index_select", "x dim:I index",
                     "Whole slices of dim, in the order of a list.",
                     "r{3, 4}, 1, i(3, {5})\nr{2, 3}, 2, i(3, {2})"),
              .infer = take_infer, .eval = take_eval, .transpose = take_t,
              .batch = take_batch, .call = take_call},
    [PUT_ADD] = {.name = "put_add", .kind = SD_KIND_CALL,
                 .flags = SD_OP_HIDDEN, .infer = put_infer,
                 .eval = put_eval, .transpose = put_t, .batch = take_batch},
    [WRITER] = {CALLED("writer_", "index dim:I size:I one_hot:B=0",
                       "The last place along dim that names each of 1 .. "
                       "size, or 0.", "i(4, {3}), 1, 4"),
                .flags = SD_OP_ZERO_GRAD, .infer = writer_infer,
                .eval = writer_eval, .batch = writer_batch,
                .call = writer_call},
    [ARGSORT] = {CALLED("argsort", "x dim:I=-1 descending:B=0 stable:B=1",
                        "Indices that sort along dim; stable.",
                        "r{3, 4}\nr{3, 4}, 1"),
                 .flags = SD_OP_ZERO_GRAD, .infer = argsort_infer,
                 .eval = argsort_eval, .batch = argsort_batch,
                 .call = argsort_call},
    [HISTOGRAM] = {CALLED("histogram_", "x bins:I low:F high:F",
                          "Counts in equal bins over [low, high].",
                          "r{20}, 5, -1, 1"),
                   .flags = SD_OP_ZERO_GRAD, .infer = histogram_infer,
                   .eval = histogram_eval, .batch = histogram_batch,
                   .call = histogram_call},
    [SORT] = {.name = "sort", .args = "x dim:I=-1 descending:B=0 stable:B=1",
              .call = sort_call,
              .doc = "Sorted values and their indices; equal elements keep "
                     "their order.",
              .samples = "r{3, 4}\nr{3, 4}, 1, {descending = true}"},
    [MAX_] = {.name = "max", .args = "x dim:I? keepdim:B=0",
              .call = extreme_call,
              .doc = "Largest element; along dim: values, indices.",
              .samples = "r{3, 4}\nr{3, 4}, 2"},
    [MIN_] = {.name = "min", .args = "x dim:I? keepdim:B=0",
              .call = extreme_call,
              .doc = "Smallest element; along dim: values, indices.",
              .samples = "r{3, 4}\nr{3, 4}, 1, {keepdim = true}"},
};

extern const SdOpList sd_index_ops;
const SdOpList sd_index_ops = {table, NOPS};
