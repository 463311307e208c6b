/*
** Elementwise ops: inputs broadcast, dtypes promote, and the derivative of
** each is stated once, as an expression, from which both vjp and jvp come.
*/
#include "ops/ops.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

/* ---- promotion ---------------------------------------------------------- */

static int kind_of(SdDtype d) { return d >= SD_F32 ? 2 : d > SD_BOOL; }

/*
** PyTorch's rule: tensors with dims decide; 0-d tensors, then plain
** numbers, matter only when they are of a higher kind (bool < integer <
** float).  A plain float among integers asks for the default float.
*/
static int strongest(SdNode *const *in, int nin) {
  int best[3] = {-1, -1, -1}; /* dims, 0-d, number */
  for (int i = 0; i < nin; i++) {
    int rank = in[i]->weak ? 2 : in[i]->shape.ndim == 0;
    if (in[i]->dtype > best[rank]) best[rank] = in[i]->dtype;
  }
  int d = best[0];
  for (int r = 1; r < 3; r++) {
    if (best[r] < 0) continue;
    if (d < 0 || kind_of((SdDtype)best[r]) > kind_of((SdDtype)d))
      d = r == 2 && best[r] >= SD_F32 ? (int)sd_default_dtype() : best[r];
  }
  return d;
}

static int all_alike(SdNode *const *in, int nin) {
  int weak = in[0]->weak;
  for (int i = 1; i < nin; i++)
    weak |= in[i]->weak | (in[i]->dtype != in[0]->dtype);
  return !weak;
}

static SdDtype promote(const SdOp *op, SdNode *const *in, int nin) {
  int first = (op->flags & SD_OP_NO_MIX) != 0;
  int d = all_alike(in + first, nin - first)
              ? in[first]->dtype : strongest(in + first, nin - first);
  if (op->flags & SD_OP_BOOL) d = SD_BOOL;
  if ((op->flags & SD_OP_FLOAT) && d < SD_F32) d = sd_default_dtype();
  return (SdDtype)d;
}

/* ---- making nodes ------------------------------------------------------- */

SdNode *sd_constant(SdBuilder *b, SdDtype d, double value) {
  SdAttr attr;
  attr.f = value;
  attr.data = NULL;
  attr.count = 0;
  SdNode *n = sd_node_make(b, &sd_op_constant, 0, NULL, &attr);
  if (n) {
    n->dtype = (unsigned char)d;
    n->depth = 0;
  }
  return n;
}

SdNode *sd_number(SdBuilder *b, double value, int is_integer) {
  SdNode *n = sd_constant(b, is_integer ? SD_I64 : SD_F64, value);
  if (n) n->weak = 1;
  return n;
}

static const SdOp cast_op;

SdNode *sd_cast(SdBuilder *b, SdNode *x, SdDtype d) {
  if (!x || (x->dtype == d && !x->weak)) return x;
  if (x->op == &sd_op_constant) return sd_constant(b, d, x->attr->f);
  SdNode *y = sd_node_make(b, &cast_op, 1, &x, NULL);
  if (!y) return NULL;
  y->dtype = (unsigned char)d;
  y->shape = x->shape;
  return y;
}

/* expand(x) read elementwise is x itself when another input already has
** the full shape. */
static SdNode *unexpanded(SdNode *const *in, int nin, int i,
                          const SdShape *shape) {
  SdNode *x = in[i];
  if (x->value || x->op->kind != SD_KIND_VIEW || x->nin != 1 ||
      strcmp(x->op->name, "expand"))
    return x;
  for (int j = 0; j < nin; j++)
    if (j != i && sd_shape_equal(&in[j]->shape, shape)) return x->in[0];
  return x;
}

