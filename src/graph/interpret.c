/*
** The block interpreter.  A run is cut into tasks at places that depend on
** the shape alone; each task walks its blocks, pointing the registers at
** memory and calling one loop an instruction.  Threads share out tasks, so
** results do not depend on how many there are.
*/
#include "graph/interpret_private.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "base/thread.h"
#include "kernels/copy.h"

#include <string.h>

/* Microseconds that an element of cost 1 takes. */
static const double cost_unit = 3e-5;

enum {
  AHEAD = 16,           /* blocks */
  LINE = 16,            /* elements that a vector or a cache line holds */
  NEAR = 4096,          /* bytes of scratch that the stack has */
  FAR_BLOCK = BLOCK / 2, /* of many streams L1 holds less of each */
  WIDE_BLOCK = 4 * BLOCK, /* of few streams, more */
  SUMMED = 4 * BLOCK,   /* the same of sums, whose order depends on it */
  L1_SHARE = 20 << 10,  /* bytes that they may fill */
  SECOND_CACHE = 1 << 20, /* bytes of it */
  TASK = 64 * BLOCK,    /* elements of a plain task, at most */
  GATHER_COST = 24,     /* of an element that lies anywhere */
  ROW_COST = 8,         /* of a fold over a row, for each of its first */
  ROW_FULL = 64,        /* elements: short rows are folded many at once */
  FEW_TASKS = 8,        /* that a short run is cut into */
  TRIES = 8,            /* pieces of a stretch, more and more */
  RUNS = 3,             /* the one before which a program is compiled */
  LONG = 1 << 19,       /* elements: before the first; it takes some 15 us */
  TURNED = 4096         /* elements: shorter inputs are gathered as they lie */
};

/* ---- one block ---------------------------------------------------------- */

/* Asks for the lines of a later block, so that they come while this one is
** computed.  Addresses beyond the end do no harm. */
static void fetch_ahead(const Run *r, int64_t first, int64_t n) {
  for (int i = 0; i < r->nread; i++) {
    const Direct *d = &r->direct[i];
    const char *at = d->base + (size_t)(first + AHEAD * r->block) * d->size;
    for (size_t b = 0; b < (size_t)n * d->size; b += 64)
      __builtin_prefetch(at + b, 0, 2);
  }
}

