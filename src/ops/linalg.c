/*
** Linear algebra on stacks of matrices (the last two dims) through LAPACK.
** Derivatives after Giles, "Collected matrix derivative results for forward
** and reverse mode algorithmic differentiation" (2008), and Murray,
** "Differentiation of the Cholesky decomposition" (2016).
*/
#include "ops/ops.h"

#include "graph/layout.h"
#include "kernels/lapack.h"

#include <string.h>

enum { CHOLESKY, SOLVE, TRIANGULAR, EIGH, TRIL, TRIU, NOPS };
static const SdOp table[NOPS];

static int64_t from_end(const SdShape *s, int k) {
  return s->dims[s->ndim - k];
}

static int64_t stack_of(const SdShape *s) {
  int64_t n = 1;
  for (int i = 0; i < s->ndim - 2; i++) n *= s->dims[i];
  return n;
}

static SdStatus check_square(const SdNode *y, const SdNode *x, SdError *err) {
  const SdShape *s = &x->shape;
  if (s->ndim < 2 || from_end(s, 1) != from_end(s, 2))
    return sd_error_set(err, SD_EARGUMENT,
                        "%s: needs square matrices, not shape %s",
                        y->op->name, sd_shape_text(s).text);
  if (!sd_dtype_is_float((SdDtype)x->dtype))
    return sd_error_set(err, SD_EARGUMENT, "%s: needs f32 or f64, not %s",
                        y->op->name, sd_dtype_name((SdDtype)x->dtype));
  return SD_OK;
}

/* A contiguous private copy of x, to be worked on in place. */
static SdStatus private_copy(const SdArray *x, SdArray *copy, SdError *err) {
  SdArray c;
  SdStatus s = sd_array_contiguous(x, &c, err);
  if (s != SD_OK) return s;
  s = sd_array_new(copy, c.dtype, &c.shape, err);
  size_t bytes = (size_t)sd_array_numel(&c) * sd_dtype_size(c.dtype);
  if (s == SD_OK && bytes) memcpy(copy->data, c.data, bytes);
  sd_array_release(&c);
  return s;
}

static char *plane(const SdArray *a, int64_t i) {
  size_t n = (size_t)(from_end(&a->shape, 1) * from_end(&a->shape, 2));
  return (char *)a->data + (size_t)i * n * sd_dtype_size(a->dtype);
}

static SdNode *lead(SdBuilder *b, SdNode *x, int batched, int64_t size) {
  SdShape s = {.ndim = 1, .dims = {size}};
  if (batched || !x) return x;
  for (int i = 0; i < x->shape.ndim; i++) s.dims[s.ndim++] = x->shape.dims[i];
  return sd_expand(b, x, &s);
}

static SdNode *turned(SdBuilder *b, SdNode *x) {
  return x ? sd_transpose(b, x, x->shape.ndim - 2, x->shape.ndim - 1) : NULL;
}

static SdNode *same_op(SdBuilder *b, SdNode *y, SdNode *const *in) {
  return sd_node_make(b, y->op, y->nin, in, y->attr);
}

static SdNode *batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                     const int *batched, int64_t size) {
  SdNode *x[2] = {NULL, NULL};
  for (int i = 0; i < y->nin; i++) x[i] = lead(b, in[i], batched[i], size);
  return same_op(b, y, x);
}

/* ---- triangles: attribute i[0] the diagonal, i[1] upper ----------------- */

static SdStatus same_infer(SdNode *y, SdError *err) {
  const SdShape *s = &y->in[0]->shape;
  y->dtype = y->in[0]->dtype;
  y->shape = *s;
  if (s->ndim < 2)
    return sd_error_set(err, SD_EARGUMENT, "%s: needs matrices, not shape %s",
                        y->op->name, sd_shape_text(s).text);
  return SD_OK;
}

static SdStatus triangle_eval(const SdNode *y, const SdArray *const *in,
                              SdArray *out, SdError *err) {
  int64_t rows = from_end(&y->shape, 2), cols = from_end(&y->shape, 1);
  size_t size = sd_dtype_size((SdDtype)y->dtype);
  int64_t d = y->attr->i[0];
  int upper = (int)y->attr->i[1];
  SdArray x;
  SdStatus s = sd_array_contiguous(in[0], &x, err);
  if (s != SD_OK) return s;
  for (int64_t r = 0; r < stack_of(&y->shape) * rows; r++) {
    /* kept: [0, cut) below, [cut, cols) above */
    int64_t cut = r % rows + d + !upper;
    cut = cut < 0 ? 0 : cut > cols ? cols : cut;
    char *to = (char *)out->data + (size_t)(r * cols) * size;
    const char *from = (char *)x.data + (size_t)(r * cols) * size;
    size_t low = (size_t)cut * size, all = (size_t)cols * size;
    memset(to, 0, all);
    if (upper) memcpy(to + low, from + low, all - low);
    else memcpy(to, from, low);
  }
  sd_array_release(&x);
  return SD_OK;
}

