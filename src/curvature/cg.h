/*
** Solvers for (A + damping 1) x = b with a symmetric operator: conjugate
** gradients (Hestenes and Stiefel 1952) for positive definite ones, MINRES
** (Paige and Saunders 1975) for any.
*/
#ifndef SD_CG_H
#define SD_CG_H

#include "curvature/operator.h"

typedef struct SdSolveOptions {
  double damping;
  double tol;       /* of |b - A x| relative to |b|; 0: 1e-10 for f64, 1e-5
                       for f32 */
  int64_t max_iter; /* 0: 10 n, at least 100 */
  const SdOperator *precondition; /* M, positive definite and close to the
                       inverse of A + damping 1; may be NULL */
} SdSolveOptions;

typedef enum SdSolveEnd {
  SD_SOLVE_CONVERGED,
  SD_SOLVE_LEAST_SQUARES,      /* MINRES: singular, and x minimises the
                                  residual */
  SD_SOLVE_MAX_ITER,
  SD_SOLVE_STAGNATED,          /* rounding allows no smaller residual */
  SD_SOLVE_NEGATIVE_CURVATURE, /* CG: stopped, see direction */
  SD_SOLVE_INTERRUPTED         /* x is the best so far */
} SdSolveEnd;

typedef struct SdSolveResult {
  SdSolveEnd end;
  int64_t iterations; /* products used, all told */
  double residual;    /* |b - (A + damping 1) x|, computed; as recurred
                         when INTERRUPTED, of MINRES then in the
                         preconditioner's norm */
  double curvature;   /* CG: the least d^T (A + damping 1) d of the unit
                         search directions d; with NEGATIVE_CURVATURE that
                         of direction: below 0, or 0 when nothing but
                         rounding is left of it */
} SdSolveResult;

/* x: the first guess (zeros are recognised and cost no product), then the
** solution or the best so far.  direction: n elements or NULL; on negative
** curvature a unit vector along which the quadratic falls without bound,
** with a positive product with the residual there. */
SdStatus sd_cg_solve(const SdOperator *op, const void *b, void *x,
                     void *direction, const SdSolveOptions *o,
                     SdSolveResult *out, SdError *err);

SdStatus sd_minres_solve(const SdOperator *op, const void *b, void *x,
                         const SdSolveOptions *o, SdSolveResult *out,
                         SdError *err);

/* "converged", "negative curvature", ... */
const char *sd_solve_end_name(SdSolveEnd end);

#endif
