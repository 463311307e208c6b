/*
** Ops that move elements without computing: views where the layout allows,
** and the transposes of views.
*/
#include "ops/ops.h"

#include "graph/layout.h"
#include "kernels/copy.h"

#include <string.h>

enum { RESHAPE, PERMUTE, EXPAND, SLICE, EMBED, CAT, SQUEEZE,
       UNSQUEEZE, TRANSPOSE, NARROW, FLIP, PAD, NOPS };
static const SdOp table[NOPS];

static void push_dims(SdAttr *a, const int64_t *v, int n) {
  for (int i = 0; i < n; i++) a->i[a->count++] = v[i];
}

static SdShape attr_shape(const SdNode *y, int at, int n) {
  return sd_shape_make(n, y->attr->i + at);
}

/* x's dims with one of extent n in front. */
static SdShape with_leading(const SdShape *s, int64_t n) {
  SdShape r = {.ndim = s->ndim + 1};
  r.dims[0] = n;
  memcpy(r.dims + 1, s->dims, (size_t)s->ndim * sizeof *s->dims);
  return r;
}

/* ---- reshape ------------------------------------------------------------ */

static SdStatus reshape_infer(SdNode *y, SdError *err) {
  const SdNode *x = y->in[0];
  y->dtype = x->dtype;
  y->shape = attr_shape(y, 0, y->attr->count);
  if (sd_shape_numel(&y->shape) != sd_shape_numel(&x->shape))
    return sd_error_set(err, SD_EARGUMENT, "reshape: %s does not fit %s",
                        sd_shape_text(&x->shape).text,
                        sd_shape_text(&y->shape).text);
  return SD_OK;
}

static SdStatus reshape_eval(const SdNode *y, const SdArray *const *in,
                             SdArray *out, SdError *err) {
  SdStatus s = sd_array_contiguous(in[0], out, err);
  if (s != SD_OK) return s;
  out->shape = y->shape;
  sd_shape_strides(&out->shape, out->strides);
  return SD_OK;
}

SdNode *sd_reshape(SdBuilder *b, SdNode *x, const SdShape *shape) {
  SdAttr attr = {.count = 0};
  if (!x || sd_shape_equal(&x->shape, shape)) return x;
  push_dims(&attr, shape->dims, shape->ndim);
  return sd_node_make(b, &table[RESHAPE], 1, &x, &attr);
}

static SdNode *reshape_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  return sd_reshape(b, g, &y->in[i]->shape);
}

static SdNode *reshape_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                             const int *batched, int64_t size) {
  SdShape shape = with_leading(&y->shape, size);
  (void)batched;
  return sd_reshape(b, in[0], &shape);
}

SdNode *sd_unsqueeze(SdBuilder *b, SdNode *x, int dim) {
  if (!x) return NULL;
  if (x->shape.ndim == SD_MAX_DIMS)
    return sd_builder_fail(b, SD_EARGUMENT, "unsqueeze: more than %d dims",
                           SD_MAX_DIMS);
  SdShape s = {.ndim = x->shape.ndim + 1};
  for (int i = 0; i < s.ndim; i++)
    s.dims[i] = i == dim ? 1 : x->shape.dims[i - (i > dim)];
  return sd_reshape(b, x, &s);
}

SdNode *sd_squeeze(SdBuilder *b, SdNode *x, int dim) {
  if (!x || x->shape.dims[dim] != 1) return x;
  SdShape s = {.ndim = 0};
  for (int i = 0; i < x->shape.ndim; i++)
    if (i != dim) s.dims[s.ndim++] = x->shape.dims[i];
  return sd_reshape(b, x, &s);
}