SdNode *sd_elementwise(SdBuilder *b, const SdOp *op, SdNode *const *in,
                       int nin) {
  SdNode *x[3];
  SdShape shape;
  for (int i = 0; i < nin; i++)
    if (!in[i]) return NULL;
  shape = in[0]->shape;
  for (int i = 1; i < nin; i++)
    if (!sd_shape_equal(&shape, &in[i]->shape) &&
        sd_shape_broadcast(&shape, &in[i]->shape, &shape, op->name,
                           &b->error) != SD_OK)
      return NULL;
  SdDtype d = promote(op, in, nin);
  for (int i = 0; i < nin; i++) {
    int condition = i == 0 && (op->flags & SD_OP_NO_MIX);
    x[i] = sd_cast(b, unexpanded(in, nin, i, &shape), condition ? SD_BOOL : d);
  }
  SdNode *y = sd_node_make(b, op, nin, x, NULL);
  if (!y) return NULL;
  y->shape = shape;
  y->dtype = (unsigned char)((op->flags & SD_OP_TO_BOOL) ? SD_BOOL : d);
  if (!sd_loop(op->flags & SD_OP_TO_BOOL ? d : (SdDtype)y->dtype, op->loop))
    return sd_builder_fail(b, SD_EARGUMENT, "%s: not defined for %s", op->name,
                           sd_dtype_name(d));
  return y;
}

/* ---- derivatives -------------------------------------------------------- */

#define X y->in[0]
#define Y y->in[1]
#define RULE(name) \
  static SdNode *name(SdBuilder *b, SdNode *y, int i)
#define LINEAR(name) \
  static SdNode *name(SdBuilder *b, SdNode *y, int i, SdNode *g)

