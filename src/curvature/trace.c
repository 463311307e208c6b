#include "curvature/trace.h"

#include "base/memory.h"
#include "curvature/basis.h"
#include "curvature/lanczos.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

/* Of products taken at once: more would gain little, and be lost together by
** an interrupt. */
enum { BATCH_BYTES = 64 * 1024 * 1024, BATCH_MOST = 16 };

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

/* The products of rows first .. first + count - 1 of v. */
static SdStatus products(const SdOperator *op, const void *v, int64_t first,
                         int64_t count, void *out, SdTraceEstimate *t,
                         SdError *err) {
  t->products += count;
  return sd_operator_apply_rows(op, count, probe(op, v, first), out, err);
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* How many products are taken at once: as their memory allows. */
static int64_t batch_size(const SdOperator *op, int64_t count) {
  int64_t bytes = op->n * (int64_t)sd_dtype_size(op->dtype);
  int64_t batch = op->matmat ? BATCH_BYTES / bytes : 1;
  batch = batch < 1 ? 1 : batch;
  return least(batch, least(count, BATCH_MOST));
}

static SdStatus not_finite(int64_t product, SdError *err) {
  return sd_error_set(err, SD_ENUMERIC,
                      "trace: the operator's product %lld is not finite",
                      (long long)product);
}

/* The mean of the samples plus base, and its standard error. */
static void summarise(SdTraceEstimate *t, double base, int64_t count,
                      const double *samples) {
  double mean = 0, square = 0, n = (double)count;
  for (int64_t i = 0; i < count; i++) mean += samples[i] / n;
  for (int64_t i = 0; i < count; i++)
    square += (samples[i] - mean) * (samples[i] - mean);
  t->value = base + mean;
  t->samples = count;
  t->error = count > 1 ? sqrt(square / (n * (n - 1))) : NAN;
}

/* Whether an interrupt ended what has done > 0 samples, which then stand. */
static int is_cut(SdStatus status, int64_t done, SdTraceEstimate *t) {
  if (status != SD_EINTERRUPT || done < 1) return 0;
  sd_interrupt_keep();
  t->interrupted = 1;
  return 1;
}

/* ---- Hutchinson --------------------------------------------------------- */

static SdStatus hutchinson(const SdOperator *op, int64_t count,
                           const void *probes, int64_t batch, void *w,
                           double *samples, SdTraceEstimate *t,
                           SdError *err) {
  for (int64_t at = 0; at < count; at += batch) {
    int64_t now = least(batch, count - at);
    SdStatus status = products(op, probes, at, now, w, t, err);
    if (is_cut(status, at, t)) {
      summarise(t, 0, at, samples);
      return SD_OK;
    }
    if (status != SD_OK) return status;
    for (int64_t i = 0; i < now; i++)
      samples[at + i] = sd_vector_dot(op->dtype, op->n,
                                      probe(op, probes, at + i),
                                      probe(op, w, i));
    for (int64_t i = at; i < at + now; i++)
      if (!isfinite(samples[i])) return not_finite(i + 1, err);
  }
  summarise(t, 0, count, samples);
  return SD_OK;
}

SdStatus sd_trace_hutchinson(const SdOperator *op, int64_t count,
                             const void *probes, SdTraceEstimate *out,
                             SdError *err) {
  *out = (SdTraceEstimate){0};
  if (check(op, count, 1, err) != SD_OK) return err->code;
  int64_t batch = batch_size(op, count);
  size_t sums = (size_t)count * sizeof(double);
  size_t bytes = sums + (size_t)(batch * op->n) * sd_dtype_size(op->dtype);
  double *samples = sd_memory_alloc(bytes, err);
  if (!samples) return err->code;
  SdStatus status = hutchinson(op, count, probes, batch, samples + count,
                               samples, out, err);
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
  SdBasis q;         /* count + 1 rows */
  void *work;        /* 2 batch rows */
  int64_t count, rank, batch;
  int64_t done;      /* probes whose products there are */
  double *r;         /* count x count: column i holds A omega_i in q */
  double *plain;     /* count: omega_i^T A omega_i */
  double *small;     /* further matrices and vectors */
  size_t bytes;
} Sketch;

static size_t work_bytes(const Sketch *s) {
  return (size_t)(2 * s->batch * s->op->n) * sd_dtype_size(s->op->dtype);
}

static void sketch_free(Sketch *s) {
  sd_memory_free(s->r, s->bytes);
  sd_memory_free(s->work, work_bytes(s));
  sd_basis_free(&s->q);
}

static void *work_row(const Sketch *s, int64_t i) {
  return sd_vector_at(s->op->dtype, s->work, i * s->op->n);
}

static SdStatus sketch_new(Sketch *s, size_t small, SdError *err) {
  size_t c = (size_t)s->count;
  s->bytes = (c * c + c + small) * sizeof(double);
  s->r = sd_memory_alloc(s->bytes, err);
  if (!s->r) return err->code;
  s->plain = s->r + c * c;
  s->small = s->plain + c;
  memset(s->r, 0, s->bytes);
  s->batch = batch_size(s->op, s->count);
  s->work = sd_memory_alloc(work_bytes(s), err);
  if (!s->work) return err->code;
  return sd_basis_new(&s->q, s->op->dtype, s->op->n, s->count + 1, err);
}

/* Adds y, the product with probe i; one that lies in q but for rounding adds
** no row.  h: count doubles. */
static SdStatus sketch_add(Sketch *s, int64_t i, const void *y, double *h,
                           SdError *err) {
  SdDtype d = s->op->dtype;
  int64_t n = s->op->n;
  void *w = sd_basis_row(&s->q, s->rank);
  memcpy(w, y, (size_t)n * sd_dtype_size(d));
  double norm = sd_vector_norm(d, n, w);
  if (!isfinite(norm)) return not_finite(s->t->products, err);
  double left = sd_basis_orthogonalize(&s->q, s->rank, w, h);
  for (int64_t j = 0; j < s->rank; j++) s->r[j * s->count + i] = h[j];
  if (left <= sd_lanczos_rounding(d) * norm || s->rank == n) return SD_OK;
  sd_vector_scale(d, n, 1 / left, w);
  s->r[s->rank * s->count + i] = left;
  s->rank++;
  return SD_OK;
}

static SdStatus sketch_build(Sketch *s, double *h, SdError *err) {
  for (int64_t at = 0; at < s->count; at += s->batch) {
    int64_t now = least(s->batch, s->count - at);
    if (products(s->op, s->probes, at, now, s->work, s->t, err) != SD_OK)
      return err->code;
    for (int64_t i = 0; i < now; i++) {
      s->plain[at + i] = sd_vector_dot(s->op->dtype, s->op->n,
                                       probe(s->op, s->probes, at + i),
                                       work_row(s, i));
      if (sketch_add(s, at + i, work_row(s, i), h, err) != SD_OK)
        return err->code;
    }
    s->done = at + now;
  }
  return SD_OK;
}

/* After an interrupt: Hutchinson's estimate from the sketch's products. */
static SdStatus sketch_finish(Sketch *s, SdStatus status) {
  if (is_cut(status, s->done, s->t)) {
    summarise(s->t, 0, s->done, s->plain);
    status = SD_OK;
  }
  sketch_free(s);
  return status;
}

/* ---- Hutch++ ------------------------------------------------------------ */

/* tr(Q^T A Q) */
static SdStatus exact_part(Sketch *s, double *sum, SdError *err) {
  const SdOperator *op = s->op;
  for (int64_t at = 0; at < s->rank; at += s->batch) {
    int64_t now = least(s->batch, s->rank - at);
    if (products(op, s->q.rows, at, now, s->work, s->t, err) != SD_OK)
      return err->code;
    for (int64_t i = 0; i < now; i++)
      *sum += sd_vector_dot(op->dtype, op->n, sd_basis_row(&s->q, at + i),
                            work_row(s, i));
  }
  return SD_OK;
}

/* Probes first .. first + count - 1 without their parts in the range. */
static SdStatus test_rest(Sketch *s, int64_t first, int64_t count,
                          double *samples, SdError *err) {
  const SdOperator *op = s->op;
  memcpy(s->work, probe(op, s->probes, first),
         (size_t)(count * op->n) * sd_dtype_size(op->dtype));
  for (int64_t i = 0; i < count; i++)
    sd_basis_orthogonalize(&s->q, s->rank, work_row(s, i), NULL);
  if (products(op, s->work, 0, count, work_row(s, s->batch), s->t, err))
    return err->code;
  for (int64_t i = 0; i < count; i++)
    samples[i] = sd_vector_dot(op->dtype, op->n, work_row(s, i),
                               work_row(s, s->batch + i));
  return SD_OK;
}

static SdStatus hutchpp(Sketch *s, int64_t tests, SdError *err) {
  double *samples = s->small, *h = s->small + tests, trace = 0;
  if (sketch_build(s, h, err) != SD_OK ||
      exact_part(s, &trace, err) != SD_OK)
    return err->code;
  for (int64_t at = 0; at < tests; at += s->batch) {
    SdStatus status = test_rest(s, s->count + at, least(s->batch, tests - at),
                                samples + at, err);
    if (is_cut(status, at - 1, s->t)) tests = at; /* two, for a spread */
    else if (status != SD_OK) return status;
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
  return sketch_finish(&s, status);
}

/* ---- XTrace ------------------------------------------------------------- */

/* In the names of the paper: with Y = A Omega = Q R, h = Q^T A Q, w = Q^T
** Omega, and s_i (column i of s) the unit vector for which Q (1 - s_i s_i^T)
** Q^T projects on the range of all products but the i-th.  All matrices are
** count x count, of which rank rows are used. */
typedef struct XTrace {
  Sketch *k;
  double *h, *w, *s;
  double *hs, *hw;               /* h s, h w */
  double *shs, *shw, *sw, *ss, *sr; /* s^T of h s, h w, w, s, r */
  double *whw, *wr;              /* count: w_i^T h w_i, w_i^T r_i */
  double *si, *column, *samples; /* count */
  double trace;                  /* of h */
} XTrace;

enum { XTRACE_MATRICES = 10, XTRACE_VECTORS = 5 };

static SdStatus xtrace_products(XTrace *x, SdError *err) {
  Sketch *k = x->k;
  int64_t c = k->count;
  for (int64_t at = 0; at < k->rank; at += k->batch) {
    int64_t now = least(k->batch, k->rank - at);
    if (products(k->op, k->q.rows, at, now, k->work, k->t, err) != SD_OK)
      return err->code;
    for (int64_t j = 0; j < now; j++)
      sd_basis_dots(&k->q, k->rank, work_row(k, j), x->h + (at + j) * c);
  }
  for (int64_t i = 0; i < c; i++) {
    sd_basis_dots(&k->q, k->rank, probe(k->op, k->probes, i), x->column);
    for (int64_t j = 0; j < k->rank; j++) x->w[j * c + i] = x->column[j];
  }
  return SD_OK;
}

/* s_i is column i of R^-T, normalised.  When the products are dependent, all
** but one of them still span the range, for probes in general position:
** s_i = 0. */
static void left_out(XTrace *x, int64_t i) {
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

/* c = op(a) b */
static void multiply(const XTrace *x, CBLAS_TRANSPOSE op, const double *a,
                     const double *b, double *c) {
  int n = (int)x->k->count;
  cblas_dgemm(CblasRowMajor, op, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, c,
              n);
}

static void xtrace_prepare(XTrace *x) {
  int64_t c = x->k->count;
  for (int64_t i = 0; i < c; i++) {
    left_out(x, i);
    for (int64_t a = 0; a < c; a++) x->s[a * c + i] = x->si[a];
    x->trace += x->h[i * c + i];
  }
  multiply(x, CblasNoTrans, x->h, x->s, x->hs);
  multiply(x, CblasNoTrans, x->h, x->w, x->hw);
  multiply(x, CblasTrans, x->s, x->hs, x->shs);
  multiply(x, CblasTrans, x->s, x->hw, x->shw);
  multiply(x, CblasTrans, x->s, x->w, x->sw);
  multiply(x, CblasTrans, x->s, x->s, x->ss);
  multiply(x, CblasTrans, x->s, x->k->r, x->sr);
  for (int64_t i = 0; i < c; i++) {
    x->whw[i] = x->wr[i] = 0;
    for (int64_t a = 0; a < c; a++) {
      x->whw[i] += x->w[a * c + i] * x->hw[a * c + i];
      x->wr[i] += x->w[a * c + i] * x->k->r[a * c + i];
    }
  }
}

/* The estimate that leaves probes i and l (or i alone: l = i) out of the range
** and tests probe i there: tr(h) - tr(E^T h E) + u^T A u, E = (e, f) a basis
** of s_i and s_l, u = omega - Q g, g = w - E E^T w; Q^T A omega is column i of
** R. */
static double xtrace_sample(const XTrace *x, int64_t i, int64_t l) {
  int64_t c = x->k->count;
#define AT(m, a, b) x->m[(a) * c + (b)]
  double rho = AT(ss, i, l), left = sqrt(fmax(0, 1 - rho * rho));
  /* f = alpha s_l + beta s_i */
  double alpha = l != i && left > 1e-8 ? 1 / left : 0, beta = -alpha * rho;
  double ew = AT(sw, i, i), fw = alpha * AT(sw, l, i) + beta * ew;
  double ehe = AT(shs, i, i), ehf = alpha * AT(shs, i, l) + beta * ehe;
  double fhf = alpha * alpha * AT(shs, l, l) + beta * beta * ehe +
               2 * alpha * beta * AT(shs, i, l);
  double ehw = AT(shw, i, i), fhw = alpha * AT(shw, l, i) + beta * ehw;
  double er = AT(sr, i, i), fr = alpha * AT(sr, l, i) + beta * er;
#undef AT
  double gr = x->wr[i] - ew * er - fw * fr;
  double ghg = x->whw[i] - 2 * ew * ehw - 2 * fw * fhw + ew * ew * ehe +
               2 * ew * fw * ehf + fw * fw * fhf;
  return x->trace - ehe - fhf + x->wr[i] - 2 * gr + ghg;
}

/* The samples share most of their probes, so that their spread understates
** the error, by 1 to 2 times.  The jackknife, which leaves out each probe in
** turn, overstates it (Efron and Stein 1981), by 1.2 to 3: a range that loses
** a probe loses more than one that trades it for another.  Their geometric
** mean was 0.9 to 1.9 of the true error on flat, stepped, algebraic and
** exponential spectra, with 5 to 60 probes. */
static void xtrace_summarise(XTrace *x) {
  int64_t c = x->k->count;
  for (int64_t i = 0; i < c; i++) x->samples[i] = xtrace_sample(x, i, i);
  summarise(x->k->t, 0, c, x->samples);
  if (c < 2) return;
  double mean = 0, square = 0, n = (double)c;
  for (int64_t l = 0; l < c; l++) {
    double without = 0;
    for (int64_t i = 0; i < c; i++)
      if (i != l) without += xtrace_sample(x, i, l) / (n - 1);
    x->samples[l] = without;
    mean += without / n;
  }
  for (int64_t l = 0; l < c; l++)
    square += (x->samples[l] - mean) * (x->samples[l] - mean);
  x->k->t->error = sqrt(x->k->t->error * sqrt(square * (n - 1) / n));
}

static SdStatus xtrace(Sketch *k, SdError *err) {
  size_t c = (size_t)k->count;
  XTrace x = {.k = k};
  double **matrices[XTRACE_MATRICES] = {&x.h,   &x.w,   &x.s,  &x.hs, &x.hw,
                                        &x.shs, &x.shw, &x.sw, &x.ss, &x.sr};
  double **vectors[XTRACE_VECTORS] = {&x.whw, &x.wr, &x.si, &x.column,
                                      &x.samples};
  double *at = k->small;
  for (int i = 0; i < XTRACE_MATRICES; i++, at += c * c) *matrices[i] = at;
  for (int i = 0; i < XTRACE_VECTORS; i++, at += c) *vectors[i] = at;
  if (sketch_build(k, x.column, err) != SD_OK ||
      xtrace_products(&x, err) != SD_OK)
    return err->code;
  xtrace_prepare(&x);
  xtrace_summarise(&x);
  return SD_OK;
}

SdStatus sd_trace_xtrace(const SdOperator *op, int64_t count,
                         const void *probes, SdTraceEstimate *out,
                         SdError *err) {
  *out = (SdTraceEstimate){0};
  if (check(op, count, 1, err) != SD_OK) return err->code;
  Sketch k = {.op = op, .probes = probes, .t = out, .count = count};
  size_t c = (size_t)count;
  SdStatus status = sketch_new(
      &k, XTRACE_MATRICES * c * c + XTRACE_VECTORS * c, err);
  if (status == SD_OK) status = xtrace(&k, err);
  return sketch_finish(&k, status);
}
