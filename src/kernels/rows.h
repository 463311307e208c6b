/*
** Work along one dim: an array seen as outer x len x inner, contiguous.
** Everything runs on all threads when large.  Indices written and read
** count from 1.
*/
#ifndef SD_ROWS_H
#define SD_ROWS_H

#include "base/dtype.h"
#include "base/error.h"

#include <stdint.h>

typedef struct SdRows {
  int64_t outer, len, inner;
} SdRows;

/* out: outer x inner, i64.  The first of equals; NaN counts as extreme. */
void sd_rows_argmax(SdDtype d, const SdRows *r, const void *x, int64_t *out);
void sd_rows_argmin(SdDtype d, const SdRows *r, const void *x, int64_t *out);

/* out: as x.  Running sum along len; reverse runs from the end.
** f32 accumulates in double. */
void sd_rows_cumsum(SdDtype d, const SdRows *r, int reverse, const void *x,
                    void *out);
size_t sd_rows_sort_scratch(const SdRows *r);
void sd_rows_sort(SdDtype d, const SdRows *r, int descending, const void *x,
                  void *values, int64_t *indices, void *scratch);

/* out[o, j, i] = x[o, index[o, j, i], i] for j < n: x is outer x len x
** inner, index and out are outer x n x inner.  Fails when an index is
** outside 1 .. len (negative ones count from the end), naming it. */
SdStatus sd_rows_gather(size_t size, const SdRows *r, int64_t n,
                        const void *x, const int64_t *index, void *out,
                        SdError *err);

/* The transpose: out (outer x len x inner, zeroed here) gets x[o, j, i]
** (outer x n x inner) added at out[o, index[o, j, i], i].  Fixed order of
** summation. */
SdStatus sd_rows_scatter_add(SdDtype d, const SdRows *r, int64_t n,
                             const void *x, const int64_t *index, void *out,
                             SdError *err);

/* out[o, j, i] = x[o, index[j], i]: whole slices, one index list for all. */
SdStatus sd_rows_take(size_t size, const SdRows *r, int64_t n, const void *x,
                      const int64_t *index, void *out, SdError *err);

/* The transpose of take: out (outer x len x inner, zeroed here) gets slice
** x[o, j, :] added at out[o, index[j], :]. */
SdStatus sd_rows_put_add(SdDtype d, const SdRows *r, int64_t n,
                         const void *x, const int64_t *index, void *out,
                         SdError *err);

/* Fails, in the name of what, unless all n labels are in 1 .. classes. */
SdStatus sd_rows_labels(const char *what, int64_t n, const int64_t *label,
                        int64_t classes, SdError *err);

/* out[o, k, i] (outer x len x inner): the last j with index[o, j, i] = k,
** counted from 1, or 0: which element stays where several are laid at one
** place.  what names the caller in errors. */
SdStatus sd_rows_writer(const char *what, const SdRows *r, int64_t n,
                        const int64_t *index, int64_t *out, SdError *err);

/* Counts of the n elements of x in bins equal bins over [low, high], the
** last one closed; others and NaN are not counted.  out: bins values. */
void sd_rows_histogram(SdDtype d, int64_t n, const void *x, double low,
                       double high, int64_t bins, double *out);

#endif
