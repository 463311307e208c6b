/*
** Building programs and assigning their registers.  The interpreter is in
** interpret.c; program_private.h is what the two share.
*/
#include "graph/program_private.h"

#include "base/memory.h"

#include <string.h>

SdProgram *sd_program_new(const SdShape *shape, SdError *err) {
  SdProgram *p = sd_memory_alloc(sizeof *p, err);
  if (!p) return NULL;
  memset(p, 0, offsetof(SdProgram, regs));
  p->shape = *shape;
  p->numel = sd_shape_numel(shape);
  return p;
}

void sd_program_free(SdProgram *p) { sd_memory_free(p, sizeof *p); }

static int add_register(SdProgram *p, RegisterKind kind, SdDtype d) {
  Register *r = &p->regs[p->nregs];
  *r = (Register){.kind = kind, .dtype = d, .last = -1, .index = -1};
  return p->nregs++;
}

int sd_program_input(SdProgram *p, SdDtype d, const SdShape *shape) {
  int scalar = p->numel != 1 && sd_shape_numel(shape) == 1;
  int reg = add_register(p, scalar ? REG_SCALAR : REG_INPUT, d);
  p->regs[reg].index = p->ninputs;
  p->inputs[p->ninputs++] = reg;
  return reg;
}

int sd_program_constant(SdProgram *p, SdDtype d, double value) {
  for (int i = 0; i < p->nconstants; i++) {
    Register *r = &p->regs[p->constant_reg[i]];
    if (r->dtype == d && !memcmp(&p->constant_value[i], &value, sizeof value))
      return p->constant_reg[i];
  }
  int reg = add_register(p, REG_CONSTANT, d);
  int k = p->nconstants++;
  p->constant_reg[k] = reg;
  p->constant_value[k] = value;
  if (d == SD_F64)
    memcpy(p->constants[k], &value, sizeof value);
  else
    sd_loop_cast(SD_F64, d)(1, p->constants[k], &value, NULL, NULL);
  return reg;
}

static int is_scalar(const SdProgram *p, int reg) {
  RegisterKind k = p->regs[reg].kind;
  return p->numel != 1 && (k == REG_SCALAR || k == REG_CONSTANT);
}

/* A block filled with the scalar, made once a run. */
static int splat(SdProgram *p, int reg) {
  if (!is_scalar(p, reg)) return reg;
  Register *r = &p->regs[reg];
  if (r->splat) return r->splat;
  int s = add_register(p, REG_SPLAT, r->dtype);
  p->regs[s].index = reg;
  p->regs[reg].splat = s;
  p->splats[p->nsplats++] = s;
  return s;
}

static SdLoopFn choose_loop(SdProgram *p, SdLoop loop, SdDtype from,
                            SdDtype d, int nin, int *in) {
  if (loop == SD_LOOP_COPY && from != d) {
    in[0] = splat(p, in[0]);
    return sd_loop_cast(from, d);
  }
  if (nin == 2 && is_scalar(p, in[0]) != is_scalar(p, in[1])) {
    SdLoopFn f = is_scalar(p, in[0]) ? sd_loop_sv(from, loop)
                                     : sd_loop_vs(from, loop);
    if (f) return f;
  }
  for (int i = 0; i < nin; i++) in[i] = splat(p, in[i]);
  return sd_loop(from, loop);
}

int sd_program_instruction(SdProgram *p, SdLoop loop, SdDtype from,
                           SdDtype d, int nin, const int *in) {
  Instruction *c = &p->code[p->ncode];
  int x[3] = {0, 0, 0};
  memcpy(x, in, (size_t)nin * sizeof *in);
  c->fn = choose_loop(p, loop, from, d, nin, x);
  for (int i = 0; i < nin; i++) {
    c->in[i] = x[i];
    p->regs[x[i]].last = p->ncode;
  }
  for (int i = nin; i < 3; i++) c->in[i] = -1;
  c->out = add_register(p, REG_TEMP, d);
  p->cost += loop >= SD_LOOP_SQRT ? 6 : 1;
  p->ncode++;
  return c->out;
}

void sd_program_output(SdProgram *p, int reg) {
  Register *r = &p->regs[reg];
  if (r->kind == REG_TEMP) {
    r->kind = REG_OUTPUT;
    r->index = p->noutputs;
  }
  p->outputs[p->noutputs++] = reg;
}

void sd_program_fold(SdProgram *p, int reg, SdFold fold, SdFoldLayout layout,
                     int kept) {
  Fold *f = &p->folds[p->nfolds++];
  *f = (Fold){.reg = splat(p, reg), .fold = fold};
  f->dtype = p->regs[f->reg].dtype;
  p->regs[f->reg].last = SD_PROGRAM_INSTRUCTIONS;
  p->layout = layout;
  p->rows = p->columns = 1;
  for (int i = 0; i < p->shape.ndim; i++)
    *(i < kept ? &p->rows : &p->columns) *= p->shape.dims[i];
}

/* Puts the blocks of temps that instruction i reads last on the free list:
** before it (after == 0) those as wide as its output, which may be written
** in place, after it the others. */
static int free_inputs(SdProgram *p, int i, int after, int *list, int n) {
  Instruction *c = &p->code[i];
  size_t size = sd_dtype_size(p->regs[c->out].dtype);
  for (int j = 0; j < 3; j++) {
    if (c->in[j] < 0) continue;
    Register *r = &p->regs[c->in[j]];
    if (r->kind != REG_TEMP || r->last != i) continue;
    if ((sd_dtype_size(r->dtype) != size) != after) continue;
    list[n++] = r->index;
    r->last = -1; /* an input given twice is freed once */
  }
  return n;
}

/* Linear scan: a temp's block is free after its last use. */
void sd_program_finish(SdProgram *p) {
  int blocks[SD_PROGRAM_INSTRUCTIONS], n = 0;
  for (int i = 0; i < p->ncode; i++) {
    Register *out = &p->regs[p->code[i].out];
    n = free_inputs(p, i, 0, blocks, n);
    if (out->kind == REG_TEMP) out->index = n ? blocks[--n] : p->nblocks++;
    n = free_inputs(p, i, 1, blocks, n);
  }
}

int sd_program_may_share(const SdProgram *p, int input, int output) {
  const Register *x = &p->regs[p->inputs[input]];
  int reg = p->outputs[output];
  if (x->kind != REG_INPUT || p->regs[reg].kind != REG_OUTPUT) return 0;
  for (int i = 0; i < p->ncode; i++)
    if (p->code[i].out == reg) return x->last <= i;
  return 0;
}
