/* The inside of a run of a program, for interpret.c, bind.c, folds.c and
** columns.c. */
#ifndef SD_INTERPRET_PRIVATE_H
#define SD_INTERPRET_PRIVATE_H

#include "graph/program_private.h"

typedef struct Direct { /* a register and the memory it moves through */
  int reg;
  size_t size;
  char *base;
} Direct;

typedef struct Odd { /* an input whose blocks are gathered first */
  int reg;
  size_t size;
  int64_t period; /* elements that lie together and repeat, or 0 */
  int64_t span;   /* positions over which they do, before the next ones */
  const SdArray *array;
  int64_t strides[SD_MAX_DIMS];
} Odd;

typedef struct Run {
  const SdProgram *p;
  int ndirect, nodd, nstreams;
  int block;        /* elements of a full block */
  int room;         /* elements of a scratch block */
  int far;          /* 1: most of the memory is in no cache, and is asked
                       for ahead */
  int nread;        /* the first of direct, which are inputs */
  int whole;        /* 1: an interrupt must wait */
  int64_t chunks;   /* ROWS: pieces of a row; COLUMNS: of a plane's rows */
  int64_t chunk;    /* their extent */
  int64_t tasks;
  int64_t task;     /* elements of a plain one */
  /* ROWS: [fold][row][chunk], and as many means if some are deviations of rows
  ** in pieces */
  SdAccumulator *acc;
  /* COLUMNS: [plane][chunk][column], and the means of deviations */
  char *partial[SD_PROGRAM_INSTRUCTIONS];
  char *scratch;    /* per thread */
  size_t scratch_bytes;
  size_t slot;      /* bytes from one scratch block to the next */
  char *fixed[MAX_REGS]; /* registers that do not move */
  Direct direct[MAX_REGS];
  Direct streams[MAX_OUTPUTS]; /* outputs copied out block by block */
  Odd odd[SD_PROGRAM_OPERANDS];
} Run;

typedef struct Thread {
  const Run *run;
  char *temps;
  char *halves; /* COLUMNS: a block in which rows are added pairwise, and one
                   of means if some are deviations */
  char *room[SD_PROGRAM_OPERANDS]; /* of each odd input */
  int64_t repeats[SD_PROGRAM_OPERANDS]; /* the span that room is filled with
                                           a short period of, or -1 */
  char *reg[MAX_REGS];
} Thread;

/* ---- bind.c: where the registers are ------------------------------------ */

void sd_run_bind(Run *r, SdProgram *p, const SdArray *const *inputs,
                 SdArray *const *outputs, double written);
/* Scratch blocks that a thread needs, and the bytes from one to the next. */
int sd_run_scratch_blocks(const Run *r);
size_t sd_run_slot(const SdProgram *p, int block);
/* Points the registers in scratch at their blocks, the first slots from
** blocks on, and fills those that stay as they are; how many there are. */
int sd_run_place_blocks(const SdProgram *p, char **reg, char *blocks,
                        size_t slot, int64_t n);
void sd_run_start_thread(Thread *t, const Run *r, int number);

/* ---- interpret.c -------------------------------------------------------- */

/* The n elements from first on. */
void sd_run_block(Thread *t, int64_t first, int64_t n);

/* ---- columns.c ---------------------------------------------------------- */

/* What folds.c asks for a fold over columns. */
void sd_columns_plan(Run *r);
size_t sd_columns_memory(Run *r, char *base);
void sd_columns_start(const Run *r);
void sd_columns_task(Thread *t, int64_t task);
void sd_columns_store(const Run *r, SdArray *const *outputs);

/* ---- folds.c ------------------------------------------------------------ */

/* All but sd_folds_task do nothing for a program without folds. */

void sd_folds_plan(Run *r);
/* The bytes of accumulators and partial results, which are put at base unless
** it is NULL. */
size_t sd_folds_memory(Run *r, char *base);
void sd_folds_start(const Run *r);
void sd_folds_task(Thread *t, int64_t task);
void sd_folds_store(const Run *r, SdArray *const *outputs);

/* A fold of memory as it lies needs no registers. */
static inline int sd_is_plain_fold(const Run *r) {
  return r->p->ncode == 0 && r->nodd == 0 && r->p->nsplats == 0;
}

static inline int sd_is_deviations(const Fold *f) {
  return f->fold == SD_FOLD_DEVIATIONS;
}

#endif
