/*
** Estimates of the diagonal and of the Frobenius norm of a symmetric operator
** from its products with random probes (rows, count x n, of independent
** entries with mean 0 and variance 1).  *done: the probes taken, fewer than
** count after an interrupt, which is a failure only before the first.
*/
#ifndef SD_DIAGONAL_H
#define SD_DIAGONAL_H

#include "curvature/operator.h"

/* value (n): the means of v_i (A v)_i / v_i^2, each weighted by v_i^2 (Bekas,
** Kokiopoulou and Saad 2007); with signs the variance of entry i is
** sum_j!=i a_ij^2 / count.  error (n): standard errors, NaN for count 1.  An
** entry at which all probes are 0 is NaN. */
SdStatus sd_diagonal_estimate(const SdOperator *op, int64_t count,
                              const void *probes, double *value,
                              double *error, int64_t *done, SdError *err);

/* The norm from the mean of |A v|^2, and its standard error. */
SdStatus sd_frobenius_estimate(const SdOperator *op, int64_t count,
                               const void *probes, double *value,
                               double *error, int64_t *done, SdError *err);

#endif
