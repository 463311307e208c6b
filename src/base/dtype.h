/*
** Element types.  Their order is the order of promotion within and across
** the kinds bool < integer < float.
*/
#ifndef SD_DTYPE_H
#define SD_DTYPE_H

#include <stddef.h>

typedef enum SdDtype {
  SD_BOOL,  /* one byte, 0 or 1 */
  SD_U8,
  SD_I32,
  SD_I64,
  SD_F32,
  SD_F64,
  SD_NDTYPES
} SdDtype;

static inline size_t sd_dtype_size(SdDtype d) { /* in bytes */
  return d < SD_I32 ? 1 : d == SD_I32 || d == SD_F32 ? 4 : 8;
}
const char *sd_dtype_name(SdDtype d);

/* The dtype called name, or -1. */
int sd_dtype_find(const char *name);

static inline int sd_dtype_is_float(SdDtype d) { return d >= SD_F32; }
static inline SdDtype sd_dtype_promote(SdDtype a, SdDtype b) {
  return a > b ? a : b;
}

#endif
