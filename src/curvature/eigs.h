/*
** Some eigenpairs of a symmetric operator by thick-restart Lanczos (Wu and
** Simon 2000, SIAM J. Matrix Anal. Appl. 22, 602-616) with full
** reorthogonalisation.
*/
#ifndef SD_EIGS_H
#define SD_EIGS_H

#include "curvature/operator.h"

typedef enum SdEigsWhich {
  SD_EIGS_LARGEST,   /* algebraic; values descend */
  SD_EIGS_SMALLEST,  /* algebraic; values ascend */
  SD_EIGS_MAGNITUDE, /* largest |value|; |values| descend */
  SD_EIGS_BOTH       /* half from each end, one more from the upper end when
                        k is odd; values descend */
} SdEigsWhich;

typedef struct SdEigsOptions {
  int64_t k;
  SdEigsWhich which;
  double tol;       /* a pair has converged when its residual is at most tol
                       times the norm of A; 0: 1e-10 for f64, 1e-5 for f32 */
  int64_t max_iter; /* products for the iteration, at least k; 0: 10 n within
                       1000 to 10000 */
  int64_t subspace; /* vectors held; 0: 2 k + 30, for small n more; at least
                       k + 6, at most n */
  int verify;       /* see below */
  uint64_t seed;    /* of the fresh directions */
} SdEigsOptions;

typedef enum SdEigsEnd {
  SD_EIGS_CONVERGED,
  SD_EIGS_MAX_ITER,
  SD_EIGS_ROUNDING,   /* the search believed to be done, measured residuals
                         are above tol */
  SD_EIGS_INTERRUPTED /* values and residuals are those of the search */
} SdEigsEnd;

typedef struct SdEigs {
  int64_t k, n;
  SdDtype dtype;
  double *values;    /* k, Rayleigh quotients of the vectors */
  void *vectors;     /* k x n, orthonormal rows */
  double *residuals; /* k, |A v - lambda v|, from one product each */
  double norm;       /* a lower bound of the norm of A, close to it */
  int64_t iterations; /* products used, all told */
  int64_t converged;  /* pairs whose residual is within tol */
  SdEigsEnd end;
} SdEigs;

/* start: n elements, not zero; NULL for a random one from the seed.  A start
** vector near the wanted vectors saves products.
**
** A Krylov space of one start vector holds one vector of each eigenspace,
** so that Lanczos sees copies of a multiple eigenvalue late or never, and
** none of what a deficient start vector lacks.  With verify, the converged
** pairs are locked and a random vector orthogonal to them is iterated until
** an eigenvalue that should have been among them shows, which sends the
** search on, or its absence is likely beyond 1 in 1000 (Kuczynski and
** Wozniakowski 1992, theorem 4.2) or as many products have gone into this
** as into the search.  Worth it for k > 1; well separated values cost some
** ten products.
**
** A search that ends at max_iter is not an error: see end.  Neither is one
** that is interrupted when it has Ritz pairs: out->k of them come back then,
** at most k. */
SdStatus sd_eigs_run(const SdOperator *op, const void *start,
                     const SdEigsOptions *o, SdEigs *out, SdError *err);
void sd_eigs_free(SdEigs *e);

/* "converged", "max_iter reached", ... */
const char *sd_eigs_end_name(SdEigsEnd end);

/* The same by block Krylov spaces (Golub and Underwood 1977) with thick
** restarts and full reorthogonalisation: block products at once, each start
** of its own, so that eigenvalues of a multiplicity up to block come with
** their copies and no verification is needed.  start: block rows, or NULL. */
SdStatus sd_eigs_block(const SdOperator *op, int64_t block, const void *start,
                       const SdEigsOptions *o, SdEigs *out, SdError *err);

/* LOBPCG (Knyazev 2001) on orthonormal bases (Duersch, Shao, Yang and Gu
** 2018): k products at once, memory for 6 k vectors.  precondition: close to
** the inverse of A minus the wanted values, or NULL.  start: k rows, or
** NULL. */
SdStatus sd_eigs_lobpcg(const SdOperator *op, const SdOperator *precondition,
                        const void *start, const SdEigsOptions *o,
                        SdEigs *out, SdError *err);

/* Power iteration with deflation, for comparison: one vector after the other,
** by magnitude whatever o->which; max_iter counts for all together. */
SdStatus sd_eigs_power(const SdOperator *op, const void *start,
                       const SdEigsOptions *o, SdEigs *out, SdError *err);

#endif
