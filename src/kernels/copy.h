/*
** Moving elements between layouts.  Extents and strides are in elements;
** strides may be 0 or negative.
*/
#ifndef SD_COPY_H
#define SD_COPY_H

#include "base/dtype.h"

#include <stdint.h>

/* Bytes of output from which it is written past the caches, being more than
** would stay there anyway. */
enum { SD_COPY_FAR = 16000000 };

/* out = in elementwise, over ndim dims; size is that of one element (1, 4
** or 8).  Uses all threads when large; transposed copies are blocked.
** out and in do not overlap.  Strides of out must not be 0 where the
** extent is above 1. */
void sd_copy_strided(int ndim, const int64_t *dims, size_t size, void *out,
                     const int64_t *out_strides, const void *in,
                     const int64_t *in_strides);

/* The elements numbered first .. first+n-1 in row-major order of the
** strided array in, written side by side.  One thread: this feeds one
** block of a fused program, so short inner extents must be quick too. */
void sd_copy_block(int ndim, const int64_t *dims, size_t size, void *out,
                   const void *in, const int64_t *in_strides, int64_t first,
                   int64_t n);

/* bytes bytes past the caches: for output so large that it would only push
** other data out.  sd_copy_stream_end makes it visible to other threads. */
void sd_copy_stream(void *out, const void *in, size_t bytes);
void sd_copy_stream_end(void);

/* n copies of the element at value. */
void sd_copy_fill(int64_t n, size_t size, void *out, const void *value);

#endif
