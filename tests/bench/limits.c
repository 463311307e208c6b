/* What this machine can do, in the form of bench.lua's lines: the time of
** one floating point operation of a large sgemm, and of one byte of a
** hand-fused Adam step over 10 M parameters. */
#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 1024, P = 10000000 };

static float *fill(size_t n, float v) {
  float *p = aligned_alloc(64, (n * sizeof *p + 63) / 64 * 64);
#pragma omp parallel for
  for (size_t i = 0; i < n; i++) p[i] = v;
  return p;
}

static double gemm(void) {
  static float *a, *b, *c;
  if (!a) a = fill(N * N, 1), b = fill(N * N, 2), c = fill(N * N, 0);
  double start = omp_get_wtime();
  for (int i = 0; i < 20; i++)
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, a, N,
                b, N, 0, c, N);
  return (omp_get_wtime() - start) / 20 / (2.0 * N * N * N);
}

static double adam(void) {
  static float *p, *g, *m, *v;
  if (!p) p = fill(P, 1), g = fill(P, 2), m = fill(P, 0), v = fill(P, 0);
  double start = omp_get_wtime();
  for (int k = 0; k < 10; k++)
#pragma omp parallel for simd
    for (int i = 0; i < P; i++) {
      m[i] = .9f * m[i] + .1f * g[i];
      v[i] = .999f * v[i] + .001f * g[i] * g[i];
      p[i] -= 1e-5f * m[i] / (sqrtf(v[i]) + 1e-8f);
    }
  return (omp_get_wtime() - start) / 10 / (28.0 * P);
}

static void report(const char *name, double (*f)(void)) {
  double best = 1;
  for (int i = 0; i < 5; i++) {
    double t = f();
    if (t < best) best = t;
  }
  printf("%s\t%.9g\n", name, best);
}

int main(void) {
  report("flops", gemm);
  report("bytes", adam);
  return 0;
}
