/*
** Four rows at a time share the loads of w, in two accumulators each: on
** vectors of 64 bytes, which the compiler cuts to the target's.  Twice as
** fast as OpenBLAS' product of a transposed matrix where both come from
** memory, level with its other.
*/
#include "kernels/gram.h"

#include "kernels/tables.h"

#include <string.h>

typedef real Vec __attribute__((vector_size(64)));
typedef real Eight __attribute__((vector_size(8 * sizeof(real))));
typedef double Wide __attribute__((vector_size(64)));
enum { W = sizeof(Vec) / sizeof(real), ROWS = 4 };

static inline Vec load(const real *p) {
  Vec v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline void store(real *p, Vec v) { memcpy(p, &v, sizeof v); }

static inline double total(Vec v) {
  double sum = 0;
  for (int i = 0; i < W; i++) sum += (double)v[i];
  return sum;
}

/* count, at most ROWS, is constant where it is called. */
static inline void dots_some(int count, int64_t n, const real *a,
                             int64_t stride, const real *w, double *sums) {
  Vec s[ROWS] = {{0}}, t[ROWS] = {{0}};
  real rest[ROWS] = {0};
  int64_t k = 0;
  for (; k + 2 * W <= n; k += 2 * W)
    for (int i = 0; i < count; i++) {
      s[i] += load(a + i * stride + k) * load(w + k);
      t[i] += load(a + i * stride + k + W) * load(w + k + W);
    }
  for (; k < n; k++)
    for (int i = 0; i < count; i++) rest[i] += a[i * stride + k] * w[k];
  for (int i = 0; i < count; i++)
    sums[i] += total(s[i] + t[i]) + (double)rest[i];
}

static inline void subtract_some(int count, int64_t n, const real *a,
                                 int64_t stride, const real *c, real *w) {
  int64_t k = 0;
  for (; k + 2 * W <= n; k += 2 * W) {
    Vec x = load(w + k), y = load(w + k + W);
    for (int i = 0; i < count; i++) {
      x -= c[i] * load(a + i * stride + k);
      y -= c[i] * load(a + i * stride + k + W);
    }
    store(w + k, x);
    store(w + k + W, y);
  }
  for (; k < n; k++)
    for (int i = 0; i < count; i++) w[k] -= c[i] * a[i * stride + k];
}

static void dots(int64_t count, int64_t n, const void *rows, int64_t stride,
                 const void *pw, double *sums) {
  const real *w = pw;
  for (int64_t i = 0; i < count; i += ROWS) {
    const real *a = (const real *)rows + i * stride;
    for (int64_t k = 0; k < n; k += SD_GRAM_CHUNK) {
      int64_t m = n - k < SD_GRAM_CHUNK ? n - k : SD_GRAM_CHUNK;
      if (count - i >= ROWS)
        dots_some(ROWS, m, a + k, stride, w + k, sums + i);
      else
        for (int64_t j = 0; j < count - i; j++)
          dots_some(1, m, a + j * stride + k, stride, w + k, sums + i + j);
    }
  }
}

static void subtract(int64_t count, int64_t n, const void *rows,
                     int64_t stride, const void *pc, void *w) {
  const real *c = pc;
  int64_t i = 0;
  for (; i + ROWS <= count; i += ROWS)
    subtract_some(ROWS, n, (const real *)rows + i * stride, stride, c + i, w);
  for (; i < count; i++)
    subtract_some(1, n, (const real *)rows + i * stride, stride, c + i, w);
}

/* Eight elements as doubles. */
static inline Wide widen(const real *p) {
  Eight v;
  memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, Wide);
}

static double dot(int64_t n, const void *px, const void *py) {
  const real *x = px, *y = py;
  Wide s[4] = {{0}};
  double sum = 0;
  int64_t i = 0;
  for (; i + 32 <= n; i += 32)
    for (int k = 0; k < 4; k++)
      s[k] += widen(x + i + 8 * k) * widen(y + i + 8 * k);
  for (; i < n; i++) sum += (double)x[i] * (double)y[i];
  s[0] += s[1] + (s[2] + s[3]);
  for (int k = 0; k < 8; k++) sum += s[0][k];
  return sum;
}

const SdGramTable SD_TYPED(sd_gram_table) = {dots, subtract, dot};
