/*
** The block interpreter.  A run is cut into tasks at places that depend on
** the shape alone; each task walks its blocks, pointing the registers at
** memory and calling one loop an instruction.  Threads share out tasks, so
** results do not depend on how many there are.
*/
#include "graph/program_private.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "base/thread.h"
#include "kernels/copy.h"

#include <string.h>

/* Microseconds that an element of cost 1 takes. */
static const double cost_unit = 3e-5;

/* Bytes of outputs from which they are written past the caches, being more
** than would stay there anyway, and inputs are asked for ahead. */
static const double far_bytes = 16e6;

enum {
  AHEAD = 4,            /* blocks */
  LINE = 16,            /* elements that a vector or a cache line holds */
  NEAR = 4096,          /* bytes of scratch that the stack has */
  FAR_BLOCK = BLOCK / 2, /* of many streams L1 holds less of each */
  WIDE_BLOCK = 4 * BLOCK, /* of few streams, more */
  L1_SHARE = 20 << 10,  /* bytes that they may fill */
  TASK = 64 * BLOCK,    /* elements of a plain task, at most */
  GATHER_COST = 24,     /* of an element that lies anywhere */
  ROW_COST = 8,         /* of a fold over a row, for each of its first */
  ROW_FULL = 64,        /* elements: short rows are folded many at once */
  FEW_TASKS = 8,        /* that a short run is cut into */
  RUNS = 3,             /* the one before which a program is compiled */
  LONG = 1 << 19,       /* elements: before the first; it takes some 15 us */
  TURNED = 4096,        /* elements: shorter inputs are gathered as they lie */
  FOLD_BLOCK = 16 * BLOCK, /* of memory as it lies, at least */
  MANY_TASKS = 128,
  CHUNK = 256 * BLOCK,  /* a longer row is folded in pieces of this */
  STRIP = 16 * BLOCK,   /* columns of a fold over leading dims */
  MAX_ROW_CHUNKS = 64,  /* pieces of a fold over leading dims */
  MIN_ROW_CHUNK = 64
};

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
  SdAccumulator *acc;    /* ROWS: [fold][row][chunk] */
  /* COLUMNS: [plane][chunk][column] */
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
  char *halves; /* COLUMNS: a block in which rows are added pairwise */
  char *room[SD_PROGRAM_OPERANDS]; /* of each odd input */
  int64_t repeats[SD_PROGRAM_OPERANDS]; /* the span that room is filled with
                                           a short period of, or -1 */
  char *reg[MAX_REGS];
} Thread;

/* ---- setting up --------------------------------------------------------- */

static void broadcast_strides(const SdShape *to, const SdArray *a,
                              int64_t *strides) {
  int shift = to->ndim - a->shape.ndim;
  for (int i = 0; i < to->ndim; i++) {
    int j = i - shift;
    int fixed = j < 0 || a->shape.dims[j] == 1;
    strides[i] = fixed ? 0 : a->strides[j];
  }
}

static void add_direct(Run *r, int reg, SdDtype d, void *base) {
  r->direct[r->ndirect++] = (Direct){reg, sd_dtype_size(d), base};
}

/* Whether a, of extent 1 in dim i of to or without it, repeats along it. */
static int repeats_along(const SdShape *to, const SdArray *a, int i) {
  int j = i - to->ndim + a->shape.ndim;
  return j < 0 || a->shape.dims[j] != to->dims[i];
}

/* Sets period and span if a's elements repeat over one run of dims: the
** leading ones, as those of a bias, or some behind those of a stack. */
static void find_period(Odd *o, const SdShape *to, const SdArray *a) {
  int i = to->ndim - 1;
  int64_t period = 1, span;
  if (!sd_array_is_contiguous(a)) return;
  for (; i >= 0 && !repeats_along(to, a, i); i--) period *= to->dims[i];
  for (span = period; i >= 0 && repeats_along(to, a, i); i--)
    span *= to->dims[i];
  for (; i >= 0; i--)
    if (repeats_along(to, a, i)) return;
  o->period = period;
  o->span = span;
}