static SdNode *triangle(SdBuilder *b, const SdOp *op, SdNode *x, int64_t d) {
  const int64_t most = (int64_t)1 << 61; /* no matrix has as many rows */
  d = d < -most ? -most : d > most ? most : d;
  SdAttr attr = {.count = 2, .i = {d, op == &table[TRIU]}};
  return sd_node_make(b, op, 1, &x, &attr);
}

SdNode *sd_tril(SdBuilder *b, SdNode *x, int64_t diagonal) {
  return triangle(b, &table[TRIL], x, diagonal);
}

static SdNode *triangle_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  (void)i;
  return triangle(b, y->op, g, y->attr->i[0]);
}

static int triangle_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                         SdNode **out) {
  out[0] = triangle(b, op, c->a[0].x, c->a[1].i[0]);
  return out[0] != NULL;
}

/* ---- solve -------------------------------------------------------------- */

static SdStatus solve_infer(SdNode *y, SdError *err) {
  const SdShape *a = &y->in[0]->shape, *x = &y->in[1]->shape;
  SdStatus s = check_square(y, y->in[0], err);
  if (s != SD_OK) return s;
  SdShape want = *a;
  if (x->ndim >= 2) want.dims[want.ndim - 1] = from_end(x, 1);
  if (!sd_shape_equal(&want, x))
    return sd_error_set(err, SD_EARGUMENT, "%s: %s does not go with %s",
                        y->op->name, sd_shape_text(a).text,
                        sd_shape_text(x).text);
  y->dtype = y->in[0]->dtype;
  y->shape = *x;
  return SD_OK;
}

static SdStatus solve_eval(const SdNode *y, const SdArray *const *in,
                           SdArray *out, SdError *err) {
  SdDtype d = (SdDtype)y->dtype;
  int64_t n = from_end(&in[0]->shape, 1), m = from_end(&y->shape, 1);
  SdArray a;
  SdStatus s = private_copy(in[1], out, err);
  if (s == SD_OK) s = private_copy(in[0], &a, err);
  if (s != SD_OK) return s;
  for (int64_t i = 0; i < stack_of(&y->shape) && s == SD_OK; i++)
    s = y->op == &table[SOLVE]
            ? sd_lapack_solve(d, n, m, plane(&a, i), plane(out, i), "solve",
                              err)
            : sd_lapack_solve_triangular(d, n, m, (int)y->attr->i[0],
                                         (int)y->attr->i[1], plane(&a, i),
                                         plane(out, i), "triangular_solve",
                                         err);
  sd_array_release(&a);
  return s;
}

SdNode *sd_solve(SdBuilder *b, SdNode *a, SdNode *x) {
  SdNode *in[2] = {a, x};
  return sd_node_make(b, &table[SOLVE], 2, in, NULL);
}

SdNode *sd_solve_triangular(SdBuilder *b, SdNode *a, SdNode *x, int upper,
                            int transpose) {
  SdAttr attr = {.count = 2, .i = {upper, transpose}};
  SdNode *in[2] = {a, x};
  return sd_node_make(b, &table[TRIANGULAR], 2, in, &attr);
}

/* Y = A^-1 B: dY = A^-1 (dB - dA Y); B' = A^-T Y', A' = -B' Y^T. */
static void solve_vjp(SdBuilder *b, SdNode *y, SdNode *const *g,
                      const int *wanted, SdNode **gin) {
  SdNode *gb = sd_solve(b, turned(b, y->in[0]), g[0]);
  gin[1] = gb;
  if (wanted[0]) gin[0] = sd_neg(b, sd_matmul(b, gb, turned(b, y)));
}

static void solve_jvp(SdBuilder *b, SdNode *y, SdNode *const *t,
                      SdNode **ty) {
  SdNode *r = t[1];
  if (t[0]) {
    SdNode *ay = sd_neg(b, sd_matmul(b, t[0], y));
    r = r ? sd_add(b, r, ay) : ay;
  }
  ty[0] = sd_solve(b, y->in[0], r);
}

/* The part of x that a triangular solve reads. */
static SdNode *read_part(SdBuilder *b, SdNode *y, SdNode *x) {
  return triangle(b, &table[y->attr->i[0] ? TRIU : TRIL], x, 0);
}

