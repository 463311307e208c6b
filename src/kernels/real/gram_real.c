/*
** Four rows at a time share the loads of w, in two accumulators each.  Twice as
** fast as OpenBLAS' product of a transposed matrix where both come from
** memory, level with its other.
*/
#include "kernels/gram.h"

#include "kernels/tables.h"
#include "kernels/vector.h"

typedef real Eight __attribute__((vector_size(8 * sizeof(real))));
typedef double Wide __attribute__((vector_size(64)));
enum { ROWS = 4 };

static inline double total(Vec v) {
  double sum = 0;
  for (int i = 0; i < W; i++) sum += (double)v[i];
  return sum;
}

/* Here count, at most ROWS, and vectors are constants where they are called;
** a, w and k point at the part in question. */
static inline void dots_some(int count, int vectors, const SdGram *g,
                             int64_t n, const real *a, const real *w,
                             double *sums) {
  Vec s[2][ROWS] = {{{0}}}, t[2][ROWS] = {{{0}}};
  real rest[2][ROWS] = {{0}};
  int64_t k = 0, stride = g->stride;
  for (; k + 2 * W <= n; k += 2 * W)
    for (int i = 0; i < count; i++) {
      Vec x = load(a + i * stride + k), y = load(a + i * stride + k + W);
      for (int v = 0; v < vectors; v++) {
        s[v][i] += x * load(w + v * stride + k);
        t[v][i] += y * load(w + v * stride + k + W);
      }
    }
  for (; k < n; k++)
    for (int v = 0; v < vectors; v++)
      for (int i = 0; i < count; i++)
        rest[v][i] += a[i * stride + k] * w[v * stride + k];
  for (int v = 0; v < vectors; v++)
    for (int i = 0; i < count; i++)
      sums[v * g->count + i] += total(s[v][i] + t[v][i]) + (double)rest[v][i];
}

static inline void subtract_some(int count, int vectors, const SdGram *g,
                                 const real *a, const real *c, real *w) {
  int64_t k = 0, n = g->n, stride = g->stride, each = g->count;
  for (; k + 2 * W <= n; k += 2 * W) {
    Vec u[2][2];
    for (int v = 0; v < vectors; v++)
      for (int p = 0; p < 2; p++) u[v][p] = load(w + v * stride + k + p * W);
    for (int i = 0; i < count; i++)
      for (int p = 0; p < 2; p++) {
        Vec x = load(a + i * stride + k + p * W);
        for (int v = 0; v < vectors; v++) u[v][p] -= c[v * each + i] * x;
      }
    for (int v = 0; v < vectors; v++)
      for (int p = 0; p < 2; p++) store(w + v * stride + k + p * W, u[v][p]);
  }
  for (; k < n; k++)
    for (int v = 0; v < vectors; v++)
      for (int i = 0; i < count; i++)
        w[v * stride + k] -= c[v * each + i] * a[i * stride + k];
}

/* The first some of rows and n elements at a. */
static inline void dots_part(int some, const SdGram *g, int64_t n,
                             const real *a, const real *w, double *sums) {
  if (g->vectors == 2) dots_some(some, 2, g, n, a, w, sums);
  else dots_some(some, 1, g, n, a, w, sums);
}

static inline void subtract_part(int some, const SdGram *g, const real *a,
                                 const real *c, real *w) {
  if (g->vectors == 2) subtract_some(some, 2, g, a, c, w);
  else subtract_some(some, 1, g, a, c, w);
}

static void dots(const SdGram *g, const void *pw, double *sums) {
  const real *rows = g->rows, *w = pw;
  for (int64_t i = 0; i < g->count; i += ROWS) {
    const real *a = rows + i * g->stride;
    for (int64_t k = 0; k < g->n; k += SD_GRAM_CHUNK) {
      int64_t m = g->n - k < SD_GRAM_CHUNK ? g->n - k : SD_GRAM_CHUNK;
      if (g->count - i >= ROWS)
        dots_part(ROWS, g, m, a + k, w + k, sums + i);
      else
        for (int64_t j = 0; j < g->count - i; j++)
          dots_part(1, g, m, a + j * g->stride + k, w + k, sums + i + j);
    }
  }
}

static void subtract(const SdGram *g, const void *pc, void *w) {
  const real *rows = g->rows, *c = pc;
  int64_t i = 0;
  for (; i + ROWS <= g->count; i += ROWS)
    subtract_part(ROWS, g, rows + i * g->stride, c + i, w);
  for (; i < g->count; i++)
    subtract_part(1, g, rows + i * g->stride, c + i, w);
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
