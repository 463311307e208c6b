/*
** The Lanczos recurrence: A V = V T + beta v e^T, T symmetric tridiagonal
** with alpha on its diagonal and beta beside it.
*/
#ifndef SD_LANCZOS_H
#define SD_LANCZOS_H

#include "curvature/basis.h"
#include "curvature/operator.h"

typedef struct SdLanczosOptions {
  int64_t steps;       /* at most */
  int reorthogonalize; /* against all earlier vectors, which are kept; no
                          more than n steps are taken then */
  int keep_basis;      /* without reorthogonalisation 3 vectors do */
} SdLanczosOptions;

typedef struct SdLanczos {
  int64_t steps;   /* taken: fewer when the space is exhausted */
  int64_t wanted;  /* room in alpha and beta */
  int interrupted; /* after these steps, which stand */
  double *alpha;   /* steps */
  double *beta;    /* steps: beta[i] couples v_i and v_i+1; the last one is
                      the norm of what is left, 0 after a breakdown */
  SdBasis basis;   /* steps + 1 rows, the last one only if its beta is not
                      0; without rows unless they were kept */
} SdLanczos;

/* start: n elements, not zero.  With full reorthogonalisation V is
** orthonormal to rounding; without it, copies of converged eigenvalues
** appear (Paige 1971).  A beta that is nothing but rounding ends the
** recurrence: the vectors so far span an invariant subspace. */
SdStatus sd_lanczos_run(const SdOperator *op, const void *start,
                        const SdLanczosOptions *o, SdLanczos *out,
                        SdError *err);
void sd_lanczos_free(SdLanczos *l);

/* The recurrences of count start vectors (rows) side by side, their products
** taken together.  On failure out holds nothing.  An interrupt after the
** first step is not one: all are interrupted then. */
SdStatus sd_lanczos_run_rows(const SdOperator *op, int64_t count,
                             const void *starts, const SdLanczosOptions *o,
                             SdLanczos *out, SdError *err);

/* A beta up to this, relative to the norm of A, is rounding. */
double sd_lanczos_rounding(SdDtype d);

/* Copies a start vector of norm 1 into v. */
SdStatus sd_lanczos_start(const SdOperator *op, const void *start, void *v,
                          SdError *err);

#endif