/* Fills in the one extent given as -1. */
static int complete_shape(SdBuilder *b, const SdNode *x, SdShape *s) {
  int64_t known = 1, hole = -1;
  for (int i = 0; i < s->ndim; i++) {
    if (s->dims[i] == -1 && hole < 0) hole = i;
    else if (s->dims[i] < 0 ||
             __builtin_mul_overflow(known, s->dims[i], &known))
      return sd_builder_fail(b, SD_EARGUMENT, "reshape: bad shape %s",
                             sd_shape_text(s).text) != NULL;
  }
  int64_t n = sd_shape_numel(&x->shape);
  if (hole < 0) return 1;
  if (known == 0 || n % known)
    return sd_builder_fail(b, SD_EARGUMENT, "reshape: %s does not fit %s",
                           sd_shape_text(&x->shape).text,
                           sd_shape_text(s).text) != NULL;
  s->dims[hole] = n / known;
  return 1;
}

static int reshape_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                        SdNode **out) {
  SdNode *x = c->a[0].x;
  (void)op;
  if (c->a[1].n > SD_MAX_DIMS) {
    sd_builder_fail(b, SD_EARGUMENT, "reshape: more than %d dims",
                    SD_MAX_DIMS);
    return 0;
  }
  SdShape s = sd_shape_make(c->a[1].n, c->a[1].i);
  if (!complete_shape(b, x, &s)) return 0;
  out[0] = sd_reshape(b, x, &s);
  return out[0] != NULL;
}

static int squeeze_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                        SdNode **out) {
  SdNode *x = c->a[0].x;
  int64_t dims = sd_call_dims(b, op->name, &c->a[1], x->shape.ndim);
  if (dims < 0) return 0;
  SdShape s = {.ndim = 0};
  for (int i = 0; i < x->shape.ndim; i++)
    if (x->shape.dims[i] != 1 || !(dims >> i & 1))
      s.dims[s.ndim++] = x->shape.dims[i];
  out[0] = sd_reshape(b, x, &s);
  return out[0] != NULL;
}

static int unsqueeze_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                          SdNode **out) {
  SdNode *x = c->a[0].x;
  int dim = sd_call_dim(b, op->name, c->a[1].i[0], x->shape.ndim + 1);
  if (dim < 0) return 0;
  out[0] = sd_unsqueeze(b, x, dim);
  return out[0] != NULL;
}

/* ---- permute ------------------------------------------------------------ */

static SdStatus permute_infer(SdNode *y, SdError *err) {
  const SdNode *x = y->in[0];
  (void)err;
  y->dtype = x->dtype;
  y->shape.ndim = x->shape.ndim;
  for (int i = 0; i < y->shape.ndim; i++)
    y->shape.dims[i] = x->shape.dims[y->attr->i[i]];
  return SD_OK;
}

static SdStatus permute_eval(const SdNode *y, const SdArray *const *in,
                             SdArray *out, SdError *err) {
  (void)err;
  *out = sd_array_retain(in[0]);
  out->shape = y->shape;
  for (int i = 0; i < y->shape.ndim; i++)
    out->strides[i] = in[0]->strides[y->attr->i[i]];
  return SD_OK;
}

static SdNode *permute_twice(SdBuilder *b, SdNode *x, const int *dims);

SdNode *sd_permute(SdBuilder *b, SdNode *x, const int *dims) {
  SdAttr attr = {.count = 0};
  int identity = 1;
  if (!x) return NULL;
  for (int i = 0; i < x->shape.ndim; i++) {
    attr.i[attr.count++] = dims[i];
    identity &= dims[i] == i;
  }
  if (identity) return x;
  if (x->op == &table[PERMUTE] && !x->value) return permute_twice(b, x, dims);
  return sd_node_make(b, &table[PERMUTE], 1, &x, &attr);
}

/* Two permutations are one. */
static SdNode *permute_twice(SdBuilder *b, SdNode *x, const int *dims) {
  int both[SD_MAX_DIMS];
  for (int i = 0; i < x->shape.ndim; i++) both[i] = (int)x->attr->i[dims[i]];
  return sd_permute(b, x->in[0], both);
}