static void bind_input(Run *r, int reg, const SdArray *a) {
  const SdProgram *p = r->p;
  if (p->regs[reg].kind == REG_SCALAR) {
    r->fixed[reg] = a->data;
  } else if (sd_array_numel(a) == p->numel && sd_array_is_contiguous(a)) {
    add_direct(r, reg, a->dtype, a->data);
  } else {
    Odd *o = &r->odd[r->nodd++];
    *o = (Odd){.reg = reg, .size = sd_dtype_size(a->dtype), .array = a};
    find_period(o, &p->shape, a);
    broadcast_strides(&p->shape, a, o->strides);
  }
}

/* Written over an input, so its lines are in the caches already. */
static int is_in_place(const Run *r, const SdArray *out) {
  for (int i = 0; i < r->ndirect; i++)
    if (r->direct[i].base == out->data) return 1;
  return 0;
}

static void bind_outputs(Run *r, SdProgram *p, SdArray *const *outputs,
                         double bytes) {
  char far[MAX_OUTPUTS];
  for (int i = 0; i < p->noutputs; i++)
    bytes += (double)p->numel * (double)sd_dtype_size(outputs[i]->dtype);
  r->nread = r->ndirect;
  r->far = bytes >= far_bytes && p->layout == SD_FOLD_NONE;
  for (int i = 0; i < p->noutputs; i++)
    far[i] = (char)(r->far && !is_in_place(r, outputs[i]));
  sd_program_stream(p, far);
  for (int i = 0; i < p->noutputs; i++) {
    const SdArray *out = outputs[i];
    if (!far[i] || p->regs[p->outputs[i]].streamed)
      add_direct(r, p->outputs[i], out->dtype, out->data);
    else
      r->streams[r->nstreams++] =
          (Direct){p->outputs[i], sd_dtype_size(out->dtype), out->data};
  }
}

static void bind(Run *r, SdProgram *p, const SdArray *const *inputs,
                 SdArray *const *outputs, double written) {
  memset(r->fixed, 0, (size_t)p->nregs * sizeof *r->fixed);
  for (int i = 0; i < p->ninputs; i++)
    bind_input(r, p->inputs[i], inputs[i]);
  bind_outputs(r, p, outputs, written);
  for (int i = 0; i < p->nconstants; i++)
    r->fixed[p->constants[i].reg] = p->constants[i].bytes;
}

/* Temps, splats, pairs, streamed outputs and halves, one block each, and
** gathered inputs, two each. */
static int scratch_blocks(const Run *r) {
  const SdProgram *p = r->p;
  return p->nblocks + p->allsplats + p->allpairs + 2 * r->nodd + r->nstreams +
         (p->layout == SD_FOLD_COLUMNS);
}

/* Blocks do not all lie in the same cache sets. */
static size_t slot_of(const SdProgram *p, int block) {
  return (size_t)block * p->widest + 64;
}

static char *thread_block(const Thread *t, int k) {
  return t->temps + (size_t)k * t->run->slot;
}

static void fill_pair(const SdProgram *p, char **reg, const Pair *pair,
                      void *at) {
  int wide = p->regs[pair->reg].dtype == SD_F64;
  for (int k = 0; k < 2; k++) {
    const void *from = pair->factor[k] < 0 ? NULL : reg[pair->factor[k]];
    double v = !from ? 1 : wide ? *(const double *)from : *(const float *)from;
    if (pair->minus[k]) v = -v;
    if (wide) ((double *)at)[k] = v;
    else ((float *)at)[k] = (float)v;
  }
  reg[pair->reg] = at;
}

