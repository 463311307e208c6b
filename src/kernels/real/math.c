/*
** Transcendental loops on SLEEF's vectors, compiled for f32 and f64.  The
** widest unit of the target is used; errors are within 1 ulp, of f32's exp
** within 1.5 and of its tanh within 3.
*/
#include "kernels/lanes.h"
#include "kernels/tables.h"

#include <math.h>
#include <sleef.h>
#include <string.h>

#if defined(REAL_f32)
#define IS_F32 1
#else
#define IS_F32 0
#endif

#if defined(__AVX512F__)
#include <immintrin.h>
#if IS_F32
typedef __m512 vec;
enum { WIDTH = 16 };
#define FN(name, ulp) Sleef_##name##f16_##ulp
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#else
typedef __m512d vec;
enum { WIDTH = 8 };
#define FN(name, ulp) Sleef_##name##d8_##ulp
#define LOAD _mm512_loadu_pd
#define STORE _mm512_storeu_pd
#endif
#elif defined(__AVX2__)
#include <immintrin.h>
#if IS_F32
typedef __m256 vec;
enum { WIDTH = 8 };
#define FN(name, ulp) Sleef_##name##f8_##ulp
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#else
typedef __m256d vec;
enum { WIDTH = 4 };
#define FN(name, ulp) Sleef_##name##d4_##ulp
#define LOAD _mm256_loadu_pd
#define STORE _mm256_storeu_pd
#endif
#else
typedef real vec;
enum { WIDTH = 1 };
#if IS_F32
#define FN(name, ulp) Sleef_##name##f_##ulp
#else
#define FN(name, ulp) Sleef_##name##_##ulp
#endif
static inline vec LOAD(const real *p) { return *p; }
static inline void STORE(real *p, vec v) { *p = v; }
#endif

#if IS_F32
#define C(name) name##f
#else
#define C(name) name
#endif

/* ---- loops over vectors ------------------------------------------------- */

/* The rest that fills no vector goes through one padded with ones, which
** every function here takes without a trap. */
#define UNARY(name, function) \
  static void name(int64_t n, void *o, const void *pa, const void *pb, \
                   const void *pc) { \
    real *out = o; \
    const real *a = pa; \
    int64_t i = 0; \
    (void)pb, (void)pc; \
    for (; i + WIDTH <= n; i += WIDTH) STORE(out + i, function(LOAD(a + i))); \
    if (i < n) { \
      real t[WIDTH]; \
      for (int k = 0; k < WIDTH; k++) t[k] = i + k < n ? a[i + k] : 1; \
      STORE(t, function(LOAD(t))); \
      for (int k = 0; i + k < n; k++) out[i + k] = t[k]; \
    } \
  }

#define BINARY(name, function) \
  static void name(int64_t n, void *o, const void *pa, const void *pb, \
                   const void *pc) { \
    real *out = o; \
    const real *a = pa, *b = pb; \
    int64_t i = 0; \
    (void)pc; \
    for (; i + WIDTH <= n; i += WIDTH) \
      STORE(out + i, function(LOAD(a + i), LOAD(b + i))); \
    if (i < n) { \
      real t[WIDTH], u[WIDTH]; \
      for (int k = 0; k < WIDTH; k++) { \
        t[k] = i + k < n ? a[i + k] : 1; \
        u[k] = i + k < n ? b[i + k] : 1; \
      } \
      STORE(t, function(LOAD(t), LOAD(u))); \
      for (int k = 0; i + k < n; k++) out[i + k] = t[k]; \
    } \
  }

#if IS_F32
/* x = n ln 2 + r with |r| <= ln 2 / 2; e^r - 1 = r + r^2 q(r), q fitted to
** 0.05 ulp of e^r.  n comes of adding 1.5 2^23, whose last bit is worth 1.
** NaN is in r.  SLEEF takes twice as long. */
typedef struct Split {
  int32_t n;
  float e; /* e^r - 1 */
} Split;

static inline int32_t bits_of(float x) {
  union { float f; int32_t i; } u = {.f = x};
  return u.i;
}

static inline float power_of_2(int32_t n) { /* -126 <= n <= 127 */
  union { uint32_t i; float f; } u = {.i = (uint32_t)(n + 127) << 23};
  return u.f;
}

static inline Split split(float x) {
  const float shift = 12582912;
  float t = x * 1.44269504f + shift, n = t - shift;
  float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float q = 1.38145942e-3f;
  q = q * r + 8.3687175e-3f;
  q = q * r + 4.16683881e-2f;
  q = q * r + 1.66665206e-1f;
  q = q * r + 4.99999934e-1f;
  return (Split){bits_of(t) - bits_of(shift), r + r * r * q};
}

