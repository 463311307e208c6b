/*
** NumPy's .npy files (format 1.0, 2.0 and 3.0, as described in
** numpy/lib/format.py): one array, a header in Python's notation before it.
** Read: |b1 |u1 i4 i8 f4 f8 of either byte order.  Written: 1.0, row-major,
** in the machine's byte order.
*/
#ifndef SD_NPY_H
#define SD_NPY_H

#include "base/array.h"

#include <stddef.h>
#include <stdint.h>

/* An array stored in Fortran order comes back as a transposed view of its
** buffer, everything else contiguous. */
SdStatus sd_npy_read(const char *path, SdArray *out, SdError *err);

/* Replaces path atomically. */
SdStatus sd_npy_write(const char *path, const SdArray *a, SdError *err);

/* ---- for containers of .npy data ---------------------------------------- */

/* Where the bytes come from.  read fills exactly n bytes or fails. */
typedef struct SdNpySource {
  const char *name; /* in messages */
  uint64_t size;    /* no more bytes than this can come */
  SdStatus (*read)(struct SdNpySource *s, void *to, size_t n, SdError *err);
} SdNpySource;

SdStatus sd_npy_read_from(SdNpySource *s, SdArray *out, SdError *err);

enum { SD_NPY_HEADER = 448 }; /* room for the header of any array */

/* The header for a contiguous array like a; returns its length. */
size_t sd_npy_header(const SdArray *a, char header[SD_NPY_HEADER]);

#endif
