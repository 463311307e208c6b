/*
** Arithmetic on one dtype: compiled once for each, with real its C type.
** Integers wrap, which in C means going through unsigned.  Compiled without
** contraction: a fused instruction gives the bits of the ops it stands for.
*/
#include "kernels/lanes.h"
#include "kernels/tables.h"

#include <math.h>
#include <string.h>

#if defined(REAL_f32) || defined(REAL_f64)
#include "kernels/vector.h"
#define IS_FLOAT 1
#else
#define IS_FLOAT 0
#endif
#if defined(REAL_bool)
#define IS_BOOL 1
#else
#define IS_BOOL 0
#endif

/* The type in which integers wrap. */
#if IS_FLOAT
typedef real wrap;
#elif defined(REAL_i64)
typedef uint64_t wrap;
#else
typedef uint32_t wrap;
#endif

/* The bits of one, which may be read in its place. */
#if defined(REAL_f64) || defined(REAL_i64)
typedef uint64_t __attribute__((may_alias)) bits;
#elif defined(REAL_f32) || defined(REAL_i32)
typedef uint32_t __attribute__((may_alias)) bits;
#else
typedef uint8_t bits;
#endif

#if defined(REAL_f32)
#define FLOOR floorf
#define FABS fabsf
#elif defined(REAL_f64)
#define FLOOR floor
#define FABS fabs
#endif

#define LOOP(name, type, expression) \
  static void name(int64_t n, void *o, const void *pa, const void *pb, \
                   const void *pc) { \
    type *out = o; \
    const real *a = pa, *b = pb, *c = pc; \
    (void)b, (void)c; \
    LANES for (int64_t i = 0; i < n; i++) out[i] = (type)(expression); \
  }

static void copy(int64_t n, void *o, const void *a, const void *b,
                 const void *c) {
  (void)b, (void)c;
  if (o != a && n > 0) memcpy(o, a, (size_t)n * sizeof(real));
}

/* a is bool here.  A choice becomes masked loads, which take three times as
** long as whole ones. */
static void where(int64_t n, void *o, const void *pa, const void *pb,
                  const void *pc) {
  bits *out = o;
  const uint8_t *a = pa;
  const bits *b = pb, *c = pc;
  LANES for (int64_t i = 0; i < n; i++) {
    bits mask = (bits)((bits)0 - (bits)(a[i] != 0));
    out[i] = (bits)((b[i] & mask) | (c[i] & (bits)~mask));
  }
}

LOOP(eq, uint8_t, a[i] == b[i])
LOOP(ne, uint8_t, a[i] != b[i])
LOOP(lt, uint8_t, a[i] < b[i])
LOOP(le, uint8_t, a[i] <= b[i])
LOOP(nonzero, uint8_t, a[i] != 0)

#if IS_BOOL
LOOP(and_, uint8_t, a[i] & b[i])
LOOP(or_, uint8_t, a[i] | b[i])
LOOP(not_, uint8_t, !a[i])
LOOP(min, real, a[i] & b[i])
LOOP(max, real, a[i] | b[i])
#else

#define ADD(x, y) ((wrap)(x) + (wrap)(y))
#define SUB(x, y) ((wrap)(x) - (wrap)(y))
#define MUL(x, y) ((wrap)(x) * (wrap)(y))

LOOP(add, real, ADD(a[i], b[i]))
LOOP(sub, real, SUB(a[i], b[i]))
LOOP(mul, real, MUL(a[i], b[i]))
LOOP(muladd, real, ADD(MUL(a[i], b[i]), c[i]))
LOOP(neg, real, IS_FLOAT ? -a[i] : (real)((wrap)0 - (wrap)a[i]))
LOOP(square, real, MUL(a[i], a[i]))

/* One side the same for all elements. */
#define SCALAR(name, expression) \
  static void name##_vs(int64_t n, void *o, const void *pa, const void *pb, \
                        const void *pc) { \
    real *out = o; \
    const real *a = pa, y = *(const real *)pb; \
    (void)pc; \
    LANES for (int64_t i = 0; i < n; i++) { \
      real x = a[i]; \
      out[i] = (real)(expression); \
    } \
  } \
  static void name##_sv(int64_t n, void *o, const void *pa, const void *pb, \
                        const void *pc) { \
    real *out = o; \
    const real x = *(const real *)pa, *b = pb; \
    (void)pc; \
    LANES for (int64_t i = 0; i < n; i++) { \
      real y = b[i]; \
      out[i] = (real)(expression); \
    } \
  }
SCALAR(add, ADD(x, y))
SCALAR(sub, SUB(x, y))
SCALAR(mul, MUL(x, y))

