#include "curvature/trace.h"

#include "base/memory.h"
#include "curvature/basis.h"
#include "curvature/lanczos.h"

#include <math.h>
#include <string.h>

static const void *probe(const SdOperator *op, const void *probes,
                         int64_t i) {
  return sd_vector_at(op->dtype, probes, i * op->n);
}

static SdStatus check(const SdOperator *op, int64_t count, int64_t least,
                      SdError *err) {
  if (count < least || count > INT16_MAX)
    return sd_error_set(err, SD_EARGUMENT,
                        "trace: %lld probes, %lld to %d can be",
                        (long long)count, (long long)least, INT16_MAX);
  return sd_operator_check(op, "trace", err);
}

static SdStatus product(const SdOperator *op, const void *v, void *out,
                        SdTraceEstimate *t, SdError *err) {
  t->products++;
  return sd_operator_apply(op, v, out, err);
}

/* The mean of the samples plus base, and its standard error. */
static void summarise(SdTraceEstimate *t, double base, int64_t count,
                      const double *samples) {
  double mean = 0, square = 0, n = (double)count;
  for (int64_t i = 0; i < count; i++) mean += samples[i] / n;
  for (int64_t i = 0; i < count; i++)
    square += (samples[i] - mean) * (samples[i] - mean);
  t->value = base + mean;
  t->error = count > 1 ? sqrt(square / (n * (n - 1))) : NAN;
}

/* ---- Hutchinson --------------------------------------------------------- */

SdStatus sd_trace_hutchinson(const SdOperator *op, int64_t count,
                             const void *probes, SdTraceEstimate *out,
                             SdError *err) {
  *out = (SdTraceEstimate){0};
  if (check(op, count, 1, err) != SD_OK) return err->code;
  size_t sums = (size_t)count * sizeof(double);
  size_t bytes = sums + (size_t)op->n * sd_dtype_size(op->dtype);
  double *samples = sd_memory_alloc(bytes, err);
  if (!samples) return err->code;
  void *w = samples + count;
  SdStatus status = SD_OK;
  for (int64_t i = 0; i < count && status == SD_OK; i++) {
    const void *v = probe(op, probes, i);
    status = product(op, v, w, out, err);
    if (status == SD_OK)
      samples[i] = sd_vector_dot(op->dtype, op->n, v, w);
  }
  if (status == SD_OK) summarise(out, 0, count, samples);
  sd_memory_free(samples, bytes);
  return status;
}

/* ---- what the sketching methods share ----------------------------------- */

/* An orthonormal basis q of A's products with the first count probes, and
** room for small matrices. */
typedef struct Sketch {
  const SdOperator *op;
  const void *probes;
  SdTraceEstimate *t;
  SdBasis q;         /* count + 2 rows, the last two for work */
  int64_t count, rank;
  double *r;         /* count x count: column i holds A omega_i in q */
  double *small;     /* further matrices and vectors */
  size_t bytes;
} Sketch;

static void sketch_free(Sketch *s) {
  sd_memory_free(s->r, s->bytes);
  sd_basis_free(&s->q);
}

static void *work_row(const Sketch *s, int i) {
  return sd_basis_row(&s->q, s->count + i);
}

static SdStatus sketch_new(Sketch *s, size_t small, SdError *err) {
  size_t c = (size_t)s->count;
  s->bytes = (c * c + small) * sizeof(double);
  s->r = sd_memory_alloc(s->bytes, err);
  if (!s->r) return err->code;
  s->small = s->r + c * c;
  memset(s->r, 0, s->bytes);
  return sd_basis_new(&s->q, s->op->dtype, s->op->n, s->count + 2, err);
}

/* Adds the product with probe i; a product that lies in q but for rounding
** adds no row.  h: count doubles. */
static SdStatus sketch_add(Sketch *s, int64_t i, double *h, SdError *err) {
  SdDtype d = s->op->dtype;
  int64_t n = s->op->n;
  void *w = sd_basis_row(&s->q, s->rank);
  if (product(s->op, probe(s->op, s->probes, i), w, s->t, err) != SD_OK)
    return err->code;
  double norm = sd_vector_norm(d, n, w);
  if (!isfinite(norm))
    return sd_error_set(err, SD_ENUMERIC,
                        "trace: the operator's product %lld is not finite",
                        (long long)s->t->products);
  double left = sd_basis_orthogonalize(&s->q, s->rank, w, h);
  for (int64_t j = 0; j < s->rank; j++) s->r[j * s->count + i] = h[j];
  if (left <= sd_lanczos_rounding(d) * norm || s->rank == n) return SD_OK;
  sd_vector_scale(d, n, 1 / left, w);
  s->r[s->rank * s->count + i] = left;
  s->rank++;
  return SD_OK;
}

static SdStatus sketch_build(Sketch *s, double *h, SdError *err) {
  for (int64_t i = 0; i < s->count; i++)
    if (sketch_add(s, i, h, err) != SD_OK) return err->code;
  return SD_OK;
}

/* ---- Hutch++ ------------------------------------------------------------ */

/* tr(Q^T A Q) */
static SdStatus exact_part(Sketch *s, double *sum, SdError *err) {
  for (int64_t j = 0; j < s->rank; j++) {
    void *q = sd_basis_row(&s->q, j), *w = work_row(s, 0);
    if (product(s->op, q, w, s->t, err) != SD_OK) return err->code;
    *sum += sd_vector_dot(s->op->dtype, s->op->n, q, w);
  }
  return SD_OK;
}

