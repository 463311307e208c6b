/*
** Reductions.  A fold node reduces a run of dims, which is what a fused
** program can do in one pass; other sets of dims are permuted to the end
** first.  Attributes: i[0] 0 when the run is that of the trailing dims, i[1]
** the first dim behind the run (of trailing dims the first in it), i[2] the
** first dim in it.
*/
#include "ops/ops.h"

#include "base/memory.h"
#include "graph/layout.h"
#include "kernels/rows.h"

#include <string.h>

enum { SUM, DEVIATIONS, AMAX, AMIN, ANY, ALL, CUMSUM, ARGMAX, ARGMIN, NOPS };
static const SdOp table[NOPS];

/* ---- sets of dims ------------------------------------------------------- */

static int64_t all_dims(const SdNode *x) {
  return ((int64_t)1 << x->shape.ndim) - 1;
}

static int64_t low_bits(int n) { return ((int64_t)1 << n) - 1; }

static SdNode *fold_trailing(SdBuilder *b, const SdOp *op, SdNode *x,
                             int kept) {
  SdAttr attr = {.count = 3, .i = {0, kept, kept}};
  return sd_node_make(b, op, 1, &x, &attr);
}

static SdNode *fold_run(SdBuilder *b, const SdOp *op, SdNode *x, int from,
                        int cut) {
  SdAttr attr = {.count = 3, .i = {1, cut, from}};
  return sd_node_make(b, op, 1, &x, &attr);
}

static SdNode *fold_permuted(SdBuilder *b, const SdOp *op, SdNode *x,
                             int64_t dims) {
  int order[SD_MAX_DIMS], n = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < x->shape.ndim; i++)
      if ((dims >> i & 1) == pass) order[n++] = i;
  int kept = x->shape.ndim - __builtin_popcountll((unsigned long long)dims);
  return fold_trailing(b, op, sd_permute(b, x, order), kept);
}

static SdNode *fold(SdBuilder *b, const SdOp *op, SdNode *x, int64_t dims) {
  int n = x->shape.ndim;
  for (int cut = 0; cut <= n; cut++)
    if (dims == (all_dims(x) & ~low_bits(cut)))
      return fold_trailing(b, op, x, cut);
  for (int cut = 1; cut < n; cut++)
    for (int from = 0; from < cut; from++)
      if (dims == (low_bits(cut) & ~low_bits(from)))
        return fold_run(b, op, x, from, cut);
  return fold_permuted(b, op, x, dims);
}

static SdShape keep_shape(const SdShape *s, int64_t dims) {
  SdShape r = *s;
  for (int i = 0; i < r.ndim; i++)
    if (dims >> i & 1) r.dims[i] = 1;
  return r;
}

static SdNode *reduce(SdBuilder *b, const SdOp *op, SdNode *x, int64_t dims,
                      int keepdim) {
  if (!x) return NULL;
  if (x->dtype == SD_BOOL && sd_shape_numel(&x->shape) > 0) {
    if (op == &table[AMAX]) op = &table[ANY];
    if (op == &table[AMIN]) op = &table[ALL];
  }
  if (op->flags & SD_OP_BOOL) x = sd_cast(b, x, SD_BOOL);
  else if (op == &table[SUM] && x && x->dtype < SD_F32)
    x = sd_cast(b, x, SD_I64);
  else if ((op->flags & SD_OP_FLOAT) && x->dtype < SD_F32)
    x = sd_cast(b, x, sd_default_dtype());
  if (!x) return NULL;
  SdNode *y = dims ? fold(b, op, x, dims)
              : op == &table[DEVIATIONS] ? sd_sub(b, x, x) : x;
  SdShape shape = keep_shape(&x->shape, dims);
  return keepdim && dims ? sd_reshape(b, y, &shape) : y;
}

SdNode *sd_sum(SdBuilder *b, SdNode *x, int64_t dims, int keepdim) {
  return reduce(b, &table[SUM], x, dims, keepdim);
}

SdNode *sd_amax(SdBuilder *b, SdNode *x, int64_t dims, int keepdim) {
  return reduce(b, &table[AMAX], x, dims, keepdim);
}

