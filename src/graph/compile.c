/*
** Programs that run again, or long: runs of instructions on one dtype become
** machine code.  The instructions stay what they are, for other machines.
*/
#include "graph/program_private.h"

#include <string.h>

enum { MOST_COMPILED = 8 }; /* times: what goes to and fro is not followed */

static struct { /* of the program that is being compiled */
  SdFuseOp ops[SD_PROGRAM_INSTRUCTIONS];
  SdFuseValue values[MAX_REGS];
} room;

static int fits(const SdProgram *p, const Instruction *c, SdDtype d) {
  return sd_fuse_takes(c->loop, d) && c->from == d &&
         p->regs[c->out].dtype == d;
}

/* The register itself, not a block of its copies. */
static int origin(const SdProgram *p, int reg) {
  return reg >= 0 && p->regs[reg].kind == REG_SPLAT ? p->regs[reg].index : reg;
}

static SdFuseOp translate(const SdProgram *p, const Instruction *c) {
  SdFuseOp op = {.loop = c->loop, .out = c->out, .factor = {-1, -1}};
  for (int k = 0; k < 3; k++) {
    int reg = c->in[k];
    op.in[k] = origin(p, reg);
    if (reg < 0 || p->regs[reg].kind != REG_PAIR) continue;
    const Pair *pair = &p->pairs[p->regs[reg].index];
    memcpy(op.factor, pair->factor, sizeof op.factor);
    memcpy(op.minus, pair->minus, sizeof op.minus);
    op.in[k] = -1;
  }
  return op;
}

static void read_at(int reg, int i) {
  if (reg >= 0) room.values[reg].last = i;
}

/* Read by others, from memory. */
static void leave(int reg) {
  room.values[reg].kept = 1;
  room.values[reg].streamed = 0;
}

/* What the run of n instructions from first on makes of each register. */
static void find_values(const SdProgram *p, int first, int n) {
  for (int r = 0; r < p->nregs; r++) {
    RegisterKind k = p->regs[r].kind;
    int one = p->numel != 1 && (k == REG_SCALAR || k == REG_CONSTANT);
    room.values[r] = (SdFuseValue){.one = one, .last = -1,
                                   .kept = k == REG_OUTPUT,
                                   .streamed = p->regs[r].far};
  }
  for (int i = 0; i < n; i++) {
    const SdFuseOp *op = &room.ops[i];
    for (int k = 0; k < 3; k++) read_at(op->in[k], i);
    for (int k = 0; k < 2; k++) read_at(op->factor[k], i);
  }
  for (int i = first + n; i < p->ncode; i++)
    for (int k = 0; k < 3; k++)
      if (p->code[i].in[k] >= 0) leave(p->code[i].in[k]);
  for (int i = 0; i < p->nfolds; i++) leave(p->folds[i].reg);
}

/* What the run of n from first on writes past the caches. */
static void mark_streams(SdProgram *p, int first, int n) {
  for (int i = first; i < first + n; i++)
    p->regs[p->code[i].out].streamed =
        room.values[p->code[i].out].streamed;
}

static int is_far(const SdProgram *p) {
  for (int i = 0; i < p->noutputs; i++)
    if (p->regs[p->outputs[i]].far) return 1;
  return 0;
}

/* Compiles instructions from first on; how many.  A single one does as well
** as a loop, but for its stores. */
static int compile_run(SdProgram *p, int first) {
  int least = is_far(p) ? 1 : 2;
  Instruction *c = &p->code[first];
  SdFuseRun run = {.dtype = c->from, .single = p->numel == 1, .ops = room.ops,
                   .values = room.values, .nvalues = p->nregs};
  int taken = 0;
  while (first + run.nops < p->ncode && fits(p, c + run.nops, c->from)) {
    room.ops[run.nops] = translate(p, c + run.nops);
    run.nops++;
  }
  if (run.nops < least) return 0;
  find_values(p, first, run.nops);
  c->fused = sd_fuse(&run, &taken);
  if (c->fused && taken < least) {
    sd_fuse_free(c->fused);
    c->fused = NULL;
  }
  if (!c->fused) return 0;
  mark_streams(p, first, taken);
  return c->span = taken;
}

static int is_read(const SdProgram *p, RegisterKind kind) {
  for (int i = 0; i < p->ncode; i++) {
    const Instruction *c = &p->code[i];
    for (int k = 0; k < 3; k++)
      if (c->in[k] >= 0 && p->regs[c->in[k]].kind == kind && !c->fused)
        return 1;
    if (c->fused) i += c->span - 1;
  }
  for (int i = 0; i < p->nfolds; i++)
    if (p->regs[p->folds[i].reg].kind == kind) return 1;
  return 0;
}

/* Of a run the ops cost a third of what they do as loops. */
static int cost_of(const SdProgram *p) {
  int cost = 0;
  for (int i = 0; i < p->ncode; i++) {
    const Instruction *c = &p->code[i];
    cost += c->fused ? (c->span + 2) / 3 : sd_program_cost(c->loop);
    if (c->fused) i += c->span - 1;
  }
  return cost;
}

void sd_program_compile(SdProgram *p) {
  for (int i = 0; i < p->ncode; i++) {
    sd_fuse_free(p->code[i].fused);
    p->code[i].fused = NULL;
    p->regs[p->code[i].out].streamed = 0;
  }
  for (int i = 0; i < p->ncode;) {
    int n = compile_run(p, i);
    i += n ? n : 1;
  }
  p->compiled++;
  p->cost = cost_of(p);
  p->nsplats = is_read(p, REG_SPLAT) ? p->allsplats : 0;
  p->npairs = is_read(p, REG_PAIR) ? p->allpairs : 0;
}

void sd_program_stream(SdProgram *p, const char *far) {
  int other = 0;
  if (!p->compiled || p->compiled == MOST_COMPILED) return;
  for (int i = 0; i < p->noutputs; i++) {
    Register *r = &p->regs[p->outputs[i]];
    other |= r->far != far[i];
    r->far = far[i];
  }
  if (other) sd_program_compile(p);
}
