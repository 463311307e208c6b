/*
** The random numbers: Philox's known answers, independence of threads and
** of cutting, and their first statistics.
*/
#include "tap.h"

#include "base/thread.h"
#include "kernels/random.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { N = 1 << 20 };
static double x64[N], y64[N];
static float x32[N], y32[N];
static int64_t i64[N];
static unsigned char u8[N];

/* Random123's kat_vectors, philox4x32 of 10 rounds.  Word w of the first
** block is element 256 w. */
static void known_answers(void) {
  static const uint32_t zeros[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c,
                                   0x9b00dbd8};
  int good = 1;
  sd_random_uniform(SD_F32, 0, 0, 1024, x32);
  for (int w = 0; w < 4; w++)
    good &= x32[256 * w] == (float)(zeros[w] >> 8) * 0x1p-24f;
  ok(good, "Philox of counter 0 and key 0, as f32");
  sd_random_uniform(SD_F64, 0, 0, 512, x64);
  uint64_t bits = (uint64_t)zeros[0] << 32 | zeros[1];
  ok(x64[0] == (double)(bits >> 11) * 0x1p-53, "and as f64");
  sd_random_integer(SD_I64, 0, 0, 1, INT64_MIN, INT64_MAX, i64);
  ok((uint64_t)i64[0] == (uint64_t)INT64_MIN + bits, "and as i64");
}

static void same_whatever_the_cut(void) {
  int threads = sd_thread_count();
  sd_thread_set_count(1);
  sd_random_normal(SD_F32, 5, 7, N, x32);
  sd_thread_set_count(3);
  sd_random_normal(SD_F32, 5, 7, N, y32);
  sd_thread_set_count(threads);
  ok(!memcmp(x32, y32, sizeof x32), "the same on 1 and 3 threads");
  memset(y32, 0, sizeof y32);
  sd_random_normal(SD_F32, 5, 7, 1500, y32);
  ok(!memcmp(x32, y32, 1500 * sizeof *x32) && y32[1500] == 0,
     "a shorter draw is a prefix of a longer one");
  sd_random_normal(SD_F32, 5, 8, N, y32);
  ok(x32[0] != y32[0], "another stream is another stream");
}

static double moment(const double *x, int power, double center) {
  double sum = 0;
  for (int i = 0; i < N; i++) sum += pow(x[i] - center, power);
  return sum / N;
}

static void widen(void) {
  for (int i = 0; i < N; i++) x64[i] = x32[i];
}

/* Bounds are five standard errors. */
static void check_uniform(const char *name) {
  int inside = 1;
  for (int i = 0; i < N; i++) inside &= x64[i] >= 0 && x64[i] < 1;
  ok(inside, "%s uniforms lie in [0, 1)", name);
  ok(fabs(moment(x64, 1, 0) - 0.5) < 5 * 0.2887 / 1024, "their mean");
  ok(fabs(moment(x64, 2, 0.5) - 1 / 12.0) < 5 * 0.0745 / 1024, "variance");
}

static void check_normal(const char *name) {
  double same = 0, tail = 0, largest = 0;
  for (int i = 0; i < N; i++) {
    same += x64[i] * x64[(i + 256) % N] + x64[i] * x64[(i + 1) % N];
    tail += fabs(x64[i]) > 3;
    largest = fmax(largest, fabs(x64[i]));
  }
  ok(fabs(moment(x64, 1, 0)) < 5.0 / 1024, "%s normals: mean", name);
  ok(fabs(moment(x64, 2, 0) - 1) < 5 * 1.414 / 1024, "variance");
  ok(fabs(moment(x64, 3, 0)) < 5 * 3.87 / 1024, "skewness");
  ok(fabs(moment(x64, 4, 0) - 3) < 5 * 9.8 / 1024, "kurtosis");
  ok(fabs(same / N) < 5 * 1.414 / 1024, "neighbours do not correlate");
  ok(fabs(tail / N - 0.0026998) < 5 * 0.0519 / 1024, "three sigmas");
  ok(largest > 4.3 && largest < 6.7, "the largest is %.2f", largest);
}