int sd_is_turned(const SdNode *x) {
  int n = x->shape.ndim;
  if (x->op != &table[PERMUTE]) return 0;
  return x->attr->i[n - 1] == n - 2 && x->attr->i[n - 2] == n - 1;
}

SdNode *sd_transpose(SdBuilder *b, SdNode *x, int i, int j) {
  int dims[SD_MAX_DIMS];
  for (int k = 0; k < SD_MAX_DIMS; k++) dims[k] = k;
  dims[i] = j;
  dims[j] = i;
  return sd_permute(b, x, dims);
}

static SdNode *permute_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  int inverse[SD_MAX_DIMS];
  (void)i;
  for (int k = 0; k < y->shape.ndim; k++) inverse[y->attr->i[k]] = k;
  return sd_permute(b, g, inverse);
}

static SdNode *permute_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                             const int *batched, int64_t size) {
  int dims[SD_MAX_DIMS + 1] = {0};
  (void)batched, (void)size;
  for (int k = 0; k < y->shape.ndim; k++) dims[k + 1] = (int)y->attr->i[k] + 1;
  return sd_permute(b, in[0], dims);
}

static int permute_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                        SdNode **out) {
  SdNode *x = c->a[0].x;
  int dims[SD_MAX_DIMS];
  if (c->a[1].n != x->shape.ndim) {
    sd_builder_fail(b, SD_EARGUMENT, "permute: %d dims given for shape %s",
                    c->a[1].n, sd_shape_text(&x->shape).text);
    return 0;
  }
  if (sd_call_dims(b, op->name, &c->a[1], x->shape.ndim) < 0) return 0;
  for (int i = 0; i < x->shape.ndim; i++)
    dims[i] = sd_call_dim(b, op->name, c->a[1].i[i], x->shape.ndim);
  out[0] = sd_permute(b, x, dims);
  return out[0] != NULL;
}

static int transpose_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                          SdNode **out) {
  SdNode *x = c->a[0].x;
  int i = sd_call_dim(b, op->name, c->a[1].i[0], x->shape.ndim);
  int j = sd_call_dim(b, op->name, c->a[2].i[0], x->shape.ndim);
  if (i < 0 || j < 0) return 0;
  out[0] = sd_transpose(b, x, i, j);
  return out[0] != NULL;
}

/* ---- expand ------------------------------------------------------------- */

static SdStatus expand_infer(SdNode *y, SdError *err) {
  const SdNode *x = y->in[0];
  SdShape s;
  y->dtype = x->dtype;
  y->shape = attr_shape(y, 0, y->attr->count);
  if (sd_shape_broadcast(&x->shape, &y->shape, &s, "expand", err) != SD_OK ||
      !sd_shape_equal(&s, &y->shape))
    return sd_error_set(err, SD_EARGUMENT, "expand: %s does not expand to %s",
                        sd_shape_text(&x->shape).text,
                        sd_shape_text(&y->shape).text);
  return SD_OK;
}

static SdStatus expand_eval(const SdNode *y, const SdArray *const *in,
                            SdArray *out, SdError *err) {
  int shift = y->shape.ndim - in[0]->shape.ndim;
  (void)err;
  *out = sd_array_retain(in[0]);
  out->shape = y->shape;
  for (int i = 0; i < y->shape.ndim; i++) {
    int j = i - shift;
    int fixed = j < 0 || in[0]->shape.dims[j] == 1;
    out->strides[i] = fixed ? 0 : in[0]->strides[j];
  }
  return SD_OK;
}

SdNode *sd_expand(SdBuilder *b, SdNode *x, const SdShape *shape) {
  SdAttr attr = {.count = 0};
  if (!x || sd_shape_equal(&x->shape, shape)) return x;
  push_dims(&attr, shape->dims, shape->ndim);
  return sd_node_make(b, &table[EXPAND], 1, &x, &attr);
}

