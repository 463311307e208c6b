/*
** Matrix products.  A product is cut on a grid that its shape and the
** machine's BLAS kernels alone decide, and the pieces, each one BLAS call,
** are shared out among our threads.  Within an OpenMP region OpenBLAS stays
** on one thread; products below CUT it never threads, so those need none.
*/
#include "kernels/gemm.h"

#include "base/interrupt.h"
#include "base/thread.h"

#include <cblas.h>
#include <string.h>

enum {
  CUT = 1 << 18,         /* multiplications that OpenBLAS does on one thread */
  RATE = 50000,          /* multiplications a microsecond, of f32 */
  RATE_MOVED = 8000,     /* elements read and written, of narrow products */
  RATE_GEMV = 8000,      /* of matrix times vector */
  CUT_GEMV = 1 << 18,    /* multiplications from which one is cut for threads */
  GEMV = 8192,           /* the same that OpenBLAS does on one thread */
  AREA = 1 << 22,        /* elements of c in a call, at most */
  TILE = 1 << 17,        /* multiplications that a short tile grows to */
  MAX_INT = 1 << 30      /* BLAS counts in ints */
};

typedef enum Kind { GEMM, GEMV_A, GEMV_B } Kind;

/* rows x cols pieces of c, and the longest run of k a call may take. */
typedef struct Grid {
  Kind kind;
  int64_t rows, cols, depth; /* of a piece */
  int64_t down, across;
  int64_t alone; /* multiplications of a call that OpenBLAS starts no threads
                    for */
} Grid;

static int64_t at_most(int64_t n, int64_t limit) {
  return n < limit ? n : limit;
}

static int64_t ceil_div(int64_t n, int64_t d) { return (n + d - 1) / d; }

/* The size of count nearly equal pieces of n, a multiple of unit. */
static int64_t piece_of(int64_t n, int64_t count, int64_t unit) {
  int64_t size = ceil_div(n, count < 1 ? 1 : count);
  return at_most(ceil_div(size, unit) * unit, MAX_INT);
}

static int64_t saturating_mul(int64_t a, int64_t b) {
  int64_t ab;
  return __builtin_mul_overflow(a, b, &ab) ? INT64_MAX : ab;
}

/* Multiplications of one product. */
static int64_t work_of(const SdGemm *g) {
  return saturating_mul(saturating_mul(g->m, g->n), g->k);
}

/* ---- grids ---------------------------------------------------------- */

/* OpenBLAS multiplies small matrices without packing on its AVX-512 cores,
** provided m n k <= 10^6 and, with b transposed, m n <= 1200 (its
** gemm_small_matrix_permit).  Tiles of that size run as fast as a large
** product or faster, and are enough for any number of threads. */
static int has_small_kernels(void) {
  static int known = -1;
  if (known < 0) {
    const char *core = openblas_get_corename();
    known = !strcmp(core, "SkylakeX") || !strcmp(core, "Cooperlake") ||
            !strcmp(core, "SapphireRapids");
  }
  return known;
}

/* Measured: beyond these sizes packed panels win; and of many rows where those
** of b lie a multiple of 4 KiB apart and so share their lines in the first
** cache (1024 wide: 173 GFLOP/s in tiles, 220 in panels). */
static int tiles_pay(SdDtype d, const SdGemm *g, int64_t work) {
  int64_t stride = g->ldb * (int64_t)sd_dtype_size(d);
  int shared = g->m >= 128 && !g->trans_b && stride % 4096 == 0;
  if (!has_small_kernels() || shared) return 0;
  return work < (int64_t)1 << (d == SD_F32 ? 31 : 30);
}

/* Of a narrow product with short k a tile takes more rows: a call costs as
** much as some thousand multiplications. */
static int64_t rows_of_tile(const SdGemm *g, int64_t cols, int64_t depth) {
  int64_t rows = TILE / (at_most(g->n, cols) * at_most(g->k, depth));
  return rows < 32 ? 32 : at_most(rows, 1024);
}