/* The polynomials against libm: the pairs of a group are elements j and
** j + 256, made of the same uniforms (here the f64 ones). */
static void check_functions(void) {
  double worst = 0, worst32 = 0;
  sd_random_normal(SD_F64, 3, 4, N, x64);
  sd_random_uniform(SD_F64, 3, 4, N, y64);
  for (int i = 0; i < N; i++)
    if (i % 512 < 256) {
      double r = sqrt(-2 * log(y64[i] + 0x1p-54));
      double angle = 2 * acos(-1) * y64[i + 256];
      worst = fmax(worst, fabs(x64[i] - r * cos(angle)));
      worst = fmax(worst, fabs(x64[i + 256] - r * sin(angle)));
    }
  ok(worst < 1e-14, "f64 Box-Muller as libm's (%.1e)", worst);
  sd_random_normal(SD_F32, 3, 4, N, x32);
  sd_random_uniform(SD_F32, 3, 4, N, y32);
  for (int i = 0; i < N; i++)
    if (i % 512 < 256 && y32[i] > 0.001f) {
      /* u is known to 2^-24 only. */
      double r = sqrt(-2 * log(y32[i] + 0x1p-25));
      double angle = 2 * acos(-1) * y32[i + 256];
      worst32 = fmax(worst32, fabs(x32[i] - r * cos(angle)));
      worst32 = fmax(worst32, fabs(x32[i + 256] - r * sin(angle)));
    }
  ok(worst32 < 5e-5, "f32 too (%.1e)", worst32);
}

static void integers(void) {
  int count[10] = {0}, inside = 1;
  sd_random_integer(SD_I64, 1, 2, N, -3, 6, i64);
  for (int i = 0; i < N; i++) {
    inside &= i64[i] >= -3 && i64[i] <= 6;
    if (inside) count[i64[i] + 3]++;
  }
  ok(inside, "integers lie between the bounds");
  double chi = 0, expected = N / 10.0;
  for (int k = 0; k < 10; k++)
    chi += (count[k] - expected) * (count[k] - expected) / expected;
  ok(chi < 35, "and are even (chi-square %.1f of 9 degrees)", chi);
  sd_random_integer(SD_U8, 1, 2, N, 0, 255, u8);
  int low = 255, high = 0;
  for (int i = 0; i < N; i++) {
    if (u8[i] < low) low = u8[i];
    if (u8[i] > high) high = u8[i];
  }
  ok(low == 0 && high == 255, "a u8 takes all its values");
  sd_random_integer(SD_F32, 1, 2, 1000, 4, 4, x32);
  ok(x32[0] == 4 && x32[999] == 4, "a range of one value");
}

static void permutations(void) {
  static unsigned char seen[N];
  int good = 1, fixed = 0;
  double first = 0;
  sd_random_permutation(9, 0, N, 1, i64);
  for (int i = 0; i < N; i++) {
    good &= i64[i] >= 1 && i64[i] <= N && !seen[i64[i] - 1];
    if (good) seen[i64[i] - 1] = 1;
    fixed += i64[i] == i + 1;
  }
  ok(good, "a permutation has every number once");
  ok(fixed < 12, "%d stay in place", fixed);
  for (int k = 0; k < 4000; k++) {
    sd_random_permutation((uint64_t)k, 0, 5, 0, i64);
    first += (double)i64[0];
  }
  ok(fabs(first / 4000 - 2) < 5 * 1.414 / 63, "short ones are even too");
  sd_random_permutation(0, 0, 0, 1, i64);
  sd_random_permutation(0, 0, 1, 1, i64);
  ok(i64[0] == 1, "of one and of none");
}

int main(void) {
  known_answers();
  same_whatever_the_cut();
  sd_random_uniform(SD_F32, 11, 0, N, x32);
  widen();
  check_uniform("f32");
  sd_random_uniform(SD_F64, 11, 0, N, x64);
  check_uniform("f64");
  sd_random_normal(SD_F32, 12, 0, N, x32);
  widen();
  check_normal("f32");
  sd_random_normal(SD_F64, 12, 0, N, x64);
  check_normal("f64");
  check_functions();
  integers();
  permutations();
  return done();
}