static void triangular_vjp(SdBuilder *b, SdNode *y, SdNode *const *g,
                           const int *wanted, SdNode **gin) {
  int upper = (int)y->attr->i[0], trans = (int)y->attr->i[1];
  SdNode *gb = sd_solve_triangular(b, y->in[0], g[0], upper, !trans);
  gin[1] = gb;
  if (!wanted[0]) return;
  SdNode *ga = trans ? sd_matmul(b, y, turned(b, gb))
                     : sd_matmul(b, gb, turned(b, y));
  gin[0] = sd_neg(b, read_part(b, y, ga));
}

static void triangular_jvp(SdBuilder *b, SdNode *y, SdNode *const *t,
                           SdNode **ty) {
  int upper = (int)y->attr->i[0], trans = (int)y->attr->i[1];
  SdNode *r = t[1];
  if (t[0]) {
    SdNode *ta = read_part(b, y, t[0]);
    SdNode *ay = sd_neg(b, sd_matmul(b, trans ? turned(b, ta) : ta, y));
    r = r ? sd_add(b, r, ay) : ay;
  }
  ty[0] = sd_solve_triangular(b, y->in[0], r, upper, trans);
}

/* A right-hand side with one dim less is a vector; stacks broadcast. */
static int prepare_solve(SdBuilder *b, const SdOp *op, const SdCall *c,
                         SdNode **a, SdNode **x) {
  SdDtype d = sd_dtype_promote((SdDtype)c->a[0].x->dtype,
                               (SdDtype)c->a[1].x->dtype);
  if (!sd_dtype_is_float(d)) d = sd_default_dtype();
  *a = sd_cast(b, c->a[0].x, d);
  *x = sd_cast(b, c->a[1].x, d);
  if (!*a || !*x) return -1;
  int vector = (*x)->shape.ndim == 1;
  if (vector) *x = sd_unsqueeze(b, *x, 1);
  if (!*x) return -1;
  if ((*a)->shape.ndim < 2 ||
      from_end(&(*a)->shape, 1) != from_end(&(*x)->shape, 2)) {
    sd_builder_fail(b, SD_EARGUMENT, "%s: %s does not go with %s", op->name,
                    sd_shape_text(&(*a)->shape).text,
                    sd_shape_text(&c->a[1].x->shape).text);
    return -1;
  }
  SdShape sa = (*a)->shape, sx = (*x)->shape, s;
  sa.ndim -= 2;
  sx.ndim -= 2;
  if (sd_shape_broadcast(&sa, &sx, &s, op->name, &b->error) != SD_OK)
    return -1;
  s.ndim += 2;
  sa = sx = s;
  for (int k = 1; k <= 2; k++) {
    sa.dims[s.ndim - k] = from_end(&(*a)->shape, k);
    sx.dims[s.ndim - k] = from_end(&(*x)->shape, k);
  }
  *a = sd_expand(b, *a, &sa);
  *x = sd_expand(b, *x, &sx);
  return vector;
}

static int solve_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                      SdNode **out) {
  SdNode *a, *x;
  int vector = prepare_solve(b, op, c, &a, &x);
  if (vector < 0) return 0;
  out[0] = op == &table[SOLVE]
               ? sd_solve(b, a, x)
               : sd_solve_triangular(b, a, x, (int)c->a[2].i[0],
                                     (int)c->a[3].i[0]);
  if (out[0] && vector) out[0] = sd_squeeze(b, out[0], out[0]->shape.ndim - 1);
  return out[0] != NULL;
}

/* ---- cholesky ----------------------------------------------------------- */

static SdStatus cholesky_infer(SdNode *y, SdError *err) {
  y->dtype = y->in[0]->dtype;
  y->shape = y->in[0]->shape;
  return check_square(y, y->in[0], err);
}

static SdStatus cholesky_eval(const SdNode *y, const SdArray *const *in,
                              SdArray *out, SdError *err) {
  SdStatus s = private_copy(in[0], out, err);
  for (int64_t i = 0; s == SD_OK && i < stack_of(&y->shape); i++)
    s = sd_lapack_cholesky((SdDtype)y->dtype, from_end(&y->shape, 1),
                           plane(out, i), "cholesky", err);
  return s;
}

SdNode *sd_cholesky(SdBuilder *b, SdNode *a) {
  return sd_node_make(b, &table[CHOLESKY], 1, &a, NULL);
}

/* Phi: the lower triangle, its diagonal halved. */
static SdNode *half_lower(SdBuilder *b, SdNode *x) {
  return sd_scale(b, sd_add(b, sd_tril(b, x, 0), sd_tril(b, x, -1)), .5);
}

