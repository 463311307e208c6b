/*
** Programs that run again, or long: runs of instructions on one dtype become
** machine code.  The instructions stay what they are, for other machines.
*/
#include "graph/program_private.h"

#include <string.h>

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

/* What the run of n instructions from first on makes of each register. */
static void find_values(const SdProgram *p, int first, int n) {
  for (int r = 0; r < p->nregs; r++) {
    RegisterKind k = p->regs[r].kind;
    int one = p->numel != 1 && (k == REG_SCALAR || k == REG_CONSTANT);
    room.values[r] = (SdFuseValue){.one = one, .last = -1,
                                   .kept = k == REG_OUTPUT};
  }
  for (int i = 0; i < n; i++) {
    const SdFuseOp *op = &room.ops[i];
    for (int k = 0; k < 3; k++) read_at(op->in[k], i);
    for (int k = 0; k < 2; k++) read_at(op->factor[k], i);
  }
  for (int i = first + n; i < p->ncode; i++)
    for (int k = 0; k < 3; k++)
      if (p->code[i].in[k] >= 0) room.values[p->code[i].in[k]].kept = 1;
  for (int i = 0; i < p->nfolds; i++) room.values[p->folds[i].reg].kept = 1;
}

/* Compiles instructions from first on; how many. */
static int compile_run(SdProgram *p, int first) {
  Instruction *c = &p->code[first];
  SdFuseRun run = {.dtype = c->from, .single = p->numel == 1, .ops = room.ops,
                   .values = room.values, .nvalues = p->nregs};
  int taken = 0;
  while (first + run.nops < p->ncode && fits(p, c + run.nops, c->from)) {
    room.ops[run.nops] = translate(p, c + run.nops);
    run.nops++;
  }
  if (run.nops < 2) return 0;
  find_values(p, first, run.nops);
  c->fused = sd_fuse(&run, &taken);
  if (c->fused && taken < 2) {
    sd_fuse_free(c->fused);
    c->fused = NULL;
  }
  return c->fused ? c->span = taken : 0;
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

void sd_program_compile(SdProgram *p) {
  for (int i = 0; i < p->ncode;) {
    int n = compile_run(p, i);
    i += n ? n : 1;
  }
  if (!is_read(p, REG_SPLAT)) p->nsplats = 0;
  if (!is_read(p, REG_PAIR)) p->npairs = 0;
}
