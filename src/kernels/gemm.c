#include "kernels/gemm.h"

#include "base/thread.h"

#include <cblas.h>
#include <string.h>

static const double parallel_flops = 2e6; /* m n k below which one thread */

static void blas(SdDtype d, const SdGemm *g, int64_t m, int64_t n,
                 const void *a, const void *b, void *c) {
  CBLAS_TRANSPOSE ta = g->trans_a ? CblasTrans : CblasNoTrans;
  CBLAS_TRANSPOSE tb = g->trans_b ? CblasTrans : CblasNoTrans;
  if (d == SD_F32)
    cblas_sgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)g->k,
                1, a, (blasint)g->lda, b, (blasint)g->ldb, (float)g->beta, c,
                (blasint)g->ldc);
  else
    cblas_dgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)g->k,
                1, a, (blasint)g->lda, b, (blasint)g->ldb, g->beta, c,
                (blasint)g->ldc);
}

/* Nothing to sum: c is zero, or stays. */
static void scale_only(SdDtype d, const SdGemm *g, void *c) {
  size_t size = sd_dtype_size(d);
  if (g->beta != 0) return;
  for (int64_t i = 0; i < g->m; i++)
    memset((char *)c + (size_t)(i * g->ldc) * size, 0, (size_t)g->n * size);
}

/* A few products are cheaper here than BLAS's preparations. */
#define TINY(name, type) \
  static void name(const SdGemm *g, const type *a, const type *b, type *c) { \
    int64_t ai = g->trans_a ? 1 : g->lda, ak = g->trans_a ? g->lda : 1; \
    int64_t bk = g->trans_b ? 1 : g->ldb, bj = g->trans_b ? g->ldb : 1; \
    for (int64_t i = 0; i < g->m; i++) \
      for (int64_t j = 0; j < g->n; j++) { \
        type s = 0; \
        for (int64_t k = 0; k < g->k; k++) \
          s += a[i * ai + k * ak] * b[k * bk + j * bj]; \
        type *o = &c[i * g->ldc + j]; \
        *o = g->beta == 0 ? s : *o + s; \
      } \
  }
TINY(tiny_f32, float)
TINY(tiny_f64, double)

static int is_tiny(const SdGemm *g) { return g->m * g->n * g->k <= 256; }

static void one_thread(SdDtype d, const SdGemm *g, const void *a,
                       const void *b, void *c) {
  if (g->m == 0 || g->n == 0) return;
  if (g->k == 0) scale_only(d, g, c);
  else if (!is_tiny(g)) blas(d, g, g->m, g->n, a, b, c);
  else if (d == SD_F32) tiny_f32(g, a, b, c);
  else tiny_f64(g, a, b, c);
}

/*
** Rows of a panel, from the shape alone: as large as 512 (BLAS likes large
** ones) yet at least four panels, so that threads share the work evenly.
*/
static int64_t panel_rows(int64_t m) {
  int64_t p = (m / 4 + 31) / 32 * 32;
  if (p < 32) p = 32;
  return p < 512 ? p : 512;
}

void sd_gemm(SdDtype d, const SdGemm *g, const void *a, const void *b,
             void *c) {
  double work = (double)g->m * (double)g->n * (double)g->k;
  int64_t size = (int64_t)sd_dtype_size(d);
  if (work < parallel_flops || g->k == 0) {
    one_thread(d, g, a, b, c);
    return;
  }
  /* Cut the longer side of c. */
  int by_rows = g->m >= g->n;
  int64_t side = by_rows ? g->m : g->n, panel = panel_rows(side);
  int64_t panels = (side + panel - 1) / panel;
#pragma omp parallel for schedule(dynamic, 1) if (panels > 1)
  for (int64_t i = 0; i < panels; i++) {
    int64_t at = i * panel, n = side - at < panel ? side - at : panel;
    if (by_rows) {
      int64_t step = g->trans_a ? 1 : g->lda;
      blas(d, g, n, g->n, (const char *)a + at * step * size, b,
           (char *)c + at * g->ldc * size);
    } else {
      int64_t step = g->trans_b ? g->ldb : 1;
      blas(d, g, g->m, n, a, (const char *)b + at * step * size,
           (char *)c + at * size);
    }
  }
}

void sd_gemm_batch(SdDtype d, const SdGemm *g, int64_t count,
                   const void *const *a, const void *const *b,
                   void *const *c) {
  double work = (double)g->m * (double)g->n * (double)g->k;
  if (work >= parallel_flops * 4) {
    for (int64_t i = 0; i < count; i++) sd_gemm(d, g, a[i], b[i], c[i]);
    return;
  }
#pragma omp parallel for schedule(static) \
    if (work * (double)count > parallel_flops && count > 1)
  for (int64_t i = 0; i < count; i++) one_thread(d, g, a[i], b[i], c[i]);
}

/* ---- integers ------------------------------------------------------------------- */

#define INTEGER(name, type, wrap) \
  static void name(const SdGemm *g, const type *a, const type *b, type *c) { \
    int64_t ai = g->trans_a ? 1 : g->lda, ak = g->trans_a ? g->lda : 1; \
    int64_t bk = g->trans_b ? 1 : g->ldb, bj = g->trans_b ? g->ldb : 1; \
    for (int64_t i = 0; i < g->m; i++) \
      for (int64_t j = 0; j < g->n; j++) { \
        wrap s = g->beta != 0 ? (wrap)c[i * g->ldc + j] : 0; \
        for (int64_t k = 0; k < g->k; k++) \
          s += (wrap)a[i * ai + k * ak] * (wrap)b[k * bk + j * bj]; \
        c[i * g->ldc + j] = (type)s; \
      } \
  }
INTEGER(gemm_i64, int64_t, uint64_t)
INTEGER(gemm_i32, int32_t, uint32_t)
INTEGER(gemm_u8, uint8_t, uint32_t)

static void gemm_bool(const SdGemm *g, const uint8_t *a, const uint8_t *b,
                      uint8_t *c) {
  int64_t ai = g->trans_a ? 1 : g->lda, ak = g->trans_a ? g->lda : 1;
  int64_t bk = g->trans_b ? 1 : g->ldb, bj = g->trans_b ? g->ldb : 1;
  for (int64_t i = 0; i < g->m; i++)
    for (int64_t j = 0; j < g->n; j++) {
      uint8_t s = g->beta != 0 ? c[i * g->ldc + j] : 0;
      for (int64_t k = 0; k < g->k; k++)
        s |= a[i * ai + k * ak] & b[k * bk + j * bj];
      c[i * g->ldc + j] = s;
    }
}

void sd_gemm_integer(SdDtype d, const SdGemm *g, const void *a,
                     const void *b, void *c) {
  if (d == SD_I64) gemm_i64(g, a, b, c);
  else if (d == SD_I32) gemm_i32(g, a, b, c);
  else if (d == SD_U8) gemm_u8(g, a, b, c);
  else gemm_bool(g, a, b, c);
}