static SdNode *expand_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  return sd_sum_to(b, g, &y->in[i]->shape);
}

static SdNode *expand_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                            const int *batched, int64_t size) {
  SdShape to = with_leading(&y->shape, size), from = {.ndim = to.ndim};
  int shift = to.ndim - in[0]->shape.ndim;
  (void)batched;
  from.dims[0] = size;
  for (int i = 1; i < to.ndim; i++)
    from.dims[i] = i - shift >= 1 ? in[0]->shape.dims[i - shift] : 1;
  return sd_expand(b, sd_reshape(b, in[0], &from), &to);
}

/* -1 keeps an extent. */
static int expand_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                       SdNode **out) {
  SdNode *x = c->a[0].x;
  if (c->a[1].n > SD_MAX_DIMS || c->a[1].n < x->shape.ndim) {
    sd_builder_fail(b, SD_EARGUMENT, "%s: %d sizes given for shape %s",
                    op->name, c->a[1].n, sd_shape_text(&x->shape).text);
    return 0;
  }
  SdShape s = sd_shape_make(c->a[1].n, c->a[1].i);
  for (int i = 0; i < s.ndim; i++) {
    int j = i - (s.ndim - x->shape.ndim);
    if (s.dims[i] == -1 && j >= 0) s.dims[i] = x->shape.dims[j];
  }
  if (sd_shape_check(&s, op->name, &b->error) != SD_OK) return 0;
  out[0] = sd_expand(b, x, &s);
  return out[0] != NULL;
}

/* ---- slice and its transpose -------------------------------------------- */

/* Start, step and extent of the dims of the larger side, and the bits of those
** that the smaller one is without, as a number. */
static int dims_of(const SdNode *y) { return y->attr->count / 3; }
static int64_t start_of(const SdNode *y, int i) { return y->attr->i[i]; }
static int64_t step_of(const SdNode *y, int i) {
  return y->attr->i[dims_of(y) + i];
}
static int64_t extent_of(const SdNode *y, int i) {
  return y->attr->i[2 * dims_of(y) + i];
}
static unsigned dropped_by(const SdNode *y) { return (unsigned)y->attr->f; }

static SdStatus slice_infer(SdNode *y, SdError *err) {
  (void)err;
  y->dtype = y->in[0]->dtype;
  y->shape.ndim = 0;
  for (int i = 0; i < dims_of(y); i++)
    if (!(dropped_by(y) >> i & 1))
      y->shape.dims[y->shape.ndim++] = extent_of(y, i);
  return SD_OK;
}

static SdStatus slice_eval(const SdNode *y, const SdArray *const *in,
                           SdArray *out, SdError *err) {
  int64_t offset = 0;
  (void)err;
  *out = sd_array_retain(in[0]);
  out->shape = y->shape;
  for (int i = 0, k = 0; i < dims_of(y); i++) {
    if (extent_of(y, i) > 0) offset += start_of(y, i) * in[0]->strides[i];
    if (!(dropped_by(y) >> i & 1))
      out->strides[k++] = in[0]->strides[i] * step_of(y, i);
  }
  if (sd_shape_numel(&y->shape) > 0)
    out->data = (char *)in[0]->data +
                offset * (int64_t)sd_dtype_size((SdDtype)y->dtype);
  return SD_OK;
}

static SdNode *strided_node(SdBuilder *b, const SdOp *op, SdNode *x, int n,
                            const int64_t *start, const int64_t *step,
                            const int64_t *extent, unsigned dropped) {
  SdAttr attr = {.count = 0, .f = dropped};
  push_dims(&attr, start, n);
  push_dims(&attr, step, n);
  push_dims(&attr, extent, n);
  return sd_node_make(b, op, 1, &x, &attr);
}

