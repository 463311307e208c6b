/*
** What the eigensolvers share at their ends: which Ritz pairs are wanted, and
** how the rows of a basis become a result.
*/
#ifndef SD_RITZ_H
#define SD_RITZ_H

#include "curvature/basis.h"
#include "curvature/eigs.h"

/* order: indices of the m values, best first.  For both ends they alternate,
** so that the first k are the wanted ones for any k. */
SdStatus sd_ritz_rank(SdEigsWhich which, int64_t m, const double *values,
                      int64_t *order, SdError *err);

/* Checks n, k, tol and max_iter and fills in the defaults of eigs.h. */
SdStatus sd_ritz_configure(const SdOperator *op, SdEigsOptions *o,
                           SdError *err);

/* The first k rows of the basis are the vectors; the row after the last row
** in use is scratch when there is no other room. */
typedef struct SdRitz {
  const SdOperator *op;
  const SdBasis *basis;
  const SdEigsOptions *o;
  int64_t k;
  double *values, *residuals; /* k: estimates, replaced when measured */
  double norm;                /* of A, from below */
  int64_t products;           /* so far */
  SdEigsEnd end;              /* as the search saw it; INTERRUPTED: values
                                 and residuals are taken as they are */
} SdRitz;

/* Measures each pair with a product, sorts them and fills out.  On failure
** out holds nothing. */
SdStatus sd_ritz_collect(SdRitz *r, SdEigs *out, SdError *err);

#endif
