/*
** Matrix products.  Row-major.  A large product is cut into panels at
** places chosen from its shape alone, each panel one single-threaded BLAS
** call run by our own threads, so that the bits do not depend on the number
** of threads.  An interrupt leaves c unfinished: ask sd_interrupt_check.
*/
#ifndef SD_GEMM_H
#define SD_GEMM_H

#include "base/dtype.h"

#include <stdint.h>

typedef struct SdGemm {
  int64_t m, n, k;
  int trans_a, trans_b; /* a is stored k x m, b is stored n x k */
  int64_t lda, ldb, ldc; /* leading strides, in elements */
  double beta;          /* 0: c is written, 1: added to */
} SdGemm;

/* c = op(a) op(b) + beta c, for f32 or f64.  Any of m, n, k may be 0. */
void sd_gemm(SdDtype d, const SdGemm *g, const void *a, const void *b,
             void *c);

/* Whether a product of this size is the faster for a copy of b where b lies
** transposed. */
int sd_gemm_wants_plain(SdDtype d, int64_t m, int64_t n, int64_t k);

/* Whether many products with one a are the faster for a copy of it where it
** lies transposed. */
int sd_gemm_wants_plain_rows(SdDtype d, int64_t m, int64_t n);

/* count products of the same kind; product i uses the i-th of the pointer
** tables.  Small ones are shared out among the threads. */
void sd_gemm_batch(SdDtype d, const SdGemm *g, int64_t count,
                   const void *const *a, const void *const *b,
                   void *const *c);

/* Integer products (i32, i64, u8, bool as any of and): same meaning. */
void sd_gemm_integer(SdDtype d, const SdGemm *g, const void *a,
                     const void *b, void *c);

#endif
