/*
** What an op is to the engine: one constant record.  The graph layer knows
** no particular op; it reads these fields.
*/
#ifndef SD_OP_H
#define SD_OP_H

#include "base/array.h"
#include "kernels/loops.h"

typedef struct SdNode SdNode;
typedef struct SdBuilder SdBuilder;
typedef struct SdOp SdOp;
typedef struct SdCall SdCall;

typedef enum SdOpKind {
  SD_KIND_VALUE,       /* no computation */
  SD_KIND_CONSTANT,    /* attr.f everywhere; 0-d */
  SD_KIND_ALIAS,       /* its first input, unchanged */
  SD_KIND_ELEMENTWISE, /* loop over broadcast inputs */
  SD_KIND_REDUCE,      /* fold over trailing or leading dims of one input */
  SD_KIND_VIEW,        /* a new description of the input's memory */
  SD_KIND_CALL         /* a kernel of its own */
} SdOpKind;

enum { SD_MAX_RESULTS = 4 };

struct SdOp {
  const char *name;
  const char *args;    /* the script's arguments: see ops/call.h */
  const char *doc;     /* one sentence, then an example line */
  const char *samples; /* Lua argument lists, one a line, for the tests */
  SdOpKind kind;
  SdLoop loop;         /* ELEMENTWISE, chosen by the first input's dtype */
  SdFold fold;         /* REDUCE */
  int flags;

  /* Checks the inputs and attributes of y; sets its shape, dtype, nout. */
  SdStatus (*infer)(SdNode *y, SdError *err);
  /* CALL: out (nout arrays) is allocated contiguous, unless the op has
  ** SD_OP_ALLOCATES.  VIEW: fills *out, taking a reference.  Inputs may be
  ** of any layout.  in[i] points at all outputs of input i. */
  SdStatus (*eval)(const SdNode *y, const SdArray *const *in, SdArray *out,
                   SdError *err);

  /* Derivatives, as expressions; NULL where there is none. */
  /* ELEMENTWISE: dy/dx_i, broadcast like y. */
  SdNode *(*partial)(SdBuilder *b, SdNode *y, int i);
  /* Linear in input i: the cotangent of input i, given y's. */
  SdNode *(*transpose)(SdBuilder *b, SdNode *y, int i, SdNode *g);
  /* Everything else.  vjp fills gin[i] from g[k], the cotangents of the
  ** outputs (NULL: zero); only wanted[i] inputs matter.  jvp fills ty[k]
  ** from the inputs' tangents t (NULL: zero). */
  void (*vjp)(SdBuilder *b, SdNode *y, SdNode *const *g, const int *wanted,
              SdNode **gin);
  void (*jvp)(SdBuilder *b, SdNode *y, SdNode *const *t, SdNode **ty);
  /* The op over inputs of which those with batched[i] have a new leading
  ** dim of extent size; the result (all outputs) has it too. */
  SdNode *(*batch)(SdBuilder *b, SdNode *y, SdNode *const *in,
                   const int *batched, int64_t size);

  /* The script's call: fills out, returns how many (0: b->error).  NULL
  ** for elementwise ops of tensors only, and for ops scripts don't see. */
  int (*call)(SdBuilder *b, const SdOp *op, const SdCall *c, SdNode **out);
  void (*release)(SdNode *y); /* attr.data; infer takes the reference */
  void (*refresh)(SdNode *y); /* random ops: new numbers for a replay */
};

enum {
  SD_OP_FLOAT = 1,     /* integer inputs are cast to the default float */
  SD_OP_TO_BOOL = 2,   /* the loop's output is bool */
  SD_OP_ZERO_GRAD = 4, /* piecewise constant: all derivatives are zero */
  SD_OP_ALLOCATES = 8, /* eval makes its outputs itself */
  SD_OP_BOOL = 16,     /* inputs are made bool */
  SD_OP_HIDDEN = 32,   /* not for scripts */
  SD_OP_NO_MIX = 64,   /* first input (a condition) takes no part in
                          promotion */
  SD_OP_JOINT = 128,   /* linear in all inputs together, not in each */
  SD_OP_STRAIGHTENS = 256 /* a view that copies what lies in no order */
};

#endif
