#include "kernels/lapack.h"

#include "base/memory.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

SdStatus sd_lapack_check_finite(SdDtype d, int64_t n, const void *x,
                                const char *what, SdError *err) {
  for (int64_t i = 0; i < n; i++) {
    double v = d == SD_F32 ? (double)((const float *)x)[i]
                           : ((const double *)x)[i];
    if (!isfinite(v))
      return sd_error_set(err, SD_ENUMERIC,
                          "%s: entry %lld of the matrix is %g", what,
                          (long long)i + 1, v);
  }
  return SD_OK;
}

static SdStatus refuse_size(int64_t n, const char *what, SdError *err) {
  return sd_error_set(err, SD_EARGUMENT, "%s: %lld rows are too many", what,
                      (long long)n);
}

static SdStatus start(SdDtype d, int64_t n, const void *a, const char *what,
                      SdError *err) {
  if (n > 46340) return refuse_size(n, what, err);
  return sd_lapack_check_finite(d, n * n, a, what, err);
}

/* In place, row-major n x n. */
static void turn(SdDtype d, int64_t n, void *a) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < i; j++) {
      if (d == SD_F32) {
        float *p = (float *)a + i * n + j, *q = (float *)a + j * n + i, t = *p;
        *p = *q;
        *q = t;
      } else {
        double *p = (double *)a + i * n + j, *q = (double *)a + j * n + i;
        double t = *p;
        *p = *q;
        *q = t;
      }
    }
}

/* ---- failures ----------------------------------------------------------- */

/* BLAS and LAPACK report a wrong argument through these as well as by the
** status, which is enough: nothing but errors of ours is printed. */
void xerbla_(const char *name, const int *info, size_t length);
void xerbla_(const char *name, const int *info, size_t length) {
  (void)name, (void)info, (void)length;
}

void LAPACKE_xerbla(const char *name, lapack_int info);
void LAPACKE_xerbla(const char *name, lapack_int info) {
  (void)name, (void)info;
}

/* What info, not 0, says; a positive one means failed. */
static SdStatus failure(int info, const char *failed, const char *what,
                        SdError *err) {
  if (info == LAPACK_WORK_MEMORY_ERROR)
    return sd_error_set(err, SD_EMEMORY, "%s: out of memory", what);
  if (info < 0)
    return sd_error_set(err, SD_EARGUMENT,
                        "%s: internal error: LAPACK refused argument %d",
                        what, -info);
  return sd_error_set(err, SD_ENUMERIC, "%s: %s (info %d)", what, failed,
                      info);
}

/* ---- eigenvalues -------------------------------------------------------- */

/* LAPACK's own answer is rounded to a float, too small beyond 2^24: these
** are its formulas.  Entries of work, then of iwork. */
static void eigh_sizes(int64_t n, int vectors, int64_t sizes[2]) {
  int64_t least = vectors ? 1 + 6 * n + 2 * n * n : 1 + 2 * n;
  int64_t blocked = 34 * n;
  sizes[0] = least > blocked ? least : blocked;
  sizes[1] = vectors ? 3 + 5 * n : 1;
}

static int syevd(SdDtype d, int n, int vectors, void *a, void *values,
                 void *work, int lwork, int *iwork, int liwork) {
  char job = vectors ? 'V' : 'N';
  if (d == SD_F32)
    return LAPACKE_ssyevd_work(LAPACK_COL_MAJOR, job, 'U', n, a, n, values,
                               work, lwork, iwork, liwork);
  return LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, job, 'U', n, a, n, values,
                             work, lwork, iwork, liwork);
}

/* A row-major lower triangle is a column-major upper one. */
SdStatus sd_lapack_eigh(SdDtype d, int64_t n, void *a, void *values,
                        int vectors, const char *what, SdError *err) {
  int64_t sizes[2];
  SdStatus s = start(d, n, a, what, err);
  if (s != SD_OK || n == 0) return s;
  eigh_sizes(n, vectors, sizes);
  if (sizes[0] > INT32_MAX) return refuse_size(n, what, err);
  size_t bytes = (size_t)sizes[0] * sd_dtype_size(d);
  size_t ibytes = (size_t)sizes[1] * sizeof(int);
  void *work = sd_memory_alloc(bytes, err);
  int *iwork = work ? sd_memory_alloc(ibytes, err) : NULL;
  int info = iwork ? syevd(d, (int)n, vectors, a, values, work, (int)sizes[0],
                           iwork, (int)sizes[1]) : 0;
  sd_memory_free(iwork, ibytes);
  sd_memory_free(work, bytes);
  if (!iwork) return err->code;
  if (info) return failure(info, "the eigenvalues did not converge", what, err);
  if (vectors) turn(d, n, a);
  return SD_OK;
}

