/*
** Building programs and assigning their registers.  The interpreter is in
** interpret.c; program_private.h is what the two share.
*/
#include "graph/program_private.h"

#include "base/memory.h"

#include <string.h>

/* Where the one program that is being built lies. */
static struct {
  SdProgram program;
  Register regs[MAX_REGS];
  Instruction code[SD_PROGRAM_INSTRUCTIONS];
  Fold folds[SD_PROGRAM_INSTRUCTIONS];
  Pair pairs[SD_PROGRAM_INSTRUCTIONS];
  Constant constants[MAX_REGS];
  int inputs[MAX_REGS], outputs[MAX_OUTPUTS], splats[MAX_REGS];
} draft;

SdProgram *sd_program_begin(const SdShape *shape) {
  SdProgram *p = &draft.program;
  memset(p, 0, sizeof *p);
  p->shape = *shape;
  p->numel = sd_shape_numel(shape);
  p->regs = draft.regs;
  p->code = draft.code;
  p->folds = draft.folds;
  p->pairs = draft.pairs;
  p->constants = draft.constants;
  p->inputs = draft.inputs;
  p->outputs = draft.outputs;
  p->splats = draft.splats;
  return p;
}

SdProgram *sd_program_retain(SdProgram *p) {
  p->users++;
  return p;
}

void sd_program_release(SdProgram *p) {
  if (--p->users > 0) return;
  for (int i = 0; i < p->ncode; i++) sd_fuse_free(p->code[i].fused);
  sd_memory_free(p, p->bytes);
}

static int add_register(SdProgram *p, RegisterKind kind, SdDtype d) {
  if (sd_dtype_size(d) > p->widest) p->widest = sd_dtype_size(d);
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
    const Constant *c = &p->constants[i];
    if (p->regs[c->reg].dtype == d &&
        !memcmp(&c->value, &value, sizeof value))
      return c->reg;
  }
  Constant *c = &p->constants[p->nconstants++];
  *c = (Constant){.reg = add_register(p, REG_CONSTANT, d), .value = value};
  if (d == SD_F64) memcpy(c->bytes, &value, sizeof value);
  else sd_loop_cast(SD_F64, d)(1, c->bytes, &value, NULL, NULL);
  return c->reg;
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
                            SdDtype d, int nin, int *in, int *scalar) {
  *scalar = -1;
  if (loop == SD_LOOP_COPY && from != d) {
    in[0] = splat(p, in[0]);
    return sd_loop_cast(from, d);
  }
  if (nin == 2 && is_scalar(p, in[0]) != is_scalar(p, in[1])) {
    SdLoopFn f = is_scalar(p, in[0]) ? sd_loop_sv(from, loop)
                                     : sd_loop_vs(from, loop);
    *scalar = f ? !is_scalar(p, in[0]) : -1;
    if (f) return f;
  }
  for (int i = 0; i < nin; i++) in[i] = splat(p, in[i]);
  return sd_loop(from, loop);
}

int sd_program_cost(SdLoop loop) {
  return loop >= SD_LOOP_EXP && loop <= SD_LOOP_SOFTPLUS ? 6 : 1;
}

int sd_program_instruction(SdProgram *p, SdLoop loop, SdDtype from,
                           SdDtype d, int nin, const int *in) {
  Instruction *c = &p->code[p->ncode];
  int x[3] = {0, 0, 0};
  memcpy(x, in, (size_t)nin * sizeof *in);
  c->fn = choose_loop(p, loop, from, d, nin, x, &c->scalar);
  c->loop = loop;
  c->from = from;
  for (int i = 0; i < nin; i++) c->in[i] = x[i];
  for (int i = nin; i < 3; i++) c->in[i] = -1;
  c->fused = NULL;
  c->out = add_register(p, REG_TEMP, d);
  p->cost += sd_program_cost(loop);
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
                     int from, int end) {
  Fold *f = &p->folds[p->nfolds++];
  *f = (Fold){.reg = splat(p, reg), .fold = fold};
  f->dtype = p->regs[f->reg].dtype;
  p->deviations |= fold == SD_FOLD_DEVIATIONS;
  p->layout = layout;
  p->planes = p->rows = p->columns = 1;
  for (int i = 0; i < p->shape.ndim; i++)
    *(i < from && layout == SD_FOLD_COLUMNS ? &p->planes
      : i < end                             ? &p->rows
                                            : &p->columns) *=
        p->shape.dims[i];
}

/* ---- the peephole ------------------------------------------------------- */

typedef struct Use {
  int producer; /* the instruction that writes the register, or -1 */
  int readers;
} Use;

