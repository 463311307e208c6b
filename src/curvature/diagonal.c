#include "curvature/diagonal.h"

#include "base/memory.h"
#include "curvature/vector.h"

#include <math.h>
#include <string.h>

/* Of products taken at once: more would gain little, and be lost together by
** an interrupt. */
enum { BATCH_BYTES = 64 * 1024 * 1024, BATCH_MOST = 16 };

/* Given the products of some probes, once for each batch; *done counts the
** probes. */
typedef void Take(void *context, const SdOperator *op, int64_t count,
                  const void *v, const void *w);

static SdStatus for_each_batch(const SdOperator *op, int64_t count,
                               const void *probes, Take *take, void *context,
                               const char *what, int64_t *done,
                               SdError *err) {
  int64_t row = op->n * (int64_t)sd_dtype_size(op->dtype);
  int64_t batch = op->matmat && row < BATCH_BYTES ? BATCH_BYTES / row : 1;
  if (batch > BATCH_MOST) batch = BATCH_MOST;
  if (batch > count) batch = count;
  size_t bytes = (size_t)(batch * row);
  void *w = sd_memory_alloc(bytes, err);
  SdStatus status = w ? SD_OK : err->code;
  *done = 0;
  for (int64_t at = 0; at < count && status == SD_OK; at += batch) {
    int64_t now = count - at < batch ? count - at : batch;
    const void *v = sd_vector_at(op->dtype, probes, at * op->n);
    status = sd_operator_apply_rows(op, now, v, w, err);
    for (int64_t i = 0; status == SD_OK && i < now; i++)
      if (!isfinite(sd_vector_norm(op->dtype, op->n,
                                   sd_vector_at(op->dtype, w, i * op->n))))
        status = sd_error_set(err, SD_ENUMERIC,
                              "%s: the operator's product %lld is not finite",
                              what, (long long)(at + i + 1));
    if (status != SD_OK) break;
    take(context, op, now, v, w);
    *done += now;
  }
  sd_memory_free(w, bytes);
  if (status != SD_EINTERRUPT || *done == 0) return status;
  sd_interrupt_keep();
  return SD_OK;
}

static SdStatus check(const SdOperator *op, int64_t count, const char *what,
                      SdError *err) {
  if (count < 1)
    return sd_error_set(err, SD_EARGUMENT, "%s: %lld probes", what,
                        (long long)count);
  return sd_operator_check(op, what, err);
}

static double real_at(SdDtype d, const void *x, int64_t i) {
  return d == SD_F32 ? (double)((const float *)x)[i]
                     : ((const double *)x)[i];
}

/* ---- the diagonal ------------------------------------------------------- */

typedef struct Diagonal {
  double *mean, *square; /* n: weighted mean; sum of weighted squares */
  double *weight;        /* n: sums of v_i^2 */
} Diagonal;

/* West's update of a weighted mean (1979). */
static void take_diagonal(void *context, const SdOperator *op, int64_t count,
                          const void *v, const void *w) {
  Diagonal *d = context;
  for (int64_t k = 0; k < count; k++)
    for (int64_t i = 0; i < op->n; i++) {
      double x = real_at(op->dtype, v, k * op->n + i), weight = x * x;
      double sample = real_at(op->dtype, w, k * op->n + i) / x;
      if (weight == 0) continue;
      double delta = sample - d->mean[i];
      d->weight[i] += weight;
      d->mean[i] += delta * weight / d->weight[i];
      d->square[i] += weight * delta * (sample - d->mean[i]);
    }
}

SdStatus sd_diagonal_estimate(const SdOperator *op, int64_t count,
                              const void *probes, double *value,
                              double *error, int64_t *done, SdError *err) {
  if (check(op, count, "diag", err) != SD_OK) return err->code;
  size_t bytes = (size_t)op->n * sizeof(double);
  Diagonal d = {value, error, sd_memory_alloc(bytes, err)};
  if (!d.weight) return err->code;
  memset(value, 0, bytes);
  memset(error, 0, bytes);
  memset(d.weight, 0, bytes);
  SdStatus status =
      for_each_batch(op, count, probes, take_diagonal, &d, "diag", done,
                     err);
  for (int64_t i = 0; i < op->n; i++) {
    double degrees = (double)(*done - 1);
    error[i] = *done > 1 ? sqrt(error[i] / d.weight[i] / degrees) : NAN;
    if (d.weight[i] == 0) value[i] = NAN;
  }
  sd_memory_free(d.weight, bytes);
  return status;
}

/* ---- the Frobenius norm ------------------------------------------------- */

typedef struct Squares {
  double mean, square;
  int64_t count;
} Squares;

static void take_square(void *context, const SdOperator *op, int64_t count,
                        const void *v, const void *w) {
  Squares *s = context;
  (void)v;
  for (int64_t k = 0; k < count; k++) {
    const void *row = sd_vector_at(op->dtype, w, k * op->n);
    double sample = sd_vector_dot(op->dtype, op->n, row, row);
    double delta = sample - s->mean;
    s->mean += delta / (double)++s->count;
    s->square += delta * (sample - s->mean);
  }
}

SdStatus sd_frobenius_estimate(const SdOperator *op, int64_t count,
                               const void *probes, double *value,
                               double *error, int64_t *done, SdError *err) {
  if (check(op, count, "frobenius", err) != SD_OK) return err->code;
  Squares s = {0, 0, 0};
  if (for_each_batch(op, count, probes, take_square, &s, "frobenius", done,
                     err) != SD_OK)
    return err->code;
  double n = (double)*done;
  double spread = *done > 1 ? sqrt(s.square / (n * (n - 1))) : NAN;
  *value = sqrt(s.mean);
  *error = s.mean > 0 ? spread / (2 * *value) : spread;
  return SD_OK;
}