SdNode *sd_sum_to(SdBuilder *b, SdNode *x, const SdShape *shape) {
  if (!x || sd_shape_equal(&x->shape, shape)) return x;
  int shift = x->shape.ndim - shape->ndim;
  int64_t dims = low_bits(shift);
  for (int i = shift; i < x->shape.ndim; i++)
    if (shape->dims[i - shift] == 1 && x->shape.dims[i] != 1)
      dims |= (int64_t)1 << i;
  return sd_reshape(b, sd_sum(b, x, dims, 0), shape);
}

/* ---- fold nodes --------------------------------------------------------- */

static int64_t node_dims(const SdNode *y) {
  int64_t before = low_bits((int)y->attr->i[2]);
  int64_t end = y->attr->i[0] ? low_bits((int)y->attr->i[1])
                              : all_dims(y->in[0]);
  return end & ~before;
}

static SdStatus fold_infer(SdNode *y, SdError *err) {
  const SdNode *x = y->in[0];
  int64_t dims = node_dims(y);
  y->dtype = x->dtype;
  int64_t n = 1;
  for (int i = 0; i < x->shape.ndim; i++) {
    if (dims >> i & 1) n *= x->shape.dims[i];
    else y->shape.dims[y->shape.ndim++] = x->shape.dims[i];
  }
  if (n == 0 && (y->op->fold == SD_FOLD_MAX || y->op->fold == SD_FOLD_MIN) &&
      sd_shape_numel(&y->shape) > 0)
    return sd_error_set(err, SD_EARGUMENT,
                        "%s: no elements to choose from in shape %s",
                        y->op->name, sd_shape_text(&x->shape).text);
  if (x->dtype == SD_BOOL && y->op->fold < SD_FOLD_ANY)
    return sd_error_set(err, SD_EARGUMENT, "%s: not defined for bool",
                        y->op->name);
  return SD_OK;
}

/* y, with its lost dims back as 1s, against x's shape. */
static SdNode *spread(SdBuilder *b, SdNode *y, SdNode *g) {
  SdShape shape = keep_shape(&y->in[0]->shape, node_dims(y));
  return sd_reshape(b, g, &shape);
}

static SdNode *sum_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  (void)i;
  return sd_expand(b, spread(b, y, g), &y->in[0]->shape);
}

static SdNode *fold_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                          const int *batched, int64_t size) {
  (void)batched, (void)size;
  return reduce(b, y->op, in[0], node_dims(y) << 1, 0);
}

/* 1 at the extreme elements, shared out evenly among equals. */
static SdNode *extreme_weights(SdBuilder *b, SdNode *y) {
  SdNode *x = y->in[0];
  SdNode *hit = sd_cast(b, sd_eq(b, x, spread(b, y, y)), (SdDtype)y->dtype);
  SdNode *count = sd_sum(b, hit, node_dims(y), 1);
  return sd_div(b, hit, count);
}

/* 2 (x - mean): the mean itself moves, but the deviations add up to 0. */
static SdNode *deviations_slope(SdBuilder *b, SdNode *y) {
  SdNode *x = y->in[0];
  SdNode *sum = sd_sum(b, x, node_dims(y), 1);
  if (!sum) return NULL;
  double n = (double)sd_shape_numel(&x->shape) /
             (double)sd_shape_numel(&sum->shape);
  SdNode *mean = sd_div(b, sum, sd_constant(b, (SdDtype)x->dtype, n));
  SdNode *d = sd_sub(b, x, mean);
  return sd_add(b, d, d);
}

/* dy/dx. */
static SdNode *slope(SdBuilder *b, SdNode *y) {
  return y->op == &table[DEVIATIONS] ? deviations_slope(b, y)
                                     : extreme_weights(b, y);
}

static void fold_vjp(SdBuilder *b, SdNode *y, SdNode *const *g,
                     const int *wanted, SdNode **gin) {
  (void)wanted;
  gin[0] = sd_mul(b, spread(b, y, g[0]), slope(b, y));
}

static void fold_jvp(SdBuilder *b, SdNode *y, SdNode *const *t, SdNode **ty) {
  ty[0] = sd_sum(b, sd_mul(b, t[0], slope(b, y)), node_dims(y), 0);
}