static void find_uses(const SdProgram *p, Use *use) {
  for (int r = 0; r < p->nregs; r++) use[r] = (Use){-1, 0};
  for (int i = 0; i < p->ncode; i++) {
    use[p->code[i].out].producer = i;
    for (int j = 0; j < 3; j++)
      if (p->code[i].in[j] >= 0) use[p->code[i].in[j]].readers++;
  }
  for (int i = 0; i < p->noutputs; i++) use[p->outputs[i]].readers++;
  for (int i = 0; i < p->nfolds; i++) use[p->folds[i].reg].readers++;
}

/* The instruction that makes reg for one reader alone, if it is loop. */
static Instruction *only_for(SdProgram *p, const Use *use, int reg,
                             SdLoop loop) {
  if (reg < 0 || use[reg].producer < 0 || use[reg].readers != 1) return NULL;
  Instruction *c = &p->code[use[reg].producer];
  return c->fn && c->loop == loop ? c : NULL;
}

static int add_pair(SdProgram *p, SdDtype d, const Pair *pair) {
  int reg = add_register(p, REG_PAIR, d);
  p->regs[reg].index = p->npairs;
  p->pairs[p->npairs] = *pair;
  p->pairs[p->npairs++].reg = reg;
  return reg;
}

/* x*s, made for instruction c alone, moves into c as the factor s. */
static int absorb(SdProgram *p, const Use *use, Instruction *c, int j,
                  Pair *pair) {
  Instruction *m = only_for(p, use, c->in[j], SD_LOOP_MUL);
  if (!m || m->scalar < 0) return 0;
  pair->factor[j] = m->in[m->scalar];
  c->in[j] = m->in[!m->scalar];
  m->fn = NULL;
  return 1;
}

static void become(Instruction *c, SdLoop loop) {
  c->loop = loop;
  c->fn = sd_loop(c->from, loop);
}

/* s x + t, s x - t, t - s x */
static void shift(SdProgram *p, const Use *use, Instruction *c) {
  int j = !c->scalar, minus = c->loop == SD_LOOP_SUB;
  Pair pair = {.factor = {-1, -1}};
  if (!absorb(p, use, c, j, &pair)) return;
  int x = c->in[j], factor = pair.factor[j];
  pair.factor[0] = factor;
  pair.factor[1] = c->in[c->scalar];
  pair.minus[0] = minus && j == 1;
  pair.minus[1] = minus && j == 0;
  become(c, SD_LOOP_SCALE_SHIFT);
  c->in[0] = x;
  c->in[1] = -1;
  c->in[2] = add_pair(p, c->from, &pair);
}

/* s x + t y, s x + y, .. and x y + z */
static void add_products(SdProgram *p, const Use *use, Instruction *c) {
  Pair pair = {.factor = {-1, -1}, .minus = {0, c->loop == SD_LOOP_SUB}};
  if (absorb(p, use, c, 0, &pair) + absorb(p, use, c, 1, &pair)) {
    become(c, SD_LOOP_AXPBY);
    c->in[2] = add_pair(p, c->from, &pair);
    return;
  }
  for (int j = 0; j < 2 && c->loop == SD_LOOP_ADD; j++) {
    Instruction *m = only_for(p, use, c->in[j], SD_LOOP_MUL);
    if (!m || m->scalar >= 0) continue;
    become(c, SD_LOOP_MULADD);
    c->in[2] = c->in[!j];
    c->in[0] = m->in[0];
    c->in[1] = m->in[1];
    m->fn = NULL;
    return;
  }
}

/* Sums of products in one instruction each; a pass over a block costs as
** much as the arithmetic in it. */
static void peephole(SdProgram *p) {
  Use use[MAX_REGS];
  int n = 0;
  find_uses(p, use);
  for (int i = 0; i < p->ncode; i++) {
    Instruction *c = &p->code[i];
    if (c->loop != SD_LOOP_ADD && c->loop != SD_LOOP_SUB) continue;
    if (!sd_dtype_is_float(c->from) || p->numel == 1) continue;
    if (c->scalar >= 0) shift(p, use, c);
    else add_products(p, use, c);
  }
  for (int i = 0; i < p->ncode; i++)
    if (p->code[i].fn) p->code[n++] = p->code[i];
  p->ncode = n;
}

static void find_last_uses(SdProgram *p) {
  for (int i = 0; i < p->ncode; i++)
    for (int j = 0; j < 3; j++)
      if (p->code[i].in[j] >= 0) p->regs[p->code[i].in[j]].last = i;
  for (int i = 0; i < p->nfolds; i++)
    p->regs[p->folds[i].reg].last = SD_PROGRAM_INSTRUCTIONS;
}