/* Points the registers in scratch at their blocks, the first slots from
** blocks on, and fills those that stay as they are; how many there are. */
static int place_blocks(const SdProgram *p, char **reg, char *blocks,
                        size_t slot, int64_t n) {
  int next = p->nblocks;
  for (int i = 0; i < p->ncode; i++) {
    const Register *r = &p->regs[p->code[i].out];
    if (r->kind == REG_TEMP)
      reg[p->code[i].out] = blocks + (size_t)r->index * slot;
  }
  for (int i = 0; i < p->nsplats; i++) {
    int to = p->splats[i];
    reg[to] = blocks + (size_t)next++ * slot;
    sd_copy_fill(n, sd_dtype_size(p->regs[to].dtype), reg[to],
                 reg[p->regs[to].index]);
  }
  for (int i = 0; i < p->npairs; i++)
    fill_pair(p, reg, &p->pairs[i], blocks + (size_t)next++ * slot);
  return next;
}

/* The period at from, a short one, so often that a block of n elements can
** start anywhere in the first one. */
static void repeat(const Odd *o, const char *from, int64_t n, char *room) {
  size_t bytes = (size_t)o->period * o->size;
  size_t all = (size_t)(n + o->period) * o->size;
  memcpy(room, from, bytes);
  for (; bytes < all; bytes *= 2)
    memcpy(room + bytes, room, bytes < all - bytes ? bytes : all - bytes);
}

static void thread_start(Thread *t, const Run *r, int number) {
  const SdProgram *p = r->p;
  t->run = r;
  t->temps = r->scratch + (size_t)number * r->scratch_bytes;
  memcpy(t->reg, r->fixed, (size_t)p->nregs * sizeof *t->reg);
  int next = place_blocks(p, t->reg, t->temps, r->slot,
                          p->numel < r->room ? p->numel : r->room);
  for (int i = 0; i < r->nodd; i++) {
    t->room[i] = thread_block(t, next);
    t->repeats[i] = -1;
    next += 2;
  }
  for (int i = 0; i < r->nstreams; i++)
    t->reg[r->streams[i].reg] = thread_block(t, next++);
  if (p->layout == SD_FOLD_COLUMNS) t->halves = thread_block(t, next);
}

/* ---- one block ---------------------------------------------------------- */

/* Asks for the lines of a later block, so that they come while this one is
** computed.  Addresses beyond the end do no harm. */
static void fetch_ahead(const Run *r, int64_t first, int64_t n) {
  for (int i = 0; i < r->nread; i++) {
    const Direct *d = &r->direct[i];
    const char *at = d->base + (size_t)(first + AHEAD * r->block) * d->size;
    for (size_t b = 0; b < (size_t)n * d->size; b += 64)
      __builtin_prefetch(at + b);
  }
}

/* Of an odd input a block whose n elements from first on lie within a span:
** where they are, or NULL when a long period ends among them. */
static char *find_repeated(Thread *t, int i, int64_t first, int64_t n) {
  const Odd *o = &t->run->odd[i];
  int64_t span = first / o->span, at = first % o->span % o->period;
  char *from = (char *)o->array->data + (size_t)(span * o->period) * o->size;
  if (at + n <= o->period) return from + (size_t)at * o->size;
  if (o->period > BLOCK) return NULL;
  if (t->repeats[i] != span) {
    int64_t numel = t->run->p->numel, most = t->run->room;
    repeat(o, from, numel < most ? numel : most, t->room[i]);
    t->repeats[i] = span;
  }
  return t->room[i] + (size_t)at * o->size;
}

/* Points the register of an odd input at the elements of a block. */
static void gather(Thread *t, int i, int64_t first, int64_t n) {
  const Odd *o = &t->run->odd[i];
  const SdShape *s = &t->run->p->shape;
  char *at = NULL;
  if (o->period && first % o->span + n <= o->span)
    at = find_repeated(t, i, first, n);
  if (!at) {
    at = t->room[i];
    t->repeats[i] = -1;
    sd_copy_block(s->ndim, s->dims, o->size, at, o->array->data, o->strides,
                  first, n);
  }
  t->reg[o->reg] = at;
}

