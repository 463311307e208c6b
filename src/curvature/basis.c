/*
** A sweep goes once over the columns in blocks that fit the cache, and on
** each block subtracts one set of coefficients and takes the products for
** the next.  Orthogonalising twice is thus three passes over the rows, not
** four.  Every other sweep goes backwards: what the one before read last is
** still in the cache.
*/
#include "curvature/basis.h"

#include "base/memory.h"
#include "kernels/gram.h"
#include "kernels/random.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

enum {
  PIECES = 32,               /* of the columns, each summed by one thread */
  CACHE = 512 * 1024,        /* bytes of a block read twice */
  MIN_BLOCK = 256, MAX_BLOCK = 16384,
  ROTATE_BLOCK = 512,        /* columns that rotate works on at a time */
  MAX_PASSES = 6,
  PARALLEL = 1 << 20         /* elements below which waking threads costs more
                                than they save */
};

/* work: for each piece the sums of two vectors, then the reals of their
** coefficients, then two lots of sums. */
static size_t work_doubles(int64_t capacity) {
  return 2 * (size_t)(PIECES + 3) * (size_t)(capacity + 1);
}

SdStatus sd_basis_new(SdBasis *b, SdDtype dtype, int64_t n, int64_t capacity,
                      SdError *err) {
  size_t elements, bytes;
  *b = (SdBasis){.dtype = dtype, .n = n, .capacity = capacity};
  if (__builtin_mul_overflow((size_t)n, (size_t)capacity, &elements) ||
      __builtin_mul_overflow(elements, sd_dtype_size(dtype), &bytes))
    return sd_error_set(err, SD_EARGUMENT,
                        "basis: %lld vectors of %lld elements are too many",
                        (long long)capacity, (long long)n);
  SdShape shape = {2, {capacity, n}};
  if (sd_array_new(&b->array, dtype, &shape, err) != SD_OK) return err->code;
  b->rows = b->array.data;
  b->work = sd_memory_alloc(work_doubles(capacity) * sizeof(double), err);
  if (b->work) return SD_OK;
  sd_basis_free(b);
  return err->code;
}

void sd_basis_free(SdBasis *b) {
  sd_array_release(&b->array);
  if (b->work)
    sd_memory_free(b->work, work_doubles(b->capacity) * sizeof(double));
  b->rows = NULL;
  b->work = NULL;
}

/* ---- sweeps ------------------------------------------------------------- */

typedef struct Sweep {
  const SdBasis *b;
  SdGram gram;       /* of all columns */
  void *w;
  const void *minus; /* coefficients, or NULL */
  int dots;          /* whether products are wanted */
  int backward;
  int parallel;      /* whether threads share the work */
} Sweep;

static double *piece_sums(const SdBasis *b, int piece) {
  return b->work + 2 * (size_t)piece * (size_t)(b->capacity + 1);
}

static void *coefficients(const SdBasis *b) {
  return piece_sums(b, PIECES);
}

/* All products with the vectors, and behind them those of the vectors with
** themselves. */
static int64_t sums_of(const Sweep *s) {
  return s->gram.vectors * (s->gram.count + 1);
}

static void sweep_block(const Sweep *s, int piece, int64_t at, int64_t m) {
  SdDtype d = s->b->dtype;
  const SdGramTable *table = sd_gram(d);
  SdGram g = s->gram;
  void *w = sd_vector_at(d, s->w, at);
  double *sums = piece_sums(s->b, piece);
  g.n = m;
  g.rows = sd_vector_at(d, g.rows, at);
  if (s->minus) table->subtract(&g, s->minus, w);
  if (s->dots) table->dots(&g, w, sums);
  for (int v = 0; v < g.vectors; v++) {
    const void *u = sd_vector_at(d, w, v * g.stride);
    sums[g.vectors * g.count + v] += table->dot(m, u, u);
  }
}

/* Rows are read in long runs, unless a block must stay in the cache. */
static int64_t block_length(const Sweep *s) {
  if (!s->minus || !s->dots) return MAX_BLOCK;
  int64_t bytes = (s->gram.count + s->gram.vectors) *
                  (int64_t)sd_dtype_size(s->b->dtype);
  int64_t length = CACHE / bytes / 64 * 64;
  return length < MIN_BLOCK ? MIN_BLOCK
         : length > MAX_BLOCK ? MAX_BLOCK
                              : length;
}

