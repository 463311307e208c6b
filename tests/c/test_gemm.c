/*
** Matrix products against three loops, and their independence of the
** number of threads.
*/
#include "tap.h"

#include "base/thread.h"
#include "kernels/gemm.h"

#include <cblas.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 20 };
static double a64[ROOM], b64[ROOM], c64[ROOM], want[ROOM];
static float a32[ROOM], b32[ROOM], c32[ROOM], again[ROOM];

/* Products of these are exact in f32 up to k = 4096. */
static void fill(void) {
  for (int i = 0; i < ROOM; i++) {
    a64[i] = (i * 7 + i / 5) % 13 - 6;
    b64[i] = (i * 5 + i / 7) % 11 - 5;
    a32[i] = (float)a64[i];
    b32[i] = (float)b64[i];
  }
}

static void multiply_slowly(const SdGemm *g) {
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->n; j++) {
      double sum = g->beta == 0 ? 0 : 2;
      for (int64_t k = 0; k < g->k; k++)
        sum += a64[g->trans_a ? k * g->lda + i : i * g->lda + k] *
               b64[g->trans_b ? j * g->ldb + k : k * g->ldb + j];
      want[i * g->ldc + j] = sum;
    }
}

/* Where nothing is to be written, and with beta = 0 where all is, stands
** what must not be read. */
static int matches(const SdGemm *g) {
  double before = g->beta == 0 ? NAN : 2;
  int good = 1;
  for (int i = 0; i < ROOM; i++) {
    c64[i] = before;
    c32[i] = (float)before;
  }
  multiply_slowly(g);
  sd_gemm(SD_F64, g, a64, b64, c64);
  sd_gemm(SD_F32, g, a32, b32, c32);
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->ldc; j++) {
      int64_t at = i * g->ldc + j;
      double x = j < g->n ? want[at] : before;
      if (isnan(x)) good &= isnan(c64[at]) && isnan(c32[at]);
      else good &= c64[at] == x && c32[at] == (float)x;
    }
  return good;
}

static SdGemm gemm(int64_t m, int64_t n, int64_t k, int trans) {
  SdGemm g = {.m = m, .n = n, .k = k, .trans_a = trans & 1,
              .trans_b = trans >> 1};
  g.lda = g.trans_a ? m : k;
  g.ldb = g.trans_b ? k : n;
  g.ldc = n;
  return g;
}

static void all_ways(int64_t m, int64_t n, int64_t k) {
  int good = 1;
  for (int trans = 0; trans < 4; trans++)
    for (int gap = 0; gap < 4; gap += 3) {
      SdGemm g = gemm(m, n, k, trans);
      g.lda += gap;
      g.ldb += gap;
      g.ldc += gap;
      good &= matches(&g);
      g.beta = 1;
      good &= matches(&g);
    }
  ok(good, "%d x %d x %d, every way", (int)m, (int)n, (int)k);
}

static void thread_independent(int64_t m, int64_t n, int64_t k) {
  int same = 1, threads = sd_thread_count();
  for (int i = 0; i < ROOM; i++) {
    a32[i] = sinf((float)i);
    b32[i] = cosf((float)(i * 3));
  }
  for (int trans = 0; trans < 4; trans++) {
    SdGemm g = gemm(m, n, k, trans);
    for (int t = 1; t <= 3; t++) {
      sd_thread_set_count(t);
      sd_gemm(SD_F32, &g, a32, b32, t == 1 ? again : c32);
      if (t > 1)
        same &= !memcmp(again, c32, (size_t)(m * n) * sizeof *c32);
    }
  }
  sd_thread_set_count(threads);
  fill();
  ok(same, "%d x %d x %d: the same bits on 1, 2 and 3 threads", (int)m,
     (int)n, (int)k);
}

/* Products that go in slices or panels against one call of BLAS; whole numbers
** small enough to be exact in any order. */
static void large(SdDtype d, int64_t m, int64_t n, int64_t k, int gap) {
  size_t size = sd_dtype_size(d), room = (size_t)(m + gap) * (size_t)(n + gap);
  size_t na = (size_t)(m + gap) * (size_t)(k + gap);
  size_t nb = (size_t)(n + gap) * (size_t)(k + gap);
  char *a = malloc(na * size), *b = malloc(nb * size), *c = malloc(room * size),
       *whole = malloc(room * size);
  int same = 1;
  for (size_t i = 0; i < na; i++)
    if (d == SD_F32) ((float *)(void *)a)[i] = (float)(i % 5) - 2;
    else ((double *)(void *)a)[i] = (double)(i % 5) - 2;
  for (size_t i = 0; i < nb; i++)
    if (d == SD_F32) ((float *)(void *)b)[i] = (float)(i % 7) - 3;
    else ((double *)(void *)b)[i] = (double)(i % 7) - 3;
  for (int way = 0; way < 8; way++) {
    SdGemm g = gemm(m, n, k, way & 3);
    CBLAS_TRANSPOSE ta = g.trans_a ? CblasTrans : CblasNoTrans;
    CBLAS_TRANSPOSE tb = g.trans_b ? CblasTrans : CblasNoTrans;
    g.lda += gap, g.ldb += gap, g.ldc += gap;
    g.beta = way >> 2;
    memset(c, 0, room * size); /* and where nothing is written, zeros stay */
    memset(whole, 0, room * size);
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n && g.beta != 0; j++)
        memcpy(whole + (size_t)(i * g.ldc + j) * size, a + (size_t)j * size,
               size);
    if (g.beta != 0) memcpy(c, whole, room * size);
    sd_gemm(d, &g, a, b, c);
    if (d == SD_F32)
      cblas_sgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, 1,
                  (float *)(void *)a, (int)g.lda, (float *)(void *)b,
                  (int)g.ldb, (float)g.beta, (float *)(void *)whole,
                  (int)g.ldc);
    else
      cblas_dgemm(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, 1,
                  (double *)(void *)a, (int)g.lda, (double *)(void *)b,
                  (int)g.ldb, g.beta, (double *)(void *)whole, (int)g.ldc);
    same &= !memcmp(c, whole, room * size);
  }
  ok(same, "%s, %d x %d x %d, every way, against one call", sd_dtype_name(d),
     (int)m, (int)n, (int)k);
  free(a);
  free(b);
  free(c);
  free(whole);
}