static void run_code(const SdProgram *p, char **reg, int64_t n) {
  for (int i = 0; i < p->ncode; i++) {
    const Instruction *c = &p->code[i];
    if (c->fused) {
      sd_fuse_call(c->fused, n, reg);
      i += c->span - 1;
      continue;
    }
    c->fn(n, reg[c->out], c->in[0] < 0 ? NULL : reg[c->in[0]],
          c->in[1] < 0 ? NULL : reg[c->in[1]],
          c->in[2] < 0 ? NULL : reg[c->in[2]]);
  }
}

static void run_block(Thread *t, int64_t first, int64_t n) {
  const Run *r = t->run;
  const SdProgram *p = r->p;
  for (int i = 0; i < r->ndirect; i++) {
    const Direct *d = &r->direct[i];
    t->reg[d->reg] = d->base + (size_t)first * d->size;
  }
  if (r->far) fetch_ahead(r, first, n);
  for (int i = 0; i < r->nodd; i++) gather(t, i, first, n);
  run_code(p, t->reg, n);
  for (int i = 0; i < r->nstreams; i++) {
    const Direct *s = &r->streams[i];
    sd_copy_stream(s->base + (size_t)first * s->size, t->reg[s->reg],
                   (size_t)n * s->size);
  }
}

static void plain_task(Thread *t, int64_t task) {
  int64_t size = t->run->task, end = (task + 1) * size;
  if (end > t->run->p->numel) end = t->run->p->numel;
  int64_t block = t->run->block;
  for (int64_t i = task * size; i < end; i += block)
    run_block(t, i, end - i < block ? end - i : block);
}

/* ---- folds over trailing dims ------------------------------------------- */

static SdAccumulator *row_acc(const Run *r, int fold, int64_t row) {
  return r->acc + ((int64_t)fold * r->p->rows + row) * r->chunks;
}

static void short_rows(Thread *t, int64_t row, int64_t rows) {
  const SdProgram *p = t->run->p;
  run_block(t, row * p->columns, rows * p->columns);
  for (int k = 0; k < p->nfolds; k++) {
    const Fold *f = &p->folds[k];
    sd_fold_rows(f->dtype, f->fold)(rows, p->columns, t->reg[f->reg],
                                    row_acc(t->run, k, row));
  }
}

