/*
** Runs of elementwise ops as machine code: one loop that reads every input
** once and keeps what lies between in registers, where the block interpreter
** makes a pass over the first cache for each op.  The ops are those whose
** result IEEE 754 defines, so the bits are those of the loops.  Built for
** AVX-512 on x86-64; elsewhere there is none, and the loops do.
*/
#ifndef SD_FUSE_H
#define SD_FUSE_H

#include "kernels/loops.h"

/* An op on numbered values, as a loop takes them.  factor and minus are for
** AXPBY and SCALE_SHIFT: values of one element, -1 standing for 1, negated
** where minus says so. */
typedef struct SdFuseOp {
  SdLoop loop;
  int out, in[3]; /* -1: none */
  int factor[2], minus[2];
} SdFuseOp;

/* What a run knows of a value. */
typedef struct SdFuseValue {
  int one;  /* 1: its memory holds one element for all */
  int last; /* the op of the run that reads it last, or -1 */
  int kept; /* 1: it is stored, for others read it too */
  int streamed; /* 1: past the caches, its memory being aligned to 64 bytes and
                   the elements of each call before the last whole vectors */
} SdFuseValue;

typedef struct SdFuseRun {
  SdDtype dtype; /* of all values */
  int single;    /* 1: it is run on one element only */
  const SdFuseOp *ops;
  int nops;
  const SdFuseValue *values;
  int nvalues;
} SdFuseRun;

typedef struct SdFused SdFused;

int sd_fuse_takes(SdLoop loop, SdDtype d);
/* NULL if it cannot be had.  *taken: how many of the ops it does, the first
** ones. */
SdFused *sd_fuse(const SdFuseRun *run, int *taken);
void sd_fuse_free(SdFused *f);

/* at: the memory of value i of n elements, or of one. */
void sd_fuse_call(const SdFused *f, int64_t n, char *const *at);

#endif
