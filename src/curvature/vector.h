/*
** Arithmetic on long vectors of f32 or f64 through BLAS, cut at fixed places
** and shared out among the threads, so that results do not depend on their
** number.  Sums are accumulated in f64.
*/
#ifndef SD_VECTOR_H
#define SD_VECTOR_H

#include "base/dtype.h"

#include <stddef.h>
#include <stdint.h>

/* Element i of x. */
static inline void *sd_vector_at(SdDtype d, const void *x, int64_t i) {
  return (char *)x + (size_t)i * sd_dtype_size(d);
}

double sd_vector_dot(SdDtype d, int64_t n, const void *x, const void *y);
double sd_vector_norm(SdDtype d, int64_t n, const void *x);
void sd_vector_axpy(SdDtype d, int64_t n, double a, const void *x, void *y);
void sd_vector_scale(SdDtype d, int64_t n, double a, void *x);

/* out = a x + b y; out may be x or y. */
void sd_vector_combine(SdDtype d, int64_t n, double a, const void *x,
                       double b, const void *y, void *out);

#endif