/* NaN stays: each comparison is one instruction that gives x then. */
static inline float at_most(float x, float high) {
  return high < x ? high : x;
}

static inline float at_least(float x, float low) {
  return low > x ? low : x;
}

/* Of x <= 89.  2^n goes on in two halves, so that results may overflow and be
** subnormal.  Within 1.5 ulp. */
static inline float exp_one(float x) {
  Split s = split(at_least(at_most(x, 89), -104));
  int32_t half = s.n >> 1;
  float power = power_of_2(half);
  return (power + power * s.e) * power_of_2(s.n - half);
}

/* Of x <= 0, for less: 2^(n + 64) is normal. */
static inline float exp_negative(float x) {
  Split s = split(at_least(x, -104));
  float power = power_of_2(s.n + 64);
  return (power + power * s.e) * 0x1p-64f;
}

/* e / (e + 2) of e = exp(2 |x|) - 1.  Within 3 ulp. */
static inline float tanh_one(float x) {
  Split s = split(2 * at_most(fabsf(x), 10));
  float power = power_of_2(s.n), e = (power - 1) + power * s.e;
  return copysignf(e / (e + 2), x);
}

static inline float sigmoid_one(float x) {
  float e = exp_negative(-fabsf(x));
  return (x < 0 ? e : 1) / (1 + e);
}

#define MAPPED(name, function) \
  static void name(int64_t n, void *o, const void *pa, const void *pb, \
                   const void *pc) { \
    float *out = o; \
    const float *a = pa; \
    (void)pb, (void)pc; \
    LANES for (int64_t i = 0; i < n; i++) out[i] = function(a[i]); \
  }
MAPPED(exp_, exp_one)
MAPPED(tanh_, tanh_one)
MAPPED(sigmoid_, sigmoid_one)

enum { SUMS = 64 };

static double exp_sum(int64_t n, const void *px, double shift, void *o) {
  const float *x = px;
  float *out = o, sum[SUMS] = {0}, s = (float)shift;
  int64_t i = 0;
  for (; i + SUMS <= n; i += SUMS)
    LANES for (int k = 0; k < SUMS; k++) {
      float e = exp_negative(x[i + k] - s);
      out[i + k] = e;
      sum[k] += e;
    }
  LANES for (int64_t k = i; k < n; k++) out[k] = exp_negative(x[k] - s);
  for (int k = 0; i < n; i++, k++) sum[k] += out[i];
  for (int half = SUMS / 2; half > 0; half /= 2)
    for (int k = 0; k < half; k++) sum[k] += sum[k + half];
  return (double)sum[0];
}
#else
UNARY(exp_, FN(exp, u10))

static double exp_sum(int64_t n, const void *px, double shift, void *o) {
  const double *x = px;
  double *out = o, sum[8] = {0};
  LANES for (int64_t i = 0; i < n; i++) out[i] = x[i] - shift;
  exp_(n, out, out, NULL, NULL);
  for (int64_t i = 0; i < n; i++) sum[i % 8] += out[i];
  return ((sum[0] + sum[4]) + (sum[1] + sum[5])) +
         ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}
#endif
UNARY(expm1_, FN(expm1, u10))
UNARY(log_, FN(log, u10))
UNARY(log1p_, FN(log1p, u10))
UNARY(sin_, FN(sin, u10))
UNARY(cos_, FN(cos, u10))
UNARY(tan_, FN(tan, u10))
UNARY(asin_, FN(asin, u10))
UNARY(acos_, FN(acos, u10))
UNARY(atan_, FN(atan, u10))
UNARY(sinh_, FN(sinh, u10))
UNARY(cosh_, FN(cosh, u10))
#if !IS_F32
UNARY(tanh_, FN(tanh, u10))
#endif
UNARY(asinh_, FN(asinh, u10))
UNARY(acosh_, FN(acosh, u10))
UNARY(atanh_, FN(atanh, u10))
UNARY(erf_, FN(erf, u10))
UNARY(erfc_, FN(erfc, u15))
UNARY(lgamma_, FN(lgamma, u10))
BINARY(pow_, FN(pow, u10))
BINARY(atan2_, FN(atan2, u10))

/* ---- plain loops -------------------------------------------------------- */

