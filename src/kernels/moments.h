/*
** Means and the sums of squared deviations from them, of parts that are then
** put together as in Chan, Golub and LeVeque (1979): with d = mean b - mean a,
**
**   mean = mean a + d nb / (na + nb)
**   m2   = m2 a + m2 b + d^2 na nb / (na + nb).
**
** One reading of the data will do.  Means that are far from 0 would lose the
** digits of the deviations: those of columns are means of x less a pivot, any
** element of the column.
*/
#ifndef SD_MOMENTS_H
#define SD_MOMENTS_H

#include "base/dtype.h"
#include "kernels/loops.h"

#include <stdint.h>

/* Of several columns, each over the same number n of elements. */
typedef struct SdMoments {
  double n;
  void *mean;
  void *m2; /* NULL: zeros */
} SdMoments;

typedef struct SdMomentsTable {
  /* Those of a and b together to out's arrays, which may be a's. */
  void (*merge)(int64_t columns, const SdMoments *a, const SdMoments *b,
                const SdMoments *out);
  /* Rows of n elements, stride apart, less the pivots, to acc; its n is kept
  ** up. */
  void (*lines)(int64_t rows, int64_t n, int64_t stride, const void *x,
                const void *pivot, SdMoments *acc);
  /* n more elements of x to those of which there were so many before. */
  void (*add)(int64_t n, const void *x, int64_t before, SdAccumulator *mean,
              SdAccumulator *m2);
  /* m2 of rows, one each. */
  void (*rows)(int64_t rows, int64_t cols, const void *x, SdAccumulator *m2);
} SdMomentsTable;

extern const SdMomentsTable sd_moments_table_f32, sd_moments_table_f64;

static inline const SdMomentsTable *sd_moments(SdDtype d) {
  return d == SD_F32 ? &sd_moments_table_f32 : &sd_moments_table_f64;
}

/* Those of na elements at mean and m2, with those of nb more. */
static inline void sd_moments_combine(double na, SdAccumulator *mean,
                                      SdAccumulator *m2, double nb,
                                      double mean_b, double m2_b) {
  double d = mean_b - mean->f, n = na + nb;
  mean->f += d * (nb / n);
  m2->f += m2_b + d * (d * (na * (nb / n)));
}

#endif
