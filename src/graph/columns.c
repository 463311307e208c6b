/*
** Folds over columns: over some dims before the last.  A plane's rows are cut
** at fixed places into chunks with results of their own.
*/
#include "graph/interpret_private.h"

#include "kernels/copy.h"
#include "kernels/lines.h"
#include "kernels/moments.h"

#include <string.h>

enum {
  STRIP = 16 * BLOCK,   /* columns at a time */
  MAX_CHUNKS = 64,
  MIN_CHUNK = 64,       /* rows */
  LINES = 64,           /* rows of memory as it lies that are folded at once */
  LONG = 1024,          /* bytes of a row of results, and so many between */
  APART = 320
};

/* ---- blocks ------------------------------------------------------------- */

static SdLoop fold_loop(SdFold fold) {
  static const SdLoop loops[SD_NFOLDS] = {
      [SD_FOLD_SUM] = SD_LOOP_ADD, [SD_FOLD_MAX] = SD_LOOP_MAX,
      [SD_FOLD_MIN] = SD_LOOP_MIN, [SD_FOLD_ANY] = SD_LOOP_OR,
      [SD_FOLD_ALL] = SD_LOOP_AND};
  return loops[fold];
}

/* The rows x n elements at x, added up onto the n at acc.  Rows are added
** pairwise: a few long loops instead of many short ones, and sums that are
** the more exact for it. */
static void fold_lines(const Thread *t, const Fold *f, char *acc,
                       const char *x, int64_t rows, int64_t n) {
  SdLoopFn fn = sd_loop(f->dtype, fold_loop(f->fold));
  size_t bytes = (size_t)n * sd_dtype_size(f->dtype);
  for (; rows > 1; rows /= 2) {
    if (rows % 2) fn(n, acc, acc, x + (size_t)(rows - 1) * bytes, NULL);
    fn(rows / 2 * n, t->halves, x, x + (size_t)(rows / 2) * bytes, NULL);
    x = t->halves;
  }
  fn(n, acc, acc, x, NULL);
}

/* n elements, rows times, from the first ones on. */
static void repeat(char *at, size_t bytes, int64_t rows) {
  size_t all = bytes * (size_t)rows;
  for (size_t done = bytes; done < all; done *= 2)
    memcpy(at + done, at, done < all - done ? done : all - done);
}

/* The same of means less pivots, and squared deviations from them. */
static void merge_lines(const Thread *t, SdDtype d, SdMoments *acc,
                        const char *pivot, const char *x, int64_t rows,
                        int64_t n) {
  SdMoments a = {1, t->halves, NULL}, b, halves = a;
  size_t bytes = (size_t)n * sd_dtype_size(d);
  halves.m2 = t->halves + t->run->slot;
  memcpy(t->halves, pivot, bytes);
  repeat(t->halves, bytes, rows);
  sd_loop(d, SD_LOOP_SUB)(rows * n, t->halves, x, t->halves, NULL);
  for (; rows > 1; rows /= 2) {
    size_t last = (size_t)(rows - 1) * bytes, half = (size_t)(rows / 2) * bytes;
    b = a;
    if (rows % 2) {
      b.mean = (char *)a.mean + last;
      if (a.m2) b.m2 = (char *)a.m2 + last;
      sd_moments(d)->merge(n, acc, &b, acc);
      acc->n += b.n;
    }
    b.mean = (char *)a.mean + half;
    if (a.m2) b.m2 = (char *)a.m2 + half;
    sd_moments(d)->merge(rows / 2 * n, &a, &b, &halves);
    halves.n = a.n + b.n;
    a = halves;
  }
  sd_moments(d)->merge(n, acc, &a, acc);
}

/* ---- where results are -------------------------------------------------- */

/* Bytes from the results of one chunk of rows to the next ones: long ones begin
** with a line, and not all in the same cache sets. */
static size_t column_stride(const Run *r, const Fold *f) {
  size_t bytes = (size_t)r->p->columns * sd_dtype_size(f->dtype);
  return bytes < LONG ? bytes : ((bytes + 63) & ~(size_t)63) + APART;
}

