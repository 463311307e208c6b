/*
** Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011).
** Element i of a stream is a function of (seed, stream, i) alone, so the
** same for any number of threads and any way of cutting the work.
*/
#ifndef SD_RANDOM_H
#define SD_RANDOM_H

#include "base/dtype.h"

#include <stdint.h>

/* Uniform in [0, 1): f32 with 24 random bits, f64 with 53. */
void sd_random_uniform(SdDtype d, uint64_t seed, uint64_t stream, int64_t n,
                       void *out);

/* Standard normal (Box-Muller on pairs of uniforms in (0, 1]). */
void sd_random_normal(SdDtype d, uint64_t seed, uint64_t stream, int64_t n,
                      void *out);

/* Integers in [low, high], every dtype but bool; unbiased to 2^-32 or
** better. */
void sd_random_integer(SdDtype d, uint64_t seed, uint64_t stream, int64_t n,
                       int64_t low, int64_t high, void *out);

/* A permutation of base .. base+n-1, n below 2^31. */
void sd_random_permutation(uint64_t seed, uint64_t stream, int64_t n,
                           int64_t base, int64_t *out);

#endif
