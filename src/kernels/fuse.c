/*
** The code of a run is called as code(at, bytes, rest): rdi points at the
** values' addresses, rsi counts the bytes of whole vectors, edx has a bit for
** each element of the last, partial one.  rax goes over the bytes.  Values of
** one element stay in the highest vector registers, all others get the lowest
** free one from where they are made to where they are read last; zmm0 is for
** what lies within an op.  A run that needs more registers than there are is
** cut short.
*/
#include "kernels/fuse.h"

#include "base/executable.h"
#include "base/memory.h"

#include <string.h>

#if defined(__x86_64__) && defined(__AVX512VL__) && \
    defined(__AVX512DQ__)
#include "kernels/x86.h"

enum {
  VECTORS = 32,
  NONE = -1,
  SCRATCH = 0,       /* the vector register within an op */
  REST = 1, IS_NAN = 2, /* mask registers */
  CODE = 8192,       /* bytes, at most */
  MAX_VALUES = 1024,
  POINTERS = 12,
  FREE_POINTERS = 6  /* the first ones a callee may use as it likes */
};

static const int pointers[POINTERS] = {SD_RCX, SD_RDX, SD_R8,     SD_R8 + 1,
                                       SD_R8 + 2, SD_R8 + 3, SD_RBX, SD_RBP,
                                       SD_R8 + 4, SD_R8 + 5, SD_R8 + 6,
                                       SD_R8 + 7};

struct SdFused {
  const void *code;
  size_t bytes;
  int width; /* elements of a vector */
  size_t size;
};

typedef struct Fuser {
  SdX86 x86;
  const SdFuseRun *run;
  int end;               /* of the ops taken */
  int failed;            /* the op at which registers ran out, or NONE */
  int masked;            /* 1: in the code of the partial vector */
  int npointers, sign, one, not_sign; /* vectors with constants, or NONE */
  int lowest;            /* of the vector registers of the constants */
  signed char used[VECTORS];
  signed char vector[MAX_VALUES];  /* a value's register, or NONE */
  signed char pointer[MAX_VALUES]; /* of its memory, or NONE */
} Fuser;

/* ---- instructions ------------------------------------------------------- */

static int is_wide(const Fuser *f) { return f->run->dtype == SD_F64; }

/* Arithmetic, on one element or all. */
static SdX86Op arithmetic(const Fuser *f, int opcode) {
  return (SdX86Op){.map = 1, .wide = is_wide(f), .opcode = opcode,
                   .prefix = f->run->single ? 2 + is_wide(f) : is_wide(f),
                   .length = f->run->single ? 0 : 2};
}

/* What always takes whole registers. */
static SdX86Op packed(const Fuser *f, int opcode) {
  SdX86Op op = arithmetic(f, opcode);
  op.prefix = is_wide(f);
  return op;
}

static void emit(Fuser *f, int opcode, int dst, int a, int b) {
  sd_x86_op(&f->x86, arithmetic(f, opcode), dst, a, b);
}

enum { /* opcodes */
  LOAD = 0x10, STORE = 0x11, MOVE = 0x28, STREAM = 0x2B, SQRT = 0x51,
  AND = 0x54, XOR = 0x57, ADD = 0x58, MUL = 0x59, SUB = 0x5C, MIN = 0x5D,
  DIV = 0x5E, MAX = 0x5F, COMPARE = 0xC2, UNORDERED = 3
};

/* ---- registers ---------------------------------------------------------- */

static int take_vector(Fuser *f, int op) {
  for (int r = SCRATCH + 1; r < f->lowest; r++)
    if (!f->used[r]) {
      f->used[r] = 1;
      return r;
    }
  if (f->failed < 0) f->failed = op;
  return SCRATCH;
}

/* The general register that points at the value's memory. */
static int point(Fuser *f, int value) {
  if (!f->run->single) return f->pointer[value];
  sd_x86_load(&f->x86, SD_RCX, SD_RDI, 8 * value);
  return SD_RCX;
}

static void move_memory(Fuser *f, int opcode, int reg, int value) {
  SdX86Op op = arithmetic(f, opcode);
  op.mask = f->masked ? REST : 0;
  op.zero = f->masked && opcode == LOAD;
  sd_x86_memory(&f->x86, op, reg, point(f, value),
                f->run->single ? -1 : SD_RAX);
}

static int is_stored(const Fuser *f, int value) {
  const SdFuseValue *v = &f->run->values[value];
  return v->kept || v->last >= f->end;
}

static int streams(const Fuser *f, int value) {
  return f->run->values[value].streamed && !f->masked && !f->run->single;
}