static int reduce_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                       SdNode **out) {
  SdNode *x = c->a[0].x;
  int64_t dims = sd_call_dims(b, op->name, &c->a[1], x->shape.ndim);
  if (dims < 0) return 0;
  out[0] = reduce(b, op, x, dims, (int)c->a[2].i[0]);
  return out[0] != NULL;
}

/* ---- along one dim ------------------------------------------------------ */

static SdRows rows_of(const SdShape *s, int dim) {
  SdRows r = {1, dim < s->ndim ? s->dims[dim] : 1, 1};
  for (int i = 0; i < dim; i++) r.outer *= s->dims[i];
  for (int i = dim + 1; i < s->ndim; i++) r.inner *= s->dims[i];
  return r;
}

static SdStatus cumsum_infer(SdNode *y, SdError *err) {
  y->dtype = y->in[0]->dtype;
  y->shape = y->in[0]->shape;
  (void)err;
  return SD_OK;
}

static SdStatus cumsum_eval(const SdNode *y, const SdArray *const *in,
                            SdArray *out, SdError *err) {
  SdArray x;
  SdStatus s = sd_array_contiguous(in[0], &x, err);
  if (s != SD_OK) return s;
  SdRows r = rows_of(&y->shape, (int)y->attr->i[0]);
  sd_rows_cumsum((SdDtype)y->dtype, &r, (int)y->attr->i[1], x.data,
                 out->data);
  sd_array_release(&x);
  return SD_OK;
}

SdNode *sd_cumsum(SdBuilder *b, SdNode *x, int dim, int reverse) {
  SdAttr attr = {.count = 2, .i = {dim, reverse}};
  if (x && x->dtype < SD_F32) x = sd_cast(b, x, SD_I64);
  return sd_node_make(b, &table[CUMSUM], 1, &x, &attr);
}

static SdNode *cumsum_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  (void)i;
  return sd_cumsum(b, g, (int)y->attr->i[0], !y->attr->i[1]);
}

static SdNode *cumsum_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                            const int *batched, int64_t size) {
  (void)batched, (void)size;
  return sd_cumsum(b, in[0], (int)y->attr->i[0] + 1, (int)y->attr->i[1]);
}

static int cumsum_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                       SdNode **out) {
  int dim = sd_call_dim(b, op->name, c->a[1].i[0], c->a[0].x->shape.ndim);
  if (dim < 0) return 0;
  out[0] = sd_cumsum(b, c->a[0].x, dim, 0);
  return out[0] != NULL;
}

static SdStatus arg_infer(SdNode *y, SdError *err) {
  const SdNode *x = y->in[0];
  int dim = (int)y->attr->i[0];
  y->dtype = SD_I64;
  y->shape = x->shape;
  if (x->shape.dims[dim] == 0 && sd_shape_numel(&x->shape) == 0)
    return sd_error_set(err, SD_EARGUMENT,
                        "%s: no elements to choose from in shape %s",
                        y->op->name, sd_shape_text(&x->shape).text);
  y->shape.dims[dim] = 1;
  return SD_OK;
}

static SdStatus arg_eval(const SdNode *y, const SdArray *const *in,
                         SdArray *out, SdError *err) {
  SdArray x;
  SdStatus s = sd_array_contiguous(in[0], &x, err);
  if (s != SD_OK) return s;
  SdRows r = rows_of(&x.shape, (int)y->attr->i[0]);
  (y->op == &table[ARGMAX] ? sd_rows_argmax : sd_rows_argmin)(
      x.dtype, &r, x.data, out->data);
  sd_array_release(&x);
  return SD_OK;
}

static SdNode *arg_node(SdBuilder *b, const SdOp *op, SdNode *x, int dim) {
  SdAttr attr = {.count = 1, .i = {dim}};
  return sd_node_make(b, op, 1, &x, &attr);
}

static SdNode *arg_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                         const int *batched, int64_t size) {
  (void)batched, (void)size;
  return arg_node(b, y->op, in[0], (int)y->attr->i[0] + 1);
}

