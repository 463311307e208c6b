/*
** LOBPCG.  The rows of one basis are the vectors X (k of them, Ritz vectors),
** P (up to k, where they last moved) and R (up to k, preconditioned
** residuals), orthonormal together; a second one holds their products.
*/
#include "curvature/eigs.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "curvature/lanczos.h"
#include "curvature/ritz.h"
#include "kernels/lapack.h"

#include <math.h>
#include <string.h>

typedef struct Lobpcg {
  const SdOperator *op, *m;
  SdEigsOptions o;
  SdBasis s, as;             /* 3 k + 1 rows: vectors and their products */
  int64_t wanted;            /* pairs */
  int64_t k, np, nr;         /* rows of X, P, R */
  double *t;                 /* (3k)^2: S A S^T, then its eigenvectors */
  double *c;                 /* (3k) x (2k): coefficients of the new X, P */
  double *theta, *all;       /* k; 3k: Ritz values */
  double *residual;          /* k */
  int64_t *order;            /* 3k */
  double norm;
  int64_t products, streams;
  size_t bytes;
} Lobpcg;

static void lobpcg_free(Lobpcg *y) {
  sd_memory_free(y->t, y->bytes);
  sd_basis_free(&y->s);
  sd_basis_free(&y->as);
}

static SdStatus lobpcg_new(Lobpcg *y, SdError *err) {
  size_t k = (size_t)y->k;
  y->bytes = (15 * k * k + 8 * k) * sizeof(double);
  y->t = sd_memory_alloc(y->bytes, err);
  if (!y->t) return err->code;
  y->c = y->t + 9 * k * k;
  y->theta = y->c + 6 * k * k;
  y->residual = y->theta + k;
  y->all = y->residual + k;
  y->order = (int64_t *)(void *)(y->all + 3 * k);
  if (sd_basis_new(&y->s, y->op->dtype, y->op->n, 3 * y->k + 1, err))
    return err->code;
  return sd_basis_new(&y->as, y->op->dtype, y->op->n, 3 * y->k + 1, err);
}

/* The products of count rows from at. */
static SdStatus multiply(Lobpcg *y, int64_t at, int64_t count, SdError *err) {
  if (sd_operator_apply_rows(y->op, count, sd_basis_row(&y->s, at),
                             sd_basis_row(&y->as, at), err) != SD_OK)
    return err->code;
  y->products += count;
  for (int64_t i = 0; i < count; i++) {
    double norm = sd_vector_norm(y->op->dtype, y->op->n,
                                 sd_basis_row(&y->as, at + i));
    if (!isfinite(norm))
      return sd_error_set(err, SD_ENUMERIC,
                          "eigs: the operator's product %lld is not finite",
                          (long long)(y->products - count + i + 1));
    if (norm > y->norm) y->norm = norm;
  }
  return SD_OK;
}

static SdStatus first_rows(Lobpcg *y, const void *start, SdError *err) {
  const SdBasis *b = &y->s;
  for (int64_t i = 0; i < y->k; i++) {
    void *w = sd_basis_row(b, i);
    double norm = 0;
    if (start && i < y->wanted) {
      const void *from = sd_vector_at(b->dtype, start, i * b->n);
      if (sd_lanczos_start(y->op, from, w, err) != SD_OK) return err->code;
      norm = sd_basis_orthogonalize(b, i, w, NULL);
    }
    if (norm > sd_lanczos_rounding(b->dtype))
      sd_vector_scale(b->dtype, b->n, 1 / norm, w);
    else if (sd_basis_random_row(b, i, y->o.seed, (uint64_t)y->streams++,
                                 err) != SD_OK)
      return err->code;
  }
  return multiply(y, 0, y->k, err);
}

/* ---- Rayleigh and Ritz -------------------------------------------------- */

/* t = S A S^T, all and t's columns its eigenpairs, order the best first. */
static SdStatus project(Lobpcg *y, SdError *err) {
  int64_t rows = y->k + y->np + y->nr;
  for (int64_t i = 0; i < rows; i++)
    sd_basis_dots(&y->s, rows, sd_basis_row(&y->as, i), y->t + i * rows);
  if (sd_lapack_eigh(SD_F64, rows, y->t, y->all, 1, "eigs", err) != SD_OK)
    return err->code;
  for (int64_t i = 0; i < rows; i++)
    if (fabs(y->all[i]) > y->norm) y->norm = fabs(y->all[i]);
  return sd_ritz_rank(y->o.which, rows, y->all, y->order, err);
}

/* Orthogonalises column j of c (rows x width) against those before it; 0 when
** nothing is left. */
static int settle_column(double *c, int64_t rows, int64_t width, int64_t j) {
  double before = 0, after = 0;
  for (int64_t i = 0; i < rows; i++) before = hypot(before, c[i * width + j]);
  for (int pass = 0; pass < 2; pass++)
    for (int64_t l = 0; l < j; l++) {
      double dot = 0;
      for (int64_t i = 0; i < rows; i++)
        dot += c[i * width + l] * c[i * width + j];
      for (int64_t i = 0; i < rows; i++)
        c[i * width + j] -= dot * c[i * width + l];
    }
  for (int64_t i = 0; i < rows; i++) after = hypot(after, c[i * width + j]);
  if (!(after > 1e-8 * before) || after < 1e-150) return 0;
  for (int64_t i = 0; i < rows; i++) c[i * width + j] /= after;
  return 1;
}

