/* The inside of a program, for program.c and interpret.c alone. */
#ifndef SD_PROGRAM_PRIVATE_H
#define SD_PROGRAM_PRIVATE_H

#include "graph/program.h"
#include "kernels/fuse.h"

typedef enum RegisterKind {
  REG_INPUT,    /* a whole input; index: which */
  REG_SCALAR,   /* an input of one element, read by vs and sv loops */
  REG_CONSTANT, /* the same, with a value known when built */
  REG_SPLAT,    /* a block of copies of the scalar register index */
  REG_PAIR,     /* two factors side by side; index: which pair */
  REG_TEMP,     /* a block of scratch memory; index: which */
  REG_OUTPUT    /* written straight into output index */
} RegisterKind;

typedef struct Register {
  RegisterKind kind;
  SdDtype dtype;
  int index;
  int last;  /* the last instruction that reads it */
  int splat; /* of a scalar: its splat register, or 0 */
  int far;      /* of an output: 1: should be written past the caches */
  int streamed; /* 1: the machine code does so */
} Register;

typedef struct Instruction {
  SdLoopFn fn;
  int out, in[3]; /* registers; -1: unused */
  SdLoop loop;
  SdDtype from;
  int scalar; /* which of two inputs is one element for all, or -1 */
  SdFused *fused; /* does this one and the following, span in all, or NULL */
  int span;
} Instruction;

/* The factors of an AXPBY: scalar registers, -1 standing for 1. */
typedef struct Pair {
  int reg;
  int factor[2];
  int minus[2];
} Pair;

typedef struct Fold {
  int reg;
  SdFold fold;
  SdDtype dtype;
} Fold;

enum {
  BLOCK = 256, /* elements; 128 to 256 keep a dozen registers in L1 */
  MAX_OUTPUTS = SD_PROGRAM_INSTRUCTIONS,
  /* an instruction may add itself, three splats and a pair */
  MAX_REGS = SD_PROGRAM_INSTRUCTIONS * 5 + SD_PROGRAM_OPERANDS + 16
};

typedef struct Constant {
  int reg;
  double value;
  char bytes[8]; /* the value in the register's dtype */
} Constant;

struct SdProgram {
  SdShape shape;
  int64_t numel;
  /* The shape as the folds see it: ROWS [rows, columns], folded over columns;
  ** COLUMNS [planes, rows, columns], folded over rows. */
  int64_t planes, rows, columns;
  SdFoldLayout layout;
  int nregs, ninputs, nconstants, nsplats, npairs, ncode, noutputs;
  int nfolds;
  int deviations; /* 1: some of them are such, and keep means beside */
  int allsplats, allpairs; /* nsplats and npairs before compilation */
  int nblocks; /* scratch blocks for temps */
  int cost;    /* of one element, in simple instructions */
  size_t widest; /* bytes of an element, at most */
  int users;     /* steps of plans that hold it */
  int runs;      /* begun, until it is compiled */
  int compiled;  /* so many times */
  size_t scratch; /* bytes, on so many threads; 0: not known yet */
  int threads;
  size_t bytes;  /* of all, the arrays included */
  Register *regs;
  Instruction *code;
  Fold *folds;
  Pair *pairs;
  Constant *constants;
  int *inputs, *outputs, *splats; /* registers */
};

int sd_program_cost(SdLoop loop); /* of one element, as SdProgram.cost */
/* Runs of instructions become machine code, where that can be had. */
void sd_program_compile(SdProgram *p);
/* Which outputs, by number, should be written past the caches: then code does
** it, if it can, and their registers are marked as streamed. */
void sd_program_stream(SdProgram *p, const char *far);

#endif