static SdStatus hutchpp(Sketch *s, int64_t tests, SdError *err) {
  const SdOperator *op = s->op;
  double *samples = s->small, *h = s->small + tests, trace = 0;
  if (sketch_build(s, h, err) != SD_OK ||
      exact_part(s, &trace, err) != SD_OK)
    return err->code;
  for (int64_t i = 0; i < tests; i++) {
    void *g = work_row(s, 0), *w = work_row(s, 1);
    memcpy(g, probe(op, s->probes, s->count + i),
           (size_t)op->n * sd_dtype_size(op->dtype));
    sd_basis_orthogonalize(&s->q, s->rank, g, NULL);
    if (product(op, g, w, s->t, err) != SD_OK) return err->code;
    samples[i] = sd_vector_dot(op->dtype, op->n, g, w);
  }
  summarise(s->t, trace, tests, samples);
  return SD_OK;
}

SdStatus sd_trace_hutchpp(const SdOperator *op, int64_t count,
                          const void *probes, SdTraceEstimate *out,
                          SdError *err) {
  *out = (SdTraceEstimate){0};
  if (check(op, count, 2, err) != SD_OK) return err->code;
  Sketch s = {.op = op, .probes = probes, .t = out, .count = count / 2};
  SdStatus status = sketch_new(&s, (size_t)(2 * count), err);
  if (status == SD_OK) status = hutchpp(&s, count - s.count, err);
  sketch_free(&s);
  return status;
}

/* ---- XTrace ------------------------------------------------------------- */

/* In the names of the paper: with Y = A Omega = Q R, h = Q^T A Q (rank x
** rank), w = Q^T Omega (rank x count), and s_i the unit vector for which
** Q (1 - s_i s_i^T) Q^T projects on the range of all products but the i-th. */
typedef struct XTrace {
  Sketch *k;
  double *h, *w, *si, *g, *samples;
} XTrace;

static SdStatus xtrace_products(XTrace *x, SdError *err) {
  Sketch *k = x->k;
  int64_t c = k->count;
  for (int64_t j = 0; j < k->rank; j++) {
    void *z = work_row(k, 0);
    if (product(k->op, sd_basis_row(&k->q, j), z, k->t, err) != SD_OK)
      return err->code;
    sd_basis_dots(&k->q, k->rank, z, x->h + j * c);
  }
  for (int64_t i = 0; i < c; i++) {
    sd_basis_dots(&k->q, k->rank, probe(k->op, k->probes, i), x->g);
    for (int64_t j = 0; j < k->rank; j++) x->w[j * c + i] = x->g[j];
  }
  return SD_OK;
}

/* s_i is column i of R^-T, normalised.  When the products are dependent, all
** but one of them still span the range, for probes in general position:
** s_i = 0. */
static void left_out(const XTrace *x, int64_t i) {
  const Sketch *k = x->k;
  int64_t c = k->count;
  double norm = 0;
  memset(x->si, 0, (size_t)c * sizeof *x->si);
  if (k->rank < c) return;
  for (int64_t a = i; a < c; a++) { /* R^T s = e_i by substitution */
    double v = a == i;
    for (int64_t b = i; b < a; b++) v -= k->r[b * c + a] * x->si[b];
    x->si[a] = v / k->r[a * c + a];
    norm = hypot(norm, x->si[a]);
    if (norm < 1e100 && a < c - 1) continue;
    for (int64_t b = i; b <= a; b++) x->si[b] /= norm;
    norm = 1;
  }
}

/* a^T h b */
static double form(const XTrace *x, const double *a, const double *b) {
  int64_t c = x->k->count, r = x->k->rank;
  double sum = 0;
  for (int64_t i = 0; i < r; i++)
    for (int64_t j = 0; j < r; j++) sum += a[i] * x->h[i * c + j] * b[j];
  return sum;
}

/* The estimate that leaves probe i out of the range and tests it there:
** tr(h) - s^T h s + u^T A u, u = omega - Q g, g = (1 - s s^T) w; Q^T A omega is
** column i of R. */
static double xtrace_sample(const XTrace *x, int64_t i) {
  const Sketch *k = x->k;
  int64_t c = k->count;
  double along = 0, trace = 0, test = 0;
  left_out(x, i);
  for (int64_t a = 0; a < k->rank; a++) along += x->si[a] * x->w[a * c + i];
  for (int64_t a = 0; a < k->rank; a++) {
    x->g[a] = x->w[a * c + i] - along * x->si[a];
    trace += x->h[a * c + a];
    /* omega^T A omega - 2 g^T Q^T A omega */
    test += (x->w[a * c + i] - 2 * x->g[a]) * k->r[a * c + i];
  }
  return trace - form(x, x->si, x->si) + test + form(x, x->g, x->g);
}

static SdStatus xtrace(Sketch *k, SdError *err) {
  size_t c = (size_t)k->count;
  double *h = k->small, *w = h + c * c, *si = w + c * c;
  XTrace x = {k, h, w, si, si + c, si + 2 * c};
  if (sketch_build(k, x.g, err) != SD_OK ||
      xtrace_products(&x, err) != SD_OK)
    return err->code;
  for (int64_t i = 0; i < k->count; i++) x.samples[i] = xtrace_sample(&x, i);
  summarise(k->t, 0, k->count, x.samples);
  return SD_OK;
}

SdStatus sd_trace_xtrace(const SdOperator *op, int64_t count,
                         const void *probes, SdTraceEstimate *out,
                         SdError *err) {
  *out = (SdTraceEstimate){0};
  if (check(op, count, 1, err) != SD_OK) return err->code;
  Sketch k = {.op = op, .probes = probes, .t = out, .count = count};
  size_t c = (size_t)count;
  SdStatus status = sketch_new(&k, 2 * c * c + 3 * c, err);
  if (status == SD_OK) status = xtrace(&k, err);
  sketch_free(&k);
  return status;
}