/* The small kernels take a tenth longer with b transposed, and twice as long
** when k is short or c narrow.  The copy takes as long as some 300 rows of a
** long product, or 50 of a short one. */
int sd_gemm_wants_plain(SdDtype d, int64_t m, int64_t n, int64_t k) {
  SdGemm g = {.m = m, .n = n, .k = k, .trans_b = 1};
  return d == SD_F32 && n >= 4 && m >= (k <= 64 ? 64 : 512) &&
         tiles_pay(d, &g, work_of(&g));
}

/* Into a small c they take half as long again, or thrice, with a transposed. */
int sd_gemm_wants_plain_rows(SdDtype d, int64_t m, int64_t n) {
  return d == SD_F32 && m <= 8 && n <= 10 && n > 1 && has_small_kernels();
}

static void grid_of_tiles(SdDtype d, const SdGemm *g, Grid *grid) {
  int64_t cols = d == SD_F32 && !g->trans_b ? 64 : 32;
  int64_t depth = cols == 64 ? 480 : d == SD_F32 ? 960 : 800;
  int64_t rows = rows_of_tile(g, cols, depth);
  grid->rows = piece_of(g->m, ceil_div(g->m, rows), 4);
  grid->cols = piece_of(g->n, ceil_div(g->n, cols), 16);
  grid->depth = piece_of(g->k, ceil_div(g->k, depth), 16);
  grid->alone = 1000000;
}

/* A call cannot be interrupted: none may take longer than about a tenth of a
** second.  Long k is cut, after c so far that the pieces of k stay long. */
static void limit_calls(SdDtype d, const SdGemm *g, Grid *grid) {
  int64_t limit = (int64_t)1 << (d == SD_F32 ? 31 : 30);
  while (grid->rows * grid->cols > AREA)
    if (grid->rows > grid->cols) grid->rows = piece_of(grid->rows, 2, 4);
    else grid->cols = piece_of(grid->cols, 2, 16);
  int64_t work = saturating_mul(grid->rows * grid->cols, g->k);
  if (work > limit) grid->depth = piece_of(g->k, ceil_div(work, limit), 16);
}

/* Few large panels, as near square as may be: each call packs anew the columns
** and rows that it needs. */
static void grid_of_panels(SdDtype d, const SdGemm *g, int64_t work,
                           Grid *grid) {
  int64_t panels = work >> 32 ? 16 : work >> 28 ? 8 : work >> 26 ? 4 : 2;
  int64_t area = saturating_mul(g->m, g->n), down = 1;
  while (panels > 2 && area / panels < 1 << 16) panels /= 2;
  while (down < panels &&
         g->m / down * panels > 2 * saturating_mul(g->n, down))
    down *= 2;
  grid->rows = piece_of(g->m, down, 4);
  grid->cols = piece_of(g->n, panels / down, 16);
  grid->depth = MAX_INT;
  limit_calls(d, g, grid);
}

/* A vector's entries in up to 32 pieces of whole cache lines, or, where threads
** do not pay, in calls for which OpenBLAS starts none either. */
static void grid_of_gemv(const SdGemm *g, int64_t work, Grid *grid) {
  int64_t n = g->n == 1 ? g->m : g->n, size, depth = 1 << 27;
  if (work >= CUT_GEMV) {
    size = piece_of(n, at_most(32, ceil_div(n, 64)), 16);
  } else {
    int64_t row = GEMV / at_most(g->k, GEMV);
    size = at_most(n, row > 64 ? row : 64);
    depth = GEMV / size;
  }
  grid->kind = g->n == 1 ? GEMV_A : GEMV_B;
  grid->rows = g->n == 1 ? size : 1;
  grid->cols = g->n == 1 ? 1 : size;
  grid->depth = depth;
}

static Grid grid_of(SdDtype d, const SdGemm *g, int64_t work) {
  Grid grid = {GEMM, at_most(g->m, MAX_INT), at_most(g->n, MAX_INT), MAX_INT,
               1, 1, CUT};
  if (g->n == 1 || g->m == 1) grid_of_gemv(g, work, &grid);
  else if (work >= CUT && tiles_pay(d, g, work)) grid_of_tiles(d, g, &grid);
  else if (work >= CUT) grid_of_panels(d, g, work, &grid);
  grid.down = ceil_div(g->m, grid.rows);
  grid.across = ceil_div(g->n, grid.cols);
  return grid;
}

