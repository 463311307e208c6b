/*
** Folds in a run: over rows, the trailing dims, here; over columns in
** columns.c.  Both are cut at fixed places into pieces with a sum each.
*/
#include "graph/interpret_private.h"

#include "kernels/copy.h"
#include "kernels/moments.h"

enum {
  FOLD_BLOCK = 16 * BLOCK, /* of memory as it lies, at least */
  MANY_TASKS = 128,
  MANY_BLOCKS = 16,     /* of long rows, whose tasks are pieces of CHUNK */
  CHUNK = 256 * BLOCK   /* a longer row is folded in pieces of this */
};

/* ---- folds over trailing dims ------------------------------------------- */

static SdAccumulator *row_acc(const Run *r, int fold, int64_t row) {
  return r->acc + ((int64_t)fold * r->p->rows + row) * r->chunks;
}

/* A row in one piece needs no mean to be put together by. */
static int keeps_means(const Run *r) {
  return r->p->deviations && r->p->columns > r->block;
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
    if (sd_is_deviations(f))
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
      if (sd_is_deviations(f))
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
    if (sd_is_deviations(f)) {
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

static void start_rows(const Run *r) {
  const SdProgram *p = r->p;
  int64_t n = p->rows * r->chunks;
  for (int k = 0; k < p->nfolds; k++) {
    const Fold *f = &p->folds[k];
    SdAccumulator zero = sd_fold_identity(f->dtype, f->fold);
    sd_copy_fill(n, sizeof zero, row_acc(r, k, 0), &zero);
    if (sd_is_deviations(f) && keeps_means(r))
      sd_copy_fill(n, sizeof zero, row_mean(r, k, 0), &zero);
  }
}

static void plan_rows(Run *r) {
  const SdProgram *p = r->p;
  int many = p->columns > FOLD_BLOCK ? MANY_BLOCKS : MANY_TASKS;
  if (sd_is_plain_fold(r)) r->block = FOLD_BLOCK;
  /* sums of 10^6 gain a tenth, of 10^8 more */
  while (sd_is_plain_fold(r) && r->block < CHUNK && p->numel / r->block > many)
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

/* ---- both -------------------------------------------------------------- */

void sd_folds_plan(Run *r) {
  if (r->p->layout == SD_FOLD_ROWS) plan_rows(r);
  if (r->p->layout == SD_FOLD_COLUMNS) sd_columns_plan(r);
}

size_t sd_folds_memory(Run *r, char *base) {
  const SdProgram *p = r->p;
  if (p->layout == SD_FOLD_COLUMNS) return sd_columns_memory(r, base);
  if (p->layout == SD_FOLD_NONE) return 0;
  if (base) r->acc = (SdAccumulator *)(void *)base;
  int64_t slots = p->nfolds * (keeps_means(r) ? 2 : 1);
  return (size_t)(slots * p->rows * r->chunks) * sizeof *r->acc;
}

void sd_folds_start(const Run *r) {
  if (r->p->layout == SD_FOLD_ROWS) start_rows(r);
  if (r->p->layout == SD_FOLD_COLUMNS) sd_columns_start(r);
}

void sd_folds_task(Thread *t, int64_t task) {
  if (t->run->p->layout == SD_FOLD_ROWS) rows_task(t, task);
  else sd_columns_task(t, task);
}

void sd_folds_store(const Run *r, SdArray *const *outputs) {
  if (r->p->layout == SD_FOLD_ROWS) store_rows(r, outputs);
  if (r->p->layout == SD_FOLD_COLUMNS) sd_columns_store(r, outputs);
}