LINEAR(add_t) { (void)b, (void)y, (void)i; return g; }
LINEAR(sub_t) { (void)y; return i == 0 ? g : sd_neg(b, g); }
LINEAR(neg_t) { (void)y, (void)i; return sd_neg(b, g); }
LINEAR(mul_t) { return sd_mul(b, g, y->in[1 - i]); }
LINEAR(cast_t) { return sd_cast(b, g, (SdDtype)y->in[i]->dtype); }
LINEAR(where_t) {
  SdNode *zero = sd_constant(b, (SdDtype)y->dtype, 0);
  if (i == 0) return NULL;
  return i == 1 ? sd_where(b, X, g, zero) : sd_where(b, X, zero, g);
}
LINEAR(relu_t) {
  SdNode *zero = sd_constant(b, (SdDtype)y->dtype, 0);
  (void)i;
  return sd_where(b, sd_lt(b, zero, X), g, zero);
}
LINEAR(div_t) {
  if (i == 0) return sd_div(b, g, Y);
  return sd_neg(b, sd_div(b, sd_mul(b, g, y), Y));
}
RULE(pow_d) {
  if (i == 0) return sd_mul(b, Y, sd_pow(b, X, sd_shift(b, Y, -1)));
  SdNode *zero = sd_constant(b, (SdDtype)y->dtype, 0);
  SdNode *at_zero = sd_eq(b, X, zero);
  SdNode *one = sd_constant(b, (SdDtype)y->dtype, 1);
  return sd_mul(b, y, sd_log(b, sd_where(b, at_zero, one, X)));
}
static SdNode *half_at_tie(SdBuilder *b, SdNode *wins, SdNode *x, SdNode *z) {
  SdDtype d = (SdDtype)x->dtype;
  SdNode *tie = sd_where(b, sd_eq(b, x, z), sd_constant(b, d, .5),
                         sd_constant(b, d, 0));
  return sd_where(b, wins, sd_constant(b, d, 1), tie);
}
RULE(max_d) {
  return half_at_tie(b, sd_lt(b, y->in[1 - i], y->in[i]), X, Y);
}
RULE(min_d) {
  return half_at_tie(b, sd_lt(b, y->in[i], y->in[1 - i]), X, Y);
}
static SdNode *find2(SdBuilder *b, const char *name, SdNode *x, SdNode *z) {
  SdNode *in[2] = {x, z};
  return sd_elementwise(b, sd_op_find(name), in, 2);
}
static SdNode *find1(SdBuilder *b, const char *name, SdNode *x) {
  return sd_elementwise(b, sd_op_find(name), &x, 1);
}
RULE(fmod_d) {
  if (i == 0) return sd_constant(b, (SdDtype)y->dtype, 1);
  return sd_neg(b, find1(b, "trunc", sd_div(b, X, Y)));
}
RULE(mod_d) {
  if (i == 0) return sd_constant(b, (SdDtype)y->dtype, 1);
  return sd_neg(b, find1(b, "floor", sd_div(b, X, Y)));
}
RULE(atan2_d) {
  SdNode *r = sd_add(b, sd_square(b, X), sd_square(b, Y));
  return i == 0 ? sd_div(b, Y, r) : sd_neg(b, sd_div(b, X, r));
}
RULE(square_d) { (void)i; return sd_scale(b, X, 2); }
RULE(abs_d) { (void)i; return sd_sign(b, X); }
RULE(sqrt_d) { (void)i; return sd_div(b, sd_number(b, .5, 0), y); }
RULE(rsqrt_d) {
  (void)i;
  return sd_scale(b, sd_mul(b, y, sd_square(b, y)), -.5);
}
RULE(reciprocal_d) { (void)i; return sd_neg(b, sd_square(b, y)); }
RULE(exp_d) { (void)i, (void)b; return y; }
RULE(expm1_d) { (void)i; return sd_shift(b, y, 1); }
RULE(log_d) { (void)i; return sd_reciprocal(b, X); }
RULE(log1p_d) { (void)i; return sd_reciprocal(b, sd_shift(b, X, 1)); }
RULE(sin_d) { (void)i; return sd_cos(b, X); }
RULE(cos_d) { (void)i; return sd_neg(b, sd_sin(b, X)); }
RULE(tan_d) { (void)i; return sd_shift(b, sd_square(b, y), 1); }
/* 1/sqrt(s (x^2) + c) */
static SdNode *inverse_root(SdBuilder *b, SdNode *x, double s, double c) {
  return sd_rsqrt(b, sd_shift(b, sd_scale(b, sd_square(b, x), s), c));
}
RULE(asin_d) { (void)i; return inverse_root(b, X, -1, 1); }
RULE(acos_d) { (void)i; return sd_neg(b, inverse_root(b, X, -1, 1)); }
RULE(atan_d) {
  (void)i;
  return sd_reciprocal(b, sd_shift(b, sd_square(b, X), 1));
}
RULE(sinh_d) { (void)i; return sd_cosh(b, X); }
RULE(cosh_d) { (void)i; return sd_sinh(b, X); }
RULE(tanh_d) {
  (void)i;
  return sd_shift(b, sd_neg(b, sd_square(b, y)), 1);
}
RULE(asinh_d) { (void)i; return inverse_root(b, X, 1, 1); }
RULE(acosh_d) { (void)i; return inverse_root(b, X, 1, -1); }
RULE(atanh_d) {
  (void)i;
  return sd_reciprocal(b, sd_shift(b, sd_neg(b, sd_square(b, X)), 1));
}
/* s exp(-x^2) */
static SdNode *gaussian(SdBuilder *b, SdNode *x, double s) {
  return sd_scale(b, sd_exp(b, sd_neg(b, sd_square(b, x))), s);
}
static const double two_over_root_pi = 1.12837916709551257390;
RULE(erf_d) { (void)i; return gaussian(b, X, two_over_root_pi); }
RULE(erfc_d) { (void)i; return gaussian(b, X, -two_over_root_pi); }
RULE(erfinv_d) {
  (void)i;
  return sd_scale(b, sd_exp(b, sd_square(b, y)), 1 / two_over_root_pi);
}
RULE(lgamma_d) {
  (void)i;
  return sd_polygamma(b, sd_constant(b, (SdDtype)y->dtype, 0), X);
}
RULE(polygamma_d) {
  if (i == 0)
    return sd_builder_fail(b, SD_EARGUMENT,
                           "polygamma: no derivative in its order n");
  return sd_polygamma(b, sd_shift(b, X, 1), Y);
}
RULE(sigmoid_d) {
  (void)i;
  return sd_mul(b, y, sd_sub(b, sd_number(b, 1, 1), y));
}
RULE(softplus_d) { (void)i; return sd_sigmoid(b, X); }

