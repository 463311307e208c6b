/*
** Folds in a run: over rows, the trailing dims, or over columns, some dims
** before them.  Both are cut at fixed places into pieces with a sum each.
*/
#include "graph/interpret_private.h"

#include "kernels/copy.h"
#include "kernels/lines.h"
#include "kernels/moments.h"

#include <string.h>

enum {
  FOLD_BLOCK = 16 * BLOCK, /* of memory as it lies, at least */
  MANY_TASKS = 128,
  MANY_BLOCKS = 16,     /* of long rows, whose tasks are pieces of CHUNK */
  CHUNK = 256 * BLOCK,  /* a longer row is folded in pieces of this */
  STRIP = 16 * BLOCK,   /* columns of a fold over leading dims */
  MAX_ROW_CHUNKS = 64,  /* pieces of a fold over leading dims */
  MIN_ROW_CHUNK = 64,
  LONG = 1024,          /* bytes of a row of results, and so many between */
  APART = 320,
  LINES = 64            /* rows of memory as it lies that are folded at once */
};

/* A fold of memory as it lies needs no registers. */
static int is_plain_fold(const Run *r) {
  return r->p->ncode == 0 && r->nodd == 0 && r->p->nsplats == 0;
}

static int is_deviations(const Fold *f) {
  return f->fold == SD_FOLD_DEVIATIONS;
}

/* ---- folds over trailing dims ------------------------------------------- */

static SdAccumulator *row_acc(const Run *r, int fold, int64_t row) {
  return r->acc + ((int64_t)fold * r->p->rows + row) * r->chunks;
}

static SdAccumulator *row_mean(const Run *r, int fold, int64_t row) {
  return row_acc(r, r->p->nfolds + fold, row);
}

static void short_rows(Thread *t, int64_t row, int64_t rows) {
  const Run *r = t->run;
  const SdProgram *p = r->p;
  sd_run_block(t, row * p->columns, rows * p->columns);
  for (int k = 0; k < p->nfolds; k++) {
    const Fold *f = &p->folds[k];
    const void *x = t->reg[f->reg];
    if (is_deviations(f))
      sd_moments(f->dtype)->rows(rows, p->columns, x, row_acc(r, k, row));
    else
      sd_fold_rows(f->dtype, f->fold)(rows, p->columns, x, row_acc(r, k, row));
  }
}

static void row_piece(Thread *t, int64_t row, int64_t piece) {
  const Run *r = t->run;
  const SdProgram *p = r->p;
  int64_t start = piece * r->chunk, end = start + r->chunk;
  if (end > p->columns) end = p->columns;
  for (int64_t i = start; i < end; i += r->block) {
    int64_t n = end - i < r->block ? end - i : r->block;
    sd_run_block(t, row * p->columns + i, n);
    for (int k = 0; k < p->nfolds; k++) {
      const Fold *f = &p->folds[k];
      SdAccumulator *acc = row_acc(r, k, row) + piece;
      if (is_deviations(f))
        sd_moments(f->dtype)->add(n, t->reg[f->reg], i - start,
                                  row_mean(r, k, row) + piece, acc);
      else
        sd_fold(f->dtype, f->fold)(n, t->reg[f->reg], acc);
    }
  }
}

static void rows_task(Thread *t, int64_t task) {
  const Run *r = t->run;
  const SdProgram *p = r->p;
  if (r->block >= p->columns && p->columns > 0) {
    int64_t per = r->block / p->columns, row = task * per;
    short_rows(t, row, p->rows - row < per ? p->rows - row : per);
  } else if (p->columns > 0) {
    row_piece(t, task / r->chunks, task % r->chunks);
  }
}

/* The pieces of a row are put together in its first. */
static void combine_pieces(const Run *r, int k, int64_t row) {
  const Fold *f = &r->p->folds[k];
  SdAccumulator *a = row_acc(r, k, row);
  for (int64_t j = 1; j < r->chunks; j++) {
    int64_t before = j * r->chunk, n = r->p->columns - before;
    if (n > r->chunk) n = r->chunk;
    if (is_deviations(f)) {
      SdAccumulator *mean = row_mean(r, k, row);
      sd_moments_combine((double)before, mean, a, (double)n, mean[j].f, a[j].f);
    } else {
      sd_fold_combine(f->dtype, f->fold, a, a + j);
    }
  }
}

static void store_rows(const Run *r, SdArray *const *outputs) {
  const SdProgram *p = r->p;
  for (int k = 0; k < p->nfolds; k++) {
    SdArray *out = outputs[p->noutputs + k];
    SdAccumulator *sums = row_acc(r, k, 0);
    for (int64_t i = 0; i < p->rows && r->chunks > 1; i++) {
      combine_pieces(r, k, i);
      sums[i] = *row_acc(r, k, i);
    }
    sd_fold_store(out->dtype, p->rows, sums, out->data);
  }
}

/* ---- folds over other dims ---------------------------------------------- */

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
  return r->partial[k] + (size_t)(is_deviations(f) ? 3 * chunk : chunk) *
                             column_stride(r, f);
}

static char *column_mean(const Run *r, int k, int64_t chunk) {
  return column_acc(r, k, chunk) + column_stride(r, &r->p->folds[k]);
}