/* The register that holds the value, loaded if need be. */
static int have(Fuser *f, int value, int op) {
  if (f->vector[value] < 0) {
    f->vector[value] = (signed char)take_vector(f, op);
    move_memory(f, LOAD, f->vector[value], value);
  }
  return f->vector[value];
}

static void drop(Fuser *f, int value, int op) {
  if (value < 0 || f->run->values[value].one || f->vector[value] < 0 ||
      f->run->values[value].last > op)
    return;
  f->used[f->vector[value]] = 0;
  f->vector[value] = NONE;
}

/* ---- ops ---------------------------------------------------------------- */

/* a < b or a is NaN: a, else b; or with >. */
static void choose(Fuser *f, int opcode, int dst, int a, int b) {
  SdX86Op compare = arithmetic(f, COMPARE), move = packed(f, MOVE);
  sd_x86_op(&f->x86, compare, IS_NAN, a, a);
  sd_x86_byte(&f->x86, UNORDERED);
  emit(f, opcode, SCRATCH, a, b);
  move.mask = IS_NAN;
  sd_x86_op(&f->x86, move, SCRATCH, 0, a);
  sd_x86_op(&f->x86, packed(f, MOVE), dst, 0, SCRATCH);
}

static void root(Fuser *f, int dst, int a) {
  emit(f, SQRT, dst, f->run->single ? a : 0, a);
}

/* Term k of a sum, a times its factor: where it is. */
static int term(Fuser *f, const SdFuseOp *op, int k, int a, int to) {
  if (op->factor[k] < 0) return a;
  emit(f, MUL, to, a, f->vector[op->factor[k]]);
  return to;
}

/* x + y, with signs */
static void add_signed(Fuser *f, int dst, int x, int minus_x, int y,
                       int minus_y) {
  if (minus_x && minus_y) { /* not -(x + y), which is another zero */
    int t = y == SCRATCH ? dst : SCRATCH;
    sd_x86_op(&f->x86, packed(f, XOR), t, x, f->sign);
    emit(f, SUB, dst, t, y);
  } else if (minus_x) {
    emit(f, SUB, dst, y, x);
  } else {
    emit(f, minus_y ? SUB : ADD, dst, x, y);
  }
}

static void scaled_sum(Fuser *f, const SdFuseOp *op, int dst, int a, int b) {
  int y = op->loop == SD_LOOP_SCALE_SHIFT
              ? f->vector[op->factor[1]]
              : term(f, op, 1, b, SCRATCH);
  /* dst may be b's register, which was read by now, or a's */
  if (y == dst && op->factor[0] >= 0) {
    emit(f, MUL, SCRATCH, a, f->vector[op->factor[0]]);
    add_signed(f, dst, SCRATCH, op->minus[0], y, op->minus[1]);
    return;
  }
  int x = term(f, op, 0, a, dst);
  add_signed(f, dst, x, op->minus[0], y, op->minus[1]);
}

static void body(Fuser *f, const SdFuseOp *op, int dst, const int *r) {
  switch (op->loop) {
    case SD_LOOP_ADD: emit(f, ADD, dst, r[0], r[1]); break;
    case SD_LOOP_SUB: emit(f, SUB, dst, r[0], r[1]); break;
    case SD_LOOP_MUL: emit(f, MUL, dst, r[0], r[1]); break;
    case SD_LOOP_DIV: emit(f, DIV, dst, r[0], r[1]); break;
    case SD_LOOP_SQUARE: emit(f, MUL, dst, r[0], r[0]); break;
    case SD_LOOP_SQRT: root(f, dst, r[0]); break;
    case SD_LOOP_RSQRT:
      root(f, SCRATCH, r[0]);
      emit(f, DIV, dst, f->one, SCRATCH);
      break;
    case SD_LOOP_RECIPROCAL: emit(f, DIV, dst, f->one, r[0]); break;
    case SD_LOOP_NEG:
      sd_x86_op(&f->x86, packed(f, XOR), dst, r[0], f->sign);
      break;
    case SD_LOOP_ABS:
      sd_x86_op(&f->x86, packed(f, AND), dst, r[0], f->not_sign);
      break;
    case SD_LOOP_MIN: choose(f, MIN, dst, r[0], r[1]); break;
    case SD_LOOP_MAX: choose(f, MAX, dst, r[0], r[1]); break;
    case SD_LOOP_MULADD:
      emit(f, MUL, SCRATCH, r[0], r[1]);
      emit(f, ADD, dst, SCRATCH, r[2]);
      break;
    case SD_LOOP_AXPBY:
    case SD_LOOP_SCALE_SHIFT: scaled_sum(f, op, dst, r[0], r[1]); break;
    default: break;
  }
}

