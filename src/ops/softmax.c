/*
** Softmax and its logarithm along the last dim.  With s the softmax of x,
** <,> summed along the dim:
**
**   softmax:      dy = s (dx - <s, dx>),  which is symmetric
**   log_softmax:  dy = dx - <s, dx>;  transposed: g - s <1, g>
*/
#include "kernels/softmax.h"

#include "graph/layout.h"
#include "ops/ops.h"

enum { SOFTMAX, LOG_SOFTMAX, NOPS };
static const SdOp table[NOPS];

static SdStatus softmax_infer(SdNode *y, SdError *err) {
  const SdNode *x = y->in[0];
  y->dtype = x->dtype;
  y->shape = x->shape;
  if (sd_dtype_is_float(x->dtype) && x->shape.ndim > 0) return SD_OK;
  return sd_error_set(err, SD_EARGUMENT, "%s: needs floats with a dim, not %s",
                      y->op->name, sd_dtype_name(x->dtype));
}

static SdStatus softmax_eval(const SdNode *y, const SdArray *const *in,
                             SdArray *out, SdError *err) {
  SdArray x;
  SdStatus s = sd_array_contiguous(in[0], &x, err);
  if (s != SD_OK) return s;
  int64_t cols = y->shape.dims[y->shape.ndim - 1];
  sd_softmax((SdDtype)y->dtype, y->op == &table[LOG_SOFTMAX],
             cols ? sd_array_numel(&x) / cols : 0, cols, x.data, out->data);
  sd_array_release(&x);
  return SD_OK;
}

static SdNode *sum_last(SdBuilder *b, SdNode *x) {
  return x ? sd_sum(b, x, (int64_t)1 << (x->shape.ndim - 1), 1) : NULL;
}

static void softmax_vjp(SdBuilder *b, SdNode *y, SdNode *const *g,
                        const int *wanted, SdNode **gin) {
  (void)wanted;
  gin[0] = sd_mul(b, y, sd_sub(b, g[0], sum_last(b, sd_mul(b, y, g[0]))));
}

static void softmax_jvp(SdBuilder *b, SdNode *y, SdNode *const *t,
                        SdNode **ty) {
  softmax_vjp(b, y, t, NULL, ty);
}

static void log_softmax_vjp(SdBuilder *b, SdNode *y, SdNode *const *g,
                            const int *wanted, SdNode **gin) {
  (void)wanted;
  gin[0] = sd_sub(b, g[0], sd_mul(b, sd_exp(b, y), sum_last(b, g[0])));
}

static void log_softmax_jvp(SdBuilder *b, SdNode *y, SdNode *const *t,
                            SdNode **ty) {
  ty[0] = sd_sub(b, t[0], sum_last(b, sd_mul(b, sd_exp(b, y), t[0])));
}

static SdNode *softmax_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                             const int *batched, int64_t size) {
  (void)batched, (void)size;
  return sd_node_make(b, y->op, 1, in, NULL);
}

/* Another dim is brought to the end and back. */
static int softmax_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                        SdNode **out) {
  SdNode *x = c->a[0].x;
  if (!sd_dtype_is_float(x->dtype)) x = sd_cast(b, x, sd_default_dtype());
  int last = x ? x->shape.ndim - 1 : -1;
  int dim = last < 0 && c->a[1].i[0] == -1
                ? last : sd_call_dim(b, op->name, c->a[1].i[0], last + 1);
  if (b->error.code) return 0;
  if (last < 0) { /* one element, with all of the weight */
    SdShape one = {.ndim = 1, .dims = {1}};
    SdNode *flat = sd_reshape(b, x, &one);
    out[0] = sd_reshape(b, sd_node_make(b, op, 1, &flat, NULL), &x->shape);
    return out[0] != NULL;
  }
  SdNode *turned = dim == last ? x : sd_transpose(b, x, dim, last);
  SdNode *y = sd_node_make(b, op, 1, &turned, NULL);
  out[0] = dim == last ? y : sd_transpose(b, y, dim, last);
  return out[0] != NULL;
}

#define ROWWISE(NAME, DOC) \
  .name = NAME, .kind = SD_KIND_CALL, .args = "x dim:I=-1", .doc = DOC, \
  .samples = "r{2, 3}\nr{2, 3}, 1\nr{2, 3, 2}, 2", \
  .infer = softmax_infer, .eval = softmax_eval, .batch = softmax_batch, \
  .call = softmax_call

static const SdOp table[NOPS] = {
    [SOFTMAX] = {ROWWISE("softmax", "exp(x) as shares of its sum along dim."),
                 .vjp = softmax_vjp, .jvp = softmax_jvp},
    [LOG_SOFTMAX] = {ROWWISE("log_softmax",
                             "log(softmax(x)), exact for small shares."),
                     .vjp = log_softmax_vjp, .jvp = log_softmax_jvp},
};

extern const SdOpList sd_softmax_ops;
const SdOpList sd_softmax_ops = {table, NOPS};
