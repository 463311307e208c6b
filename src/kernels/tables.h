/*
** How the loops of one dtype are exported: a table an object, named after
** the dtype it was compiled for.
*/
#ifndef SD_TABLES_H
#define SD_TABLES_H

#include "kernels/loops.h"

#define SD_PASTE_(a, b) a##_##b
#define SD_PASTE(a, b) SD_PASTE_(a, b)
/* sd_arith_table_f32 and so on */
#define SD_TYPED(name) SD_PASTE(name, REAL_NAME)

#if defined(REAL_f32)
#define DTYPE SD_F32
#elif defined(REAL_f64)
#define DTYPE SD_F64
#endif

typedef struct SdArithTable {
  SdLoopFn loops[SD_NLOOPS];
  SdLoopFn vs[SD_NLOOPS], sv[SD_NLOOPS];
  SdLoopFn cast[SD_NDTYPES]; /* to each dtype */
  SdFoldFn fold[SD_NFOLDS];
  SdFoldRowsFn rows[SD_NFOLDS];
} SdArithTable;

typedef struct SdMathTable {
  SdLoopFn loops[SD_NLOOPS];
  SdExpSumFn exp_sum;
} SdMathTable;

extern const SdArithTable sd_arith_table_bool, sd_arith_table_u8,
    sd_arith_table_i32, sd_arith_table_i64, sd_arith_table_f32,
    sd_arith_table_f64;
extern const SdMathTable sd_math_table_f32, sd_math_table_f64;

#endif