SdStatus sd_lapack_tridiagonal(int64_t n, double *diag, double *off,
                               double *z, const char *what, SdError *err) {
  SdStatus s = sd_lapack_check_finite(SD_F64, n, diag, what, err);
  if (s == SD_OK && n > 1)
    s = sd_lapack_check_finite(SD_F64, n - 1, off, what, err);
  if (s != SD_OK || n == 0) return s;
  int m = (int)n;
  int info = LAPACKE_dstevd(LAPACK_COL_MAJOR, z ? 'V' : 'N', m, diag, off, z,
                            m);
  if (info)
    return failure(info, "the tridiagonal eigenvalues did not converge", what,
                   err);
  if (z) turn(SD_F64, n, z);
  return SD_OK;
}

static void clear_upper(SdDtype d, int64_t n, void *a) {
  size_t size = sd_dtype_size(d);
  for (int64_t i = 0; i + 1 < n; i++)
    memset((char *)a + (size_t)(i * n + i + 1) * size, 0,
           (size_t)(n - i - 1) * size);
}

SdStatus sd_lapack_cholesky(SdDtype d, int64_t n, void *a, const char *what,
                            SdError *err) {
  SdStatus s = start(d, n, a, what, err);
  if (s != SD_OK || n == 0) return s;
  int m = (int)n;
  int info = d == SD_F32 ? LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'U', m, a, m)
                         : LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', m, a, m);
  if (info > 0)
    return sd_error_set(err, SD_ENUMERIC,
                        "%s: the matrix is not positive definite (its "
                        "leading minor of order %d is not positive)", what,
                        info);
  if (info) return failure(info, "", what, err);
  clear_upper(d, n, a);
  return SD_OK;
}

/* b as columns, for LAPACK. */
static void to_columns(SdDtype d, int64_t n, int64_t m, const void *b,
                       void *c, int back) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < m; j++) {
      int64_t r = i * m + j, k = j * n + i;
      if (d == SD_F32) {
        if (back) ((float *)c)[r] = ((const float *)b)[k];
        else ((float *)c)[k] = ((const float *)b)[r];
      } else {
        if (back) ((double *)c)[r] = ((const double *)b)[k];
        else ((double *)c)[k] = ((const double *)b)[r];
      }
    }
}

/* The stored matrix is a's transpose to LAPACK: factor it, solve with 'T'. */
static int solve_columns(SdDtype d, int n, int m, void *a, int *pivots,
                         void *c) {
  int info;
  if (d == SD_F32) {
    info = LAPACKE_sgetrf_work(LAPACK_COL_MAJOR, n, n, a, n, pivots);
    if (info == 0)
      LAPACKE_sgetrs_work(LAPACK_COL_MAJOR, 'T', n, m, a, n, pivots, c, n);
  } else {
    info = LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, n, n, a, n, pivots);
    if (info == 0)
      LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'T', n, m, a, n, pivots, c, n);
  }
  return info;
}

SdStatus sd_lapack_solve(SdDtype d, int64_t n, int64_t m, void *a, void *b,
                         const char *what, SdError *err) {
  SdStatus s = start(d, n, a, what, err);
  if (s == SD_OK) s = sd_lapack_check_finite(d, n * m, b, what, err);
  if (s != SD_OK || n == 0 || m == 0) return s;
  size_t bytes = (size_t)(n * m) * sd_dtype_size(d);
  size_t pivot_bytes = (size_t)n * sizeof(int);
  void *c = sd_memory_alloc(bytes, err);
  int *pivots = c ? sd_memory_alloc(pivot_bytes, err) : NULL;
  int info = 0;
  if (pivots) {
    to_columns(d, n, m, b, c, 0);
    info = solve_columns(d, (int)n, (int)m, a, pivots, c);
    to_columns(d, n, m, c, b, 1);
  }
  sd_memory_free(pivots, pivot_bytes);
  sd_memory_free(c, bytes);
  if (!pivots) return err->code;
  if (info > 0)
    return sd_error_set(err, SD_ENUMERIC,
                        "%s: the matrix is singular (pivot %d is zero)", what,
                        info);
  if (info) return failure(info, "", what, err);
  return SD_OK;
}

