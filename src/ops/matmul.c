/*
** The matrix product.  The node multiplies matrices in the last two dims;
** leading dims are equal, or absent on one side.  Everything else NumPy
** allows is reshaped into that, and a matrix shared by a batch on the left
** becomes one larger product.
*/
#include "ops/ops.h"

#include "base/memory.h"
#include "graph/layout.h"
#include "kernels/gemm.h"

#include <string.h>

static const SdOp table[1];

static int64_t from_end(const SdShape *s, int k) {
  return s->dims[s->ndim - k];
}

static SdStatus matmul_infer(SdNode *y, SdError *err) {
  const SdShape *a = &y->in[0]->shape, *c = &y->in[1]->shape;
  y->dtype = y->in[0]->dtype;
  y->shape = a->ndim >= c->ndim ? *a : *c;
  y->shape.dims[y->shape.ndim - 2] = from_end(a, 2);
  y->shape.dims[y->shape.ndim - 1] = from_end(c, 1);
  return sd_shape_check(&y->shape, "matmul", err);
}

/* ---- evaluation --------------------------------------------------------- */

/* A matrix in memory as BLAS takes it. */
typedef struct Operand {
  SdArray array; /* retained, or a contiguous copy */
  int trans;
  int64_t ld;
} Operand;

static int fits(int64_t row, int64_t col, int64_t rows, int64_t cols,
                int64_t *ld) {
  int64_t need = cols > 1 ? cols : 1;
  if (cols > 1 && col != 1) return 0;
  if (rows > 1 && row < need) return 0;
  *ld = rows > 1 ? row : need;
  return 1;
}

/* plain: not as its own transpose. */
static SdStatus operand(const SdArray *a, Operand *o, int plain,
                        SdError *err) {
  int n = a->shape.ndim;
  int64_t rows = a->shape.dims[n - 2], cols = a->shape.dims[n - 1];
  int64_t row = a->strides[n - 2], col = a->strides[n - 1];
  o->trans = 0;
  if (fits(row, col, rows, cols, &o->ld)) {
    o->array = sd_array_retain(a);
    return SD_OK;
  }
  if (!plain && fits(col, row, cols, rows, &o->ld)) {
    o->trans = 1;
    o->array = sd_array_retain(a);
    return SD_OK;
  }
  o->ld = cols > 1 ? cols : 1;
  /* A broadcast matrix is not contiguous, so this makes a copy. */
  return sd_array_contiguous(a, &o->array, err);
}

static int64_t count_of(const SdShape *s) {
  int64_t n = 1;
  for (int i = 0; i < s->ndim - 2; i++) n *= s->dims[i];
  return n;
}

/* The address of matrix k of a stack. */
static void *matrix(const SdArray *a, int64_t k) {
  int64_t offset = 0;
  for (int i = a->shape.ndim - 3; i >= 0; i--) {
    offset += k % a->shape.dims[i] * a->strides[i];
    k /= a->shape.dims[i];
  }
  return (char *)a->data + offset * (int64_t)sd_dtype_size(a->dtype);
}

static SdStatus multiply_stack(const SdGemm *g, SdArray *a, SdArray *c,
                               SdArray *out, SdError *err) {
  int64_t n = count_of(&out->shape);
  size_t bytes = (size_t)n * 3 * sizeof(void *);
  void **at = sd_memory_alloc(bytes, err);
  if (!at) return err->code;
  for (int64_t i = 0; i < n; i++) {
    at[i] = a->shape.ndim > 2 ? matrix(a, i) : a->data;
    at[n + i] = c->shape.ndim > 2 ? matrix(c, i) : c->data;
    at[2 * n + i] = matrix(out, i);
  }
  if (sd_dtype_is_float(out->dtype))
    sd_gemm_batch(out->dtype, g, n, (const void *const *)at,
                  (const void *const *)(at + n), at + 2 * n);
  else
    for (int64_t i = 0; i < n; i++)
      sd_gemm_integer(out->dtype, g, at[i], at[n + i], at[2 * n + i]);
  sd_memory_free(at, bytes);
  return SD_OK;
}

static SdStatus multiply(Operand *a, Operand *c, SdArray *out, SdError *err) {
  SdGemm g = {.m = from_end(&out->shape, 2), .n = from_end(&out->shape, 1),
              .k = from_end(&a->array.shape, 1), .trans_a = a->trans,
              .trans_b = c->trans, .lda = a->ld, .ldb = c->ld};
  g.ldc = g.n > 1 ? g.n : 1;
  if (out->shape.ndim > 2)
    return multiply_stack(&g, &a->array, &c->array, out, err);
  if (sd_dtype_is_float(out->dtype))
    sd_gemm(out->dtype, &g, a->array.data, c->array.data, out->data);
  else
    sd_gemm_integer(out->dtype, &g, a->array.data, c->array.data, out->data);
  return SD_OK;
}