int sd_fuse_takes(SdLoop loop, SdDtype d) {
  static const char takes[SD_NLOOPS] = {
      [SD_LOOP_ADD] = 1,    [SD_LOOP_SUB] = 1,    [SD_LOOP_MUL] = 1,
      [SD_LOOP_DIV] = 1,    [SD_LOOP_SQUARE] = 1, [SD_LOOP_SQRT] = 1,
      [SD_LOOP_RSQRT] = 1,  [SD_LOOP_RECIPROCAL] = 1, [SD_LOOP_NEG] = 1,
      [SD_LOOP_ABS] = 1,    [SD_LOOP_MIN] = 1,    [SD_LOOP_MAX] = 1,
      [SD_LOOP_MULADD] = 1, [SD_LOOP_AXPBY] = 1,  [SD_LOOP_SCALE_SHIFT] = 1};
  return sd_dtype_is_float(d) && takes[loop];
}

static void one_op(Fuser *f, int i) {
  const SdFuseOp *op = &f->run->ops[i];
  int r[3] = {0, 0, 0};
  for (int k = 0; k < 3; k++)
    if (op->in[k] >= 0) r[k] = have(f, op->in[k], i);
  for (int k = 0; k < 3; k++) drop(f, op->in[k], i);
  int dst = take_vector(f, i);
  f->vector[op->out] = (signed char)dst;
  body(f, op, dst, r);
  if (is_stored(f, op->out))
    move_memory(f, streams(f, op->out) ? STREAM : STORE, dst, op->out);
  drop(f, op->out, i);
}

static void all_ops(Fuser *f, int masked) {
  f->masked = masked;
  for (int i = 0; i < f->end; i++) one_op(f, i);
  /* what is stored is not kept for the next vector, nor what was loaded */
  for (int v = 0; v < f->run->nvalues; v++)
    if (!f->run->values[v].one) f->vector[v] = NONE;
  memset(f->used, 0, sizeof f->used);
}

/* ---- before and after --------------------------------------------------- */

static int constant(Fuser *f, uint64_t f64_bits, uint64_t f32_bits) {
  SdX86Op broadcast = {.map = 2, .prefix = 1, .wide = is_wide(f),
                       .opcode = 0x7C, .length = f->run->single ? 0 : 2};
  int reg = --f->lowest;
  sd_x86_immediate(&f->x86, SD_RAX, is_wide(f) ? f64_bits : f32_bits);
  sd_x86_op(&f->x86, broadcast, reg, 0, SD_RAX);
  return reg;
}

static void place_constants(Fuser *f) {
  int signs = 0, ones = 0, magnitudes = 0;
  for (int i = 0; i < f->end; i++) {
    const SdFuseOp *op = &f->run->ops[i];
    signs |= op->loop == SD_LOOP_NEG || (op->minus[0] && op->minus[1]);
    ones |= op->loop == SD_LOOP_RSQRT || op->loop == SD_LOOP_RECIPROCAL;
    magnitudes |= op->loop == SD_LOOP_ABS;
  }
  if (signs) f->sign = constant(f, (uint64_t)1 << 63, (uint64_t)1 << 31);
  if (ones) f->one = constant(f, 0x3FF0000000000000, 0x3F800000);
  if (magnitudes) f->not_sign = constant(f, INT64_MAX, INT32_MAX);
}

/* A value of one element, read into all of a vector. */
static void place_one(Fuser *f, int value, int op) {
  SdX86Op broadcast = {.map = 2, .prefix = 1, .wide = is_wide(f),
                       .opcode = is_wide(f) ? 0x19 : 0x18, .length = 2};
  if (f->lowest <= VECTORS / 2) { /* the rest is for the others */
    if (f->failed < 0) f->failed = op;
    return;
  }
  f->vector[value] = (signed char)--f->lowest;
  sd_x86_load(&f->x86, SD_RAX, SD_RDI, 8 * value);
  sd_x86_memory(&f->x86, broadcast, f->vector[value], SD_RAX, -1);
}

static void place_pointer(Fuser *f, int value, int op) {
  if (f->npointers == POINTERS) {
    if (f->failed < 0) f->failed = op;
    return;
  }
  int reg = pointers[f->npointers++];
  f->pointer[value] = (signed char)reg;
  sd_x86_load(&f->x86, reg, SD_RDI, 8 * value);
}

static void place(Fuser *f, int value, int is_made, int op) {
  if (value < 0 || f->vector[value] >= 0 || f->pointer[value] >= 0 || is_made)
    return;
  if (f->run->values[value].one) place_one(f, value, op);
  else place_pointer(f, value, op);
}

