/*
** Softmax and its logarithm over rows: the passes of a row follow each other
** while it is in the first cache.
*/
#ifndef SD_SOFTMAX_H
#define SD_SOFTMAX_H

#include "base/dtype.h"

#include <stdint.h>

/* out[r][i] = exp(x[r][i]) / sum_j exp(x[r][j]), or with take_log set the
** logarithm of it; f32 and f64, contiguous, out not x.  Rows with a NaN, or
** whose largest element is infinite, are NaN. */
void sd_softmax(SdDtype d, int take_log, int64_t rows, int64_t cols,
                const void *x, void *out);

#endif
