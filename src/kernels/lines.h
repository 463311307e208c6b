/* Folds of rows onto one line, column by column, as they lie in memory. */
#ifndef SD_LINES_H
#define SD_LINES_H

#include "base/dtype.h"
#include "kernels/loops.h"

#include <stdint.h>

/* acc[i] = acc[i] combined with element i of row after row: rows of n elements,
** stride apart.  acc has x's dtype. */
typedef void (*SdLinesFn)(int64_t rows, int64_t n, int64_t stride,
                          const void *x, void *acc);

typedef struct SdLinesTable {
  SdLinesFn fold[SD_NFOLDS];
} SdLinesTable;

extern const SdLinesTable sd_lines_table_f32, sd_lines_table_f64;

/* NULL for what is not f32 or f64, and for folds of more than one number. */
static inline SdLinesFn sd_lines(SdDtype d, SdFold fold) {
  return d == SD_F32   ? sd_lines_table_f32.fold[fold]
         : d == SD_F64 ? sd_lines_table_f64.fold[fold] : NULL;
}

#endif
