/*
** An orthonormal set of row vectors, as Krylov methods grow it: row-major
** [capacity][n] in one allocation.  The work on it is BLAS-2 and BLAS-3 over
** blocks of columns cut at fixed places; results do not depend on the number
** of threads.
*/
#ifndef SD_BASIS_H
#define SD_BASIS_H

#include "base/array.h"
#include "curvature/vector.h"

#include <stddef.h>
#include <stdint.h>

typedef struct SdBasis {
  SdDtype dtype;
  int64_t n, capacity;
  SdArray array; /* capacity x n, which others may hold on to */
  void *rows;    /* its elements, or NULL */
  double *work; /* see basis.c */
} SdBasis;

SdStatus sd_basis_new(SdBasis *b, SdDtype dtype, int64_t n, int64_t capacity,
                      SdError *err);
void sd_basis_free(SdBasis *b); /* also of a zeroed one */

static inline void *sd_basis_row(const SdBasis *b, int64_t i) {
  return sd_vector_at(b->dtype, b->rows, i * b->n);
}

/* dots (count) = the products of w with the first count rows. */
void sd_basis_dots(const SdBasis *b, int64_t count, const void *w,
                   double *dots);

/* Makes w orthogonal to the first count rows by classical Gram-Schmidt,
** again while its norm falls (Daniel, Gragg, Kaufman and Stewart
** 1976; Giraud et al. 2005), and returns its norm: exactly 0 when nothing but
** rounding is left, and then w is meaningless.  h (count, may be NULL) gets
** the coefficients taken out. */
double sd_basis_orthogonalize(const SdBasis *b, int64_t count, void *w,
                              double *h);

/* The same where rounding is all that there is to take out: one pass is
** expected to do. */
double sd_basis_reorthogonalize(const SdBasis *b, int64_t count, void *w,
                                double *h);

/* The same for w = A times row j, all j + 1 rows being taken out, where A is
** symmetric and couples rows j - 1 and j by beta: after the recurrence's own
** two terms the norm hardly falls any more, and one pass over the rows does.
** h[j] is the Rayleigh quotient of row j. */
double sd_basis_recur(const SdBasis *b, int64_t j, double beta, void *w,
                      double *h);

/* One pass of classical Gram-Schmidt for rows count and count + 1 at once,
** which reads the rows before them as often as one alone would.  The norm of
** what is left of row count + 1; the two are not made orthogonal to each
** other. */
double sd_basis_clean_two(const SdBasis *b, int64_t count);

/* Row count becomes a random unit vector orthogonal to the rows before it;
** count < n.  The same seed and stream give the same vector. */
SdStatus sd_basis_random_row(const SdBasis *b, int64_t count, uint64_t seed,
                             uint64_t stream, SdError *err);

/* Rows first .. first+p-1 become S^T times rows first .. first+m-1, S being
** m x p row-major with leading stride lds; p <= m. */
SdStatus sd_basis_rotate(const SdBasis *b, int64_t first, int64_t m,
                         int64_t p, const double *s, int64_t lds,
                         SdError *err);

#endif
