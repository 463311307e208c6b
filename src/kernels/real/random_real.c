/*
** Floats from random bits, one group at a time.  The functions of
** Box-Muller are polynomials here, so that its loop is vectorised: fdlibm's
** for log and, in double, for sine and cosine; Cephes' for these in float.
*/
#include "kernels/random_table.h"

#include "kernels/tables.h"

#include <math.h>
#include <string.h>

enum { BLOCKS = SD_RANDOM_BLOCKS };

#ifdef REAL_f32
typedef int32_t Bits;
enum { MANTISSA = 23, BIAS = 127, PAIRS = 2 };
static const Bits one = 0x3f800000, root_half = 0x3f3504f3;

/* The uniform in [0, 1) and the one in (0, 1] of value k of the group's
** pair p, where k is 0 or 1. */
static inline real uniform_at(SdRandomWords w, int p, int k, int j) {
  return (real)(int32_t)(w[2 * p + k][j] >> 8) * 0x1p-24f;
}
static inline real positive_at(SdRandomWords w, int p, int k, int j) {
  return (real)(int32_t)(w[2 * p + k][j] >> 1) * 0x1p-31f + 0x1p-32f;
}

static inline real log_series(real z) {
  return z * (0.66666662693f + z * (0.40000972152f + z * (0.28498786688f +
         z * 0.24279078841f)));
}
static inline real sin_series(real x, real z) {
  return x + x * z * (-1.6666654611e-1f + z * (8.3321608736e-3f +
         z * -1.9515295891e-4f));
}
static inline real cos_series(real z) {
  return 1 - 0.5f * z + z * z * (4.166664568298827e-2f +
         z * (-1.388731625493765e-3f + z * 2.443315711809948e-5f));
}
#else
typedef int64_t Bits;
enum { MANTISSA = 52, BIAS = 1023, PAIRS = 1 };
static const Bits one = 0x3ff0000000000000, root_half = 0x3fe6a09e667f3bcd;

static inline int64_t bits_at(SdRandomWords w, int k, int j) {
  return (int64_t)(((uint64_t)w[2 * k][j] << 32 | w[2 * k + 1][j]) >> 11);
}
static inline real uniform_at(SdRandomWords w, int p, int k, int j) {
  return (real)bits_at(w, 2 * p + k, j) * 0x1p-53;
}
static inline real positive_at(SdRandomWords w, int p, int k, int j) {
  return (real)bits_at(w, 2 * p + k, j) * 0x1p-53 + 0x1p-54;
}

static inline real log_series(real z) {
  return z * (6.666666666666735130e-01 + z * (3.999999999940941908e-01 +
         z * (2.857142874366239149e-01 + z * (2.222219843214978396e-01 +
         z * (1.818357216161805012e-01 + z * (1.531383769920937332e-01 +
         z * 1.479819860511658591e-01))))));
}
static inline real sin_series(real x, real z) {
  return x + x * z * (-1.66666666666666324348e-01 +
         z * (8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 +
         z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 +
         z * 1.58969099521155010221e-10)))));
}
static inline real cos_series(real z) {
  return 1 - 0.5 * z + z * z * (4.16666666666666019037e-02 +
         z * (-1.38888888888741095749e-03 + z * (2.48015872894767294178e-05 +
         z * (-2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 +
         z * -1.13596475577881948265e-11)))));
}
#endif

static inline Bits bits_of(real x) {
  Bits b;
  memcpy(&b, &x, sizeof b);
  return b;
}
static inline real real_of(Bits b) {
  real x;
  memcpy(&x, &b, sizeof x);
  return x;
}

/* log x for a normal x: x = 2^e (1 + f) with sqrt 1/2 <= 1 + f < sqrt 2,
** s = f / (2 + f), log(1 + f) = 2 s + s R(s^2). */
static inline real log_normal(real x) {
  Bits b = bits_of(x) + (one - root_half);
  Bits e = (b >> MANTISSA) - BIAS;
  real f = real_of((b & (((Bits)1 << MANTISSA) - 1)) + root_half) - 1;
  real s = f / (2 + f);
  return (real)e * (real)0.693147180559945309417 +
         s * (2 + log_series(s * s));
}

/* Cosine and sine of 2 pi u for 0 <= u < 1: the nearest quarter turn q is
** taken off, and swaps and signs follow from it. */
static inline void turn(real u, real *c, real *s) {
  int q = (int)(4 * u + (real)0.5);
  real x = (u - (real)q * (real)0.25) * (real)6.283185307179586476925;
  real z = x * x, sine = sin_series(x, z), cosine = cos_series(z);
  real first = q & 1 ? sine : cosine, second = q & 1 ? cosine : sine;
  *c = (q + 1) & 2 ? -first : first;
  *s = q & 2 ? -second : second;
}

static void uniform(SdRandomWords w, void *out) {
  real *x = out;
  for (int k = 0; k < 2 * PAIRS; k++)
    for (int j = 0; j < BLOCKS; j++)
      x[k * BLOCKS + j] = uniform_at(w, k / 2, k % 2, j);
}

/* Box and Muller (1958). */
static void normal(SdRandomWords w, void *out) {
  for (int p = 0; p < PAIRS; p++) {
    real *restrict x = (real *)out + 2 * p * BLOCKS;
    for (int j = 0; j < BLOCKS; j++) {
      real c, s, u = positive_at(w, p, 0, j);
      real square = -2 * log_normal(u);
      real r = square > 0 ? square : 0;
      turn(uniform_at(w, p, 1, j), &c, &s);
      r = sizeof r == sizeof(float) ? (real)sqrtf((float)r) : (real)sqrt(r);
      x[j] = r * c;
      x[BLOCKS + j] = r * s;
    }
  }
}

extern const SdRandomTable SD_TYPED(sd_random_table);
const SdRandomTable SD_TYPED(sd_random_table) = {uniform, normal};