#define LOOP(name, type, expression) \
  static void name(int64_t n, void *o, const void *pa, const void *pb, \
                   const void *pc) { \
    type *out = o; \
    const real *a = pa, *b = pb; \
    (void)b, (void)pc; \
    LANES for (int64_t i = 0; i < n; i++) out[i] = (type)(expression); \
  }

LOOP(sqrt_, real, C(sqrt)(a[i]))
LOOP(rsqrt_, real, 1 / C(sqrt)(a[i]))
LOOP(reciprocal_, real, 1 / a[i])
LOOP(floor_, real, C(floor)(a[i]))
LOOP(ceil_, real, C(ceil)(a[i]))
LOOP(round_, real, C(rint)(a[i]))
LOOP(trunc_, real, C(trunc)(a[i]))
LOOP(isnan_, uint8_t, a[i] != a[i])
LOOP(isinf_, uint8_t, C(fabs)(a[i]) == (real)INFINITY)
LOOP(isfinite_, uint8_t, C(fabs)(a[i]) < (real)INFINITY)
LOOP(fmod_, real, C(fmod)(a[i], b[i]))

/* e = exp(-|x|) never overflows; both functions are exact from it. */
enum { CHUNK = 256 };

static void exp_of_minus_abs(int64_t n, real *e, const real *a) {
  LANES for (int64_t i = 0; i < n; i++) e[i] = -C(fabs)(a[i]);
  exp_(n, e, e, NULL, NULL);
}

#if !IS_F32
static void sigmoid_(int64_t n, void *o, const void *pa, const void *pb,
                     const void *pc) {
  real e[CHUNK], *out = o;
  const real *a = pa;
  (void)pb, (void)pc;
  for (int64_t at = 0; at < n; at += CHUNK) {
    int64_t m = n - at < CHUNK ? n - at : CHUNK;
    exp_of_minus_abs(m, e, a + at);
    LANES for (int64_t i = 0; i < m; i++) {
      real top = a[at + i] < 0 ? e[i] : 1;
      out[at + i] = top / (1 + e[i]);
    }
  }
}
#endif

static void softplus_(int64_t n, void *o, const void *pa, const void *pb,
                      const void *pc) {
  real e[CHUNK], *out = o;
  const real *a = pa;
  (void)pb, (void)pc;
  for (int64_t at = 0; at < n; at += CHUNK) {
    int64_t m = n - at < CHUNK ? n - at : CHUNK;
    exp_of_minus_abs(m, e, a + at);
    log1p_(m, e, e, NULL, NULL);
    LANES for (int64_t i = 0; i < m; i++) {
      real x = a[at + i];
      out[at + i] = (x > 0 ? x : x != x ? x : 0) + e[i];
    }
  }
}

/* ---- special functions, one element at a time in double ----------------- */

/* Winitzki's approximation (2008), then Halley steps on erf or, in the
** tail, on erfc, where 1 - |y| is exact. */
static double erfinv(double y) {
  double t = fabs(y), a = 0.147, x;
  if (!(t < 1)) return t == 1 ? copysign(INFINITY, y) : NAN;
  if (t == 0) return y;
  double l = log1p(-t * t), s = 2 / (M_PI * a) + l / 2;
  x = sqrt(sqrt(s * s - l / a) - s);
  for (int k = 0; k < 3; k++) {
    double f = t < .5 ? erf(x) - t : (1 - t) - erfc(x);
    double u = f / (M_2_SQRTPI * exp(-x * x));
    x -= u / (1 + x * u);
  }
  return copysign(x, y);
}

/* B_2k / (2k)! */
static const double bernoulli[] = {
    1.0 / 12, -1.0 / 720, 1.0 / 30240, -1.0 / 1209600, 1.0 / 47900160,
    -691.0 / 1307674368000.0, 1.0 / 74724249600.0,
    -3617.0 / 10670622842880000.0, 43867.0 / 5109094217170944000.0,
    -174611.0 / 802857662698291200000.0};

static double digamma(double x) {
  double s = 0;
  for (; x < 12; x++) s -= 1 / x;
  double r = 1 / (x * x), p = r, f = 1;
  s += log(x) - .5 / x;
  /* - sum B_2k / (2k x^2k) */
  for (int k = 0; k < 8; k++) {
    f *= k ? (2 * k) * (2 * k + 1) : 1;
    s -= bernoulli[k] * f * p;
    p *= r;
  }
  return s;
}