static void row_piece(Thread *t, int64_t row, int64_t piece) {
  const Run *r = t->run;
  const SdProgram *p = r->p;
  int64_t i = piece * r->chunk, end = i + r->chunk;
  if (end > p->columns) end = p->columns;
  for (; i < end; i += r->block) {
    int64_t n = end - i < r->block ? end - i : r->block;
    run_block(t, row * p->columns + i, n);
    for (int k = 0; k < p->nfolds; k++) {
      const Fold *f = &p->folds[k];
      sd_fold(f->dtype, f->fold)(n, t->reg[f->reg],
                                 row_acc(r, k, row) + piece);
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

static void store_rows(const Run *r, SdArray *const *outputs) {
  const SdProgram *p = r->p;
  for (int k = 0; k < p->nfolds; k++) {
    const Fold *f = &p->folds[k];
    SdArray *out = outputs[p->noutputs + k];
    SdAccumulator *sums = row_acc(r, k, 0);
    for (int64_t i = 0; i < p->rows && r->chunks > 1; i++) {
      SdAccumulator *a = row_acc(r, k, i);
      for (int64_t j = 1; j < r->chunks; j++)
        sd_fold_combine(f->dtype, f->fold, a, a + j);
      sums[i] = *a;
    }
    sd_fold_store(out->dtype, p->rows, sums, out->data);
  }
}

/* ---- folds over other dims ---------------------------------------------- */

static SdLoop fold_loop(SdFold fold) {
  static const SdLoop loops[SD_NFOLDS] = {
      [SD_FOLD_SUM] = SD_LOOP_ADD, [SD_FOLD_PROD] = SD_LOOP_MUL,
      [SD_FOLD_MAX] = SD_LOOP_MAX, [SD_FOLD_MIN] = SD_LOOP_MIN,
      [SD_FOLD_ANY] = SD_LOOP_OR,  [SD_FOLD_ALL] = SD_LOOP_AND};
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

/* The next rows x n elements from column c of row on, added up; rows are
** counted through all planes, and chunks likewise. */
static void column_block(Thread *t, int64_t chunk, int64_t row, int64_t rows,
                         int64_t c, int64_t n) {
  const Run *r = t->run;
  const SdProgram *p = r->p;
  run_block(t, row * p->columns + c, rows * n);
  for (int k = 0; k < p->nfolds; k++) {
    const Fold *f = &p->folds[k];
    char *acc = r->partial[k] + (size_t)(chunk * p->columns + c) *
                                    sd_dtype_size(f->dtype);
    fold_lines(t, f, acc, t->reg[f->reg], rows, n);
  }
}

/* A fold of memory as it lies needs no registers. */
static int is_plain_fold(const Run *r) {
  return r->p->ncode == 0 && r->nodd == 0 && r->p->nsplats == 0;
}

/* A strip of columns, whose sums stay in the caches, over a chunk of rows.
** Narrow arrays take several whole rows a block. */
static void columns_task(Thread *t, int64_t task) {
  const Run *r = t->run;
  const SdProgram *p = r->p;
  int64_t chunk = task % (p->planes * r->chunks);
  int64_t first = task / (p->planes * r->chunks) * STRIP;
  int64_t top = chunk / r->chunks * p->rows;
  int64_t row = top + chunk % r->chunks * r->chunk, end = row + r->chunk;
  int64_t last = first + STRIP < p->columns ? first + STRIP : p->columns;
  int64_t per = p->columns <= r->block ? r->block / p->columns : 1;
  int64_t width = per == 1 && is_plain_fold(r) ? STRIP : BLOCK;
  if (end > top + p->rows) end = top + p->rows;
  for (; row < end; row += per)
    for (int64_t c = first; c < last; c += width)
      column_block(t, chunk, row, end - row < per ? end - row : per, c,
                   last - c < width ? last - c : width);
}

static void fill_identity(const Run *r, int k) {
  const SdProgram *p = r->p;
  const Fold *f = &p->folds[k];
  SdAccumulator zero = sd_fold_identity(f->dtype, f->fold);
  char element[8];
  sd_fold_store(f->dtype, 1, &zero, element);
  sd_copy_fill(p->planes * r->chunks * p->columns, sd_dtype_size(f->dtype),
               r->partial[k], element);
}

static void store_columns(const Run *r, SdArray *const *outputs) {
  const SdProgram *p = r->p;
  for (int k = 0; k < p->nfolds; k++) {
    const Fold *f = &p->folds[k];
    char *out = outputs[p->noutputs + k]->data;
    size_t bytes = (size_t)p->columns * sd_dtype_size(f->dtype);
    if (!bytes) continue;
    for (int64_t i = 0; i < p->planes; i++) {
      char *first = r->partial[k] + (size_t)(i * r->chunks) * bytes;
      for (int64_t j = 1; j < r->chunks; j++)
        sd_loop(f->dtype, fold_loop(f->fold))(p->columns, first, first,
                                              first + (size_t)j * bytes, NULL);
      memcpy(out + (size_t)i * bytes, first, bytes);
    }
  }
}

/* ---- the run ------------------------------------------------------------ */

static void plan_rows(Run *r) {
  const SdProgram *p = r->p;
  if (is_plain_fold(r)) r->block = FOLD_BLOCK;
  /* sums of 10^8 gain an eighth */
  while (is_plain_fold(r) && r->block < CHUNK &&
         p->numel / r->block > MANY_TASKS)
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

/* Few tasks of full size would leave threads without one. */
static void plan_tasks(Run *r) {
  int64_t n = r->p->numel, blocks = (n + BLOCK - 1) / BLOCK;
  r->task = (blocks + FEW_TASKS - 1) / FEW_TASKS * BLOCK;
  if (r->task > TASK) r->task = TASK;
  r->tasks = n > 0 ? (n + r->task - 1) / r->task : 0;
}

static void plan_folds(Run *r) {
  if (r->p->layout == SD_FOLD_ROWS) plan_rows(r);
  if (r->p->layout == SD_FOLD_COLUMNS) plan_columns(r);
}

static void do_task(Thread *t, int64_t task) {
  if (t->run->p->layout == SD_FOLD_ROWS) rows_task(t, task);
  else if (t->run->p->layout == SD_FOLD_COLUMNS) columns_task(t, task);
  else plain_task(t, task);
}

static int stops(const Run *r) { return sd_interrupted && !r->whole; }

static void run_serial(const Run *r) {
  Thread t;
  thread_start(&t, r, 0);
  for (int64_t i = 0; i < r->tasks && !stops(r); i++) do_task(&t, i);
  sd_copy_stream_end();
}

#ifdef _OPENMP
#include <omp.h>
static void run_parallel(const Run *r, int threads) {
#pragma omp parallel num_threads(threads)
  {
    Thread t;
    thread_start(&t, r, omp_get_thread_num());
#pragma omp for schedule(static)
    for (int64_t i = 0; i < r->tasks; i++)
      if (!stops(r)) do_task(&t, i);
    sd_copy_stream_end();
  }
}
#else
static void run_parallel(const Run *r, int threads) {
  (void)threads;
  run_serial(r);
}
#endif

/* One allocation holds the accumulators, the partial results and the
** scratch blocks; *bytes is its size. */
static size_t layout_memory(Run *r, int threads, char *base) {
  const SdProgram *p = r->p;
  size_t at = 0;
  r->scratch_bytes = (size_t)scratch_blocks(r) * r->slot;
  r->scratch = base;
  at += r->scratch_bytes * (size_t)threads;
  if (base) r->acc = (SdAccumulator *)(void *)(base + at);
  if (p->layout == SD_FOLD_ROWS)
    at += (size_t)(p->nfolds * p->rows * r->chunks) * sizeof *r->acc;
  for (int k = 0; k < p->nfolds && p->layout == SD_FOLD_COLUMNS; k++) {
    if (base) r->partial[k] = base + at;
    at += (size_t)(p->planes * r->chunks * p->columns) *
          sd_dtype_size(p->folds[k].dtype);
    at = (at + 63) & ~(size_t)63;
  }
  return at;
}

static void start_folds(const Run *r) {
  const SdProgram *p = r->p;
  for (int k = 0; k < p->nfolds; k++) {
    const Fold *f = &p->folds[k];
    if (p->layout == SD_FOLD_COLUMNS) {
      fill_identity(r, k);
    } else {
      SdAccumulator zero = sd_fold_identity(f->dtype, f->fold);
      sd_copy_fill(p->rows * r->chunks, sizeof zero, row_acc(r, k, 0), &zero);
    }
  }
}

static int choose_threads(const Run *r) {
  const SdProgram *p = r->p;
  int cost = p->cost + 2;
  for (int i = 0; i < r->nodd; i++)
    cost += r->odd[i].period ? 2 : GATHER_COST;
  double work = (double)p->numel * cost;
  if (p->layout == SD_FOLD_ROWS)
    work += ROW_COST * (double)p->rows *
            (double)(p->columns < ROW_FULL ? p->columns : ROW_FULL);
  int most = sd_thread_choose(r->tasks < 2 ? 0 : work * cost_unit);
  return most < r->tasks ? most : (int)r->tasks;
}

/* What goes from memory to memory in one loop needs no blocks, and the machine
** sees for itself what comes next: a*b + c of 10^8 elements gains a fifth. */
static int is_one_loop(const Run *r) {
  const SdProgram *p = r->p;
  int whole = p->ncode == 1 || (p->ncode > 1 && p->code[0].fused &&
                                p->code[0].span == p->ncode);
  return p->layout == SD_FOLD_NONE && whole && p->nsplats == 0 &&
         r->nodd == 0 && r->nstreams == 0;
}

/* The fewer registers, the longer the blocks of which the first cache holds
** one each: chains of seven ops over 200,000 elements gain a twelfth. */
static int wide_block(const Run *r) {
  const SdProgram *p = r->p;
  size_t each = p->widest * (size_t)(r->ndirect + p->nblocks + p->nsplats +
                                     2 * r->nodd);
  int block = BLOCK;
  while (block < WIDE_BLOCK && 2 * (size_t)block * each <= L1_SHARE) block *= 2;
  return block;
}

/* Everything about a run but its memory; returns how many threads. */
static int prepare(Run *r, SdProgram *p, const SdArray *const *inputs,
                   SdArray *const *outputs, double written) {
  r->p = p;
  r->ndirect = r->nodd = r->nstreams = r->whole = 0;
  r->chunks = 1;
  plan_tasks(r);
  bind(r, p, inputs, outputs, written);
  int one = is_one_loop(r);
  if (one) r->far = 0;
  r->room = p->layout == SD_FOLD_NONE && !r->far ? wide_block(r) : BLOCK;
  if (p->numel < r->room) r->room = (int)(p->numel / LINE + 1) * LINE;
  r->slot = slot_of(p, r->room);
  r->block = one ? TASK : r->far ? FAR_BLOCK : r->room;
  plan_folds(r);
  return choose_threads(r);
}

size_t sd_program_scratch(SdProgram *p) {
  Run r; /* large: only what counts is set */
  int threads = sd_thread_count();
  if (p->threads == threads) return p->scratch;
  r.p = p;
  r.nodd = p->ninputs;
  r.nstreams = p->noutputs;
  r.chunks = 1;
  r.slot = slot_of(p, WIDE_BLOCK);
  r.block = BLOCK;
  plan_folds(&r);
  p->threads = threads;
  return p->scratch = layout_memory(&r, threads, NULL);
}

static void run_in(Run *r, int threads, void *memory,
                   SdArray *const *outputs) {
  layout_memory(r, threads, memory);
  start_folds(r);
  if (threads > 1) run_parallel(r, threads);
  else run_serial(r);
  sd_thread_done();
  if (r->p->layout == SD_FOLD_ROWS) store_rows(r, outputs);
  if (r->p->layout == SD_FOLD_COLUMNS) store_columns(r, outputs);
}

static void count_run(SdProgram *p) {
  if (p->runs == RUNS || (++p->runs < RUNS && p->numel < LONG)) return;
  p->runs = RUNS;
  sd_program_compile(p);
}

/* Where the registers of a program of one block are, if its inputs lie as it
** wants them. */
static int place_short(const SdProgram *p, const SdArray *const *inputs,
                       SdArray *const *outputs, char **reg) {
  for (int i = 0; i < p->ninputs; i++) {
    const SdArray *a = inputs[i];
    if (p->regs[p->inputs[i]].kind != REG_SCALAR &&
        (sd_array_numel(a) != p->numel || !sd_array_is_contiguous(a)))
      return 0;
    reg[p->inputs[i]] = a->data;
  }
  for (int i = 0; i < p->noutputs; i++)
    reg[p->outputs[i]] = outputs[i]->data;
  for (int i = 0; i < p->nconstants; i++)
    reg[p->constants[i].reg] = p->constants[i].bytes;
  return 1;
}

/* A program of one block without folds, directly; 0 if it is none.  It would
** take twice as long as a run of tasks and threads. */
static int run_short(const SdProgram *p, const SdArray *const *inputs,
                     SdArray *const *outputs) {
  _Alignas(64) char blocks[NEAR];
  char *reg[MAX_REGS];
  if (p->numel > BLOCK || p->layout != SD_FOLD_NONE) return 0;
  size_t slot = ((size_t)p->numel * p->widest + 63) & ~(size_t)63;
  if ((size_t)(p->nblocks + p->nsplats + p->npairs) * slot > NEAR ||
      !place_short(p, inputs, outputs, reg))
    return 0;
  place_blocks(p, reg, blocks, slot, p->numel);
  run_code(p, reg, p->numel);
  return 1;
}

void sd_program_run_whole(SdProgram *p, const SdArray *const *inputs,
                          SdArray *const *outputs, double written,
                          void *scratch) {
  Run r;
  count_run(p);
  if (run_short(p, inputs, outputs)) return;
  int threads = prepare(&r, p, inputs, outputs, written);
  r.whole = 1;
  run_in(&r, threads, scratch, outputs);
}

static SdStatus run_as_they_lie(SdProgram *p, const SdArray *const *inputs,
                                SdArray *const *outputs, SdError *err) {
  Run r;
  int threads = prepare(&r, p, inputs, outputs, 0);
  size_t bytes = layout_memory(&r, threads, NULL);
  _Alignas(64) char near[NEAR];
  char *memory = bytes <= NEAR ? near : sd_memory_alloc(bytes, err);
  if (!memory) return err->code;
  run_in(&r, threads, memory, outputs);
  if (memory != near) sd_memory_free(memory, bytes);
  return sd_interrupt_check(err);
}

/* Whether a lies across the order in which the program reads it: a transposed
** matrix, of which a block would touch as many lines as it has elements. */
static int is_turned(const SdProgram *p, int i, const SdArray *a) {
  int dim = a->shape.ndim - 1;
  if (p->regs[p->inputs[i]].kind != REG_INPUT) return 0;
  while (dim >= 0 && a->shape.dims[dim] == 1) dim--;
  return dim >= 0 && a->strides[dim] != 0 && a->strides[dim] != 1 &&
         sd_array_numel(a) >= TURNED;
}

static SdStatus straighten(SdArray *to, const SdArray *a, SdError *err) {
  SdStatus s = sd_array_new(to, a->dtype, &a->shape, err);
  if (s != SD_OK) return s;
  sd_copy_strided(a->shape.ndim, a->shape.dims, sd_dtype_size(a->dtype),
                  to->data, to->strides, a->data, a->strides);
  return SD_OK;
}

/* Copies of the inputs that are turned first: a quarter of the time. */
static SdStatus run_straightened(SdProgram *p, const SdArray *const *inputs,
                                 SdArray *const *outputs, SdError *err) {
  SdArray copies[SD_PROGRAM_OPERANDS];
  const SdArray *in[MAX_REGS] = {NULL};
  int n = 0;
  SdStatus s = SD_OK;
  for (int i = 0; i < p->ninputs && s == SD_OK; i++) {
    in[i] = inputs[i];
    if (n == SD_PROGRAM_OPERANDS || !is_turned(p, i, inputs[i])) continue;
    s = straighten(&copies[n], inputs[i], err);
    if (s == SD_OK) in[i] = &copies[n++];
  }
  if (s == SD_OK) s = run_as_they_lie(p, in, outputs, err);
  while (n > 0) sd_array_release(&copies[--n]);
  return s;
}

SdStatus sd_program_run(SdProgram *p, const SdArray *const *inputs,
                        SdArray *const *outputs, SdError *err) {
  count_run(p);
  if (run_short(p, inputs, outputs)) return sd_interrupt_check(err);
  for (int i = 0; i < p->ninputs; i++)
    if (is_turned(p, i, inputs[i]))
      return run_straightened(p, inputs, outputs, err);
  return run_as_they_lie(p, inputs, outputs, err);
}
