/*
** Estimates of the trace of an operator from its products with random
** probes: rows, count x n, of independent entries with mean 0 and variance 1
** (signs, say).  Each estimate is unbiased.  An interrupt after the first
** products is no failure: the estimate is then that of the probes so far.
*/
#ifndef SD_TRACE_H
#define SD_TRACE_H

#include "curvature/operator.h"

typedef struct SdTraceEstimate {
  double value;
  double error;     /* standard error; NaN when one sample gives none */
  int64_t products; /* used */
  int64_t samples;  /* whose mean it is */
  int interrupted;
} SdTraceEstimate;

/* The mean of v^T A v (Hutchinson 1989).  With signs its variance is
** 2 (|A|_F^2 - sum_i a_ii^2) / count.  count products. */
SdStatus sd_trace_hutchinson(const SdOperator *op, int64_t count,
                             const void *probes, SdTraceEstimate *out,
                             SdError *err);

/* Hutch++ (Meyer, Musco, Musco and Woodruff 2021, algorithm 1): the first
** half of the probes finds the range where A is large, whose trace is then
** exact; the others estimate the rest.  count >= 2; about 3/2 count products.
** Memory: count / 2 vectors. */
SdStatus sd_trace_hutchpp(const SdOperator *op, int64_t count,
                          const void *probes, SdTraceEstimate *out,
                          SdError *err);

/* XTrace (Epperly, Tropp and Webber 2024, section 2.2): every probe serves
** both ends, each in turn tested on the range found by the others.
** 2 count products.  Memory: count vectors.  When the range of A is spent
** before the probes are, the trace is exact.  The error lies between that of
** independent samples, which these are not, and the jackknife's. */
SdStatus sd_trace_xtrace(const SdOperator *op, int64_t count,
                         const void *probes, SdTraceEstimate *out,
                         SdError *err);

#endif