static SdStatus check_diagonal(SdDtype d, int64_t n, const void *a,
                               const char *what, SdError *err) {
  for (int64_t i = 0; i < n; i++) {
    double v = d == SD_F32 ? (double)((const float *)a)[i * n + i]
                           : ((const double *)a)[i * n + i];
    if (v == 0)
      return sd_error_set(err, SD_ENUMERIC,
                          "%s: the matrix is singular (diagonal entry %lld "
                          "is zero)", what, (long long)i + 1);
  }
  return SD_OK;
}

SdStatus sd_lapack_solve_triangular(SdDtype d, int64_t n, int64_t m,
                                    int upper, int transpose, const void *a,
                                    void *b, const char *what, SdError *err) {
  SdStatus s = start(d, n, a, what, err);
  if (s == SD_OK) s = sd_lapack_check_finite(d, n * m, b, what, err);
  if (s == SD_OK) s = check_diagonal(d, n, a, what, err);
  if (s != SD_OK || n == 0 || m == 0) return s;
  CBLAS_UPLO u = upper ? CblasUpper : CblasLower;
  CBLAS_TRANSPOSE t = transpose ? CblasTrans : CblasNoTrans;
  if (d == SD_F32)
    cblas_strsm(CblasRowMajor, CblasLeft, u, t, CblasNonUnit, (int)n, (int)m,
                1, a, (int)n, b, (int)m);
  else
    cblas_dtrsm(CblasRowMajor, CblasLeft, u, t, CblasNonUnit, (int)n, (int)m,
                1, a, (int)n, b, (int)m);
  return SD_OK;
}

/* ---- inertia ------------------------------------------------------------ */

static double at(SdDtype d, const void *a, int64_t n, int64_t i, int64_t j) {
  return d == SD_F32 ? (double)((const float *)a)[j * n + i]
                     : ((const double *)a)[j * n + i];
}

static void count(double v, double tol, int64_t counts[3]) {
  counts[fabs(v) <= tol ? 1 : v < 0 ? 0 : 2]++;
}

/* Sylvester: the block diagonal D of LDL^T has the inertia of a.  LAPACK
** marks 2 x 2 blocks by negative pivots (Bunch and Kaufman 1977). */
SdStatus sd_lapack_inertia(SdDtype d, int64_t n, void *a, double tol,
                           int64_t counts[3], const char *what,
                           SdError *err) {
  SdStatus s = start(d, n, a, what, err);
  counts[0] = counts[1] = counts[2] = 0;
  if (s != SD_OK || n == 0) return s;
  size_t bytes = (size_t)n * sizeof(int);
  int *pivots = sd_memory_alloc(bytes, err);
  if (!pivots) return err->code;
  int info = d == SD_F32
      ? LAPACKE_ssytrf(LAPACK_COL_MAJOR, 'U', (int)n, a, (int)n, pivots)
      : LAPACKE_dsytrf(LAPACK_COL_MAJOR, 'U', (int)n, a, (int)n, pivots);
  for (int64_t i = 0; i < n && info >= 0; i++) {
    if (pivots[i] > 0) {
      count(at(d, a, n, i, i), tol, counts);
      continue;
    }
    double p = at(d, a, n, i, i), q = at(d, a, n, i, i + 1);
    double r = at(d, a, n, i + 1, i + 1);
    double mean = (p + r) / 2, root = hypot((p - r) / 2, q);
    count(mean - root, tol, counts);
    count(mean + root, tol, counts);
    i++;
  }
  sd_memory_free(pivots, bytes);
  if (info < 0) return failure(info, "", what, err);
  return SD_OK;
}
