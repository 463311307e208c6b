/* Tensors from nothing: constants and counting. */
#include "ops/ops.h"

#include <math.h>
#include <string.h>

static SdDtype default_dtype = SD_F32;

SdDtype sd_default_dtype(void) { return default_dtype; }
void sd_set_default_dtype(SdDtype d) { default_dtype = d; }

/* A constant seen through expand: one element of memory, whatever the
** shape, and an immediate in fused programs. */
SdNode *sd_full(SdBuilder *b, SdDtype d, const SdShape *shape, double value) {
  if (sd_shape_check(shape, "full", &b->error) != SD_OK) return NULL;
  return sd_expand(b, sd_constant(b, d, value), shape);
}

SdNode *sd_zeros_like(SdBuilder *b, SdNode *x) {
  return x ? sd_full(b, (SdDtype)x->dtype, &x->shape, 0) : NULL;
}

/* ---- iota: attributes i[0] dtype, i[1] n -------------------------------- */

static SdStatus iota_infer(SdNode *y, SdError *err) {
  y->dtype = (unsigned char)y->attr->i[0];
  y->shape = sd_shape_make(1, y->attr->i + 1);
  return sd_shape_check(&y->shape, "arange", err);
}

static SdStatus iota_eval(const SdNode *y, const SdArray *const *in,
                          SdArray *out, SdError *err) {
  int64_t n = y->attr->i[1];
  (void)in, (void)err;
  if (y->dtype == SD_I64)
    for (int64_t i = 0; i < n; i++) ((int64_t *)out->data)[i] = i;
  else
    for (int64_t i = 0; i < n; i++) ((double *)out->data)[i] = (double)i;
  return SD_OK;
}

static const SdOp iota_op = {.name = "iota", .kind = SD_KIND_CALL,
                             .flags = SD_OP_ZERO_GRAD | SD_OP_HIDDEN,
                             .infer = iota_infer, .eval = iota_eval};

SdNode *sd_iota(SdBuilder *b, SdDtype d, int64_t n) {
  SdDtype in = d == SD_F32 || d == SD_F64 ? SD_F64 : SD_I64;
  SdAttr attr = {.count = 2, .i = {in, n}};
  return sd_cast(b, sd_node_make(b, &iota_op, 0, NULL, &attr), d);
}

/* ---- calls -------------------------------------------------------------- */

static int shape_of(SdBuilder *b, const SdOp *op, const SdArgument *a,
                    SdShape *s) {
  if (a->n > SD_MAX_DIMS) {
    sd_builder_fail(b, SD_EARGUMENT, "%s: more than %d dims", op->name,
                    SD_MAX_DIMS);
    return 0;
  }
  *s = sd_shape_make(a->n, a->i);
  return sd_shape_check(s, op->name, &b->error) == SD_OK;
}

static SdDtype dtype_or(const SdArgument *a, SdDtype d) {
  return a->given ? (SdDtype)a->i[0] : d;
}

static int zeros_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                      SdNode **out) {
  SdShape s;
  if (!shape_of(b, op, &c->a[0], &s)) return 0;
  out[0] = sd_full(b, dtype_or(&c->a[1], sd_default_dtype()), &s,
                   op->name[0] == 'o');
  return out[0] != NULL;
}

static int full_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                     SdNode **out) {
  SdShape s;
  if (!shape_of(b, op, &c->a[0], &s)) return 0;
  out[0] = sd_full(b, dtype_or(&c->a[2], sd_default_dtype()), &s, c->a[1].f);
  return out[0] != NULL;
}

static int full_like_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                          SdNode **out) {
  SdNode *x = c->a[0].x;
  (void)op;
  out[0] = sd_full(b, dtype_or(&c->a[2], (SdDtype)x->dtype), &x->shape,
                   c->a[1].f);
  return out[0] != NULL;
}

static int like_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                     SdNode **out) {
  SdNode *x = c->a[0].x;
  out[0] = sd_full(b, dtype_or(&c->a[1], (SdDtype)x->dtype), &x->shape,
                   op->name[0] == 'o');
  return out[0] != NULL;
}

/* from + step*i up to and including to, with a hair of tolerance so that
** arange(0, 1, 0.1) ends at 1. */
static int arange_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                       SdNode **out) {
  double from = c->a[0].f, to = c->a[1].f, step = c->a[2].f;
  double n = floor((to - from) / step * (1 + 1e-12) + 1e-9) + 1;
  if (step == 0 || !isfinite(from) || !isfinite(to) || !isfinite(step) ||
      n > 1e15) {
    sd_builder_fail(b, SD_EARGUMENT, "%s: from %g to %g by %g", op->name,
                    from, to, step);
    return 0;
  }
  int whole = from == floor(from) && step == floor(step) &&
              fabs(from) < 9e15 && fabs(to) < 9e15;
  SdDtype d = dtype_or(&c->a[3], whole ? SD_I64 : sd_default_dtype());
  SdNode *i = sd_iota(b, whole ? SD_I64 : SD_F64, n > 0 ? (int64_t)n : 0);
  if (step != 1) i = sd_mul(b, i, sd_number(b, step, whole));
  if (from != 0) i = sd_add(b, i, sd_number(b, from, whole));
  out[0] = sd_cast(b, i, d);
  return out[0] != NULL;
}

static const SdOp table[] = {
    {.name = "zeros", .args = "shape:S dtype:Y?", .call = zeros_call,
     .doc = "Tensor of zeros.", .samples = "2, 3"},
    {.name = "ones", .args = "shape:S dtype:Y?", .call = zeros_call,
     .doc = "Tensor of ones.", .samples = "{2, 3}"},
    {.name = "full", .args = "shape:D value:F dtype:Y?", .call = full_call,
     .doc = "Tensor of one value: sd.full({2, 3}, 7).",
     .samples = "{2, 3}, 7"},
    {.name = "full_like", .args = "x value:F dtype:Y?",
     .call = full_like_call, .doc = "x's shape filled with one value.",
     .samples = "r{2, 3}, 7"},
    {.name = "zeros_like", .args = "x dtype:Y?", .call = like_call,
     .doc = "Zeros in x's shape.", .samples = "r{2, 3}"},
    {.name = "ones_like", .args = "x dtype:Y?", .call = like_call,
     .doc = "Ones in x's shape.", .samples = "r{2, 3}"},
    {.name = "arange", .args = "from:F to:F step:F=1 dtype:Y?",
     .call = arange_call,
     .doc = "from, from + step, .. up to and including to.",
     .samples = "1, 5\n0, 1, .25"},
};

extern const SdOpList sd_create_ops;
const SdOpList sd_create_ops = {table, sizeof table / sizeof *table};
