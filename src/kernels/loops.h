/*
** Elementwise loops over contiguous blocks: the instructions of the fused
** programs.  One table per dtype, exported by objects compiled from the
** same two sources: arith.c (every numeric type) and math.c (floats).
*/
#ifndef SD_LOOPS_H
#define SD_LOOPS_H

#include "base/dtype.h"

#include <stdint.h>

/*
** out[i] = f(a[i], b[i], c[i]) for 0 <= i < n.  Unused inputs are NULL.
** out may be exactly a, b or c, but may not overlap them otherwise.
*/
typedef void (*SdLoopFn)(int64_t n, void *out, const void *a, const void *b,
                         const void *c);

/* Loops whose inputs and output all have the table's dtype, unless said. */
typedef enum SdLoop {
  /* arith.c: all dtypes (integers wrap; bool has the logical ones only) */
  SD_LOOP_COPY,
  SD_LOOP_NEG,
  SD_LOOP_ABS,
  SD_LOOP_SIGN,   /* NaN stays NaN */
  SD_LOOP_SQUARE,
  SD_LOOP_ADD,
  SD_LOOP_SUB,
  SD_LOOP_MUL,
  SD_LOOP_DIV,    /* floats only */
  SD_LOOP_FLOORDIV, /* as Lua's //: integers round down, x//0 is 0 */
  SD_LOOP_MOD,      /* as Lua's %: sign of the divisor, integer x%0 is 0 */
  SD_LOOP_MIN,    /* a NaN in either input gives NaN */
  SD_LOOP_MAX,
  SD_LOOP_MULADD, /* a*b + c, rounded twice, as all of these */
  SD_LOOP_AXPBY,  /* a*s + b*t, c pointing at s and t; floats only */
  SD_LOOP_SCALE_SHIFT, /* a*s + t, likewise */
  SD_LOOP_EQ,     /* comparisons: out is bool */
  SD_LOOP_NE,
  SD_LOOP_LT,
  SD_LOOP_LE,
  SD_LOOP_WHERE,  /* a is bool: a ? b : c */
  SD_LOOP_NONZERO, /* out is bool: a != 0 (NaN is nonzero) */
  SD_LOOP_AND,    /* bool table only */
  SD_LOOP_OR,
  SD_LOOP_NOT,
  /* math.c: f32 and f64 */
  SD_LOOP_SQRT,
  SD_LOOP_RSQRT,  /* 1/sqrt, full precision */
  SD_LOOP_RECIPROCAL,
  SD_LOOP_EXP,
  SD_LOOP_EXPM1,
  SD_LOOP_LOG,
  SD_LOOP_LOG1P,
  SD_LOOP_SIN,
  SD_LOOP_COS,
  SD_LOOP_TAN,
  SD_LOOP_ASIN,
  SD_LOOP_ACOS,
  SD_LOOP_ATAN,
  SD_LOOP_SINH,
  SD_LOOP_COSH,
  SD_LOOP_TANH,
  SD_LOOP_ASINH,
  SD_LOOP_ACOSH,
  SD_LOOP_ATANH,
  SD_LOOP_ERF,
  SD_LOOP_ERFC,
  SD_LOOP_ERFINV,
  SD_LOOP_LGAMMA,
  SD_LOOP_POLYGAMMA, /* polygamma(a, b): order a[i] a whole number >= 0; 0 is
                        digamma.  At poles infinite, or NaN where the
                        sides differ */
  SD_LOOP_SIGMOID,   /* no overflow, accurate in both tails */
  SD_LOOP_SOFTPLUS,  /* log(1 + exp(a)), no overflow, accurate tails */
  SD_LOOP_FLOOR,
  SD_LOOP_CEIL,
  SD_LOOP_ROUND,  /* half to even */
  SD_LOOP_TRUNC,
  SD_LOOP_ISNAN,  /* out is bool, as the next two */
  SD_LOOP_ISINF,
  SD_LOOP_ISFINITE,
  SD_LOOP_POW,    /* of integers: wraps; 0 for what is no whole number */
  SD_LOOP_ATAN2,
  SD_LOOP_FMOD,   /* C's fmod; of integers by 0: 0 */
  SD_NLOOPS
} SdLoop;

/* NULL where the dtype lacks the loop. */
SdLoopFn sd_loop(SdDtype d, SdLoop loop);

/* Converts from dtype a's to dtype out's: float to integer truncates and
** saturates, NaN becomes 0; to bool is x != 0. */
SdLoopFn sd_loop_cast(SdDtype from, SdDtype to);

/* The versions of + - * / whose second (vs) or first (sv) input is one
** element for all: same signature, that pointer is read once.  NULL for
** other loops and for bool. */
SdLoopFn sd_loop_vs(SdDtype d, SdLoop loop);
SdLoopFn sd_loop_sv(SdDtype d, SdLoop loop);

/* The vector unit the loops were compiled for. */
const char *sd_loop_vectors(void);

/* ---- folds: reductions within a block ------------------------------- */

typedef enum SdFold {
  SD_FOLD_SUM,
  SD_FOLD_MAX,    /* NaN wins */
  SD_FOLD_MIN,
  SD_FOLD_ANY,    /* bool only */
  SD_FOLD_ALL,
  SD_FOLD_DEVIATIONS, /* squared, from the mean, added up: floats only, see
                         kernels/moments.h */
  SD_NFOLDS
} SdFold;

/* f of floats, i of integers and bool. */
typedef union SdAccumulator {
  double f;
  int64_t i;
} SdAccumulator;

/* acc = acc combined with x[0], .., x[n-1].  The order of the sum depends
** on n alone; partial sums within one call may be in the dtype itself. */
typedef void (*SdFoldFn)(int64_t n, const void *x, SdAccumulator *acc);
SdFoldFn sd_fold(SdDtype d, SdFold fold);

/* rows of cols elements each, one accumulator per row: for the short rows
** of a block. */
typedef void (*SdFoldRowsFn)(int64_t rows, int64_t cols, const void *x,
                             SdAccumulator *acc);
SdFoldRowsFn sd_fold_rows(SdDtype d, SdFold fold);

/* out[i] = exp(x[i] - shift) in one pass, where shift is at least the greatest
** x[i]; returns their sum.  Of f32 at most some thousands, as they are added
** up in lanes of the dtype. */
typedef double (*SdExpSumFn)(int64_t n, const void *x, double shift,
                             void *out);
SdExpSumFn sd_exp_sum(SdDtype d); /* f32 and f64 */

SdAccumulator sd_fold_identity(SdDtype d, SdFold fold);
void sd_fold_combine(SdDtype d, SdFold fold, SdAccumulator *acc,
                     const SdAccumulator *x);
/* Stores n accumulators as elements of dtype d (integers wrap). */
void sd_fold_store(SdDtype d, int64_t n, const SdAccumulator *acc, void *out);

#endif