static char *column_pivot(const Run *r, int k, int64_t chunk) {
  return column_acc(r, k, chunk) + 2 * column_stride(r, &r->p->folds[k]);
}

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
    if (is_deviations(f))
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
static void columns_task(Thread *t, int64_t task) {
  const Run *r = t->run;
  const SdProgram *p = r->p;
  int64_t chunk = task % (p->planes * r->chunks);
  int64_t first = task / (p->planes * r->chunks) * STRIP;
  int64_t top = chunk / r->chunks * p->rows;
  int64_t start = top + chunk % r->chunks * r->chunk, end = start + r->chunk;
  int64_t last = first + STRIP < p->columns ? first + STRIP : p->columns;
  int64_t per = p->columns <= r->block ? r->block / p->columns : 1;
  int apart = per == 1 && is_plain_fold(r);
  int64_t width = per > 1 ? p->columns : apart ? STRIP : r->block;
  if (apart) per = LINES;
  if (end > top + p->rows) end = top + p->rows;
  for (int64_t row = start; row < end; row += per)
    for (int64_t c = first; c < last; c += width)
      column_block(t, chunk, row - start, row,
                   end - row < per ? end - row : per, c,
                   last - c < width ? last - c : width, apart);
}

static size_t column_bytes(const Run *r, const Fold *f) {
  return (size_t)(r->p->planes * r->chunks * (is_deviations(f) ? 3 : 1)) *
         column_stride(r, f);
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
    if (is_deviations(f)) combine_moments(r, k, first, j);
    else sd_loop(f->dtype, fold_loop(f->fold))(
        r->p->columns, acc, acc, column_acc(r, k, first + j), NULL);
  }
  return acc;
}

static void store_columns(const Run *r, SdArray *const *outputs) {
  const SdProgram *p = r->p;
  for (int k = 0; k < p->nfolds; k++) {
    char *out = outputs[p->noutputs + k]->data;
    size_t bytes = (size_t)p->columns * sd_dtype_size(p->folds[k].dtype);
    for (int64_t i = 0; i < p->planes && bytes > 0; i++)
      memcpy(out + (size_t)i * bytes, combine_chunks(r, k, i), bytes);
  }
}

/* ---- both -------------------------------------------------------------- */

static void plan_rows(Run *r) {
  const SdProgram *p = r->p;
  int many = p->columns > FOLD_BLOCK ? MANY_BLOCKS : MANY_TASKS;
  if (is_plain_fold(r)) r->block = FOLD_BLOCK;
  /* sums of 10^6 gain a tenth, of 10^8 more */
  while (is_plain_fold(r) && r->block < CHUNK && p->numel / r->block > many)
    r->block *= 2;
  r->chunk = CHUNK;
  r->chunks = p->columns > CHUNK ? (p->columns + CHUNK - 1) / CHUNK : 1;
  if (p->columns > 0 && p->columns <= r->block) {
    int64_t per = r->block / p->columns;
    r->tasks = (p->rows + per - 1) / per;
  } else {
    r->tasks = p->rows * r->chunks;
  }
}

static void plan_columns(Run *r) {
  const SdProgram *p = r->p;
  int64_t most = p->planes > 0 && p->planes < MAX_ROW_CHUNKS
                     ? MAX_ROW_CHUNKS / p->planes : 1;
  int64_t chunk = (p->rows + most - 1) / most;
  r->chunk = chunk < MIN_ROW_CHUNK ? MIN_ROW_CHUNK : chunk;
  r->chunks = p->rows ? (p->rows + r->chunk - 1) / r->chunk : 1;
  r->tasks = p->planes * r->chunks * ((p->columns + STRIP - 1) / STRIP);
}

void sd_folds_plan(Run *r) {
  if (r->p->layout == SD_FOLD_ROWS) plan_rows(r);
  if (r->p->layout == SD_FOLD_COLUMNS) plan_columns(r);
}

static int64_t row_slots(const SdProgram *p) {
  return p->nfolds * (1 + p->deviations);
}

size_t sd_folds_memory(Run *r, char *base) {
  const SdProgram *p = r->p;
  size_t at = 0;
  if (base) r->acc = (SdAccumulator *)(void *)base;
  if (p->layout == SD_FOLD_ROWS)
    at += (size_t)(row_slots(p) * p->rows * r->chunks) * sizeof *r->acc;
  for (int k = 0; k < p->nfolds && p->layout == SD_FOLD_COLUMNS; k++) {
    if (base) r->partial[k] = base + at;
    at += column_bytes(r, &p->folds[k]);
    at = (at + 63) & ~(size_t)63;
  }
  return at;
}

void sd_folds_start(const Run *r) {
  const SdProgram *p = r->p;
  for (int k = 0; k < p->nfolds; k++) {
    const Fold *f = &p->folds[k];
    SdAccumulator zero = sd_fold_identity(f->dtype, f->fold);
    int64_t n = p->rows * r->chunks;
    if (p->layout == SD_FOLD_COLUMNS) {
      fill_identity(r, k);
      continue;
    }
    sd_copy_fill(n, sizeof zero, row_acc(r, k, 0), &zero);
    if (is_deviations(f))
      sd_copy_fill(n, sizeof zero, row_mean(r, k, 0), &zero);
  }
}

void sd_folds_task(Thread *t, int64_t task) {
  if (t->run->p->layout == SD_FOLD_ROWS) rows_task(t, task);
  else columns_task(t, task);
}

void sd_folds_store(const Run *r, SdArray *const *outputs) {
  if (r->p->layout == SD_FOLD_ROWS) store_rows(r, outputs);
  if (r->p->layout == SD_FOLD_COLUMNS) store_columns(r, outputs);
}