/* Where the results of a chunk begin in fold k: of deviations these are squares
** of them added up, means and pivots. */
static char *column_acc(const Run *r, int k, int64_t chunk) {
  const Fold *f = &r->p->folds[k];
  return r->partial[k] + (size_t)(sd_is_deviations(f) ? 3 * chunk : chunk) *
                             column_stride(r, f);
}

static char *column_mean(const Run *r, int k, int64_t chunk) {
  return column_acc(r, k, chunk) + column_stride(r, &r->p->folds[k]);
}

static char *column_pivot(const Run *r, int k, int64_t chunk) {
  return column_acc(r, k, chunk) + 2 * column_stride(r, &r->p->folds[k]);
}

/* ---- tasks -------------------------------------------------------------- */

/* More rows, of which there were so many before: the first is the pivot. */
static void deviations_block(Thread *t, int k, int64_t chunk, int64_t before,
                             int64_t rows, int64_t c, int64_t n, int apart) {
  const Run *r = t->run;
  SdDtype d = r->p->folds[k].dtype;
  const char *x = t->reg[r->p->folds[k].reg];
  size_t at = (size_t)c * sd_dtype_size(d);
  char *pivot = column_pivot(r, k, chunk) + at;
  SdMoments m = {(double)before, column_mean(r, k, chunk) + at,
                 column_acc(r, k, chunk) + at};
  if (before == 0) memcpy(pivot, x, (size_t)n * sd_dtype_size(d));
  if (apart || rows == 1)
    sd_moments(d)->lines(rows, n, r->p->columns, x, pivot, &m);
  else
    merge_lines(t, d, &m, pivot, x, rows, n);
}

/* The same of rows that lie a plane's columns apart, one after the other. */
static void fold_apart(const Fold *f, char *acc, const char *x, int64_t rows,
                       int64_t n, int64_t columns) {
  SdLinesFn lines = sd_lines(f->dtype, f->fold);
  SdLoopFn fn = sd_loop(f->dtype, fold_loop(f->fold));
  size_t bytes = (size_t)columns * sd_dtype_size(f->dtype);
  if (lines) lines(rows, n, columns, x, acc);
  else for (int64_t i = 0; i < rows; i++)
    fn(n, acc, acc, x + (size_t)i * bytes, NULL);
}

/* The next rows x n elements from column c of row on, added up, of the chunk
** before having been done; rows are counted through all planes, and chunks
** likewise.  apart: they are no block, but parts of rows in memory. */
static void column_block(Thread *t, int64_t chunk, int64_t before, int64_t row,
                         int64_t rows, int64_t c, int64_t n, int apart) {
  const Run *r = t->run;
  const SdProgram *p = r->p;
  sd_run_block(t, row * p->columns + c, rows * n);
  for (int k = 0; k < p->nfolds; k++) {
    const Fold *f = &p->folds[k];
    const char *x = t->reg[f->reg];
    char *acc = column_acc(r, k, chunk) + (size_t)c * sd_dtype_size(f->dtype);
    if (sd_is_deviations(f))
      deviations_block(t, k, chunk, before, rows, c, n, apart);
    else if (apart)
      fold_apart(f, acc, x, rows, n, p->columns);
    else
      fold_lines(t, f, acc, x, rows, n);
  }
}

/* A strip of columns, whose sums stay in the caches, over a chunk of rows.
** Narrow arrays take several whole rows a block, and memory as it lies several
** rows at once. */
void sd_columns_task(Thread *t, int64_t task) {
  const Run *r = t->run;
  const SdProgram *p = r->p;
  int64_t chunk = task % (p->planes * r->chunks);
  int64_t first = task / (p->planes * r->chunks) * STRIP;
  int64_t top = chunk / r->chunks * p->rows;
  int64_t start = top + chunk % r->chunks * r->chunk, end = start + r->chunk;
  int64_t last = first + STRIP < p->columns ? first + STRIP : p->columns;
  int64_t per = p->columns <= r->block ? r->block / p->columns : 1;
  int apart = per == 1 && sd_is_plain_fold(r);
  int64_t width = per > 1 ? p->columns : apart ? STRIP : r->block;
  if (apart) per = LINES;
  if (end > top + p->rows) end = top + p->rows;
  for (int64_t row = start; row < end; row += per)
    for (int64_t c = first; c < last; c += width)
      column_block(t, chunk, row - start, row,
                   end - row < per ? end - row : per, c,
                   last - c < width ? last - c : width, apart);
}

