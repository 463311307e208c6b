/*
** Where the registers of a run are: inputs and outputs in their arrays, or in
** blocks of scratch that each thread has.
*/
#include "graph/interpret_private.h"

#include "kernels/copy.h"

#include <string.h>

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
  r->far = bytes >= SD_COPY_FAR && /* inputs are asked for ahead, too */
            p->layout == SD_FOLD_NONE;
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

void sd_run_bind(Run *r, SdProgram *p, const SdArray *const *inputs,
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
int sd_run_scratch_blocks(const Run *r) {
  const SdProgram *p = r->p;
  return p->nblocks + p->allsplats + p->allpairs + 2 * r->nodd + r->nstreams +
         (p->layout == SD_FOLD_COLUMNS ? 1 + p->deviations : 0);
}

/* Blocks do not all lie in the same cache sets, nor do the sums behind them
** begin with a page: a sum over columns would take half as long again. */
size_t sd_run_slot(const SdProgram *p, int block) {
  return (size_t)block * p->widest + 320;
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

int sd_run_place_blocks(const SdProgram *p, char **reg, char *blocks,
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

void sd_run_start_thread(Thread *t, const Run *r, int number) {
  const SdProgram *p = r->p;
  t->run = r;
  t->temps = r->scratch + (size_t)number * r->scratch_bytes;
  memcpy(t->reg, r->fixed, (size_t)p->nregs * sizeof *t->reg);
  int next = sd_run_place_blocks(p, t->reg, t->temps, r->slot,
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
