#include "kernels/moments.h"

#include "kernels/lanes.h"
#include "kernels/tables.h"
#include "kernels/vector.h"

enum {
  PIECE = 4096,
  SHORT = 16,
  Q = sizeof(QuarterVec) / sizeof(real)
};

/* ---- columns ------------------------------------------------------------ */

/* out's arrays may be exactly a's.  d d first would overflow where the share is
** 0. */
static inline __attribute__((always_inline)) void
merge_with(int64_t n, const SdMoments *a, const SdMoments *b,
           const SdMoments *out, int a2, int b2) {
  const real *mean_a = a->mean, *mean_b = b->mean, *m2_a = a->m2, *m2_b = b->m2;
  real *mean = out->mean, *m2 = out->m2;
  const real share = (real)(b->n / (a->n + b->n));
  const real weight = (real)(a->n * (b->n / (a->n + b->n)));
  LANES for (int64_t i = 0; i < n; i++) {
    real d = mean_b[i] - mean_a[i], s = d * (d * weight);
    if (a2) s += m2_a[i];
    if (b2) s += m2_b[i];
    mean[i] = mean_a[i] + d * share;
    m2[i] = s;
  }
}

static void merge(int64_t n, const SdMoments *a, const SdMoments *b,
                  const SdMoments *out) {
  if (b->m2) merge_with(n, a, b, out, 1, 1);
  else if (a->m2) merge_with(n, a, b, out, 1, 0);
  else merge_with(n, a, b, out, 0, 0);
}

static void one_line(int64_t n, const real *x, const real *pivot,
                     SdMoments *acc) {
  real *mean = acc->mean, *m2 = acc->m2;
  const double after = acc->n + 1;
  const real share = (real)(1 / after), weight = (real)(acc->n / after);
  LANES for (int64_t i = 0; i < n; i++) {
    real d = (x[i] - pivot[i]) - mean[i];
    mean[i] += d * share;
    m2[i] += d * (d * weight);
  }
  acc->n = after;
}

/* Two rows share one reading and writing of the moments.  Those that follow are
** asked for meanwhile, in the order of memory and into the second cache: half
** the time, and more rows at once win nothing. */
static void two_lines(int64_t n, int64_t stride, const real *x,
                      const real *pivot, SdMoments *acc) {
  real *mean = acc->mean, *m2 = acc->m2;
  const double after = acc->n + 2;
  const real half = (real)0.5, share = (real)(2 / after);
  const real weight = (real)(acc->n * (2 / after));
  const real *y = x + stride, *next = n == stride ? x + AHEAD : x;
  int64_t i = 0;
  for (; i + W <= n; i += W, next += 2 * W) {
    __builtin_prefetch(next, 0, 2);
    __builtin_prefetch(next + W, 0, 2);
    Vec u = load(x + i), v = load(y + i), from = load(pivot + i);
    Vec m = load(mean + i), d = ((u - from) + (v - from)) * half - m;
    store(mean + i, m + d * share);
    store(m2 + i, load(m2 + i) + d * (d * weight) + (u - v) * ((u - v) * half));
  }
  for (; i < n; i++) {
    real e = x[i] - y[i];
    real d = ((x[i] - pivot[i]) + (y[i] - pivot[i])) * half - mean[i];
    mean[i] += d * share;
    m2[i] += d * (d * weight) + e * (e * half);
  }
  acc->n = after;
}

static void lines(int64_t rows, int64_t n, int64_t stride, const void *p,
                  const void *pivot, SdMoments *acc) {
  const real *x = p;
  for (; rows > 1; rows -= 2, x += 2 * stride)
    two_lines(n, stride, x, pivot, acc);
  if (rows) one_line(n, x, pivot, acc);
}

/* ---- rows --------------------------------------------------------------- */

