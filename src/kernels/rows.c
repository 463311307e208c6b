#include "kernels/rows.h"

#include "base/interrupt.h"
#include "kernels/rows_table.h"

#include <string.h>

static const SdRowsTable *const tables[SD_NDTYPES] = {
    [SD_BOOL] = &sd_rows_table_bool, [SD_U8] = &sd_rows_table_u8,
    [SD_I32] = &sd_rows_table_i32,   [SD_I64] = &sd_rows_table_i64,
    [SD_F32] = &sd_rows_table_f32,   [SD_F64] = &sd_rows_table_f64};

void sd_rows_argmax(SdDtype d, const SdRows *r, const void *x, int64_t *out) {
  tables[d]->argmax(r, x, out);
}

void sd_rows_argmin(SdDtype d, const SdRows *r, const void *x, int64_t *out) {
  tables[d]->argmin(r, x, out);
}

void sd_rows_cumsum(SdDtype d, const SdRows *r, int reverse, const void *x,
                    void *out) {
  tables[d]->cumsum(r, reverse, x, out);
}

/* ---- indices -------------------------------------------------------- */

static inline int is_inside(int64_t at, int64_t len) {
  return (at >= 1 && at <= len) || (at < 0 && at >= -len);
}

/* The kernels below trust their indices: all are looked at before. */
static SdStatus check_indices(const char *what, int64_t n,
                              const int64_t *index, int64_t len,
                              SdError *err) {
  int64_t bad = 0;
#pragma omp parallel for simd schedule(static) reduction(+ : bad) \
    if (n >= SD_ROWS_PARALLEL)
  for (int64_t i = 0; i < n; i++) bad += !is_inside(index[i], len);
  if (!bad) return SD_OK;
  int64_t i = 0;
  while (is_inside(index[i], len)) i++;
  return sd_error_set(err, SD_EARGUMENT,
                      "%s: index %lld (number %lld) is outside 1 .. %lld",
                      what, (long long)index[i], (long long)i + 1,
                      (long long)len);
}

SdStatus sd_rows_labels(const char *what, int64_t n, const int64_t *label,
                        int64_t classes, SdError *err) {
  int64_t i = 0;
  while (i < n && label[i] >= 1 && label[i] <= classes) i++;
  if (i == n) return SD_OK;
  return sd_error_set(err, SD_EARGUMENT,
                      "%s: label %lld is outside 1 .. %lld (number %lld)",
                      what, (long long)label[i], (long long)classes,
                      (long long)i + 1);
}

#define INLINE static inline __attribute__((always_inline))

INLINE void gather_row(size_t size, int64_t n, int64_t len, const char *x,
                       const int64_t *index, char *out) {
  for (int64_t i = 0; i < n; i++) {
    int64_t at = sd_rows_from_zero(index[i], len) * n + i;
    memcpy(out + i * (int64_t)size, x + at * (int64_t)size, size);
  }
}

INLINE void gather(size_t size, const SdRows *r, int64_t n, const char *x,
                   const int64_t *index, char *out) {
  int64_t slice = r->len * r->inner * (int64_t)size;
#pragma omp parallel for schedule(static) \
    if (r->outer * n * r->inner >= SD_ROWS_PARALLEL)
  for (int64_t row = 0; row < r->outer * n; row++) {
    if (sd_interrupted) continue;
    int64_t at = row * r->inner;
    gather_row(size, r->inner, r->len, x + row / n * slice, index + at,
               out + at * (int64_t)size);
  }
}

SdStatus sd_rows_gather(size_t size, const SdRows *r, int64_t n,
                        const void *x, const int64_t *index, void *out,
                        SdError *err) {
  SdStatus s = check_indices("gather", r->outer * n * r->inner, index, r->len,
                             err);
  if (s != SD_OK) return s;
  if (size == 1) gather(1, r, n, x, index, out);
  else if (size == 4) gather(4, r, n, x, index, out);
  else gather(8, r, n, x, index, out);
  return SD_OK;
}