SdNode *sd_slice(SdBuilder *b, SdNode *x, const int64_t *start,
                 const int64_t *count, const int64_t *step,
                 unsigned dropped) {
  int whole = dropped == 0;
  if (!x) return NULL;
  for (int i = 0; i < x->shape.ndim; i++)
    whole &= start[i] == 0 && step[i] == 1 && count[i] == x->shape.dims[i];
  if (whole) return x;
  return strided_node(b, &table[SLICE], x, x->shape.ndim, start, step, count,
                      dropped);
}

SdNode *sd_embed(SdBuilder *b, SdNode *x, const SdShape *shape,
                 const int64_t *start, const int64_t *step,
                 unsigned dropped) {
  if (!x) return NULL;
  int plain = sd_shape_equal(&x->shape, shape);
  for (int i = 0; i < shape->ndim; i++) plain &= step[i] == 1;
  if (plain) return x;
  return strided_node(b, &table[EMBED], x, shape->ndim, start, step,
                      shape->dims, dropped);
}

SdNode *sd_narrow(SdBuilder *b, SdNode *x, int dim, int64_t start,
                  int64_t count) {
  int64_t s[SD_MAX_DIMS], n[SD_MAX_DIMS], one[SD_MAX_DIMS];
  if (!x) return NULL;
  for (int i = 0; i < x->shape.ndim; i++) {
    s[i] = i == dim ? start : 0;
    n[i] = i == dim ? count : x->shape.dims[i];
    one[i] = 1;
  }
  return sd_slice(b, x, s, n, one, 0);
}

static SdNode *slice_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  return sd_embed(b, g, &y->in[i]->shape, y->attr->i,
                  y->attr->i + dims_of(y), dropped_by(y));
}

static SdNode *embed_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  int64_t count[SD_MAX_DIMS];
  for (int d = 0, k = 0; d < dims_of(y); d++)
    count[d] = dropped_by(y) >> d & 1 ? 1 : y->in[i]->shape.dims[k++];
  return sd_slice(b, g, y->attr->i, count, y->attr->i + dims_of(y),
                  dropped_by(y));
}

static SdNode *strided_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                             const int *batched, int64_t size) {
  int64_t v[3][SD_MAX_DIMS + 1] = {{0}, {1}, {size}};
  int n = dims_of(y);
  (void)batched;
  for (int i = 0; i < n; i++) {
    v[0][i + 1] = start_of(y, i);
    v[1][i + 1] = step_of(y, i);
    v[2][i + 1] = extent_of(y, i);
  }
  return strided_node(b, y->op, in[0], n + 1, v[0], v[1], v[2],
                      dropped_by(y) << 1);
}

static SdStatus embed_infer(SdNode *y, SdError *err) {
  int n = dims_of(y);
  y->dtype = y->in[0]->dtype;
  y->shape = attr_shape(y, 2 * n, n);
  return sd_shape_check(&y->shape, "pad", err);
}

static SdStatus embed_eval(const SdNode *y, const SdArray *const *in,
                           SdArray *out, SdError *err) {
  size_t size = sd_dtype_size((SdDtype)y->dtype);
  int64_t strides[SD_MAX_DIMS], offset = 0, n = sd_array_numel(out);
  (void)err;
  if (n) memset(out->data, 0, (size_t)n * size);
  if (sd_array_numel(in[0]) == 0) return SD_OK;
  for (int i = 0, k = 0; i < y->shape.ndim; i++) {
    offset += start_of(y, i) * out->strides[i];
    if (!(dropped_by(y) >> i & 1))
      strides[k++] = out->strides[i] * step_of(y, i);
  }
  sd_copy_strided(in[0]->shape.ndim, in[0]->shape.dims, size,
                  (char *)out->data + offset * (int64_t)size, strides,
                  in[0]->data, in[0]->strides);
  return SD_OK;
}