/* ---- scripts' calls that are not one node over their arguments ---------- */

static int digamma_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                        SdNode **out) {
  (void)op;
  out[0] = sd_polygamma(b, sd_number(b, 0, 1), c->a[0].x);
  return out[0] != NULL;
}

static int polygamma_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                          SdNode **out) {
  double n = c->a[0].f;
  (void)op;
  if (!(n >= 0 && n == floor(n) && n <= 64)) {
    sd_builder_fail(b, SD_EARGUMENT,
                    "polygamma: the order must be a whole number in 0 .. 64, "
                    "not %g", n);
    return 0;
  }
  out[0] = sd_polygamma(b, sd_number(b, n, 1), c->a[1].x);
  return out[0] != NULL;
}

static int pow_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                    SdNode **out) {
  (void)op;
  out[0] = sd_pow(b, c->a[0].x, c->a[1].x);
  return out[0] != NULL;
}

/* Integers are round already. */
static int rounding_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                         SdNode **out) {
  SdNode *x = c->a[0].x;
  int whole = x->dtype > SD_BOOL && x->dtype < SD_F32;
  out[0] = whole ? sd_cast(b, x, (SdDtype)x->dtype)
                 : sd_elementwise(b, op, &x, 1);
  return out[0] != NULL;
}

/* Booleans are their own signs, and as numbers their own squares. */
static int sign_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                     SdNode **out) {
  SdNode *x = c->a[0].x;
  out[0] = x->dtype == SD_BOOL ? x : sd_elementwise(b, op, &x, 1);
  return out[0] != NULL;
}

static int square_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                       SdNode **out) {
  SdNode *x = c->a[0].x;
  out[0] = x->dtype == SD_BOOL ? sd_cast(b, x, SD_I64)
                               : sd_elementwise(b, op, &x, 1);
  return out[0] != NULL;
}

static int relu_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                     SdNode **out) {
  (void)op;
  out[0] = sd_relu(b, c->a[0].x);
  return out[0] != NULL;
}

static int gt_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                   SdNode **out) {
  (void)op;
  out[0] = sd_lt(b, c->a[1].x, c->a[0].x);
  return out[0] != NULL;
}

static int ge_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                   SdNode **out) {
  (void)op;
  out[0] = sd_le(b, c->a[1].x, c->a[0].x);
  return out[0] != NULL;
}

static int xor_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                    SdNode **out) {
  (void)op;
  out[0] = find2(b, "ne", sd_cast(b, c->a[0].x, SD_BOOL),
                 sd_cast(b, c->a[1].x, SD_BOOL));
  return out[0] != NULL;
}

static SdNode *cast_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                          const int *batched, int64_t size) {
  (void)batched, (void)size;
  return sd_cast(b, in[0], (SdDtype)y->dtype);
}

static int cast_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                     SdNode **out) {
  (void)op;
  out[0] = sd_cast(b, c->a[0].x, (SdDtype)c->a[1].i[0]);
  return out[0] != NULL;
}

/* ---- the table ---------------------------------------------------------- */

#define ELEMENTWISE(NAME, LOOP, FLAGS) \
  .name = NAME, .kind = SD_KIND_ELEMENTWISE, .loop = SD_LOOP_##LOOP, \
  .flags = FLAGS
#define UNARY(NAME, LOOP, D, SAMPLES, DOC) \
  {ELEMENTWISE(NAME, LOOP, SD_OP_FLOAT), .args = "x:T", .doc = DOC, \
   .samples = SAMPLES, .partial = D}
#define STEP(NAME, LOOP, FLAGS, DOC) /* derivative zero */ \
  {ELEMENTWISE(NAME, LOOP, SD_OP_ZERO_GRAD | (FLAGS)), .args = "x:T", \
   .doc = DOC, .samples = "u(-2.3, 2.4, {2, 3})"}