/* The blocks of one piece, in order or backwards. */
static void sweep_piece(const Sweep *s, int piece, int64_t each,
                        int64_t length) {
  int64_t n = s->b->n, from = piece * each;
  int64_t left = n - from < each ? n - from : each;
  int64_t blocks = left > 0 ? (left + length - 1) / length : 0;
  memset(piece_sums(s->b, piece), 0, (size_t)sums_of(s) * sizeof(double));
  for (int64_t i = 0; i < blocks; i++) {
    int64_t at = (s->backward ? blocks - 1 - i : i) * length;
    sweep_block(s, piece, from + at, left - at < length ? left - at : length);
  }
}

/* The vectors at w, each taken with the first count rows: minus, if given, are
** the coefficients to subtract; sums get the products of the rows with what is
** left, if dots are wanted, and then its squared norms. */
static void sweep(const SdBasis *b, int vectors, int64_t count, void *w,
                  const double *minus, int dots, double *sums) {
  Sweep s = {b, {count, b->n, b->n, b->rows, vectors}, w,
             minus ? coefficients(b) : NULL, dots, minus != NULL,
             b->n * count > PARALLEL};
  int64_t length = block_length(&s), n = sums_of(&s);
  int64_t each = s.parallel ? (b->n / PIECES / 64 + 1) * 64 : b->n;
  for (int64_t i = 0; minus && i < vectors * count; i++)
    if (b->dtype == SD_F32) ((float *)coefficients(b))[i] = (float)minus[i];
    else ((double *)coefficients(b))[i] = minus[i];
#pragma omp parallel for schedule(static, 1) if (s.parallel)
  for (int p = 0; p < PIECES; p++)
    sweep_piece(&s, s.backward ? PIECES - 1 - p : p, each, length);
  memset(sums, 0, (size_t)n * sizeof *sums);
  for (int p = 0; p < PIECES; p++)
    for (int64_t i = 0; i < n; i++) sums[i] += piece_sums(b, p)[i];
}

/* Two lots of sums. */
static double *lot(const SdBasis *b, int i) {
  return piece_sums(b, PIECES + 1 + i);
}

void sd_basis_dots(const SdBasis *b, int64_t count, const void *w,
                   double *dots) {
  sweep(b, 1, count, (void *)w, NULL, 1, lot(b, 0));
  memcpy(dots, lot(b, 0), (size_t)count * sizeof *dots);
}

/* expected: whether a second pass is likely, so that the first takes the
** products for it on its way. */
static double orthogonalize(const SdBasis *b, int64_t count, void *w,
                            double *h, int expected) {
  double *dots = lot(b, 0), *next = lot(b, 1);
  sweep(b, 1, count, w, NULL, 1, dots);
  double norm = sqrt(dots[count]);
  if (h) memset(h, 0, (size_t)count * sizeof *h);
  for (int pass = 1; pass <= MAX_PASSES; pass++) {
    for (int64_t i = 0; h && i < count; i++) h[i] += dots[i];
    int ahead = expected && pass == 1;
    sweep(b, 1, count, w, dots, ahead, next);
    double now = sqrt(next[count]);
    if (now > (pass > 1 ? .5 : .7) * norm || isnan(now)) return now;
    if (!ahead) sweep(b, 1, count, w, NULL, 1, next);
    memcpy(dots, next, (size_t)count * sizeof *dots);
    norm = now;
  }
  return 0;
}

double sd_basis_orthogonalize(const SdBasis *b, int64_t count, void *w,
                              double *h) {
  return orthogonalize(b, count, w, h, 1);
}

double sd_basis_reorthogonalize(const SdBasis *b, int64_t count, void *w,
                                double *h) {
  return orthogonalize(b, count, w, h, 0);
}

double sd_basis_recur(const SdBasis *b, int64_t j, double beta, void *w,
                      double *h) {
  const void *v = sd_basis_row(b, j);
  if (j > 0 && beta != 0)
    sd_vector_axpy(b->dtype, b->n, -beta, sd_basis_row(b, j - 1), w);
  double alpha = sd_vector_dot(b->dtype, b->n, v, w);
  sd_vector_axpy(b->dtype, b->n, -alpha, v, w);
  double norm = sd_basis_reorthogonalize(b, j + 1, w, h);
  h[j] += alpha;
  return norm;
}