static int narrow_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                       SdNode **out) {
  SdNode *x = c->a[0].x;
  int dim = sd_call_dim(b, op->name, c->a[1].i[0], x->shape.ndim);
  int64_t start = c->a[2].i[0], count = c->a[3].i[0];
  if (dim < 0) return 0;
  if (start < 0) start += x->shape.dims[dim] + 1;
  if (start < 1 || count < 0 || start - 1 > x->shape.dims[dim] - count) {
    sd_builder_fail(b, SD_EARGUMENT,
                    "narrow: start %lld, length %lld outside dim %d of %s",
                    (long long)c->a[2].i[0], (long long)count, dim + 1,
                    sd_shape_text(&x->shape).text);
    return 0;
  }
  out[0] = sd_narrow(b, x, dim, start - 1, count);
  return out[0] != NULL;
}

static int flip_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                     SdNode **out) {
  SdNode *x = c->a[0].x;
  int64_t start[SD_MAX_DIMS], step[SD_MAX_DIMS];
  int64_t dims = sd_call_dims(b, op->name, &c->a[1], x->shape.ndim);
  if (dims < 0) return 0;
  for (int i = 0; i < x->shape.ndim; i++) {
    int flipped = (int)(dims >> i & 1);
    start[i] = flipped && x->shape.dims[i] ? x->shape.dims[i] - 1 : 0;
    step[i] = flipped ? -1 : 1;
  }
  out[0] = sd_slice(b, x, start, x->shape.dims, step, 0);
  return out[0] != NULL;
}

/* Held where sums with an extent cannot overflow; no shape is as large. */
static int64_t width(int64_t w) {
  const int64_t most = (int64_t)1 << 61;
  return w < -most ? -most : w > most ? most : w;
}

/* The widths come in pairs, before and after, from the last dim backwards,
** as PyTorch's; negative ones crop. */
static int pad_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                    SdNode **out) {
  SdNode *x = c->a[0].x;
  int n = x->shape.ndim, given = c->a[1].n;
  int64_t start[SD_MAX_DIMS] = {0}, step[SD_MAX_DIMS];
  int64_t from[SD_MAX_DIMS] = {0}, count[SD_MAX_DIMS];
  SdShape shape = x->shape;
  if (given % 2 || given > 2 * n) {
    sd_builder_fail(b, SD_EARGUMENT, "%s: %d widths for shape %s (pairs of "
                    "before and after, last dim first)", op->name, given,
                    sd_shape_text(&x->shape).text);
    return 0;
  }
  for (int i = 0; i < n; i++) {
    int k = 2 * (n - 1 - i);
    int64_t before = k < given ? width(c->a[1].i[k]) : 0;
    int64_t after = k < given ? width(c->a[1].i[k + 1]) : 0;
    int64_t cut = (before < 0 ? -before : 0), cut_end = after < 0 ? -after : 0;
    step[i] = 1;
    from[i] = cut;
    count[i] = x->shape.dims[i] - cut - cut_end;
    start[i] = before > 0 ? before : 0;
    shape.dims[i] = x->shape.dims[i] + before + after;
    if (count[i] < 0 || shape.dims[i] < 0) {
      sd_builder_fail(b, SD_EARGUMENT, "%s: crops more than there is of %s",
                      op->name, sd_shape_text(&x->shape).text);
      return 0;
    }
  }
  SdNode *inner = sd_slice(b, x, from, count, step, 0);
  if (!c->a[2].given || c->a[2].f == 0) {
    out[0] = sd_embed(b, inner, &shape, start, step, 0);
  } else {
    SdNode *one = sd_full(b, SD_BOOL, inner ? &inner->shape : &shape, 1);
    SdNode *inside = sd_embed(b, one, &shape, start, step, 0);
    out[0] = sd_where(b, inside, sd_embed(b, inner, &shape, start, step, 0),
                      sd_number(b, c->a[2].f, 0));
  }
  return out[0] != NULL;
}

/* ---- cat ---------------------------------------------------------------- */