static SdStatus matmul_eval(const SdNode *y, const SdArray *const *in,
                            SdArray *out, SdError *err) {
  Operand a, c;
  SdDtype d = out->dtype;
  int64_t m = from_end(&y->shape, 2), n = from_end(&y->shape, 1);
  int stack = y->shape.ndim > 2, shared = stack && in[0]->shape.ndim == 2;
  int plain_c =
      !stack && sd_gemm_wants_plain(d, m, n, from_end(&in[0]->shape, 1));
  int plain_a = shared && sd_gemm_wants_plain_rows(d, m, n);
  SdStatus s = operand(in[0], &a, plain_a, err);
  if (s != SD_OK) return s;
  s = operand(in[1], &c, plain_c, err);
  if (s == SD_OK) {
    s = multiply(&a, &c, out, err);
    sd_array_release(&c.array);
  }
  sd_array_release(&a.array);
  return s;
}

/* ---- building ----------------------------------------------------------- */

static SdNode *node(SdBuilder *b, SdNode *x, SdNode *y) {
  SdNode *in[2] = {x, y};
  return sd_node_make(b, &table[0], 2, in, NULL);
}

static SdNode *turned(SdBuilder *b, SdNode *x) {
  return x ? sd_transpose(b, x, x->shape.ndim - 2, x->shape.ndim - 1) : NULL;
}

/* [.., m, k] as [.. m, k] */
static SdNode *flat(SdBuilder *b, SdNode *x) {
  if (!x) return NULL;
  SdShape s = {2, {count_of(&x->shape) * from_end(&x->shape, 2),
                   from_end(&x->shape, 1)}};
  return sd_reshape(b, x, &s);
}

static SdNode *shared_right(SdBuilder *b, SdNode *x, SdNode *y) {
  SdShape s = x->shape;
  s.dims[s.ndim - 1] = from_end(&y->shape, 1);
  return sd_reshape(b, node(b, flat(b, x), y), &s);
}

static SdNode *stacks(SdBuilder *b, SdNode *x, SdNode *y) {
  SdShape sx = x->shape, sy = y->shape, s;
  sx.ndim -= 2;
  sy.ndim -= 2;
  if (sd_shape_broadcast(&sx, &sy, &s, "matmul", &b->error) != SD_OK)
    return NULL;
  s.ndim += 2;
  sx = sy = s;
  for (int k = 1; k <= 2; k++) {
    sx.dims[s.ndim - k] = from_end(&x->shape, k);
    sy.dims[s.ndim - k] = from_end(&y->shape, k);
  }
  return node(b, x->shape.ndim == 2 ? x : sd_expand(b, x, &sx),
              sd_expand(b, y, &sy));
}

/* The factors of a pending stack y = column * row, [.., k, 1] and
** [.., 1, n]. */
static int is_outer(const SdNode *y, SdNode **column, SdNode **row) {
  int n = y->shape.ndim;
  if (y->nin != 2 || strcmp(y->op->name, "mul")) return 0;
  for (int i = 0; i < 2; i++) {
    SdNode *c = y->in[i], *r = y->in[1 - i];
    if (c->shape.ndim != n || r->shape.ndim != n ||
        from_end(&c->shape, 1) != 1 || from_end(&r->shape, 2) != 1)
      continue;
    *column = c;
    *row = r;
    return 1;
  }
  return 0;
}

/* A matrix times a stack of outer products, such as unit matrices: (x c) r,
** one product of two matrices where the stack would take a whole one each. */
static SdNode *times_outer(SdBuilder *b, SdNode *x, SdNode *y) {
  SdNode *c, *r;
  if (sd_is_turned(y)) {
    if (y->nin == 0 || !is_outer(y->in[0], &r, &c)) return NULL;
    c = turned(b, c);
    r = turned(b, r);
  } else if (!is_outer(y, &c, &r)) {
    return NULL;
  }
  if (!c) return NULL;
  SdShape s = c->shape, flat_s = {2, {count_of(&c->shape),
                                      from_end(&c->shape, 2)}};
  s.dims[s.ndim - 2] = x->shape.dims[0];
  SdNode *xc = sd_matmul(b, sd_reshape(b, c, &flat_s), turned(b, x));
  return sd_mul(b, sd_reshape(b, xc, &s), r);
}

static SdNode *matrices(SdBuilder *b, SdNode *x, SdNode *y) {
  if (x->shape.ndim > 2 && y->shape.ndim == 2) return shared_right(b, x, y);
  if (x->shape.ndim == 2 && y->shape.ndim == 2) return node(b, x, y);
  SdNode *z = x->shape.ndim == 2 ? times_outer(b, x, y) : NULL;
  return z || b->error.code ? z : stacks(b, x, y);
}

