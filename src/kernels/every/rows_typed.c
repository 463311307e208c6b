/*
** Work along one dim in one dtype.  The inner dim is taken in blocks, so
** that what runs along len is a few dozen columns at once.
*/
#include "kernels/rows_table.h"

#include "base/interrupt.h"
#include "kernels/tables.h"

#include <string.h>

enum { COLUMNS = 64, LANES = 32 };

#if defined(REAL_f32) || defined(REAL_f64)
typedef double Sum;
static inline int is_nan(real x) { return x != x; }
#else
typedef uint64_t Sum; /* wraps */
static inline int is_nan(real x) { return (void)x, 0; }
#endif

static int64_t at_most(int64_t n, int64_t limit) {
  return n < limit ? n : limit;
}

#define INLINE static inline __attribute__((always_inline))

/* ---- extremes ------------------------------------------------------- */

INLINE int beats(int max, real x, real best) {
  return max ? x > best : x < best;
}

/* The first place of x's extreme; one pass finds its value in lanes, a
** second one where it stands. */
INLINE int64_t extreme_of_row(int max, int64_t n, const real *x) {
  real lane[LANES], best = x[0];
  int64_t i = 0, k = 0;
  int nan = 0;
  for (int l = 0; l < LANES; l++) lane[l] = x[0];
  for (; i + LANES <= n; i += LANES)
    for (int l = 0; l < LANES; l++) {
      real v = x[i + l];
      lane[l] = beats(max, v, lane[l]) ? v : lane[l];
      nan |= is_nan(v);
    }
  for (; i < n; i++) {
    lane[0] = beats(max, x[i], lane[0]) ? x[i] : lane[0];
    nan |= is_nan(x[i]);
  }
  for (int l = 0; l < LANES; l++)
    best = beats(max, lane[l], best) ? lane[l] : best;
  while (nan ? !is_nan(x[k]) : x[k] != best) k++;
  return k + 1;
}

INLINE void extreme_of_columns(int max, int64_t len, int64_t inner,
                               int64_t columns, const real *x, int64_t *out) {
  real best[COLUMNS];
  for (int64_t i = 0; i < columns; i++) {
    best[i] = x[i];
    out[i] = 1;
  }
  for (int64_t j = 1; j < len; j++)
    for (int64_t i = 0; i < columns; i++) {
      real v = x[j * inner + i];
      if (is_nan(best[i]) || !(beats(max, v, best[i]) || is_nan(v))) continue;
      best[i] = v;
      out[i] = j + 1;
    }
}

INLINE void extremes(int max, const SdRows *r, const real *x, int64_t *out) {
  if (r->len == 0) return;
#pragma omp parallel for collapse(2) schedule(static) \
    if (r->outer * r->len * r->inner >= SD_ROWS_PARALLEL)
  for (int64_t o = 0; o < r->outer; o++)
    for (int64_t i = 0; i < r->inner; i += COLUMNS) {
      if (sd_interrupted) continue;
      const real *at = x + o * r->len * r->inner + i;
      int64_t *to = out + o * r->inner + i;
      if (r->inner == 1) *to = extreme_of_row(max, r->len, at);
      else
        extreme_of_columns(max, r->len, r->inner,
                           at_most(r->inner - i, COLUMNS), at, to);
    }
}

static void argmax(const SdRows *r, const void *x, int64_t *out) {
  extremes(1, r, x, out);
}

static void argmin(const SdRows *r, const void *x, int64_t *out) {
  extremes(0, r, x, out);
}

/* ---- running sums ---------------------------------------------------- */

/* Starts at x, moves by step from row to row. */
INLINE void run_columns(int64_t len, int64_t step, int64_t columns,
                        const real *x, real *out) {
  Sum sum[COLUMNS] = {0};
  for (int64_t j = 0; j < len; j++)
    for (int64_t i = 0; i < columns; i++) {
      sum[i] += (Sum)x[j * step + i];
      out[j * step + i] = (real)sum[i];
    }
}

static void cumsum(const SdRows *r, int reverse, const void *x_, void *out_) {
  if (r->len == 0) return;
  int64_t step = reverse ? -r->inner : r->inner;
  const real *x = (const real *)x_ + (reverse ? (r->len - 1) * r->inner : 0);
  real *out = (real *)out_ + (x - (const real *)x_);
#pragma omp parallel for collapse(2) schedule(static) \
    if (r->outer * r->len * r->inner >= SD_ROWS_PARALLEL)
  for (int64_t o = 0; o < r->outer; o++)
    for (int64_t i = 0; i < r->inner; i += COLUMNS) {
      if (sd_interrupted) continue;
      int64_t at = o * r->len * r->inner + i;
      int64_t columns = at_most(r->inner - i, COLUMNS);
      if (columns == 1) run_columns(r->len, step, 1, x + at, out + at);
      else run_columns(r->len, step, columns, x + at, out + at);
    }
}

/* ---- adding at an index ---------------------------------------------- */

/* One thread has some columns of out to itself, so that sums are taken in
** the order of j. */
static void add(const SdRows *r, int64_t n, const void *x_, SdRowsIndex index,
                void *out_) {
  const real *x = x_;
  real *out = out_;
#pragma omp parallel for collapse(2) schedule(static) \
    if (r->outer * n * r->inner >= SD_ROWS_PARALLEL)
  for (int64_t o = 0; o < r->outer; o++)
    for (int64_t i = 0; i < r->inner; i += COLUMNS) {
      int64_t end = at_most(i + COLUMNS, r->inner);
      for (int64_t j = 0; j < n && !sd_interrupted; j++) {
        const int64_t *at =
            index.at + o * index.per_outer + j * index.per_row;
        const real *from = x + (o * n + j) * r->inner;
        for (int64_t c = i; c < end; c++) {
          int64_t row = sd_rows_from_zero(at[c * index.per_inner], r->len);
          real *to = out + (o * r->len + row) * r->inner + c;
          *to = (real)((Sum)*to + (Sum)from[c]);
        }
      }
    }
}

/* ---- counting -------------------------------------------------------- */

static void count(int64_t n, const void *x_, double low, double high,
                  int64_t bins, int64_t *counts) {
  const real *x = x_;
  /* high - low may overflow, half of it cannot. */
  double half = low * 0.5, scale = (double)bins / (high * 0.5 - half);
  for (int64_t i = 0; i < n; i++) {
    double v = (double)x[i];
    if (!(v >= low && v <= high)) continue;
    double place = (v * 0.5 - half) * scale;
    int64_t bin = place < (double)bins ? (int64_t)place : bins - 1;
    counts[bin]++;
  }
}

extern const SdRowsTable SD_TYPED(sd_rows_table);
const SdRowsTable SD_TYPED(sd_rows_table) = {argmax, argmin, cumsum, add,
                                             count};
