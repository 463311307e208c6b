/*
** LAPACK behind checks.  Matrices are row-major n x n, contiguous, f32 or
** f64, and are worked on in place.  Every input is tested for finiteness
** first (some routines hang on an Inf, others return nonsense with info =
** 0), and info != 0 becomes an error in words.  what names the operation.
*/
#ifndef SD_LAPACK_H
#define SD_LAPACK_H

#include "base/dtype.h"
#include "base/error.h"

#include <stdint.h>

/* SD_ENUMERIC with the first offending position unless all n are finite. */
SdStatus sd_lapack_check_finite(SdDtype d, int64_t n, const void *x,
                                const char *what, SdError *err);

/* Symmetric a (lower triangle read): values ascending, and with vectors
** != 0 a's columns become the eigenvectors (row-major: a[i*n + j] is
** component i of vector j).  Divide and conquer. */
SdStatus sd_lapack_eigh(SdDtype d, int64_t n, void *a, void *values,
                        int vectors, const char *what, SdError *err);

/* Symmetric tridiagonal, f64: diag (n) becomes the values ascending, off
** (n-1) is destroyed, z (n x n row-major, columns are vectors) if not
** NULL. */
SdStatus sd_lapack_tridiagonal(int64_t n, double *diag, double *off,
                               double *z, const char *what, SdError *err);

/* a becomes its lower Cholesky factor, the upper triangle zeroed. */
SdStatus sd_lapack_cholesky(SdDtype d, int64_t n, void *a, const char *what,
                            SdError *err);

/* b (n x m row-major) becomes a^-1 b; a is destroyed. */
SdStatus sd_lapack_solve(SdDtype d, int64_t n, int64_t m, void *a, void *b,
                         const char *what, SdError *err);

/* b (n x m) becomes op(a)^-1 b for triangular a. */
SdStatus sd_lapack_solve_triangular(SdDtype d, int64_t n, int64_t m,
                                    int upper, int transpose, const void *a,
                                    void *b, const char *what, SdError *err);

/* Symmetric indefinite a (lower triangle) factored as LDL^T: counts of
** negative, zero and positive pivot-block eigenvalues.  tol: |value| <=
** tol counts as zero. a is destroyed. */
SdStatus sd_lapack_inertia(SdDtype d, int64_t n, void *a, double tol,
                           int64_t counts[3], const char *what,
                           SdError *err);

#endif