/* ---- memory of the registers -------------------------------------------- */

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
static void assign_blocks(SdProgram *p) {
  int blocks[SD_PROGRAM_INSTRUCTIONS], n = 0;
  for (int i = 0; i < p->ncode; i++) {
    Register *out = &p->regs[p->code[i].out];
    n = free_inputs(p, i, 0, blocks, n);
    if (out->kind == REG_TEMP) out->index = n ? blocks[--n] : p->nblocks++;
    n = free_inputs(p, i, 1, blocks, n);
  }
}

/* ---- the finished program ----------------------------------------------- */

/* Copies count items to *at, or with at NULL only counts; moves *used on. */
static void *lay(char *base, size_t *used, const void *items, int count,
                 size_t size) {
  void *at = base ? base + *used : NULL;
  if (at && count) memcpy(at, items, (size_t)count * size);
  *used += ((size_t)count * size + 15) & ~(size_t)15;
  return at;
}

/* Puts the arrays of p behind it in one block at base, and q's pointers at
** them; returns the bytes. */
static size_t pack(const SdProgram *p, char *base, SdProgram *q) {
  size_t used = (sizeof *p + 15) & ~(size_t)15;
  q->regs = lay(base, &used, p->regs, p->nregs, sizeof *p->regs);
  q->code = lay(base, &used, p->code, p->ncode, sizeof *p->code);
  q->folds = lay(base, &used, p->folds, p->nfolds, sizeof *p->folds);
  q->pairs = lay(base, &used, p->pairs, p->npairs, sizeof *p->pairs);
  q->constants =
      lay(base, &used, p->constants, p->nconstants, sizeof *p->constants);
  q->inputs = lay(base, &used, p->inputs, p->ninputs, sizeof *p->inputs);
  q->outputs = lay(base, &used, p->outputs, p->noutputs, sizeof *p->outputs);
  q->splats = lay(base, &used, p->splats, p->nsplats, sizeof *p->splats);
  return used;
}

SdProgram *sd_program_finish(SdProgram *p, SdError *err) {
  SdProgram none, *q;
  peephole(p);
  find_last_uses(p);
  assign_blocks(p);
  p->allsplats = p->nsplats;
  p->allpairs = p->npairs;
  size_t bytes = pack(p, NULL, &none);
  q = sd_memory_alloc(bytes, err);
  if (!q) return NULL;
  *q = *p;
  pack(p, (char *)q, q);
  q->users = 1;
  q->bytes = bytes;
  return q;
}

static int equal_code(const Instruction *a, const Instruction *b) {
  return a->fn == b->fn && a->out == b->out && a->in[0] == b->in[0] &&
         a->in[1] == b->in[1] && a->in[2] == b->in[2];
}

static int equal_register(const Register *a, const Register *b) {
  return a->kind == b->kind && a->dtype == b->dtype && a->index == b->index &&
         a->last == b->last;
}

static int equal_pair(const Pair *a, const Pair *b) {
  return a->reg == b->reg && !memcmp(a->factor, b->factor, sizeof a->factor) &&
         !memcmp(a->minus, b->minus, sizeof a->minus);
}

static int equal_ints(const int *a, const int *b, int n) {
  return !memcmp(a, b, (size_t)n * sizeof *a);
}

int sd_program_equal(const SdProgram *a, const SdProgram *b) {
  int same = a->bytes == b->bytes && sd_shape_equal(&a->shape, &b->shape) &&
             a->nregs == b->nregs && a->ncode == b->ncode &&
             a->ninputs == b->ninputs && a->noutputs == b->noutputs &&
             a->nconstants == b->nconstants && a->npairs == b->npairs &&
             a->nsplats == b->nsplats && !a->nfolds && !b->nfolds &&
             equal_ints(a->inputs, b->inputs, a->ninputs) &&
             equal_ints(a->outputs, b->outputs, a->noutputs) &&
             equal_ints(a->splats, b->splats, a->nsplats);
  for (int i = 0; same && i < a->ncode; i++)
    same = equal_code(&a->code[i], &b->code[i]);
  for (int i = 0; same && i < a->nregs; i++)
    same = equal_register(&a->regs[i], &b->regs[i]);
  for (int i = 0; same && i < a->npairs; i++)
    same = equal_pair(&a->pairs[i], &b->pairs[i]);
  for (int i = 0; same && i < a->nconstants; i++)
    same = a->constants[i].reg == b->constants[i].reg &&
           !memcmp(&a->constants[i].value, &b->constants[i].value,
                   sizeof a->constants[i].value);
  return same;
}

int sd_program_may_share(const SdProgram *p, int input, int output) {
  const Register *x = &p->regs[p->inputs[input]];
  int reg = p->outputs[output];
  if (x->kind != REG_INPUT || p->regs[reg].kind != REG_OUTPUT) return 0;
  for (int i = 0; i < p->ncode; i++)
    if (p->code[i].out == reg) return x->last <= i;
  return 0;
}
