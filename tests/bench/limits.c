/* What this machine can do, in the form of bench.lua's lines: the time of
** one floating point operation of a large sgemm, and of one byte of what is
** written by hand: an Adam step over 10 M parameters, a*b+c of 10^8 elements
** past the caches, and sums of 10^8 and of 10^7. */
#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { N = 1024, P = 10000000, Q = 100000000 };

typedef float Line __attribute__((vector_size(64)));

/* On huge pages where there are any, as the runtime's own memory; arrays begin
** at different places of a page, and so in different sets of the caches. */
static float *fill(size_t n, float v) {
  static size_t shift;
  size_t page = 2 << 20, all = (shift += 4160) + n * sizeof(float);
  char *room = aligned_alloc(page, (all + page - 1) / page * page);
  float *p = (float *)(void *)(room + shift);
  madvise(room, all, MADV_HUGEPAGE);
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

static double triad(void) {
  static float *a, *b, *c, *d;
  if (!a) a = fill(Q, 1), b = fill(Q, 2), c = fill(Q, 3), d = fill(Q, 0);
  double start = omp_get_wtime();
#pragma omp parallel for
  for (int i = 0; i < Q; i += 16) {
    Line x = *(Line *)(a + i) * *(Line *)(b + i) + *(Line *)(c + i);
#ifdef __clang__
    __builtin_nontemporal_store(x, (Line *)(d + i));
#elif defined(__AVX512F__)
    __builtin_ia32_movntps512((float *)(d + i), x);
#elif defined(__AVX__)
    typedef float Half __attribute__((vector_size(32)));
    __builtin_ia32_movntps256(d + i, ((Half *)&x)[0]);
    __builtin_ia32_movntps256(d + i + 8, ((Half *)&x)[1]);
#else
    *(Line *)(d + i) = x;
#endif
  }
  double time = omp_get_wtime() - start;
  return time / (16.0 * Q);
}

/* Four sums at a time, so that none waits for its own addition. */
static double sum(size_t n) {
  static float *x;
  static volatile float result;
  Line all = {0};
  if (!x) x = fill(Q, 1);
  double start = omp_get_wtime();
#pragma omp parallel
  {
    Line s[4] = {{0}};
#pragma omp for
    for (size_t i = 0; i < n; i += 64)
      for (int k = 0; k < 4; k++) s[k] += *(Line *)(x + i + 16 * k);
#pragma omp critical
    all += s[0] + s[1] + s[2] + s[3];
  }
  double time = omp_get_wtime() - start;
  result = all[0];
  (void)result;
  return time / (4.0 * (double)n);
}

static double reads(void) { return sum(Q); }
static double rereads(void) { return sum(P); }

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
  report("triad", triad);
  report("reads", reads);
  report("rereads", rereads);
  return 0;
}