#define ROUNDING(NAME, LOOP, DOC) \
  {ELEMENTWISE(NAME, LOOP, SD_OP_ZERO_GRAD), .args = "x:T", .doc = DOC, \
   .samples = "u(-2.3, 2.4, {2, 3})", .call = rounding_call}
#define COMPARE(NAME, LOOP, DOC) \
  {ELEMENTWISE(NAME, LOOP, SD_OP_ZERO_GRAD | SD_OP_TO_BOOL), \
   .args = "x:T y:T", .doc = DOC, .samples = "r{2, 3}, r{2, 3}"}
#define LOGICAL(NAME, LOOP, DOC) \
  {ELEMENTWISE(NAME, LOOP, SD_OP_ZERO_GRAD | SD_OP_TO_BOOL | SD_OP_BOOL), \
   .args = "x:T y:T", .doc = DOC, .samples = "r{2, 3}:gt(0), r{3}:gt(0)"}

static const SdOp table[] = {
    {ELEMENTWISE("add", ADD, 0), .args = "x:T y:T", .transpose = add_t,
     .doc = "Sum of x and y.", .samples = "r{2, 3}, r{3}\nr{2, 1}, r{}"},
    {ELEMENTWISE("sub", SUB, 0), .args = "x:T y:T", .transpose = sub_t,
     .doc = "Difference x - y.", .samples = "r{2, 3}, r{3}\nr{3}, r{2, 1}"},
    {ELEMENTWISE("mul", MUL, 0), .args = "x:T y:T", .transpose = mul_t,
     .doc = "Elementwise product.", .samples = "r{2, 3}, r{3}\nr{}, r{2}"},
    {ELEMENTWISE("div", DIV, SD_OP_FLOAT), .args = "x:T y:T",
     .transpose = div_t, .doc = "Quotient x / y, always a float.",
     .samples = "r{2, 3}, u(.5, 2, {3})\nr{}, u(-2, -.5, {2})"},
    {ELEMENTWISE("floordiv", FLOORDIV, SD_OP_ZERO_GRAD), .args = "x:T y:T",
     .doc = "Quotient rounded down, as Lua's //.",
     .samples = "r{2, 3}, u(.5, 2, {3})"},
    {ELEMENTWISE("mod", MOD, 0), .args = "x:T y:T", .partial = mod_d,
     .doc = "Remainder with the divisor's sign, as Lua's %.",
     .samples = "u(-3, 3, {2, 3}), u(.6, .9, {3})"},
    {ELEMENTWISE("fmod", FMOD, 0), .args = "x:T y:T",
     .partial = fmod_d, .doc = "Remainder with the dividend's sign.",
     .samples = "u(-3, 3, {2, 3}), u(.6, .9, {3})"},
    {ELEMENTWISE("pow", POW, 0), .args = "x:T y:T", .partial = pow_d,
     .call = pow_call, .doc = "x to the power y; whole when both are.",
     .samples = "u(.5, 2, {2, 3}), r{3}\nr{3}, 2\nu(.5, 2, {3}), -1.5"},
    {ELEMENTWISE("minimum", MIN, 0), .args = "x:T y:T", .partial = min_d,
     .doc = "The smaller of x and y; NaN if either is.",
     .samples = "r{2, 3}, r{3}"},
    {ELEMENTWISE("maximum", MAX, 0), .args = "x:T y:T", .partial = max_d,
     .doc = "The larger of x and y; NaN if either is.",
     .samples = "r{2, 3}, r{3}"},
    {ELEMENTWISE("atan2", ATAN2, SD_OP_FLOAT), .args = "y:T x:T",
     .partial = atan2_d, .doc = "Angle of the point (x, y), in (-pi, pi].",
     .samples = "u(.5, 2, {2, 3}), u(.5, 2, {3})"},
    {ELEMENTWISE("where", WHERE, SD_OP_NO_MIX), .args = "c:T x:T y:T",
     .transpose = where_t, .doc = "x where c is true, y elsewhere.",
     .samples = "r{2, 3}:gt(0), r{2, 3}, r{3}\nr{3}:gt(0), r{}, r{2, 1}"},
    {ELEMENTWISE("cast", COPY, 0), .args = "x:T dtype:Y", .transpose = cast_t,
     .batch = cast_batch, .call = cast_call,
     .doc = "x in another dtype; also x:to(dtype).",
     .samples = "r{2, 3}, 'f64'"},
    {ELEMENTWISE("relu", MAX, 0), .args = "x:T", .transpose = relu_t,
     .call = relu_call, .doc = "The larger of x and 0; slope 0 at 0.",
     .samples = "r{2, 3}"},
    {ELEMENTWISE("neg", NEG, 0), .args = "x:T", .transpose = neg_t,
     .doc = "Minus x.", .samples = "r{2, 3}"},
    {ELEMENTWISE("abs", ABS, 0), .args = "x:T", .partial = abs_d,
     .doc = "Absolute value; slope 0 at 0.", .samples = "r{2, 3}"},
    {ELEMENTWISE("square", SQUARE, 0), .args = "x:T", .partial = square_d,
     .call = square_call, .doc = "x times x.", .samples = "r{2, 3}"},
    {ELEMENTWISE("sign", SIGN, SD_OP_ZERO_GRAD), .args = "x:T",
     .call = sign_call, .doc = "-1, 0 or 1 by the sign of x.",
     .samples = "u(-2.3, 2.4, {2, 3})"},
    UNARY("sqrt", SQRT, sqrt_d, "u(.5, 2, {2, 3})", "Square root."),
    UNARY("rsqrt", RSQRT, rsqrt_d, "u(.5, 2, {2, 3})", "1 / sqrt(x)."),
    UNARY("reciprocal", RECIPROCAL, reciprocal_d, "u(.5, 2, {2, 3})",
          "1 / x."),
    UNARY("exp", EXP, exp_d, "r{2, 3}", "e to the x."),
    UNARY("expm1", EXPM1, expm1_d, "r{2, 3}", "exp(x) - 1, exact near 0."),
    UNARY("log", LOG, log_d, "u(.5, 2, {2, 3})", "Natural logarithm."),
    UNARY("log1p", LOG1P, log1p_d, "u(-.5, 2, {2, 3})",
          "log(1 + x), exact near 0."),
    UNARY("sin", SIN, sin_d, "r{2, 3}", "Sine."),
    UNARY("cos", COS, cos_d, "r{2, 3}", "Cosine."),
    UNARY("tan", TAN, tan_d, "u(-1, 1, {2, 3})", "Tangent."),
    UNARY("asin", ASIN, asin_d, "u(-.8, .8, {2, 3})", "Arc sine."),
    UNARY("acos", ACOS, acos_d, "u(-.8, .8, {2, 3})", "Arc cosine."),
    UNARY("atan", ATAN, atan_d, "r{2, 3}", "Arc tangent."),
    UNARY("sinh", SINH, sinh_d, "r{2, 3}", "Hyperbolic sine."),
    UNARY("cosh", COSH, cosh_d, "r{2, 3}", "Hyperbolic cosine."),
    UNARY("tanh", TANH, tanh_d, "r{2, 3}", "Hyperbolic tangent."),
    UNARY("asinh", ASINH, asinh_d, "r{2, 3}", "Inverse of sinh."),
    UNARY("acosh", ACOSH, acosh_d, "u(1.5, 3, {2, 3})", "Inverse of cosh."),
    UNARY("atanh", ATANH, atanh_d, "u(-.8, .8, {2, 3})", "Inverse of tanh."),
    UNARY("erf", ERF, erf_d, "r{2, 3}", "Error function."),
    UNARY("erfc", ERFC, erfc_d, "r{2, 3}", "1 - erf(x), exact for large x."),
    UNARY("erfinv", ERFINV, erfinv_d, "u(-.8, .8, {2, 3})",
          "Inverse of erf."),
    UNARY("lgamma", LGAMMA, lgamma_d, "u(.5, 4, {2, 3})",
          "log |Gamma(x)|."),
    {.name = "digamma", .args = "x:T", .call = digamma_call,
     .doc = "Derivative of lgamma.", .samples = "u(.5, 4, {2, 3})"},
    {ELEMENTWISE("polygamma", POLYGAMMA, SD_OP_FLOAT), .args = "n:F x:T",
     .partial = polygamma_d, .call = polygamma_call,
     .doc = "n-th derivative of digamma.", .samples = "1, u(.8, 4, {2, 3})"},
    UNARY("sigmoid", SIGMOID, sigmoid_d, "r{2, 3}", "1 / (1 + exp(-x))."),
    {ELEMENTWISE("softplus_", SOFTPLUS, SD_OP_FLOAT), .args = "x:T",
     .partial = softplus_d, .doc = "log(1 + exp(x)).", .samples = "r{2, 3}"},
    ROUNDING("floor", FLOOR, "Rounded down."),
    ROUNDING("ceil", CEIL, "Rounded up."),
    ROUNDING("round", ROUND, "Rounded to nearest, halves to even."),
    ROUNDING("trunc", TRUNC, "Rounded towards 0."),
    STEP("isnan", ISNAN, SD_OP_TO_BOOL | SD_OP_FLOAT, "Whether x is NaN."),
    STEP("isinf", ISINF, SD_OP_TO_BOOL | SD_OP_FLOAT,
         "Whether x is infinite."),
    STEP("isfinite", ISFINITE, SD_OP_TO_BOOL | SD_OP_FLOAT,
         "Whether x is neither infinite nor NaN."),
    STEP("nonzero_", NONZERO, SD_OP_TO_BOOL, "Whether x is not 0."),
    COMPARE("eq", EQ, "Whether x equals y."),
    COMPARE("ne", NE, "Whether x differs from y."),
    COMPARE("lt", LT, "Whether x < y."),
    COMPARE("le", LE, "Whether x <= y."),
    {.name = "gt", .args = "x:T y:T", .call = gt_call,
     .doc = "Whether x > y.", .samples = "r{2, 3}, r{2, 3}"},
    {.name = "ge", .args = "x:T y:T", .call = ge_call,
     .doc = "Whether x >= y.", .samples = "r{2, 3}, r{2, 3}"},
    LOGICAL("logical_and", AND, "Whether both are true (not 0)."),
    LOGICAL("logical_or", OR, "Whether either is true (not 0)."),
    {.name = "logical_xor", .args = "x:T y:T", .call = xor_call,
     .doc = "Whether just one is true (not 0).",
     .samples = "r{2, 3}:gt(0), r{3}:gt(0)"},
    {ELEMENTWISE("logical_not", NOT,
                 SD_OP_ZERO_GRAD | SD_OP_TO_BOOL | SD_OP_BOOL),
     .args = "x:T", .doc = "Whether x is false (0).",
     .samples = "r{2, 3}:gt(0)"},
};