#if IS_FLOAT
LOOP(abs_, real, FABS(a[i]))
LOOP(sign, real, a[i] > 0 ? 1 : a[i] < 0 ? -1 : a[i])
LOOP(div_, real, a[i] / b[i])
static void axpby(int64_t n, void *o, const void *pa, const void *pb,
                  const void *pc) {
  real *out = o;
  const real *a = pa, *b = pb, s = ((const real *)pc)[0];
  const real t = ((const real *)pc)[1];
  LANES for (int64_t i = 0; i < n; i++) out[i] = a[i] * s + b[i] * t;
}
static void scale_shift(int64_t n, void *o, const void *pa, const void *pb,
                        const void *pc) {
  real *out = o;
  const real *a = pa, s = ((const real *)pc)[0], t = ((const real *)pc)[1];
  (void)pb;
  LANES for (int64_t i = 0; i < n; i++) out[i] = a[i] * s + t;
}
SCALAR(div_, x / y)
LOOP(floordiv, real, FLOOR(a[i] / b[i]))
/* As Lua: the remainder takes the divisor's sign; an infinite divisor leaves
** what it can. */
static real modulo(real x, real y) {
  real m = (real)fmod((double)x, (double)y);
  return m * y < 0 ? m + y : m;
}
LOOP(mod_, real, modulo(a[i], b[i]))
/* Either being NaN, so is the result: comparisons with it fail.  One choice
** and no branch, lest the loads become masked ones, which take three times as
** long. */
LOOP(min, real, ((a[i] < b[i]) | (a[i] != a[i])) ? a[i] : b[i])
LOOP(max, real, ((a[i] > b[i]) | (a[i] != a[i])) ? a[i] : b[i])
#else
LOOP(abs_, real, a[i] < 0 ? (real)((wrap)0 - (wrap)a[i]) : a[i])
LOOP(sign, real, (a[i] > 0) - (a[i] < 0))
static real floor_divide(real x, real y) {
  if (y == 0) return 0;
  if ((wrap)y == (wrap)-1) return (real)((wrap)0 - (wrap)x);
  real q = x / y;
  return (real)(q - ((x % y != 0) && ((x < 0) != (y < 0))));
}
static real modulo(real x, real y) {
  if (y == 0 || (wrap)y == (wrap)-1) return 0;
  real m = (real)(x % y);
  return (real)(m != 0 && (m < 0) != (y < 0) ? m + y : m);
}
static real remainder_of(real x, real y) {
  return y == 0 || (wrap)y == (wrap)-1 ? 0 : (real)(x % y);
}
/* Wraps around; of the negative powers only those of 1 and -1 are whole, and
** others are 0. */
static real power(real x, real y) {
  wrap result = 1, base = (wrap)x;
  if (y < 0) return (real)(x == 1 || (wrap)x == (wrap)-1 ? (y % 2 ? x : 1) : 0);
  for (; y > 0; y /= 2) {
    if (y % 2) result = (wrap)MUL(result, base);
    base = (wrap)MUL(base, base);
  }
  return (real)result;
}
LOOP(floordiv, real, floor_divide(a[i], b[i]))
LOOP(mod_, real, modulo(a[i], b[i]))
LOOP(fmod_, real, remainder_of(a[i], b[i]))
LOOP(pow_, real, power(a[i], b[i]))
LOOP(min, real, a[i] < b[i] ? a[i] : b[i])
LOOP(max, real, a[i] > b[i] ? a[i] : b[i])
#endif
#endif /* not bool */

/* ---- casts -------------------------------------------------------------- */

#define CAST(name, type, expression) \
  static void name(int64_t n, void *o, const void *pa, const void *b, \
                   const void *c) { \
    type *out = o; \
    const real *a = pa; \
    (void)b, (void)c; \
    for (int64_t i = 0; i < n; i++) { \
      real x = a[i]; \
      out[i] = (type)(expression); \
    } \
  }
#if IS_FLOAT
/* Truncates and saturates; NaN is 0.  high is the first real too large. */
#define SATURATE(low, high, most, type) \
  (x != x ? 0 : x < (real)(low) ? (type)(low) : x >= (real)(high) \
       ? (type)(most) : (type)x)
CAST(to_u8, uint8_t, SATURATE(0, 256.0, UINT8_MAX, uint8_t))
CAST(to_i32, int32_t, SATURATE(INT32_MIN, 2147483648.0, INT32_MAX, int32_t))
CAST(to_i64, int64_t,
     SATURATE(INT64_MIN, 9223372036854775808.0, INT64_MAX, int64_t))
#else
CAST(to_u8, uint8_t, x)
CAST(to_i32, int32_t, x)
CAST(to_i64, int64_t, x)
#endif
CAST(to_bool, uint8_t, x != 0)
CAST(to_f32, float, x)
CAST(to_f64, double, x)