/* Over one dim, or over all elements in row-major order. */
static int arg_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                    SdNode **out) {
  SdNode *x = c->a[0].x;
  int dim = 0, keepdim = (int)c->a[2].i[0];
  if (!c->a[1].given) {
    SdShape flat = {1, {sd_shape_numel(&x->shape)}};
    SdShape ones = keep_shape(&x->shape, keepdim ? all_dims(x) : 0);
    SdNode *y = arg_node(b, op, sd_reshape(b, x, &flat), 0);
    if (!keepdim) ones.ndim = 0;
    out[0] = sd_reshape(b, y, &ones);
    return out[0] != NULL;
  } else {
    dim = sd_call_dim(b, op->name, c->a[1].i[0], x->shape.ndim);
    if (dim < 0) return 0;
  }
  if (x && x->shape.ndim == 0) {
    SdShape one = {1, {1}};
    x = sd_reshape(b, x, &one);
    keepdim = 0;
  }
  SdNode *y = arg_node(b, op, x, dim);
  out[0] = keepdim ? y : sd_squeeze(b, y, dim);
  return out[0] != NULL;
}

/* ---- the table ---------------------------------------------------------- */

#define FOLD(NAME, FOLD_, FLAGS, DOC, SAMPLES) \
  .name = NAME, .kind = SD_KIND_REDUCE, .fold = SD_FOLD_##FOLD_, \
  .flags = FLAGS, .args = "x dim:D? keepdim:B=0", .doc = DOC, \
  .samples = SAMPLES, .infer = fold_infer, .batch = fold_batch, \
  .call = reduce_call
#define FOLD_SAMPLES \
  "r{2, 3, 4}\nr{2, 3, 4}, 1\nr{2, 3, 4}, 2\nr{2, 3, 4}, -1\n" \
  "r{2, 3, 4}, {1, 3}, {keepdim = true}\nr{}"

static const SdOp table[NOPS] = {
    [SUM] = {FOLD("sum", SUM, 0, "Sum over dims (all by default).",
                  FOLD_SAMPLES),
             .transpose = sum_t},
    [DEVIATIONS] = {FOLD("squared_deviations", DEVIATIONS, SD_OP_FLOAT,
                         "Sum of squared deviations from the mean over dims.",
                         FOLD_SAMPLES),
                    .vjp = fold_vjp, .jvp = fold_jvp},
    [AMAX] = {FOLD("amax", MAX, 0,
                   "Largest element over dims; slope shared among equals.",
                   FOLD_SAMPLES),
              .vjp = fold_vjp, .jvp = fold_jvp},
    [AMIN] = {FOLD("amin", MIN, 0,
                   "Smallest element over dims; slope shared among equals.",
                   FOLD_SAMPLES),
              .vjp = fold_vjp, .jvp = fold_jvp},
    [ANY] = {FOLD("any", ANY, SD_OP_BOOL | SD_OP_ZERO_GRAD,
                  "Whether any element is true (not 0).",
                  "r{2, 3}:gt(0), 1\nr{2, 3}:gt(9)")},
    [ALL] = {FOLD("all", ALL, SD_OP_BOOL | SD_OP_ZERO_GRAD,
                  "Whether all elements are true (not 0).",
                  "r{2, 3}:gt(0), 1\nr{2, 3}:gt(-9)")},
    [CUMSUM] = {.name = "cumsum", .kind = SD_KIND_CALL, .args = "x dim:I",
                .doc = "Running sum along dim.",
                .samples = "r{2, 3, 4}, 2\nr{4}, 1", .infer = cumsum_infer,
                .eval = cumsum_eval, .transpose = cumsum_t,
                .batch = cumsum_batch, .call = cumsum_call},
    [ARGMAX] = {.name = "argmax", .kind = SD_KIND_CALL,
                .flags = SD_OP_ZERO_GRAD, .args = "x dim:I? keepdim:B=0",
                .doc = "Index of the largest element (the first of equals).",
                .samples = "r{2, 3, 4}, 2\nr{2, 3}", .infer = arg_infer,
                .eval = arg_eval, .batch = arg_batch, .call = arg_call},
    [ARGMIN] = {.name = "argmin", .kind = SD_KIND_CALL,
                .flags = SD_OP_ZERO_GRAD, .args = "x dim:I? keepdim:B=0",
                .doc = "Index of the smallest element (the first of equals).",
                .samples = "r{2, 3, 4}, -1\nr{2, 3}", .infer = arg_infer,
                .eval = arg_eval, .batch = arg_batch, .call = arg_call},
};

extern const SdOpList sd_reduce_ops;
const SdOpList sd_reduce_ops = {table, NOPS};
