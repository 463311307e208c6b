#include "kernels/loops.h"

#include "kernels/tables.h"

#include <string.h>

static const SdArithTable *const arith[SD_NDTYPES] = {
    [SD_BOOL] = &sd_arith_table_bool, [SD_U8] = &sd_arith_table_u8,
    [SD_I32] = &sd_arith_table_i32,   [SD_I64] = &sd_arith_table_i64,
    [SD_F32] = &sd_arith_table_f32,   [SD_F64] = &sd_arith_table_f64};

SdLoopFn sd_loop(SdDtype d, SdLoop loop) {
  SdLoopFn f = arith[d]->loops[loop];
  if (f || d < SD_F32) return f;
  return (d == SD_F32 ? &sd_math_table_f32 : &sd_math_table_f64)->loops[loop];
}

SdLoopFn sd_loop_cast(SdDtype from, SdDtype to) {
  return from == to ? arith[from]->loops[SD_LOOP_COPY] : arith[from]->cast[to];
}

SdLoopFn sd_loop_vs(SdDtype d, SdLoop loop) { return arith[d]->vs[loop]; }
SdLoopFn sd_loop_sv(SdDtype d, SdLoop loop) { return arith[d]->sv[loop]; }
SdFoldFn sd_fold(SdDtype d, SdFold fold) { return arith[d]->fold[fold]; }

SdExpSumFn sd_exp_sum(SdDtype d) {
  return (d == SD_F32 ? &sd_math_table_f32 : &sd_math_table_f64)->exp_sum;
}

SdFoldRowsFn sd_fold_rows(SdDtype d, SdFold fold) {
  return arith[d]->rows[fold];
}

const char *sd_loop_vectors(void) {
#if defined(__AVX512F__)
  return "AVX-512";
#elif defined(__AVX2__)
  return "AVX2";
#elif defined(__ARM_NEON)
  return "NEON";
#else
  return "none";
#endif
}

/* ---- accumulators ------------------------------------------------------- */

SdAccumulator sd_fold_identity(SdDtype d, SdFold fold) {
  SdAccumulator a = {.i = 0};
  int real = sd_dtype_is_float(d);
  switch (fold) {
    case SD_FOLD_MAX:
      if (real) a.f = -__builtin_inf();
      else a.i = INT64_MIN;
      break;
    case SD_FOLD_MIN:
      if (real) a.f = __builtin_inf();
      else a.i = INT64_MAX;
      break;
    case SD_FOLD_ALL: a.i = 1; break;
    default: if (real) a.f = 0; break;
  }
  return a;
}

static void combine_float(SdFold fold, SdAccumulator *a,
                          const SdAccumulator *x) {
  switch (fold) {
    case SD_FOLD_MAX: if (x->f > a->f || x->f != x->f) a->f = x->f; break;
    case SD_FOLD_MIN: if (x->f < a->f || x->f != x->f) a->f = x->f; break;
    default: a->f += x->f; break;
  }
}

static void combine_integer(SdFold fold, SdAccumulator *a,
                            const SdAccumulator *x) {
  uint64_t u = (uint64_t)a->i, v = (uint64_t)x->i;
  switch (fold) {
    case SD_FOLD_SUM: a->i = (int64_t)(u + v); break;
    case SD_FOLD_MAX: if (x->i > a->i) a->i = x->i; break;
    case SD_FOLD_MIN: if (x->i < a->i) a->i = x->i; break;
    case SD_FOLD_ANY: a->i |= x->i; break;
    default: a->i &= x->i; break;
  }
}

void sd_fold_combine(SdDtype d, SdFold fold, SdAccumulator *acc,
                     const SdAccumulator *x) {
  if (sd_dtype_is_float(d)) combine_float(fold, acc, x);
  else combine_integer(fold, acc, x);
}

/* The identity of a narrow integer's MAX or MIN saturates. */
static int64_t held(int64_t v, int64_t low, int64_t high) {
  return v == INT64_MIN ? low : v == INT64_MAX ? high : v;
}

static void store_narrow(SdDtype d, const SdAccumulator *acc, int64_t i,
                         void *out) {
  int64_t v = acc[i].i;
  if (d == SD_I32) ((int32_t *)out)[i] = (int32_t)held(v, INT32_MIN, INT32_MAX);
  else if (d == SD_U8) ((uint8_t *)out)[i] = (uint8_t)held(v, 0, 255);
  else ((uint8_t *)out)[i] = v != 0;
}

void sd_fold_store(SdDtype d, int64_t n, const SdAccumulator *acc,
                   void *out) {
  if (d == SD_F64 || d == SD_I64) memcpy(out, acc, (size_t)n * sizeof *acc);
  else if (d == SD_F32) sd_loop_cast(SD_F64, d)(n, out, acc, NULL, NULL);
  else for (int64_t i = 0; i < n; i++) store_narrow(d, acc, i, out);
}