static SdNode *symmetric(SdBuilder *b, SdNode *x) {
  return sd_scale(b, sd_add(b, x, turned(b, x)), .5);
}

/* A' = sym(L^-T Phi(L^T L') L^-1) */
static void cholesky_vjp(SdBuilder *b, SdNode *y, SdNode *const *g,
                         const int *wanted, SdNode **gin) {
  (void)wanted;
  SdNode *p = half_lower(b, sd_matmul(b, turned(b, y), g[0]));
  SdNode *left = sd_solve_triangular(b, y, p, 0, 1);
  gin[0] = symmetric(
      b, turned(b, sd_solve_triangular(b, y, turned(b, left), 0, 1)));
}

/* dL = L Phi(L^-1 dA L^-T), dA symmetrised */
static void cholesky_jvp(SdBuilder *b, SdNode *y, SdNode *const *t,
                         SdNode **ty) {
  SdNode *left = sd_solve_triangular(b, y, symmetric(b, t[0]), 0, 0);
  SdNode *both = sd_solve_triangular(b, y, turned(b, left), 0, 0);
  ty[0] = sd_matmul(b, y, half_lower(b, turned(b, both)));
}

static int cholesky_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                         SdNode **out) {
  SdNode *x = c->a[0].x;
  (void)op;
  if (c->a[1].i[0]) {
    if (x->shape.ndim < 2) check_square(x, x, &b->error);
    out[0] = b->error.code ? NULL : turned(b, sd_cholesky(b, turned(b, x)));
  } else {
    out[0] = sd_cholesky(b, x);
  }
  return out[0] != NULL;
}

/* ---- eigh: outputs values [.., n] and vectors [.., n, n] ---------------- */

static SdStatus eigh_infer(SdNode *y, SdError *err) {
  y->dtype = y->in[0]->dtype;
  y->shape = y->in[0]->shape;
  y->shape.ndim--;
  y->nout = 2;
  return check_square(y, y->in[0], err);
}

static SdStatus eigh_eval(const SdNode *y, const SdArray *const *in,
                          SdArray *out, SdError *err) {
  int64_t n = from_end(&y->shape, 1);
  size_t row = (size_t)n * sd_dtype_size((SdDtype)y->dtype);
  SdStatus s = sd_array_new(&out[0], (SdDtype)y->dtype, &y->shape, err);
  if (s == SD_OK) s = private_copy(in[0], &out[1], err);
  for (int64_t i = 0; s == SD_OK && i < stack_of(&in[0]->shape); i++)
    s = sd_lapack_eigh((SdDtype)y->dtype, n, plane(&out[1], i),
                       (char *)out[0].data + (size_t)i * row, 1, "eigh", err);
  return s;
}

static SdNode *values_of(SdBuilder *b, SdNode *y) {
  return sd_node_part(b, y, 0, (SdDtype)y->dtype, &y->shape);
}

static SdNode *vectors_of(SdBuilder *b, SdNode *y) {
  SdShape s = y->shape;
  s.dims[s.ndim] = from_end(&s, 1);
  s.ndim++;
  return sd_node_part(b, y, 1, (SdDtype)y->dtype, &s);
}

static SdNode *identity(SdBuilder *b, SdNode *like) {
  SdShape s = {2, {from_end(&like->shape, 1), from_end(&like->shape, 1)}};
  SdNode *one = sd_full(b, (SdDtype)like->dtype, &s, 1);
  return sd_sub(b, sd_tril(b, one, 0), sd_tril(b, one, -1));
}

/* F_ij = 1 / (w_j - w_i) off the diagonal, 0 on it. */
static SdNode *gaps(SdBuilder *b, SdNode *w) {
  if (!w) return NULL;
  SdNode *one = identity(b, w);
  SdNode *d = sd_sub(b, sd_unsqueeze(b, w, w->shape.ndim - 1),
                     sd_unsqueeze(b, w, w->shape.ndim));
  return sd_sub(b, sd_reciprocal(b, sd_add(b, d, one)), one);
}

static SdNode *as_diagonal(SdBuilder *b, SdNode *w) {
  return w ? sd_mul(b, sd_unsqueeze(b, w, w->shape.ndim), identity(b, w))
           : NULL;
}

