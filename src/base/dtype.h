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

size_t sd_dtype_size(SdDtype d);
const char *sd_dtype_name(SdDtype d);

/* The dtype called name, or -1. */
int sd_dtype_find(const char *name);

static inline int sd_dtype_is_float(SdDtype d) { return d >= SD_F32; }
static inline SdDtype sd_dtype_promote(SdDtype a, SdDtype b) {
  return a > b ? a : b;
}

#endif