static SdStatus cat_infer(SdNode *y, SdError *err) {
  int dim = (int)y->attr->i[0];
  y->dtype = y->in[0]->dtype;
  y->shape = y->in[0]->shape;
  for (int i = 1; i < y->nin; i++) {
    SdShape s = y->in[i]->shape;
    if (s.ndim == y->shape.ndim) y->shape.dims[dim] += s.dims[dim];
    if (s.ndim == y->shape.ndim) s.dims[dim] = y->shape.dims[dim];
    if (!sd_shape_equal(&s, &y->shape))
      return sd_error_set(err, SD_EARGUMENT,
                          "cat: shapes differ beside dim %d: %s and %s",
                          dim + 1, sd_shape_text(&y->in[0]->shape).text,
                          sd_shape_text(&y->in[i]->shape).text);
  }
  return sd_shape_check(&y->shape, "cat", err);
}

static SdStatus cat_eval(const SdNode *y, const SdArray *const *in,
                         SdArray *out, SdError *err) {
  int dim = (int)y->attr->i[0];
  size_t size = sd_dtype_size((SdDtype)y->dtype);
  char *at = out->data;
  (void)err;
  for (int i = 0; i < y->nin; i++) {
    if (sd_array_numel(in[i]))
      sd_copy_strided(y->shape.ndim, in[i]->shape.dims, size, at,
                      out->strides, in[i]->data, in[i]->strides);
    at += (size_t)(in[i]->shape.dims[dim] * out->strides[dim]) * size;
  }
  return SD_OK;
}

/* A node has at most 255 inputs: longer lists become a tree. */
SdNode *sd_cat(SdBuilder *b, SdNode *const *x, int n, int dim) {
  enum { MOST = 128 };
  SdNode *part[MOST];
  SdAttr attr = {.count = 1, .i = {dim}};
  int parts = 0;
  if (n == 1) return x[0];
  if (n <= MOST) return sd_node_make(b, &table[CAT], n, x, &attr);
  int per = (n + MOST - 1) / MOST;
  for (int i = 0; i < n; i += per)
    part[parts++] = sd_cat(b, x + i, n - i < per ? n - i : per, dim);
  return sd_node_make(b, &table[CAT], parts, part, &attr);
}

static SdNode *cat_t(SdBuilder *b, SdNode *y, int i, SdNode *g) {
  int dim = (int)y->attr->i[0];
  int64_t start = 0;
  for (int k = 0; k < i; k++) start += y->in[k]->shape.dims[dim];
  return sd_narrow(b, g, dim, start, y->in[i]->shape.dims[dim]);
}

static SdNode *cat_batch(SdBuilder *b, SdNode *y, SdNode *const *in,
                         const int *batched, int64_t size) {
  SdNode *x[256];
  for (int i = 0; i < y->nin; i++) {
    SdShape s = with_leading(&y->in[i]->shape, size);
    x[i] = batched[i] ? in[i] : sd_expand(b, in[i], &s);
  }
  return sd_cat(b, x, y->nin, (int)y->attr->i[0] + 1);
}

static SdDtype list_dtype(SdNode *const *x, int n) {
  SdDtype d = (SdDtype)x[0]->dtype;
  for (int i = 1; i < n; i++) d = sd_dtype_promote(d, (SdDtype)x[i]->dtype);
  return d;
}

static int cat_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                    SdNode **out) {
  const SdArgument *l = &c->a[0];
  if (l->n == 0) {
    sd_builder_fail(b, SD_EARGUMENT, "cat: the list is empty");
    return 0;
  }
  int dim = sd_call_dim(b, op->name, c->a[1].i[0], l->list[0]->shape.ndim);
  if (dim < 0) return 0;
  SdDtype d = list_dtype(l->list, l->n);
  for (int i = 0; i < l->n; i++) l->list[i] = sd_cast(b, l->list[i], d);
  if (b->error.code) return 0;
  out[0] = sd_cat(b, l->list, l->n, dim);
  return out[0] != NULL;
}

/* ---- the table ---------------------------------------------------------- */