double sd_basis_clean_two(const SdBasis *b, int64_t count) {
  double *dots = lot(b, 0), *left = lot(b, 1);
  void *w = sd_basis_row(b, count);
  sweep(b, 2, count, w, NULL, 1, dots);
  sweep(b, 2, count, w, dots, 0, left);
  return sqrt(left[2 * count + 1]);
}

SdStatus sd_basis_random_row(const SdBasis *b, int64_t count, uint64_t seed,
                             uint64_t stream, SdError *err) {
  void *w = sd_basis_row(b, count);
  sd_random_normal(b->dtype, seed, stream, b->n, w);
  sd_vector_scale(b->dtype, b->n, 1 / sqrt((double)b->n), w);
  double norm = sd_basis_orthogonalize(b, count, w, NULL);
  if (!(norm > 0))
    return sd_error_set(err, SD_ENUMERIC,
                        "basis: no direction beside %lld of %lld",
                        (long long)count, (long long)b->n);
  sd_vector_scale(b->dtype, b->n, 1 / norm, w);
  return SD_OK;
}

/* ---- rotation ----------------------------------------------------------- */

typedef struct Rotation {
  const SdBasis *b;
  int64_t first, m, p;
  const void *s; /* m x p, in the basis's dtype */
} Rotation;

/* rows[.., at .. at+length) = S^T of themselves, through tmp (p x length). */
static void rotate_block(const Rotation *r, int64_t at, int length,
                         void *tmp) {
  const SdBasis *b = r->b;
  char *a = sd_vector_at(b->dtype, sd_basis_row(b, r->first), at);
  size_t size = sd_dtype_size(b->dtype);
  int m = (int)r->m, p = (int)r->p, lda = (int)b->n;
  if (b->dtype == SD_F32)
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, p, length, m, 1,
                r->s, p, (float *)(void *)a, lda, 0, tmp, length);
  else
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, p, length, m, 1,
                r->s, p, (double *)(void *)a, lda, 0, tmp, length);
  for (int i = 0; i < p; i++)
    memcpy(a + (size_t)i * (size_t)b->n * size,
           (char *)tmp + (size_t)i * (size_t)length * size,
           (size_t)length * size);
}

static void rotate(const Rotation *r, char *scratch) {
  const SdBasis *b = r->b;
  size_t bytes = (size_t)r->p * ROTATE_BLOCK * sd_dtype_size(b->dtype);
  int64_t blocks = (b->n + ROTATE_BLOCK - 1) / ROTATE_BLOCK;
  int64_t each = (blocks + PIECES - 1) / PIECES * ROTATE_BLOCK;
#pragma omp parallel for schedule(static, 1) \
    if (b->n * r->m * r->p > 1 << 18)
  for (int i = 0; i < PIECES; i++) {
    int64_t end = (i + 1) * each < b->n ? (i + 1) * each : b->n;
    for (int64_t at = i * each; at < end; at += ROTATE_BLOCK)
      rotate_block(r, at,
                   (int)(end - at < ROTATE_BLOCK ? end - at : ROTATE_BLOCK),
                   scratch + (size_t)i * bytes);
  }
}

SdStatus sd_basis_rotate(const SdBasis *b, int64_t first, int64_t m,
                         int64_t p, const double *s, int64_t lds,
                         SdError *err) {
  size_t size = sd_dtype_size(b->dtype), count = (size_t)(m * p);
  size_t bytes = (count + (size_t)p * ROTATE_BLOCK * PIECES) * size;
  char *scratch = sd_memory_alloc(bytes, err);
  if (!scratch) return err->code;
  for (int64_t i = 0; i < m * p; i++) {
    double v = s[i / p * lds + i % p];
    if (b->dtype == SD_F32) ((float *)(void *)scratch)[i] = (float)v;
    else ((double *)(void *)scratch)[i] = v;
  }
  Rotation r = {b, first, m, p, scratch};
  rotate(&r, scratch + count * size);
  sd_memory_free(scratch, bytes);
  return SD_OK;
}