/* ---- one BLAS call -------------------------------------------------- */

/* c (m x n) = op(a) op(b) + beta c; sizes and strides as BLAS takes them. */
typedef struct Call {
  SdDtype dtype;
  int m, n, k, trans_a, trans_b, lda, ldb, ldc;
  double beta;
  const void *a, *b;
  void *c;
} Call;

static void call_gemm(const Call *p) {
  CBLAS_TRANSPOSE ta = p->trans_a ? CblasTrans : CblasNoTrans;
  CBLAS_TRANSPOSE tb = p->trans_b ? CblasTrans : CblasNoTrans;
  if (p->dtype == SD_F32)
    cblas_sgemm(CblasRowMajor, ta, tb, p->m, p->n, p->k, 1, p->a, p->lda,
                p->b, p->ldb, (float)p->beta, p->c, p->ldc);
  else
    cblas_dgemm(CblasRowMajor, ta, tb, p->m, p->n, p->k, 1, p->a, p->lda,
                p->b, p->ldb, p->beta, p->c, p->ldc);
}

/* y (n, step incy) += op(a) x, op(a) being n x k. */
static void call_gemv(SdDtype d, int trans, int n, int k, const void *a,
                      int lda, const void *x, int incx, void *y, int incy) {
  CBLAS_TRANSPOSE t = trans ? CblasTrans : CblasNoTrans;
  int rows = trans ? k : n, cols = trans ? n : k;
  if (d == SD_F32)
    cblas_sgemv(CblasRowMajor, t, rows, cols, 1, a, lda, x, incx, 1, y, incy);
  else
    cblas_dgemv(CblasRowMajor, t, rows, cols, 1, a, lda, x, incx, 1, y, incy);
}

/* BLAS would multiply by beta = 0, and a NaN would stay. */
static void clear(SdDtype d, int64_t n, void *y, int64_t step) {
  if (d == SD_F32)
    for (int64_t i = 0; i < n; i++) ((float *)y)[i * step] = 0;
  else
    for (int64_t i = 0; i < n; i++) ((double *)y)[i * step] = 0;
}

static void call(Kind kind, const Call *p) {
  if (kind == GEMV_A) {
    if (p->beta == 0) clear(p->dtype, p->m, p->c, p->ldc);
    call_gemv(p->dtype, p->trans_a, p->m, p->k, p->a, p->lda, p->b,
              p->trans_b ? 1 : p->ldb, p->c, p->ldc);
  } else if (kind == GEMV_B) {
    if (p->beta == 0) clear(p->dtype, p->n, p->c, 1);
    call_gemv(p->dtype, !p->trans_b, p->n, p->k, p->b, p->ldb, p->a,
              p->trans_a ? p->lda : 1, p->c, 1);
  } else {
    call_gemm(p);
  }
}

/* ---- one product ---------------------------------------------------- */

typedef struct Product {
  const SdGemm *g;
  const char *a, *b;
  char *c;
} Product;

/* BLAS wants a leading stride of a row at least even where it is unused. */
static int leading(int64_t ld, int64_t row) {
  return (int)at_most(ld > row ? ld : row > 1 ? row : 1, INT32_MAX);
}

/* The call for the piece whose first element of c is (row, col), as far as it
** does not depend on k. */
static Call call_at(SdDtype d, const SdGemm *g, const Grid *grid, int64_t row,
                    int64_t col) {
  return (Call){.dtype = d, .trans_a = g->trans_a, .trans_b = g->trans_b,
                .m = (int)at_most(g->m - row, grid->rows),
                .n = (int)at_most(g->n - col, grid->cols),
                .k = (int)at_most(g->k, grid->depth),
                .lda = leading(g->lda, g->trans_a ? g->m : g->k),
                .ldb = leading(g->ldb, g->trans_b ? g->k : g->n),
                .ldc = leading(g->ldc, g->n), .beta = g->beta};
}

