/*
** Philox 4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
** easy as 1, 2, 3" (2011).  The key is the seed; the counter is the block's
** number and the stream.  A group of blocks is made at a time, word by
** word, so that every loop is vectorised; an element's place in its group
** says which words it is made of.
*/
#include "kernels/random.h"

#include "base/interrupt.h"
#include "kernels/random_table.h"

#include <string.h>

enum {
  BLOCKS = SD_RANDOM_BLOCKS,
  PARALLEL = 32768 /* elements from which threads pay */
};

/* ---- bits ----------------------------------------------------------- */

static void group_of_words(uint64_t seed, uint64_t stream, int64_t group,
                           SdRandomWords out) {
  uint64_t first = (uint64_t)group * BLOCKS;
  for (int j = 0; j < BLOCKS; j++) {
    uint64_t block = first + (uint64_t)j;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    for (int round = 0; round < 10; round++) {
      uint64_t p = (uint64_t)0xD2511F53 * c0, q = (uint64_t)0xCD9E8D57 * c2;
      c0 = (uint32_t)(q >> 32) ^ c1 ^ k0;
      c1 = (uint32_t)q;
      c2 = (uint32_t)(p >> 32) ^ c3 ^ k1;
      c3 = (uint32_t)p;
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    out[0][j] = c0;
    out[1][j] = c1;
    out[2][j] = c2;
    out[3][j] = c3;
  }
}

static inline uint64_t two_words(SdRandomWords w, int which, int j) {
  return (uint64_t)w[2 * which][j] << 32 | w[2 * which + 1][j];
}

static int64_t at_most(int64_t n, int64_t limit) {
  return n < limit ? n : limit;
}

/* ---- floats --------------------------------------------------------- */

typedef void Fill(SdRandomWords words, void *out);

static void fill(SdDtype d, Fill *f, uint64_t seed, uint64_t stream,
                 int64_t n, void *out) {
  int64_t size = (int64_t)sd_dtype_size(d);
  int64_t per = d == SD_F32 ? 4 * BLOCKS : 2 * BLOCKS;
  int64_t groups = (n + per - 1) / per;
#pragma omp parallel for schedule(static) if (n >= PARALLEL)
  for (int64_t g = 0; g < groups; g++) {
    if (sd_interrupted) continue;
    SdRandomWords words;
    double whole[2 * BLOCKS];
    char *at = (char *)out + g * per * size;
    int64_t here = at_most(n - g * per, per);
    group_of_words(seed, stream, g, words);
    f(words, here == per ? (void *)at : whole);
    if (here < per) memcpy(at, whole, (size_t)(here * size));
  }
}

static const SdRandomTable *table_of(SdDtype d) {
  return d == SD_F32 ? &sd_random_table_f32 : &sd_random_table_f64;
}

void sd_random_uniform(SdDtype d, uint64_t seed, uint64_t stream, int64_t n,
                       void *out) {
  fill(d, table_of(d)->uniform, seed, stream, n, out);
}

void sd_random_normal(SdDtype d, uint64_t seed, uint64_t stream, int64_t n,
                      void *out) {
  fill(d, table_of(d)->normal, seed, stream, n, out);
}

/* ---- integers ------------------------------------------------------- */

__extension__ typedef unsigned __int128 Wide;

static inline uint64_t high_product(uint64_t a, uint64_t b) {
  return (uint64_t)((Wide)a * b >> 64);
}

/* floor(r span / 2^128) for r of 128 bits, below a span of up to 2^64,
** which is given as 0: biased by less than 2^-64. */
static inline uint64_t below(uint64_t span, uint64_t high, uint64_t low) {
  if (span == 0) return high;
  uint64_t whole = high_product(high, span), part = high * span;
  return whole + (part + high_product(low, span) < part);
}

static void store(SdDtype d, int64_t n, const int64_t *v, void *out) {
  for (int64_t i = 0; i < n; i++) switch (d) {
      case SD_U8: ((uint8_t *)out)[i] = (uint8_t)v[i]; break;
      case SD_I32: ((int32_t *)out)[i] = (int32_t)v[i]; break;
      case SD_I64: ((int64_t *)out)[i] = v[i]; break;
      case SD_F32: ((float *)out)[i] = (float)v[i]; break;
      default: ((double *)out)[i] = (double)v[i]; break;
    }
}

void sd_random_integer(SdDtype d, uint64_t seed, uint64_t stream, int64_t n,
                       int64_t low, int64_t high, void *out) {
  uint64_t span = (uint64_t)high - (uint64_t)low + 1;
  int64_t groups = (n + BLOCKS - 1) / BLOCKS;
  int64_t size = (int64_t)sd_dtype_size(d);
#pragma omp parallel for schedule(static) if (n >= PARALLEL)
  for (int64_t g = 0; g < groups; g++) {
    if (sd_interrupted) continue;
    SdRandomWords w;
    int64_t v[BLOCKS];
    group_of_words(seed, stream, g, w);
    for (int j = 0; j < BLOCKS; j++)
      v[j] = (int64_t)((uint64_t)low +
                       below(span, two_words(w, 0, j), two_words(w, 1, j)));
    store(d, at_most(n - g * BLOCKS, BLOCKS), v,
          (char *)out + g * BLOCKS * size);
  }
}

/* Fisher and Yates, from the end. */
void sd_random_permutation(uint64_t seed, uint64_t stream, int64_t n,
                           int64_t base, int64_t *out) {
  SdRandomWords w;
  for (int64_t i = 0; i < n; i++) out[i] = base + i;
  for (int64_t k = 0; k < n - 1 && !sd_interrupted; k++) {
    int64_t last = n - 1 - k, at = k % (2 * BLOCKS);
    if (at == 0) group_of_words(seed, stream, k / (2 * BLOCKS), w);
    uint64_t r = two_words(w, at >= BLOCKS, (int)(at % BLOCKS));
    int64_t j = (int64_t)high_product(r, (uint64_t)last + 1);
    int64_t t = out[j];
    out[j] = out[last];
    out[last] = t;
  }
}