static void batches(int64_t count, int64_t m, int64_t n, int64_t k) {
  const void *a[200] = {0}, *b[200] = {0};
  void *c[200] = {0};
  SdGemm g = gemm(m, n, k, 0);
  int good = 1;
  for (int64_t i = 0; i < count; i++) {
    a[i] = a32 + i * 3;
    b[i] = b32 + i * 5;
    c[i] = c32 + i * m * n;
  }
  sd_gemm_batch(SD_F32, &g, count, a, b, c);
  for (int64_t i = 0; i < count; i++) {
    sd_gemm(SD_F32, &g, a[i], b[i], again);
    good &= !memcmp(again, c[i], (size_t)(m * n) * sizeof(float));
  }
  ok(good, "%d products of %d x %d x %d", (int)count, (int)m, (int)n, (int)k);
}

static int32_t i32[3][64];
static unsigned char u8[3][64];

static void integers(void) {
  SdGemm g = gemm(3, 4, 5, 0);
  int good = 1;
  for (int i = 0; i < 64; i++) {
    i32[0][i] = (int32_t)(i * INT64_C(700000001) % 1000003);
    i32[1][i] = i * 31 - 70;
    u8[0][i] = (unsigned char)(i % 3 == 0);
    u8[1][i] = (unsigned char)(i % 4 == 0);
  }
  sd_gemm_integer(SD_I32, &g, i32[0], i32[1], i32[2]);
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 4; j++) {
      uint32_t sum = 0;
      for (int k = 0; k < 5; k++)
        sum += (uint32_t)i32[0][i * 5 + k] * (uint32_t)i32[1][k * 4 + j];
      good &= (uint32_t)i32[2][i * 4 + j] == sum;
    }
  ok(good, "i32 products wrap");
  g = gemm(3, 4, 5, 3);
  g.beta = 0;
  sd_gemm_integer(SD_BOOL, &g, u8[0], u8[1], u8[2]);
  good = 1;
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 4; j++) {
      int any = 0;
      for (int k = 0; k < 5; k++)
        any |= u8[0][k * 3 + i] & u8[1][j * 5 + k];
      good &= u8[2][i * 4 + j] == any;
    }
  ok(good, "a product of bools is any of and");
  int64_t x[2] = {INT64_MAX, 3}, y[2] = {2, -1}, z = 10;
  g = gemm(1, 1, 2, 0);
  g.beta = 1;
  sd_gemm_integer(SD_I64, &g, x, y, &z);
  ok(z == 10 - 2 - 3, "i64 products wrap and are added to");
}

int main(void) {
  static const int64_t sizes[][3] = {
      {1, 1, 1}, {2, 3, 4}, {1, 17, 9}, {17, 1, 9}, {1, 1, 300},
      {1, 700, 90}, {700, 1, 90}, {33, 65, 40}, {100, 100, 100},
      {1, 300, 300}, {300, 1, 300}, {1, 20, 9000}, {20, 1, 9000},
      {1, 20000, 1}, {20000, 1, 3}, {1, 520, 520}, {520, 1, 520},
      {70, 130, 1000}, {5, 300, 500}, {300, 5, 500}, {10, 12, 4000}};
  fill();
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    all_ways(sizes[i][0], sizes[i][1], sizes[i][2]);
  all_ways(0, 5, 3);
  all_ways(5, 0, 3);
  all_ways(5, 3, 0);
  thread_independent(128, 512, 784);
  thread_independent(300, 700, 1100);
  thread_independent(1, 600, 700);
  thread_independent(10, 10, 60000);
  large(SD_F32, 1100, 90, 22001, 0);
  large(SD_F32, 20500, 110, 1000, 3);
  large(SD_F32, 700, 2500, 1300, 1);
  large(SD_F64, 300, 301, 12000, 1);
  large(SD_F64, 500, 512, 4300, 0);
  large(SD_F64, 6000, 40, 5000, 0);
  batches(200, 32, 32, 32);
  batches(3, 100, 100, 100);
  batches(0, 3, 3, 3);
  batches(100, 1, 20, 30);
  integers();
  return done();
}