static void run_piece(SdDtype d, const Product *p, const Grid *grid,
                      int64_t number) {
  const SdGemm *g = p->g;
  int64_t size = (int64_t)sd_dtype_size(d);
  int64_t row = number % grid->down * grid->rows;
  int64_t col = number / grid->down * grid->cols;
  Call at = call_at(d, g, grid, row, col);
  at.c = p->c + (row * g->ldc + col) * size;
  for (int64_t k = 0; k < g->k && !sd_interrupted; k += grid->depth) {
    at.k = (int)at_most(g->k - k, grid->depth);
    at.a = p->a + (g->trans_a ? k * g->lda + row : row * g->lda + k) * size;
    at.b = p->b + (g->trans_b ? col * g->ldb + k : k * g->ldb + col) * size;
    call(grid->kind, &at);
    at.beta = 1;
  }
}

/* ---- the products --------------------------------------------------- */

typedef struct Batch {
  SdDtype dtype;
  const SdGemm *g;
  Grid grid;
  const void *const *a, *const *b;
  void *const *c;
} Batch;

/* Products that are one call each: 64 of 32 x 32 gain a tenth. */
static void run_calls(const Batch *w, int64_t first, int64_t end) {
  Call at = call_at(w->dtype, w->g, &w->grid, 0, 0);
  for (int64_t i = first; i < end && !sd_interrupted; i++) {
    at.a = w->a[i];
    at.b = w->b[i];
    at.c = w->c[i];
    call(w->grid.kind, &at);
  }
}

/* The pieces of all products are numbered through. */
static void run_pieces(const Batch *w, int64_t first, int64_t end) {
  int64_t pieces = w->grid.down * w->grid.across;
  if (pieces == 1 && w->grid.depth >= w->g->k) {
    run_calls(w, first, end);
    return;
  }
  for (int64_t i = first; i < end && !sd_interrupted; i++) {
    int64_t k = i / pieces;
    Product p = {w->g, w->a[k], w->b[k], w->c[k]};
    run_piece(w->dtype, &p, &w->grid, i % pieces);
  }
}

static void clear_all(SdDtype d, const SdGemm *g, int64_t count,
                      void *const *c) {
  int64_t row = g->ldc * (int64_t)sd_dtype_size(d);
  if (g->beta != 0) return;
  for (int64_t i = 0; i < count; i++)
    for (int64_t r = 0; r < g->m; r++)
      clear(d, g->n, (char *)c[i] + r * row, 1);
}

static double microseconds(SdDtype d, const Grid *grid, const SdGemm *g,
                           int64_t count) {
  double m = (double)g->m, n = (double)g->n, k = (double)g->k;
  double work = m * n * k, time = work / RATE_GEMV;
  if (grid->kind == GEMM)
    time = work / RATE + (m * k + k * n + m * n) / RATE_MOVED;
  return (double)count * time * (d == SD_F32 ? 1 : 2);
}

/* Whether OpenBLAS would not start threads of its own.  (Where it would, a
** region of one thread does not keep it from that.) */
static int stays_alone(const Grid *grid, const SdGemm *g) {
  if (grid->kind != GEMM) return work_of(g) < CUT_GEMV;
  return grid->rows * grid->cols * at_most(g->k, grid->depth) <= grid->alone;
}

/* A product too large for tiles goes slice by slice of rows and of k, if these
** are right for tiles: those with long k gain a fifth to a third (784 x 512 of
** k = 60,000: 72 -> 103 GFLOP/s), tall ones a twentieth. */
static int has_slices(SdDtype d, const SdGemm *g, int64_t work,
                      SdGemm *slice) {
  int64_t depth = d == SD_F32 ? 960 : 800;
  *slice = *g;
  slice->k = at_most(g->k, g->trans_a ? depth / 2 : depth);
  slice->m = at_most(g->m, 1024);
  return g->n <= 2048 && work >= CUT && !tiles_pay(d, g, work) &&
         tiles_pay(d, slice, work_of(slice));
}

static void run_slices(SdDtype d, const SdGemm *g, const SdGemm *slice,
                       const void *a, const void *b, void *c) {
  int64_t size = (int64_t)sd_dtype_size(d);
  for (int64_t i = 0; i < g->m; i += slice->m)
    for (int64_t k = 0; k < g->k && !sd_interrupted; k += slice->k) {
      SdGemm s = *g;
      s.m = at_most(g->m - i, slice->m);
      s.k = at_most(g->k - k, slice->k);
      if (k > 0) s.beta = 1;
      sd_gemm(d, &s,
              (const char *)a + (g->trans_a ? k * g->lda + i
                                            : i * g->lda + k) * size,
              (const char *)b + (g->trans_b ? k : k * g->ldb) * size,
              (char *)c + i * g->ldc * size);
    }
}