/* The period at from, a short one, so often that a block of n elements can
** start anywhere in the first one. */
static void repeat(const Odd *o, const char *from, int64_t n, char *room) {
  size_t bytes = (size_t)o->period * o->size;
  size_t all = (size_t)(n + o->period) * o->size;
  if (o->period == 1) {
    sd_copy_fill(n + 1, o->size, room, from);
    return;
  }
  memcpy(room, from, bytes);
  for (; bytes < all; bytes *= 2)
    memcpy(room + bytes, room, bytes < all - bytes ? bytes : all - bytes);
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

void sd_run_block(Thread *t, int64_t first, int64_t n) {
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
    sd_run_block(t, i, end - i < block ? end - i : block);
}

/* ---- the run ------------------------------------------------------------ */

/* Tasks of so many whole blocks; few of full size would leave threads without
** one. */
static void plan_tasks(Run *r, int64_t block) {
  int64_t n = r->p->numel, blocks = (n + block - 1) / block;
  r->task = (blocks + FEW_TASKS - 1) / FEW_TASKS * block;
  if (r->task > TASK) r->task = TASK - TASK % block;
  r->tasks = n > 0 ? (n + r->task - 1) / r->task : 0;
}

static void do_task(Thread *t, int64_t task) {
  if (t->run->p->layout == SD_FOLD_NONE) plain_task(t, task);
  else sd_folds_task(t, task);
}

static int stops(const Run *r) { return sd_interrupted && !r->whole; }

static void run_serial(const Run *r) {
  Thread t;
  sd_run_start_thread(&t, r, 0);
  for (int64_t i = 0; i < r->tasks && !stops(r); i++) do_task(&t, i);
  sd_copy_stream_end();
}

#ifdef _OPENMP
#include <omp.h>
static void run_parallel(const Run *r, int threads) {
#pragma omp parallel num_threads(threads)
  {
    Thread t;
    sd_run_start_thread(&t, r, omp_get_thread_num());
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
** scratch blocks; returns its size. */
static size_t layout_memory(Run *r, int threads, char *base) {
  r->scratch_bytes = (size_t)sd_run_scratch_blocks(r) * r->slot;
  r->scratch = base;
  size_t at = r->scratch_bytes * (size_t)threads;
  return at + sd_folds_memory(r, base ? base + at : NULL);
}

/* Beyond the second cache a stream's element takes twice the time. */
static int choose_threads(const Run *r) {
  const SdProgram *p = r->p;
  int streams = r->ndirect + r->nodd;
  size_t bytes = (size_t)p->numel * (size_t)streams * p->widest;
  int cost = p->cost + (bytes > SECOND_CACHE ? 2 * streams : streams);
  for (int i = 0; i < r->nodd; i++)
    cost += r->odd[i].period ? 2 : GATHER_COST;
  double work = (double)p->numel * cost;
  if (p->layout == SD_FOLD_ROWS)
    work += ROW_COST * (double)p->rows *
            (double)(p->columns < ROW_FULL ? p->columns : ROW_FULL);
  if (r->tasks < 2) return 1;
  int most = sd_thread_choose(work * cost_unit);
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
                                     r->nodd);
  int block = BLOCK;
  while (block < WIDE_BLOCK && 2 * (size_t)block * each <= L1_SHARE) block *= 2;
  return block;
}

/* Whether blocks say in what order sums are made: then they must not change
** with the registers of a program, of which machine code needs fewer. */
static int sums_by_blocks(const SdProgram *p) {
  return p->layout == SD_FOLD_COLUMNS ||
         (p->layout == SD_FOLD_ROWS && p->columns > BLOCK);
}

/* Where an odd input that is read as it lies, or repeated once a span, makes
** blocks end: they would be gathered element by element across it.  0: it
** does not matter. */
static int64_t edge_of(const Odd *o) {
  int64_t edge = o->period > BLOCK ? o->period : o->span;
  return o->period && edge >= BLOCK ? edge : 0;
}

/* A block of nearly room that divides the shortest such stretch, whole units
** of it, or 0: r u' * a + b over {136, 150, 8} gains a quarter. */
static int64_t fit_block(const Run *r, int64_t unit) {
  int64_t least = 0, units;
  for (int i = 0; i < r->nodd; i++) {
    int64_t edge = edge_of(&r->odd[i]);
    if (edge && (!least || edge < least)) least = edge;
  }
  if (!least || least == r->p->numel || least % unit) return 0;
  units = least / unit;
  for (int64_t n = (least + r->room - 1) / r->room, i = 0; i < TRIES; i++, n++)
    if (units % n == 0) return 4 * (least / n) > r->room ? least / n : 0;
  return 0;
}

/* Everything about a run but its memory; returns how many threads. */
static int prepare(Run *r, SdProgram *p, const SdArray *const *inputs,
                   SdArray *const *outputs, double written) {
  r->p = p;
  r->ndirect = r->nodd = r->nstreams = r->whole = 0;
  r->chunks = 1;
  sd_run_bind(r, p, inputs, outputs, written);
  int one = is_one_loop(r);
  if (one) r->far = 0;
  int rows = p->layout == SD_FOLD_ROWS;
  r->room = r->far ? BLOCK : sums_by_blocks(p) ? SUMMED : wide_block(r);
  if (p->numel < r->room) r->room = (int)(p->numel / LINE + 1) * LINE;
  r->slot = sd_run_slot(p, r->room);
  int64_t fit = one || r->far || sums_by_blocks(p)
                    ? 0 : fit_block(r, rows ? p->columns : 1);
  r->block = one ? TASK : r->far ? FAR_BLOCK : fit ? (int)fit : r->room;
  plan_tasks(r, fit ? fit : BLOCK);
  sd_folds_plan(r);
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
  r.slot = sd_run_slot(p, WIDE_BLOCK);
  r.block = BLOCK;
  sd_folds_plan(&r);
  p->threads = threads;
  return p->scratch = layout_memory(&r, threads, NULL);
}

static void run_in(Run *r, int threads, void *memory,
                   SdArray *const *outputs) {
  layout_memory(r, threads, memory);
  sd_folds_start(r);
  if (threads > 1) run_parallel(r, threads);
  else run_serial(r);
  sd_thread_done();
  sd_folds_store(r, outputs);
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
  sd_run_place_blocks(p, reg, blocks, slot, p->numel);
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