static const SdOp table[NOPS] = {
    [RESHAPE] = {.name = "reshape", .kind = SD_KIND_VIEW,
                 .flags = SD_OP_STRAIGHTENS, .args = "x shape:S",
                 .doc = "The same elements in another shape; one extent may "
                        "be -1.",
                 .samples = "r{2, 6}, 3, 4\nr{2, 3}, {6}\nr{4}, -1, 2",
                 .infer = reshape_infer, .eval = reshape_eval,
                 .transpose = reshape_t, .batch = reshape_batch,
                 .call = reshape_call},
    [PERMUTE] = {.name = "permute", .kind = SD_KIND_VIEW, .args = "x dims:S",
                 .doc = "Dims in another order.",
                 .samples = "r{2, 3, 4}, 3, 1, 2", .infer = permute_infer,
                 .eval = permute_eval, .transpose = permute_t,
                 .batch = permute_batch, .call = permute_call},
    [EXPAND] = {.name = "expand", .kind = SD_KIND_VIEW, .args = "x shape:S",
                .doc = "Repeated along dims of extent 1, without a copy.",
                .samples = "r{3}, 2, 3\nr{2, 1, 3}, 2, 4, -1",
                .infer = expand_infer, .eval = expand_eval,
                .transpose = expand_t, .batch = expand_batch,
                .call = expand_call},
    [SLICE] = {.name = "slice", .kind = SD_KIND_VIEW, .flags = SD_OP_HIDDEN,
               .infer = slice_infer, .eval = slice_eval,
               .transpose = slice_t, .batch = strided_batch},
    [EMBED] = {.name = "embed", .kind = SD_KIND_CALL, .flags = SD_OP_HIDDEN,
               .infer = embed_infer, .eval = embed_eval,
               .transpose = embed_t, .batch = strided_batch},
    [CAT] = {.name = "cat", .kind = SD_KIND_CALL, .flags = SD_OP_JOINT,
             .args = "list:L dim:I=1",
             .doc = "Tensors joined along dim.",
             .samples = "{r{2, 3}, r{1, 3}}\n{r{2, 3}, r{2, 1}, r{2, 2}}, 2",
             .infer = cat_infer, .eval = cat_eval, .transpose = cat_t,
             .batch = cat_batch, .call = cat_call},
    [SQUEEZE] = {.name = "squeeze", .args = "x dim:D?", .call = squeeze_call,
     .doc = "Without dims of extent 1 (all such, or those named).",
     .samples = "r{2, 1, 3}\nr{1, 2, 1}, 1"},
    [UNSQUEEZE] = {.name = "unsqueeze", .args = "x dim:I",
                   .call = unsqueeze_call,
     .doc = "With a new dim of extent 1.",
     .samples = "r{2, 3}, 2\nr{2}, -1"},
    [TRANSPOSE] = {.name = "transpose", .args = "x a:I=1 b:I=2",
                   .call = transpose_call,
     .doc = "Two dims exchanged.",
     .samples = "r{2, 3, 4}, 1, 3\nr{2, 3}"},
    [NARROW] = {.name = "narrow", .args = "x dim:I start:I length:I",
     .call = narrow_call, .doc = "length elements of dim from start on.",
     .samples = "r{2, 4}, 2, 2, 2"},
    [FLIP] = {.name = "flip", .args = "x dim:D?", .call = flip_call,
     .doc = "Order reversed along dims.",
     .samples = "r{2, 3}, 2\nr{2, 3}"},
    [PAD] = {.name = "pad", .args = "x widths:S value:F?", .call = pad_call,
     .doc = "Bordered by value (0); widths before and after, last dim "
            "first.",
     .samples = "r{2, 3}, {1, 2}\nr{2, 3}, {0, 1, 1, 0}, {value = 2}"},
};

extern const SdOpList sd_shape_ops;
const SdOpList sd_shape_ops = {table, NOPS};