void sd_gemm_batch(SdDtype d, const SdGemm *g, int64_t count,
                   const void *const *a, const void *const *b,
                   void *const *c) {
  if (count == 0 || g->m == 0 || g->n == 0) return;
  if (g->k == 0) {
    clear_all(d, g, count, c);
    return;
  }
  int64_t work = work_of(g);
  SdGemm slice;
  if (has_slices(d, g, work, &slice)) {
    for (int64_t i = 0; i < count; i++)
      run_slices(d, g, &slice, a[i], b[i], c[i]);
    return;
  }
  Batch w = {d, g, grid_of(d, g, work), a, b, c};
  int64_t pieces = w.grid.down * w.grid.across, total = count * pieces;
  int threads = sd_thread_choose(microseconds(d, &w.grid, g, count));
  if (threads == 1 && (stays_alone(&w.grid, g) || sd_thread_count() == 1)) {
    run_pieces(&w, 0, total);
  } else {
    int64_t run = CUT / (work / pieces + 256) + 1;
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < total; i += run)
      run_pieces(&w, i, at_most(i + run, total));
  }
  sd_thread_done();
}

void sd_gemm(SdDtype d, const SdGemm *g, const void *a, const void *b,
             void *c) {
  sd_gemm_batch(d, g, 1, &a, &b, &c);
}

/* ---- integers ------------------------------------------------------- */

#define INLINE static inline __attribute__((always_inline))

/* Products wrap, so all is reckoned unsigned and cut to size in the end. */
INLINE uint64_t element(size_t size, const char *p, int64_t i) {
  uint32_t word;
  uint64_t lng;
  if (size == 1) return (unsigned char)p[i];
  if (size == 4) return memcpy(&word, p + 4 * i, 4), word;
  return memcpy(&lng, p + 8 * i, 8), lng;
}

INLINE void set_element(size_t size, char *p, int64_t i, uint64_t v) {
  if (size == 1) p[i] = (char)(unsigned char)v;
  else if (size == 4) memcpy(p + 4 * i, &(uint32_t){(uint32_t)v}, 4);
  else memcpy(p + 8 * i, &v, 8);
}

/* c[0 .. n-1] += x b[0], x b[step], ..; with any: or of and. */
INLINE void add_row(size_t size, int any, int64_t n, char *c, uint64_t x,
                    const char *b, int64_t step) {
  for (int64_t j = 0; j < n; j++) {
    uint64_t sum = element(size, c, j), y = element(size, b, j * step);
    set_element(size, c, j, any ? sum | (x & y) : sum + x * y);
  }
}

INLINE void integer_row(size_t size, int any, const Product *p, int64_t i) {
  const SdGemm *g = p->g;
  int64_t s = (int64_t)size;
  char *c = p->c + i * g->ldc * s;
  if (g->beta == 0) memset(c, 0, (size_t)g->n * size);
  for (int64_t k = 0; k < g->k && !sd_interrupted; k++) {
    uint64_t x = element(size, p->a,
                         g->trans_a ? k * g->lda + i : i * g->lda + k);
    if (x == 0) continue;
    if (g->trans_b) add_row(size, any, g->n, c, x, p->b + k * s, g->ldb);
    else add_row(size, any, g->n, c, x, p->b + k * g->ldb * s, 1);
  }
}

void sd_gemm_integer(SdDtype d, const SdGemm *g, const void *a,
                     const void *b, void *c) {
  Product p = {g, a, b, c};
  size_t size = sd_dtype_size(d);
  if (g->n == 0) return;
#pragma omp parallel for schedule(static) if (work_of(g) >= CUT)
  for (int64_t i = 0; i < g->m; i++) {
    if (d == SD_BOOL) integer_row(1, 1, &p, i);
    else if (size == 1) integer_row(1, 0, &p, i);
    else if (size == 4) integer_row(4, 0, &p, i);
    else integer_row(8, 0, &p, i);
  }
}
