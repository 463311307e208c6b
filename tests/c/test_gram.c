/* Gram-Schmidt's loops against sums in long double. */
#include "kernels/gram.h"
#include "tap.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STRIDE = 9001, ROWS = 9 };

static double value(int64_t i) { return sin((double)i * 1.7) + .01; }

static double get(SdDtype d, const void *x, int64_t i) {
  return d == SD_F32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}

static void put(SdDtype d, void *x, int64_t i, double v) {
  if (d == SD_F32) ((float *)x)[i] = (float)v;
  else ((double *)x)[i] = v;
}

/* The worst errors over all counts of rows of n elements and one or two
** vectors, in units of the dtype's rounding of the sum of magnitudes. */
static void compare(SdDtype d, int64_t n) {
  double eps = d == SD_F32 ? (double)FLT_EPSILON : DBL_EPSILON;
  size_t size = sd_dtype_size(d), room = 2 * STRIDE * size;
  char *rows = malloc(ROWS * STRIDE * size), *w = malloc(room),
       *u = malloc(room), c[2 * ROWS * sizeof(double)];
  double dots = 0, left = 0;
  for (int64_t i = 0; i < ROWS * STRIDE; i++) put(d, rows, i, value(i));
  for (int i = 0; i < 2 * ROWS; i++) put(d, c, i, .1 * value(i + 5));
  for (int64_t i = 0; i < 2 * STRIDE; i++) put(d, w, i, value(3 * i + 1));
  for (int run = 0; run < 2 * ROWS; run++) {
    int count = run / 2 + 1, vectors = run % 2 + 1;
    SdGram g = {count, n, STRIDE, rows, vectors};
    double sums[2 * ROWS + 1];
    for (int i = 0; i <= 2 * ROWS; i++) sums[i] = 1;
    memcpy(u, w, room);
    sd_gram(d)->dots(&g, w, sums);
    sd_gram(d)->subtract(&g, c, u);
    for (int i = 0; i <= 2 * ROWS; i++) {
      long double want = 1, all = 1;
      for (int64_t k = 0; i < vectors * count && k < n; k++) {
        long double t = (long double)get(d, rows, i % count * STRIDE + k) *
                        get(d, w, i / count * STRIDE + k);
        want += t;
        all += fabsl(t);
      }
      dots = fmax(dots, fabs((double)((sums[i] - want) / all)) / eps);
    }
    for (int64_t k = 0; k < 2 * STRIDE; k++) {
      long double want = get(d, w, k);
      int64_t v = k / STRIDE, at = k % STRIDE;
      for (int i = 0; v < vectors && at < n && i < count; i++)
        want -= (long double)get(d, c, v * count + i) *
                get(d, rows, i * STRIDE + at);
      left = fmax(left, fabs((double)(get(d, u, k) - want)) / eps);
    }
  }
  ok(dots < 4, "%s, rows of %d: products, %.2g roundings", sd_dtype_name(d),
     (int)n, dots);
  ok(left < 4, "what is left, %.2g", left);
  long double want = 0, all = DBL_MIN;
  for (int64_t k = 0; k < n; k++) {
    long double t = (long double)get(d, rows, k) * get(d, w, k);
    want += t;
    all += fabsl(t);
  }
  double error = fabs((double)((sd_gram(d)->dot(n, rows, w) - want) / all));
  ok(error < 4 * DBL_EPSILON, "a product of two, in f64: %.2g", error);
  free(rows);
  free(w);
  free(u);
}

int main(void) {
  static const int64_t lengths[] = {0, 1, 7, 31, 32, 33, 64, 95,
                                    4095, 4096, 4097, 9000};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    compare(SD_F32, lengths[i]);
    compare(SD_F64, lengths[i]);
  }
  return done();
}