static SdNode *mismatch(SdBuilder *b, const SdNode *x, const SdNode *y) {
  return sd_builder_fail(b, SD_EARGUMENT,
                         "matmul: inner dimensions differ: %s x %s",
                         sd_shape_text(&x->shape).text,
                         sd_shape_text(&y->shape).text);
}

SdNode *sd_matmul(SdBuilder *b, SdNode *x, SdNode *y) {
  if (!x || !y) return NULL;
  int vx = x->shape.ndim == 1, vy = y->shape.ndim == 1;
  if (x->shape.ndim == 0 || y->shape.ndim == 0)
    return sd_builder_fail(b, SD_EARGUMENT, "matmul: a scalar: %s x %s",
                           sd_shape_text(&x->shape).text,
                           sd_shape_text(&y->shape).text);
  if (from_end(&x->shape, 1) != from_end(&y->shape, vy ? 1 : 2))
    return mismatch(b, x, y);
  SdDtype d = sd_dtype_promote((SdDtype)x->dtype, (SdDtype)y->dtype);
  x = sd_cast(b, vx ? sd_unsqueeze(b, x, 0) : x, d);
  y = sd_cast(b, vy ? sd_unsqueeze(b, y, 1) : y, d);
  if (!x || !y) return NULL;
  SdNode *z = matrices(b, x, y);
  if (z && vy) z = sd_squeeze(b, z, z->shape.ndim - 1);
  if (z && vx) z = sd_squeeze(b, z, z->shape.ndim - (vy ? 1 : 2));
  return z;
}

/* ---- derivatives -------------------------------------------------------- */

/* [.., m, n] as [m, .. n]: the stack laid side by side. */
static SdNode *side_by_side(SdBuilder *b, SdNode *x) {
  int order[SD_MAX_DIMS] = {0}, n = x->shape.ndim;
  order[0] = n - 2;
  for (int i = 0; i < n - 2; i++) order[i + 1] = i;
  order[n - 1] = n - 1;
  SdShape s = {2, {from_end(&x->shape, 2),
                   count_of(&x->shape) * from_end(&x->shape, 1)}};
  return sd_reshape(b, sd_permute(b, x, order), &s);
}

static SdNode *matmul_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  SdNode *a = y->in[0], *c = y->in[1];
  if (!g) return NULL;
  /* The cotangent of a turned operand is made turned, so that turning it
  ** back gives the product itself and not a strided view of one. */
  int back = sd_is_turned(y->in[i]);
  if (i == 1 && back) return turned(b, sd_matmul(b, turned(b, g), a));
  if (i == 1) return sd_matmul(b, turned(b, a), g);
  if (a->shape.ndim == c->shape.ndim && back)
    return turned(b, sd_matmul(b, c, turned(b, g)));
  if (a->shape.ndim == c->shape.ndim) return sd_matmul(b, g, turned(b, c));
  /* a is shared by the stack: one product over all of it. */
  return sd_matmul(b, side_by_side(b, g), turned(b, side_by_side(b, c)));
}

static SdNode *matmul_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                            const int *batched, int64_t size) {
  SdNode *x[2] = {in[0], in[1]};
  (void)size;
  /* An operand that lacks the new dim must still line up with the other's
  ** stack: a 1 in front of a stack, nothing in front of a matrix. */
  for (int i = 0; i < 2; i++)
    if (!batched[i] && y->in[i]->shape.ndim > 2)
      x[i] = sd_unsqueeze(b, x[i], 0);
    else if (batched[i] && y->in[i]->shape.ndim < y->shape.ndim)
      for (int k = y->in[i]->shape.ndim; k < y->shape.ndim; k++)
        x[i] = sd_unsqueeze(b, x[i], 1);
  return sd_matmul(b, x[0], x[1]);
}

static int matmul_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                       SdNode **out) {
  (void)op;
  out[0] = sd_matmul(b, c->a[0].x, c->a[1].x);
  return out[0] != NULL;
}

static const SdOp table[1] = {
    {.name = "matmul", .kind = SD_KIND_CALL, .args = "x y",
     .doc = "Matrix product, batched over leading dims as NumPy's.",
     .samples = "r{2, 3}, r{3, 4}\nr{3}, r{3}\nr{2, 3}, r{3}\nr{3}, r{3, 2}\n"
                "r{5, 2, 3}, r{3, 4}\nr{2, 3}, r{5, 3, 4}\n"
                "r{2, 1, 2, 3}, r{5, 3, 2}",
     .infer = matmul_infer, .eval = matmul_eval, .transpose = matmul_t,
     .batch = matmul_batch, .call = matmul_call},
};

extern const SdOpList sd_matmul_ops;
const SdOpList sd_matmul_ops = {table, 1};