/* Pointers at all memory that is read or written, and the single elements. */
static void place_operands(Fuser *f) {
  char made[MAX_VALUES] = {0};
  for (int i = 0; i < f->end; i++) {
    const SdFuseOp *op = &f->run->ops[i];
    for (int k = 0; k < 3; k++)
      place(f, op->in[k], op->in[k] >= 0 && made[op->in[k]], i);
    for (int k = 0; k < 2; k++) place(f, op->factor[k], 0, i);
    made[op->out] = 1;
    place(f, op->out, !is_stored(f, op->out), i);
  }
}

static void zero_rax(Fuser *f) {
  sd_x86_bytes(&f->x86, 2, (const unsigned char[]){0x31, 0xC0});
}

static void loop(Fuser *f) {
  SdX86 *x = &f->x86;
  place_operands(f);
  zero_rax(f);
  sd_x86_bytes(x, 3, (const unsigned char[]){0x48, 0x85, 0xF6}); /* rsi? */
  size_t none = sd_x86_jump(x, SD_JZ);
  while (x->used % 32) sd_x86_byte(x, 0x90);
  size_t top = x->used;
  all_ops(f, 0);
  sd_x86_bytes(x, 7, (const unsigned char[]){0x48, 0x83, 0xC0, 64, /* rax += */
                                             0x48, 0x39, 0xF0}); /* - rsi? */
  sd_x86_jump_back(x, SD_JB, top);
  sd_x86_land(x, none);
  sd_x86_bytes(x, 4, (const unsigned char[]){0xC5, 0xF8, 0x98, 0xC9}); /* k1? */
  none = sd_x86_jump(x, SD_JZ);
  all_ops(f, 1);
  sd_x86_land(x, none);
}

/* The code of the first ops, as far as end; whether all went well. */
static int assemble(Fuser *f) {
  SdX86 *x = &f->x86;
  x->used = 0;
  f->failed = NONE;
  f->npointers = 0;
  f->lowest = VECTORS;
  memset(f->used, 0, sizeof f->used);
  memset(f->vector, NONE, sizeof f->vector);
  memset(f->pointer, NONE, sizeof f->pointer);
  if (!f->run->single) {
    /* k1 = edx, before rdx points at something */
    sd_x86_bytes(x, 4, (const unsigned char[]){0xC5, 0xF8, 0x92, 0xCA});
    for (int i = FREE_POINTERS; i < POINTERS; i++)
      sd_x86_push(x, pointers[i]);
  }
  place_constants(f);
  if (f->run->single) all_ops(f, 0);
  else loop(f);
  if (!f->run->single)
    for (int i = POINTERS - 1; i >= FREE_POINTERS; i--)
      sd_x86_pop(x, pointers[i]);
  sd_x86_bytes(x, 4, (const unsigned char[]){0xC5, 0xF8, 0x77, 0xC3});
  return f->failed < 0 && x->used <= x->size;
}

SdFused *sd_fuse(const SdFuseRun *run, int *taken) {
  static unsigned char code[CODE];
  static Fuser f;
  SdError err; /* of no interest: the loops do the work */
  if (run->nvalues > MAX_VALUES) return NULL;
  f = (Fuser){.x86 = {.code = code, .size = CODE}, .run = run,
              .end = run->nops};
  while (f.end > 0 && !assemble(&f))
    f.end = f.failed >= 0 && f.failed < f.end ? f.failed : f.end - 1;
  if (f.end == 0) return NULL;
  SdFused *fused = sd_memory_alloc(sizeof *fused, &err);
  if (!fused) return NULL;
  *fused = (SdFused){.bytes = f.x86.used,
                     .code = sd_executable_new(code, f.x86.used),
                     .width = is_wide(&f) ? 8 : 16,
                     .size = is_wide(&f) ? 8 : 4};
  if (!fused->code) {
    sd_memory_free(fused, sizeof *fused);
    return NULL;
  }
  *taken = f.end;
  return fused;
}

void sd_fuse_free(SdFused *f) {
  if (!f) return;
  sd_executable_free(f->code, f->bytes);
  sd_memory_free(f, sizeof *f);
}

void sd_fuse_call(const SdFused *f, int64_t n, char *const *at) {
  void (*code)(char *const *values, uint64_t bytes, uint32_t rest);
  int64_t rest = n % f->width;
  memcpy(&code, &f->code, sizeof code);
  code(at, (uint64_t)(n - rest) * f->size, ((uint32_t)1 << rest) - 1);
}

#else

int sd_fuse_takes(SdLoop loop, SdDtype d) {
  (void)loop, (void)d;
  return 0;
}

SdFused *sd_fuse(const SdFuseRun *run, int *taken) {
  (void)run, (void)taken;
  return NULL;
}

void sd_fuse_free(SdFused *f) { (void)f; }

void sd_fuse_call(const SdFused *f, int64_t n, char *const *at) {
  (void)f, (void)n, (void)at;
}
#endif