/* Hurwitz's zeta(s, x) by Euler-Maclaurin summation. */
static double zeta(double s, double x) {
  double sum = 0, terms = 12 + s;
  for (int k = 0; k < terms; k++) sum += pow(x++, -s);
  double t = pow(x, -s);
  sum += t * x / (s - 1) + t / 2;
  double p = s * t / x;
  for (int k = 0; k < 10; k++) {
    sum += bernoulli[k] * p;
    p *= (s + 2 * k + 1) * (s + 2 * k + 2) / (x * x);
  }
  return sum;
}

/* The n-th derivative of pi cot(pi x): polynomials in c = cot(pi x), each
** the last one's derivative times -(1 + c^2), times pi^(n+1). */
static double cot_derivative(int n, double x) {
  double p[80] = {0, 1}, q[80];
  double c = 1 / tan(M_PI * (x - rint(x))), sum = 0, scale = M_PI;
  for (int k = 0; k < n; k++) {
    memset(q, 0, sizeof q);
    for (int j = 1; j <= k + 1; j++) {
      q[j - 1] -= j * p[j];
      q[j + 1] -= j * p[j];
    }
    memcpy(p, q, sizeof p);
    scale *= M_PI;
  }
  for (int j = n + 1; j >= 0; j--) sum = sum * c + p[j];
  return scale * sum;
}

/* Odd derivatives rise on both sides; at 0 the others take the side of
** their argument's sign, or PyTorch's. */
static double at_pole(int n, double x) {
  if (n % 2) return INFINITY;
  if (x < 0) return NAN;
  return n == 0 && signbit(x) ? INFINITY : -INFINITY;
}

static double polygamma(double order, double x) {
  int n = (int)order;
  if (!(order >= 0 && order <= 64) || x != x) return NAN;
  if (x <= 0) {
    if (x == floor(x)) return at_pole(n, x);
    double r = polygamma(order, 1 - x);
    return (n % 2 ? -r : r) - cot_derivative(n, x);
  }
  if (n == 0) return digamma(x);
  double sign = n % 2 ? 1 : -1;
  return sign * tgamma(order + 1) * zeta(order + 1, x);
}

#define SPECIAL(name, expression) \
  static void name(int64_t n, void *o, const void *pa, const void *pb, \
                   const void *pc) { \
    real *out = o; \
    const real *a = pa, *b = pb; \
    (void)b, (void)pc; \
    for (int64_t i = 0; i < n; i++) out[i] = (real)(expression); \
  }
SPECIAL(erfinv_, erfinv((double)a[i]))
/* the order comes first */
SPECIAL(polygamma_, polygamma((double)a[i], (double)b[i]))

const SdMathTable SD_TYPED(sd_math_table) = {.exp_sum = exp_sum, .loops = {
    [SD_LOOP_SQRT] = sqrt_, [SD_LOOP_RSQRT] = rsqrt_,
    [SD_LOOP_RECIPROCAL] = reciprocal_, [SD_LOOP_EXP] = exp_,
    [SD_LOOP_EXPM1] = expm1_, [SD_LOOP_LOG] = log_, [SD_LOOP_LOG1P] = log1p_,
    [SD_LOOP_SIN] = sin_, [SD_LOOP_COS] = cos_, [SD_LOOP_TAN] = tan_,
    [SD_LOOP_ASIN] = asin_, [SD_LOOP_ACOS] = acos_, [SD_LOOP_ATAN] = atan_,
    [SD_LOOP_SINH] = sinh_, [SD_LOOP_COSH] = cosh_, [SD_LOOP_TANH] = tanh_,
    [SD_LOOP_ASINH] = asinh_, [SD_LOOP_ACOSH] = acosh_,
    [SD_LOOP_ATANH] = atanh_, [SD_LOOP_ERF] = erf_, [SD_LOOP_ERFC] = erfc_,
    [SD_LOOP_ERFINV] = erfinv_, [SD_LOOP_LGAMMA] = lgamma_,
    [SD_LOOP_POLYGAMMA] = polygamma_, [SD_LOOP_SIGMOID] = sigmoid_,
    [SD_LOOP_SOFTPLUS] = softplus_, [SD_LOOP_FLOOR] = floor_,
    [SD_LOOP_CEIL] = ceil_, [SD_LOOP_ROUND] = round_,
    [SD_LOOP_TRUNC] = trunc_, [SD_LOOP_ISNAN] = isnan_,
    [SD_LOOP_ISINF] = isinf_, [SD_LOOP_ISFINITE] = isfinite_,
    [SD_LOOP_POW] = pow_, [SD_LOOP_ATAN2] = atan2_,
    [SD_LOOP_FMOD] = fmod_}};