/* ---- folds -------------------------------------------------------------- */

#if IS_FLOAT
typedef double total;
#define ACC f
#else
typedef int64_t total;
#define ACC i
#endif

#if !IS_BOOL
enum { WIDE = 64, PIECE = 4096 };

/* Partial sums in lanes for up to PIECE elements, then in double. */
#if IS_FLOAT
static total sum_piece(int64_t n, const real *x) {
  Vec lane[4] = {{0}};
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int k = 0; k < 4; k++) lane[k] += load(x + i + k * W);
  for (; i + W <= n; i += W) lane[0] += load(x + i);
  if (i < n) lane[1] += last_lanes(load(x + n - W), n - i);
  return (total)add_lanes((lane[0] + lane[1]) + (lane[2] + lane[3]));
}
#else
static total sum_piece(int64_t n, const real *x) {
  uint64_t lane[WIDE] = {0};
  int64_t i = 0;
  for (; i + WIDE <= n; i += WIDE)
    for (int k = 0; k < WIDE; k++) lane[k] += (uint64_t)x[i + k];
  for (int k = 0; i < n; i++, k++) lane[k] += (uint64_t)x[i];
  for (int half = WIDE / 2; half > 0; half /= 2)
    for (int k = 0; k < half; k++) lane[k] += lane[k + half];
  return (total)lane[0];
}
#endif

static inline total sum_short(int64_t n, const real *x) {
#if IS_FLOAT
  real s = 0;
  for (int64_t i = 0; i < n; i++) s += x[i];
  return (total)s;
#else
  uint64_t s = 0;
  for (int64_t i = 0; i < n; i++) s += (uint64_t)x[i];
  return (total)s;
#endif
}

static total add_totals(total a, total b) {
#if IS_FLOAT
  return a + b;
#else
  return (total)((uint64_t)a + (uint64_t)b);
#endif
}

static void fold_sum(int64_t n, const void *p, SdAccumulator *acc) {
  const real *x = p;
  if (n <= 16) {
    acc->ACC = add_totals(acc->ACC, sum_short(n, x));
    return;
  }
  for (int64_t i = 0; i < n; i += PIECE)
    acc->ACC = add_totals(acc->ACC,
                          sum_piece(n - i < PIECE ? n - i : PIECE, x + i));
}

/* NaN, once met, stays: it is unordered with everything.  WIDE lanes keep
** enough comparisons in flight; a short row would pay for setting them up. */
#if IS_FLOAT
#define UNLESS_FINITE(v) ((v) - (v))
#else
#define UNLESS_FINITE(v) 0
#endif
/* m OP v ? m : v is one instruction where it need not keep a NaN in m; the
** careful loop does, and runs when some element is not finite.  The last block
** overlaps the one before, which does no harm. */
#define EXTREME(name, OP) \
  static real name##_careful(int64_t n, const real *x) { \
    real best = x[0]; \
    for (int64_t i = 1; i < n; i++) \
      best = best != best || best OP x[i] ? best : x[i]; \
    return best; \
  } \
  static void name(int64_t n, const void *p, SdAccumulator *acc) { \
    const real *x = p; \
    real lane[WIDE], odd[WIDE] = {0}, best; \
    int finite = 1; \
    int64_t i = 0; \
    if (n <= 0) return; \
    if (n < 2 * WIDE) { \
      best = name##_careful(n, x); \
    } else { \
      for (int k = 0; k < WIDE; k++) lane[k] = x[k]; \
      for (;; i = i + 2 * WIDE <= n ? i + WIDE : n - WIDE) { \
        for (int k = 0; k < WIDE; k++) { \
          real v = x[i + k], m = lane[k]; \
          odd[k] += UNLESS_FINITE(v); \
          lane[k] = m OP v ? m : v; \
        } \
        if (i + WIDE == n) break; \
      } \
      for (int k = 0; k < WIDE; k++) finite &= odd[k] == 0; \
      for (int half = WIDE / 2; half > 0; half /= 2) \
        for (int k = 0; k < half; k++) \
          lane[k] = lane[k] OP lane[k + half] ? lane[k] : lane[k + half]; \
      best = finite ? lane[0] : name##_careful(n, x); \
    } \
    total v = (total)best; \
    if (v OP acc->ACC || v != v) acc->ACC = v; \
  }