/* Sums of deviations from near and of their squares; n is at least W. */
static inline void deviations(int64_t n, const real *x, real near,
                              double *first, double *second) {
  Vec sum[4] = {{0}}, square[4] = {{0}};
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int k = 0; k < 4; k++) {
      Vec d = load(x + i + k * W) - near;
      sum[k] += d;
      square[k] += d * d;
    }
  for (; i < n; i += W) {
    Vec d = i + W <= n ? load(x + i) - near
                       : last_lanes(load(x + n - W) - near, n - i);
    sum[0] += d;
    square[0] += d * d;
  }
  *first = (double)add_lanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
  *second = (double)add_lanes((square[0] + square[1]) +
                              (square[2] + square[3]));
}

/* Rounding must not make less than nothing of equal elements. */
static inline double held(double m2) { return m2 < 0 ? 0 : m2; }

/* A piece lies in the first cache when it is read again, from a mean that is
** rounded; what the deviations add up to corrects it. */
static void piece(int64_t n, const real *x, double *mean, double *m2) {
  SdAccumulator sum = {.f = 0};
  double first = 0, second = 0;
  sd_fold(DTYPE, SD_FOLD_SUM)(n, x, &sum);
  real near = (real)(sum.f / (double)n);
  if (n >= W) {
    deviations(n, x, near, &first, &second);
  } else {
    for (int64_t i = 0; i < n; i++) {
      double d = (double)(x[i] - near);
      first += d;
      second += d * d;
    }
  }
  *mean = (double)near + first / (double)n;
  *m2 = held(second - first * (first / (double)n));
}

static void add(int64_t n, const void *p, int64_t before, SdAccumulator *mean,
                SdAccumulator *m2) {
  const real *x = p;
  for (int64_t i = 0; i < n; i += PIECE) {
    int64_t here = n - i < PIECE ? n - i : PIECE;
    double mean_b, m2_b;
    piece(here, x + i, &mean_b, &m2_b);
    sd_moments_combine((double)(before + i), mean, m2, (double)here, mean_b,
                       m2_b);
  }
}

static inline real add_quarter(QuarterVec v) {
  real s = v[0] + v[1];
  for (int i = 2; i < Q; i++) s += v[i];
  return s;
}

static inline QuarterVec load_quarter(const real *x) {
  QuarterVec v;
  memcpy(&v, x, sizeof v);
  return v;
}

static inline __attribute__((always_inline)) void
short_rows(int64_t rows, int64_t n, const real *x, SdAccumulator *m2) {
  const real share = (real)1 / (real)n;
  for (int64_t r = 0; r < rows; r++, x += n) {
    QuarterVec sums = {0}, firsts = {0}, seconds = {0};
    real near = 0, first = 0, second = 0;
    int64_t i = 0;
    for (; n > 4 && i + Q <= n; i += Q) sums += load_quarter(x + i);
    for (; i < n; i++) near += x[i];
    near = (near + add_quarter(sums)) * share;
    for (i = 0; n > 4 && i + Q <= n; i += Q) {
      QuarterVec d = load_quarter(x + i) - near;
      firsts += d;
      seconds += d * d;
    }
    for (; i < n; i++) {
      real d = x[i] - near;
      first += d;
      second += d * d;
    }
    first += add_quarter(firsts);
    second += add_quarter(seconds);
    m2[r].f = held((double)(second - first * (first * share)));
  }
}

/* Where the compiler knows how short they are, a loop each. */
static void rows(int64_t n, int64_t cols, const void *x, SdAccumulator *m2) {
  double mean;
  switch (cols) {
    case 2: short_rows(n, 2, x, m2); return;
    case 3: short_rows(n, 3, x, m2); return;
    case 4: short_rows(n, 4, x, m2); return;
    default: break;
  }
  if (cols <= SHORT) {
    short_rows(n, cols, x, m2);
    return;
  }
  for (int64_t r = 0; r < n; r++)
    piece(cols, (const real *)x + r * cols, &mean, &m2[r].f);
}

const SdMomentsTable SD_TYPED(sd_moments_table) = {merge, lines, add, rows};