/* The moments of chunk j of the plane whose first chunk that is join those of
** the chunks before, after its means have been taken from the same pivots. */
static void combine_moments(const Run *r, int k, int64_t first, int64_t j) {
  const SdProgram *p = r->p;
  SdDtype d = p->folds[k].dtype;
  int64_t before = j * r->chunk, n = p->rows - before;
  char *pivot = column_pivot(r, k, first + j);
  SdMoments a = {(double)before, column_mean(r, k, first),
                 column_acc(r, k, first)};
  SdMoments b = {(double)(n < r->chunk ? n : r->chunk),
                 column_mean(r, k, first + j), column_acc(r, k, first + j)};
  sd_loop(d, SD_LOOP_SUB)(p->columns, pivot, pivot, column_pivot(r, k, first),
                          NULL);
  sd_loop(d, SD_LOOP_ADD)(p->columns, b.mean, b.mean, pivot, NULL);
  sd_moments(d)->merge(p->columns, &a, &b, &a);
}

/* The chunks of a plane are put together in its first. */
static char *combine_chunks(const Run *r, int k, int64_t plane) {
  const Fold *f = &r->p->folds[k];
  int64_t first = plane * r->chunks;
  char *acc = column_acc(r, k, first);
  for (int64_t j = 1; j < r->chunks; j++) {
    if (sd_is_deviations(f)) combine_moments(r, k, first, j);
    else sd_loop(f->dtype, fold_loop(f->fold))(
        r->p->columns, acc, acc, column_acc(r, k, first + j), NULL);
  }
  return acc;
}

void sd_columns_store(const Run *r, SdArray *const *outputs) {
  const SdProgram *p = r->p;
  for (int k = 0; k < p->nfolds; k++) {
    char *out = outputs[p->noutputs + k]->data;
    size_t bytes = (size_t)p->columns * sd_dtype_size(p->folds[k].dtype);
    for (int64_t i = 0; i < p->planes && bytes > 0; i++)
      memcpy(out + (size_t)i * bytes, combine_chunks(r, k, i), bytes);
  }
}

/* ---- the run ------------------------------------------------------------ */

void sd_columns_plan(Run *r) {
  const SdProgram *p = r->p;
  int64_t most = p->planes > 0 && p->planes < MAX_CHUNKS
                     ? MAX_CHUNKS / p->planes : 1;
  int64_t chunk = (p->rows + most - 1) / most;
  r->chunk = chunk < MIN_CHUNK ? MIN_CHUNK : chunk;
  r->chunks = p->rows ? (p->rows + r->chunk - 1) / r->chunk : 1;
  r->tasks = p->planes * r->chunks * ((p->columns + STRIP - 1) / STRIP);
}

static size_t column_bytes(const Run *r, const Fold *f) {
  return (size_t)(r->p->planes * r->chunks * (sd_is_deviations(f) ? 3 : 1)) *
         column_stride(r, f);
}

size_t sd_columns_memory(Run *r, char *base) {
  size_t at = 0;
  for (int k = 0; k < r->p->nfolds; k++) {
    if (base) r->partial[k] = base + at;
    at += column_bytes(r, &r->p->folds[k]);
    at = (at + 63) & ~(size_t)63;
  }
  return at;
}

static void fill_identity(const Run *r, int k) {
  const Fold *f = &r->p->folds[k];
  SdAccumulator zero = sd_fold_identity(f->dtype, f->fold);
  char element[8];
  sd_fold_store(f->dtype, 1, &zero, element);
  size_t size = sd_dtype_size(f->dtype);
  sd_copy_fill((int64_t)(column_bytes(r, f) / size), size, r->partial[k],
               element);
}

void sd_columns_start(const Run *r) {
  for (int k = 0; k < r->p->nfolds; k++) fill_identity(r, k);
}