EXTREME(fold_max, >)
EXTREME(fold_min, <)
#else
static void fold_any(int64_t n, const void *p, SdAccumulator *acc) {
  const uint8_t *x = p;
  uint8_t any = 0;
  for (int64_t i = 0; i < n; i++) any |= x[i];
  acc->i |= any != 0;
}
static void fold_all(int64_t n, const void *p, SdAccumulator *acc) {
  const uint8_t *x = p;
  uint8_t all = 1;
  for (int64_t i = 0; i < n; i++) all &= x[i];
  acc->i &= all;
}
#endif

#define ROWS(name) \
  static void name##_rows(int64_t rows, int64_t cols, const void *p, \
                          SdAccumulator *acc) { \
    const real *x = p; \
    for (int64_t r = 0; r < rows; r++) name(cols, x + r * cols, acc + r); \
  }
#if IS_BOOL
ROWS(fold_any)
ROWS(fold_all)
#else
/* Of short rows a call each would cost more than their sums; and where the
** compiler knows how short, a loop each. */
static inline __attribute__((always_inline)) void
sum_rows_short(int64_t rows, int64_t cols, const real *x, SdAccumulator *acc) {
  for (int64_t r = 0; r < rows; r++)
    acc[r].ACC = add_totals(acc[r].ACC, sum_short(cols, x + r * cols));
}

static void fold_sum_rows(int64_t rows, int64_t cols, const void *p,
                          SdAccumulator *acc) {
  const real *x = p;
  switch (cols) {
    case 2: sum_rows_short(rows, 2, x, acc); return;
    case 3: sum_rows_short(rows, 3, x, acc); return;
    case 4: sum_rows_short(rows, 4, x, acc); return;
    default: break;
  }
  if (cols <= 16) {
    sum_rows_short(rows, cols, x, acc);
    return;
  }
  for (int64_t r = 0; r < rows; r++) fold_sum(cols, x + r * cols, acc + r);
}
ROWS(fold_max)
ROWS(fold_min)
#endif

/* ---- the table ---------------------------------------------------------- */

const SdArithTable SD_TYPED(sd_arith_table) = {
  .loops = {
    [SD_LOOP_COPY] = copy, [SD_LOOP_WHERE] = where, [SD_LOOP_EQ] = eq,
    [SD_LOOP_NE] = ne, [SD_LOOP_LT] = lt, [SD_LOOP_LE] = le,
    [SD_LOOP_NONZERO] = nonzero, [SD_LOOP_MIN] = min, [SD_LOOP_MAX] = max,
#if IS_BOOL
    [SD_LOOP_AND] = and_, [SD_LOOP_OR] = or_, [SD_LOOP_NOT] = not_,
#else
    [SD_LOOP_NEG] = neg, [SD_LOOP_ABS] = abs_, [SD_LOOP_SIGN] = sign,
    [SD_LOOP_SQUARE] = square, [SD_LOOP_ADD] = add, [SD_LOOP_SUB] = sub,
    [SD_LOOP_MUL] = mul, [SD_LOOP_MULADD] = muladd,
    [SD_LOOP_FLOORDIV] = floordiv, [SD_LOOP_MOD] = mod_,
#if IS_FLOAT
    [SD_LOOP_DIV] = div_, [SD_LOOP_AXPBY] = axpby,
    [SD_LOOP_SCALE_SHIFT] = scale_shift,
#else
    [SD_LOOP_POW] = pow_, [SD_LOOP_FMOD] = fmod_,
#endif
#endif
  },
#if !IS_BOOL
  .vs = {[SD_LOOP_ADD] = add_vs, [SD_LOOP_SUB] = sub_vs,
         [SD_LOOP_MUL] = mul_vs,
#if IS_FLOAT
         [SD_LOOP_DIV] = div__vs,
#endif
  },
  .sv = {[SD_LOOP_ADD] = add_sv, [SD_LOOP_SUB] = sub_sv,
         [SD_LOOP_MUL] = mul_sv,
#if IS_FLOAT
         [SD_LOOP_DIV] = div__sv,
#endif
  },
#endif
  .cast = {[SD_BOOL] = to_bool, [SD_U8] = to_u8, [SD_I32] = to_i32,
           [SD_I64] = to_i64, [SD_F32] = to_f32, [SD_F64] = to_f64},
#if IS_BOOL
  .fold = {[SD_FOLD_ANY] = fold_any, [SD_FOLD_ALL] = fold_all},
  .rows = {[SD_FOLD_ANY] = fold_any_rows, [SD_FOLD_ALL] = fold_all_rows},
#else
  .fold = {[SD_FOLD_SUM] = fold_sum, [SD_FOLD_MAX] = fold_max,
           [SD_FOLD_MIN] = fold_min},
  .rows = {[SD_FOLD_SUM] = fold_sum_rows, [SD_FOLD_MAX] = fold_max_rows,
           [SD_FOLD_MIN] = fold_min_rows},
#endif
};