/* A' = V (diag(w') + F o (V^T V')) V^T, symmetrised */
static void eigh_vjp(SdBuilder *b, SdNode *y, SdNode *const *g,
                     const int *wanted, SdNode **gin) {
  SdNode *v = vectors_of(b, y), *inner = NULL;
  (void)wanted;
  if (!v) return;
  if (g[0]) inner = as_diagonal(b, g[0]);
  if (g[1]) {
    SdNode *m = sd_mul(b, gaps(b, values_of(b, y)),
                       sd_matmul(b, turned(b, v), g[1]));
    inner = inner ? sd_add(b, inner, m) : m;
  }
  gin[0] = symmetric(b, sd_matmul(b, sd_matmul(b, v, inner), turned(b, v)));
}

/* dw = diag(V^T dA V), dV = V (F o (V^T dA V)) */
static void eigh_jvp(SdBuilder *b, SdNode *y, SdNode *const *t,
                     SdNode **ty) {
  SdNode *v = vectors_of(b, y);
  if (!v) return;
  SdNode *m = sd_matmul(b, sd_matmul(b, turned(b, v), symmetric(b, t[0])), v);
  SdNode *d = m ? sd_mul(b, m, identity(b, y)) : NULL;
  ty[0] = d ? sd_sum(b, d, (int64_t)1 << (d->shape.ndim - 1), 0) : NULL;
  ty[1] = sd_matmul(b, v, sd_mul(b, gaps(b, values_of(b, y)), m));
}

static int eigh_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                     SdNode **out) {
  SdNode *y = sd_node_make(b, op, 1, &c->a[0].x, NULL);
  if (!y) return 0;
  out[0] = values_of(b, y);
  out[1] = vectors_of(b, y);
  return out[0] && out[1] ? 2 : 0;
}

/* ---- the table ---------------------------------------------------------- */

#define SPD "s(3)"

static const SdOp table[NOPS] = {
    [CHOLESKY] = {.name = "linalg.cholesky", .kind = SD_KIND_CALL,
                  .flags = SD_OP_ALLOCATES, .args = "x upper:B=0",
                  .doc = "Lower Cholesky factor, from the lower triangle; or "
                         "upper, from the upper one.",
                  .samples = SPD "\n" SPD ":expand(2, 3, 3)\n" SPD
                             ", {upper = true}",
                  .infer = cholesky_infer, .eval = cholesky_eval,
                  .vjp = cholesky_vjp, .jvp = cholesky_jvp, .batch = batch,
                  .call = cholesky_call},
    [SOLVE] = {.name = "linalg.solve", .kind = SD_KIND_CALL,
               .flags = SD_OP_ALLOCATES, .args = "a b",
               .doc = "x with a x = b, for a square a.",
               .samples = SPD ", r{3, 2}\n" SPD ", r{3}", .infer = solve_infer,
               .eval = solve_eval, .vjp = solve_vjp, .jvp = solve_jvp,
               .batch = batch, .call = solve_call},
    [TRIANGULAR] = {.name = "linalg.triangular_solve", .kind = SD_KIND_CALL,
                    .flags = SD_OP_ALLOCATES,
                    .args = "a b upper:B=0 transpose:B=0",
                    .doc = "x with a x = b, for a triangular a.",
                    .samples = SPD ", r{3, 2}\n" SPD ", r{3}, {upper = true}\n"
                               SPD ", r{3, 1}, {transpose = true}",
                    .infer = solve_infer, .eval = solve_eval,
                    .vjp = triangular_vjp, .jvp = triangular_jvp,
                    .batch = batch, .call = solve_call},
    [EIGH] = {.name = "linalg.eigh", .kind = SD_KIND_CALL,
              .flags = SD_OP_ALLOCATES, .args = "x",
              .doc = "Eigenvalues, ascending, and eigenvectors as columns of "
                     "a symmetric matrix (its lower triangle is read).",
              .samples = SPD, .infer = eigh_infer, .eval = eigh_eval,
              .vjp = eigh_vjp, .jvp = eigh_jvp, .batch = batch,
              .call = eigh_call},
    [TRIL] = {.name = "tril", .kind = SD_KIND_CALL, .args = "x diagonal:I=0",
              .doc = "The lower triangle, zeros elsewhere.",
              .samples = "r{3, 4}\nr{3, 3}, -1", .infer = same_infer,
              .eval = triangle_eval, .transpose = triangle_t, .batch = batch,
              .call = triangle_call},
    [TRIU] = {.name = "triu", .kind = SD_KIND_CALL, .args = "x diagonal:I=0",
              .doc = "The upper triangle, zeros elsewhere.",
              .samples = "r{3, 4}\nr{3, 3}, 1", .infer = same_infer,
              .eval = triangle_eval, .transpose = triangle_t, .batch = batch,
              .call = triangle_call},
};

extern const SdOpList sd_linalg_ops;
const SdOpList sd_linalg_ops = {table, NOPS};
