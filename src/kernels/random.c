#include "kernels/random.h"

#include <math.h>
#include <string.h>

/* ---- Philox 4x32-10 -------------------------------------------------------------- */

enum { LANES = 16, BLOCK = 4 * LANES }; /* numbers made at once */

typedef struct Bits {
  uint32_t x[4][LANES];
} Bits;

/* Counters first .. first + LANES-1 of a stream. */
static void philox(uint64_t seed, uint64_t stream, uint64_t first, Bits *b) {
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int i = 0; i < LANES; i++) {
    uint64_t c = first + (uint64_t)i;
    b->x[0][i] = (uint32_t)c;
    b->x[1][i] = (uint32_t)(c >> 32);
    b->x[2][i] = (uint32_t)stream;
    b->x[3][i] = (uint32_t)(stream >> 32);
  }
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < LANES; i++) {
      uint64_t p = (uint64_t)b->x[0][i] * 0xD2511F53u;
      uint64_t q = (uint64_t)b->x[2][i] * 0xCD9E8D57u;
      uint32_t y1 = b->x[1][i], y3 = b->x[3][i];
      b->x[0][i] = (uint32_t)(q >> 32) ^ y1 ^ k0;
      b->x[1][i] = (uint32_t)q;
      b->x[2][i] = (uint32_t)(p >> 32) ^ y3 ^ k1;
      b->x[3][i] = (uint32_t)p;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

/* ---- distributions ------------------------------------------------------------------ */

static double unit53(uint32_t high, uint32_t low) {
  return (double)(((uint64_t)high << 32 | low) >> 11) * 0x1p-53;
}

/* A block of BLOCK f32 or BLOCK/2 f64 numbers. */
static void uniform_f32(const Bits *b, float *out) {
  const uint32_t *x = &b->x[0][0];
  for (int i = 0; i < BLOCK; i++) out[i] = (float)(x[i] >> 8) * 0x1p-24f;
}

static void uniform_f64(const Bits *b, double *out) {
  for (int i = 0; i < LANES; i++) {
    out[i] = unit53(b->x[0][i], b->x[1][i]);
    out[LANES + i] = unit53(b->x[2][i], b->x[3][i]);
  }
}

/* Box and Muller (1958): two normals from two uniforms, the first in
** (0, 1]. */
static void normal_f64(const Bits *b, double *out) {
  for (int i = 0; i < LANES; i++) {
    double u = unit53(b->x[0][i], b->x[1][i]) + 0x1p-53;
    double v = unit53(b->x[2][i], b->x[3][i]);
    double r = sqrt(-2 * log(u));
    out[i] = r * cos(2 * M_PI * v);
    out[LANES + i] = r * sin(2 * M_PI * v);
  }
}

/* log for x in (0, 1], about 1e-7 relative: x = 2^e m with m near 1, then
** the series of 2 atanh((m-1)/(m+1)). */
static inline float log_f32(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  int32_t e = (int32_t)((bits - 0x3f3504f3u) >> 23);
  if (bits < 0x3f3504f3u) e -= 512;
  bits -= (uint32_t)e << 23;
  float m;
  memcpy(&m, &bits, 4);
  float s = (m - 1) / (m + 1), t = s * s;
  float p = 2 + t * (0.66666667f + t * (0.4f + t * (0.28571430f +
                                                   t * 0.22222222f)));
  return (float)e * 0.69314718f + s * p;
}

/* sin and cos of 2 pi v: v less its nearest quarter, Taylor series. */
static inline void turn_f32(float v, float *s, float *c) {
  float q = (float)(int32_t)(v * 4 + 0.5f), x = (v - q * 0.25f) * 6.2831853f;
  float t = x * x;
  float si = x * (1 + t * (-0.16666667f + t * (0.0083333310f -
                                               t * 0.00019840874f)));
  float co = 1 + t * (-0.5f + t * (0.041666638f + t * (-0.0013888378f +
                                                       t * 2.4760495e-5f)));
  int32_t k = (int32_t)q & 3;
  float a = k & 1 ? co : si, b = k & 1 ? si : co;
  *s = k & 2 ? -a : a;
  *c = (k + 1) & 2 ? -b : b;
}

static void normal_f32(const Bits *b, float *out) {
  const uint32_t *x = &b->x[0][0];
  enum { HALF = BLOCK / 2 };
  for (int i = 0; i < HALF; i++) {
    float u = ((float)(x[i] >> 8) + 1) * 0x1p-24f;
    float v = (float)(x[HALF + i] >> 8) * 0x1p-24f, s, c;
    float r = sqrtf(-2 * log_f32(u));
    turn_f32(v, &s, &c);
    out[i] = r * c;
    out[HALF + i] = r * s;
  }
}

/* ---- whole tensors ----------------------------------------------------------------------- */

typedef void (*Fill)(const Bits *b, void *out);

static void fill_uniform_f32(const Bits *b, void *o) { uniform_f32(b, o); }
static void fill_uniform_f64(const Bits *b, void *o) { uniform_f64(b, o); }
static void fill_normal_f32(const Bits *b, void *o) { normal_f32(b, o); }
static void fill_normal_f64(const Bits *b, void *o) { normal_f64(b, o); }

static void fill(uint64_t seed, uint64_t stream, int64_t n, SdDtype d,
                 Fill f, void *out) {
  int64_t size = (int64_t)sd_dtype_size(d), per = d == SD_F32 ? BLOCK
                                                              : BLOCK / 2;
  int64_t blocks = (n + per - 1) / per;
#pragma omp parallel for schedule(static) if (n > 16384)
  for (int64_t k = 0; k < blocks; k++) {
    Bits b;
    char *to = (char *)out + k * per * size;
    philox(seed, stream, (uint64_t)(k * LANES), &b);
    if ((k + 1) * per <= n) {
      f(&b, to);
    } else {
      double rest[BLOCK];
      f(&b, rest);
      memcpy(to, rest, (size_t)((n - k * per) * size));
    }
  }
}

void sd_random_uniform(SdDtype d, uint64_t seed, uint64_t stream, int64_t n,
                       void *out) {
  fill(seed, stream, n, d,
       d == SD_F32 ? fill_uniform_f32 : fill_uniform_f64, out);
}

void sd_random_normal(SdDtype d, uint64_t seed, uint64_t stream, int64_t n,
                      void *out) {
  fill(seed, stream, n, d, d == SD_F32 ? fill_normal_f32 : fill_normal_f64,
       out);
}

/* ---- integers -------------------------------------------------------------------------------- */

/* GCC and clang have it on every 64-bit machine. */
__extension__ typedef unsigned __int128 wide;

static uint64_t word(const Bits *b, int i) {
  int lane = i % LANES, half = i / LANES;
  return (uint64_t)b->x[2 * half][lane] << 32 | b->x[2 * half + 1][lane];
}

static void store(SdDtype d, void *out, int64_t i, int64_t v) {
  switch (d) {
    case SD_F64: ((double *)out)[i] = (double)v; break;
    case SD_F32: ((float *)out)[i] = (float)v; break;
    case SD_I64: ((int64_t *)out)[i] = v; break;
    case SD_I32: ((int32_t *)out)[i] = (int32_t)v; break;
    default: ((uint8_t *)out)[i] = (uint8_t)v; break;
  }
}

/* The high word of 64 bits times the span: bias below span / 2^64. */
void sd_random_integer(SdDtype d, uint64_t seed, uint64_t stream, int64_t n,
                       int64_t low, int64_t high, void *out) {
  uint64_t span = (uint64_t)high - (uint64_t)low + 1;
  Bits b;
  for (int64_t i = 0; i < n; i++) {
    int k = (int)(i % (2 * LANES));
    if (k == 0) philox(seed, stream, (uint64_t)(i / 2), &b);
    uint64_t w = word(&b, k);
    uint64_t v = span ? (uint64_t)(((wide)w * span) >> 64) : w;
    store(d, out, i, (int64_t)((uint64_t)low + v));
  }
}

/* Fisher and Yates, as Durstenfeld (1964). */
void sd_random_permutation(uint64_t seed, uint64_t stream, int64_t n,
                           int64_t base, int64_t *out) {
  Bits b;
  for (int64_t i = 0; i < n; i++) {
    int k = (int)(i % (2 * LANES));
    if (k == 0) philox(seed, stream, (uint64_t)(i / 2), &b);
    int64_t j = (int64_t)(((wide)word(&b, k) *
                           (uint64_t)(i + 1)) >> 64);
    out[i] = out[j];
    out[j] = base + i;
  }
}
