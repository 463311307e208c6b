/*
** What rows.c finds in every/rows_typed.c: one table a dtype.  Indices were
** checked above.
*/
#ifndef SD_ROWS_TABLE_H
#define SD_ROWS_TABLE_H

#include "kernels/rows.h"

/* Elements from which threads pay. */
enum { SD_ROWS_PARALLEL = 32768 };

/* The row of out that x[o, j, i] is added to stands at
** at[o per_outer + j per_row + i per_inner]: scatter_add's index has one for
** each element, put_add's one for each j. */
typedef struct SdRowsIndex {
  const int64_t *at;
  int64_t per_outer, per_row, per_inner;
} SdRowsIndex;

typedef struct SdRowsTable {
  void (*argmax)(const SdRows *r, const void *x, int64_t *out);
  void (*argmin)(const SdRows *r, const void *x, int64_t *out);
  void (*cumsum)(const SdRows *r, int reverse, const void *x, void *out);
  void (*add)(const SdRows *r, int64_t n, const void *x, SdRowsIndex index,
              void *out); /* out is zeroed already */
  /* Adds to counts. */
  void (*count)(int64_t n, const void *x, double low, double high,
                int64_t bins, int64_t *counts);
} SdRowsTable;

extern const SdRowsTable sd_rows_table_bool, sd_rows_table_u8,
    sd_rows_table_i32, sd_rows_table_i64, sd_rows_table_f32,
    sd_rows_table_f64;

/* Row number at (1-based, negative from the end) counted from 0. */
static inline int64_t sd_rows_from_zero(int64_t at, int64_t len) {
  return at > 0 ? at - 1 : at + len;
}

#endif