extern const SdOpList sd_elementwise_ops;
const SdOpList sd_elementwise_ops = {table, sizeof table / sizeof *table};

static const SdOp cast_op = {ELEMENTWISE("cast", COPY, 0),
                             .transpose = cast_t,
                             .batch = cast_batch};

const SdOp sd_op_constant = {
    .name = "constant", .kind = SD_KIND_CONSTANT, .flags = SD_OP_HIDDEN};

/* ---- as functions ------------------------------------------------------- */

/* An entry of the table above, found once. */
#define ENTRY(NAME) \
  static const SdOp *op; \
  if (!op) op = sd_op_find(NAME)

#define UNARY_FUNCTION(F, NAME) \
  SdNode *F(SdBuilder *b, SdNode *x) { \
    ENTRY(NAME); \
    return sd_elementwise(b, op, &x, 1); \
  }
#define BINARY_FUNCTION(F, NAME) \
  SdNode *F(SdBuilder *b, SdNode *x, SdNode *y) { \
    ENTRY(NAME); \
    SdNode *in[2] = {x, y}; \
    return sd_elementwise(b, op, in, 2); \
  }

BINARY_FUNCTION(sd_add, "add")
BINARY_FUNCTION(sd_sub, "sub")
BINARY_FUNCTION(sd_mul, "mul")
BINARY_FUNCTION(sd_div, "div")
BINARY_FUNCTION(sd_eq, "eq")
BINARY_FUNCTION(sd_lt, "lt")
BINARY_FUNCTION(sd_le, "le")
BINARY_FUNCTION(sd_polygamma, "polygamma")
UNARY_FUNCTION(sd_neg, "neg")
UNARY_FUNCTION(sd_square, "square")
UNARY_FUNCTION(sd_sqrt, "sqrt")
UNARY_FUNCTION(sd_rsqrt, "rsqrt")
UNARY_FUNCTION(sd_reciprocal, "reciprocal")
UNARY_FUNCTION(sd_exp, "exp")
UNARY_FUNCTION(sd_log, "log")
UNARY_FUNCTION(sd_sin, "sin")
UNARY_FUNCTION(sd_cos, "cos")
UNARY_FUNCTION(sd_tanh, "tanh")
UNARY_FUNCTION(sd_sinh, "sinh")
UNARY_FUNCTION(sd_cosh, "cosh")
UNARY_FUNCTION(sd_sigmoid, "sigmoid")
UNARY_FUNCTION(sd_sign, "sign")