SdStatus sd_rows_take(size_t size, const SdRows *r, int64_t n, const void *x,
                      const int64_t *index, void *out, SdError *err) {
  size_t bytes = (size_t)r->inner * size;
  SdStatus s = check_indices("index_select", n, index, r->len, err);
  if (s != SD_OK || bytes == 0) return s;
#pragma omp parallel for schedule(static) \
    if (r->outer * n * r->inner >= SD_ROWS_PARALLEL)
  for (int64_t row = 0; row < r->outer * n; row++) {
    if (sd_interrupted) continue;
    int64_t at = sd_rows_from_zero(index[row % n], r->len);
    memcpy((char *)out + (size_t)row * bytes,
           (const char *)x + (size_t)(row / n * r->len + at) * bytes, bytes);
  }
  return SD_OK;
}

static void zero(SdDtype d, const SdRows *r, void *out) {
  size_t n = (size_t)(r->outer * r->len * r->inner);
  if (n) memset(out, 0, n * sd_dtype_size(d));
}

SdStatus sd_rows_scatter_add(SdDtype d, const SdRows *r, int64_t n,
                             const void *x, const int64_t *index, void *out,
                             SdError *err) {
  SdRowsIndex each = {index, n * r->inner, r->inner, 1};
  SdStatus s = check_indices("scatter_add", r->outer * n * r->inner, index,
                             r->len, err);
  if (s != SD_OK) return s;
  zero(d, r, out);
  tables[d]->add(r, n, x, each, out);
  return SD_OK;
}

SdStatus sd_rows_put_add(SdDtype d, const SdRows *r, int64_t n,
                         const void *x, const int64_t *index, void *out,
                         SdError *err) {
  SdRowsIndex shared = {index, 0, 1, 0};
  SdStatus s = check_indices("index", n, index, r->len, err);
  if (s != SD_OK) return s;
  zero(d, r, out);
  tables[d]->add(r, n, x, shared, out);
  return SD_OK;
}

SdStatus sd_rows_writer(const char *what, const SdRows *r, int64_t n,
                        const int64_t *index, int64_t *out, SdError *err) {
  SdStatus s = check_indices(what, r->outer * n * r->inner, index, r->len,
                             err);
  if (s != SD_OK) return s;
  zero(SD_I64, r, out);
  for (int64_t row = 0; row < r->outer * n && !sd_interrupted; row++) {
    int64_t *slice = out + row / n * r->len * r->inner;
    for (int64_t i = 0; i < r->inner; i++) {
      int64_t at = sd_rows_from_zero(index[row * r->inner + i], r->len);
      slice[at * r->inner + i] = row % n + 1;
    }
  }
  return SD_OK;
}

/* ---- histograms ----------------------------------------------------- */

enum { STRIPES = 16, STRIPE_BINS = 1024 };

/* Few bins: every stripe of x counts for itself. */
static void count_in_stripes(SdDtype d, int64_t n, const void *x, double low,
                             double high, int64_t bins, double *out) {
  int64_t size = (int64_t)sd_dtype_size(d), per = n / STRIPES + 1;
#pragma omp parallel for schedule(static)
  for (int64_t s = 0; s < STRIPES; s++) {
    int64_t counts[STRIPE_BINS] = {0}, first = s * per;
    int64_t here = n - first < per ? n - first : per;
    if (here <= 0) continue;
    tables[d]->count(here, (const char *)x + first * size, low, high, bins,
                     counts);
#pragma omp critical(sd_rows_histogram)
    for (int64_t k = 0; k < bins; k++) out[k] += (double)counts[k];
  }
}

void sd_rows_histogram(SdDtype d, int64_t n, const void *x, double low,
                       double high, int64_t bins, double *out) {
  if (bins <= 0) return;
  memset(out, 0, (size_t)bins * sizeof *out);
  if (n >= SD_ROWS_PARALLEL && bins <= STRIPE_BINS) {
    count_in_stripes(d, n, x, low, high, bins, out);
    return;
  }
  /* Counted as integers in place: both have eight bytes. */
  tables[d]->count(n, x, low, high, bins, (int64_t *)(void *)out);
  for (int64_t k = 0; k < bins; k++) {
    int64_t c;
    memcpy(&c, &out[k], sizeof c);
    out[k] = (double)c;
  }
}