/* The coefficients of the new X, and of P: those of X without X's part. */
static void choose(Lobpcg *y) {
  int64_t k = y->k, rows = k + y->np + y->nr, width = 2 * k, kept = 0;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < k; j++)
      y->c[i * width + j] = y->t[i * rows + y->order[j]];
  for (int64_t j = 0; j < k && rows > k; j++) {
    for (int64_t i = 0; i < rows; i++)
      y->c[i * width + k + kept] = i < k ? 0 : y->c[i * width + j];
    kept += settle_column(y->c, rows, width, k + kept);
  }
  for (int64_t j = 0; j < k; j++) y->theta[j] = y->all[y->order[j]];
  y->np = kept;
}

static SdStatus rotate(Lobpcg *y, int64_t rows, SdError *err) {
  int64_t width = y->k + y->np;
  if (sd_basis_rotate(&y->s, 0, rows, width, y->c, 2 * y->k, err) != SD_OK)
    return err->code;
  return sd_basis_rotate(&y->as, 0, rows, width, y->c, 2 * y->k, err);
}

/* R: A x - theta x of the pairs that have not converged, preconditioned and
** orthogonal to all else. */
static SdStatus residuals(Lobpcg *y, SdError *err) {
  const SdBasis *b = &y->s;
  SdDtype d = b->dtype;
  int64_t n = b->n, at = y->k + y->np;
  void *r = sd_basis_row(&y->as, at);
  y->nr = 0;
  for (int64_t i = 0; i < y->k; i++) {
    void *w = sd_basis_row(b, at + y->nr);
    sd_vector_combine(d, n, 1, sd_basis_row(&y->as, i), -y->theta[i],
                      sd_basis_row(b, i), r);
    y->residual[i] = sd_vector_norm(d, n, r);
    if (y->residual[i] <= y->o.tol * y->norm / 4) continue;
    if (!y->m) memcpy(w, r, (size_t)n * sd_dtype_size(d));
    else if (sd_operator_apply(y->m, r, w, err) != SD_OK) return err->code;
    double norm = sd_vector_norm(d, n, w);
    if (!(norm > 0 && isfinite(norm))) continue;
    sd_vector_scale(d, n, 1 / norm, w);
    double left = sd_basis_orthogonalize(b, at + y->nr, w, NULL);
    if (left <= sd_lanczos_rounding(d)) continue;
    sd_vector_scale(d, n, 1 / left, w);
    y->nr++;
  }
  return SD_OK;
}

static int all_converged(const Lobpcg *y) {
  for (int64_t i = 0; i < y->wanted; i++)
    if (y->residual[i] > y->o.tol * y->norm / 2) return 0;
  return 1;
}

static SdStatus search(Lobpcg *y, SdEigsEnd *end, SdError *err) {
  for (;;) {
    int64_t rows = y->k + y->np + y->nr;
    if (project(y, err) != SD_OK) return err->code;
    choose(y);
    if (rotate(y, rows, err) != SD_OK) return err->code;
    y->nr = 0;
    if (residuals(y, err) != SD_OK) return err->code;
    *end = all_converged(y) ? SD_EIGS_CONVERGED : SD_EIGS_ROUNDING;
    if (*end == SD_EIGS_CONVERGED || y->nr == 0) return SD_OK;
    *end = SD_EIGS_MAX_ITER;
    if (y->products >= y->o.max_iter) return SD_OK;
    if (multiply(y, y->k + y->np, y->nr, err) != SD_OK) return err->code;
  }
}

/* ---- the whole ---------------------------------------------------------- */

static SdStatus run(Lobpcg *y, const void *start, SdEigs *out, SdError *err) {
  SdEigsEnd end = SD_EIGS_MAX_ITER;
  if (lobpcg_new(y, err) != SD_OK || first_rows(y, start, err) != SD_OK)
    return err->code;
  for (int64_t i = 0; i < y->k; i++) y->residual[i] = INFINITY;
  SdStatus status = search(y, &end, err);
  if (status == SD_EINTERRUPT && isfinite(y->residual[y->wanted - 1])) {
    sd_interrupt_keep();
    end = SD_EIGS_INTERRUPTED;
  } else if (status != SD_OK) {
    return status;
  }
  SdRitz ritz = {y->op, &y->s, &y->o, y->wanted, y->theta, y->residual, y->norm,
                 y->products, end};
  return sd_ritz_collect(&ritz, out, err);
}

SdStatus sd_eigs_lobpcg(const SdOperator *op, const SdOperator *precondition,
                        const void *start, const SdEigsOptions *o,
                        SdEigs *out, SdError *err) {
  Lobpcg y = {.op = op, .m = precondition, .o = *o};
  *out = (SdEigs){.k = 0};
  if (sd_ritz_configure(op, &y.o, err) != SD_OK) return err->code;
  y.wanted = y.o.k;
  /* The next in magnitude may be at the other end: both are kept in sight. */
  y.k = o->which == SD_EIGS_MAGNITUDE ? 2 * y.wanted : y.wanted;
  if (3 * y.k + 1 > op->n) return sd_eigs_run(op, NULL, o, out, err);
  SdStatus status = run(&y, start, out, err);
  lobpcg_free(&y);
  return status;
}