/* A second, constant input carries the 0 of max(x, 0). */
SdNode *sd_relu(SdBuilder *b, SdNode *x) {
  ENTRY("relu");
  SdNode *in[2] = {x, sd_number(b, 0, 1)};
  return sd_elementwise(b, op, in, 2);
}

SdNode *sd_where(SdBuilder *b, SdNode *c, SdNode *x, SdNode *y) {
  ENTRY("where");
  SdNode *in[3] = {c, x, y};
  return sd_elementwise(b, op, in, 3);
}

SdNode *sd_scale(SdBuilder *b, SdNode *x, double s) {
  return sd_mul(b, x, sd_number(b, s, 0));
}

SdNode *sd_shift(SdBuilder *b, SdNode *x, double s) {
  return s == 0 ? x : sd_add(b, x, sd_number(b, s, 0));
}

/* Cheap powers, with the derivatives that go with them. */
static SdNode *constant_power(SdBuilder *b, SdNode *x, double p) {
  if (p == 1) return x;
  if (p == 2) return sd_square(b, x);
  if (p == 3) return sd_mul(b, x, sd_square(b, x));
  if (p == .5) return sd_sqrt(b, x);
  if (p == -1) return sd_reciprocal(b, x);
  if (p == 0) return sd_full(b, (SdDtype)x->dtype, &x->shape, 1);
  return NULL;
}

/* The dtype in which x meets a constant power; a whole one keeps integers
** and makes booleans numbers. */
static SdNode *power_base(SdBuilder *b, SdNode *x, SdNode *y) {
  if (x->dtype >= SD_F32) return x;
  if (y->dtype >= SD_F32) return sd_cast(b, x, sd_default_dtype());
  if (y->attr->f < 0)
    return sd_builder_fail(b, SD_EARGUMENT,
                           "pow: %s to the negative power %g is no integer",
                           sd_dtype_name((SdDtype)x->dtype), y->attr->f);
  return x->dtype == SD_BOOL ? sd_cast(b, x, (SdDtype)y->dtype) : x;
}

SdNode *sd_pow(SdBuilder *b, SdNode *x, SdNode *y) {
  ENTRY("pow");
  SdNode *in[2] = {x, y};
  if (!x || !y) return NULL;
  if (y->op == &sd_op_constant &&
      (y->weak || (y->dtype == x->dtype && y->dtype != SD_BOOL))) {
    SdNode *f = power_base(b, x, y), *z = NULL;
    if (f && x->op != &sd_op_constant) z = constant_power(b, f, y->attr->f);
    if (z || b->error.code) return z;
  }
  return sd_elementwise(b, op, in, 2);
}
