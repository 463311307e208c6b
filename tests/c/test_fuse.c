/*
** Machine code for random runs of ops against the loops, bit by bit; and the
** memory that such code lies in.
*/
#include "tap.h"

#include "base/executable.h"
#include "graph/program_private.h"
#include "kernels/fuse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 96, INPUTS = 14, ONES = 6, VALUES = INPUTS + ONES + MOST,
       N = 300, GUARD = 36, RUNS = 400 }; /* N + GUARD: rooms are aligned */

static _Alignas(64) union Room { /* a value's elements, and what must stay */
  double d[N + GUARD];
  float f[2 * (N + GUARD)];
  char bytes[sizeof(double) * (N + GUARD)];
} fused[VALUES], looped[VALUES], work[2];

static SdFuseOp ops[MOST];
static SdFuseValue values[VALUES];
static unsigned state = 1;

static int below(int n) {
  state = state * 1664525u + 1013904223u;
  return (int)((state >> 8) % (unsigned)n);
}

static double sample(void) {
  static const double odd[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1, -1,
                               1e-310, 1e-40, 3e38, 1e308};
  if (below(12) == 0) return odd[below(sizeof odd / sizeof *odd)];
  return (below(20001) - 10000) / 1000.0;
}

static size_t size_of(SdDtype d) { return sd_dtype_size(d); }

static void fill(SdDtype d) {
  for (int v = 0; v < VALUES; v++)
    for (int i = 0; i < N + GUARD; i++) {
      double x = sample();
      if (d == SD_F64) looped[v].d[i] = x;
      else looped[v].f[i] = (float)x;
    }
  memcpy(fused, looped, sizeof fused);
}

static const SdLoop all[] = {
    SD_LOOP_ADD,   SD_LOOP_SUB,        SD_LOOP_MUL, SD_LOOP_DIV,
    SD_LOOP_SQRT,  SD_LOOP_SQUARE,     SD_LOOP_NEG, SD_LOOP_ABS,
    SD_LOOP_RSQRT, SD_LOOP_RECIPROCAL, SD_LOOP_MIN, SD_LOOP_MAX,
    SD_LOOP_AXPBY, SD_LOOP_MULADD,     SD_LOOP_SCALE_SHIFT};

static int inputs_of(SdLoop loop) {
  switch (loop) {
    case SD_LOOP_ADD: case SD_LOOP_SUB: case SD_LOOP_MUL: case SD_LOOP_DIV:
    case SD_LOOP_MIN: case SD_LOOP_MAX: case SD_LOOP_AXPBY: return 2;
    case SD_LOOP_MULADD: return 3;
    default: return 1;
  }
}

/* One of the first n values: one of one element, or a late one, or an input. */
static int pick(int n) {
  if (below(5) == 0) return INPUTS + below(ONES);
  return below(4) ? n - 1 - below(6) : below(INPUTS);
}

static void factors(SdFuseOp *op) {
  int pair = op->loop == SD_LOOP_AXPBY || op->loop == SD_LOOP_SCALE_SHIFT;
  for (int k = 0; k < 2; k++) {
    int must = op->loop == SD_LOOP_SCALE_SHIFT && k == 1;
    op->factor[k] = pair && (must || below(3)) ? INPUTS + below(ONES) : -1;
    op->minus[k] = pair && below(2);
  }
}

static void make_run(int nops, int single, int keep) {
  memset(values, 0, sizeof values);
  for (int v = 0; v < VALUES; v++)
    values[v] = (SdFuseValue){.last = -1,
                              .one = !single && v >= INPUTS &&
                                     v < INPUTS + ONES};
  for (int i = 0; i < nops; i++) {
    SdFuseOp *op = &ops[i];
    /* a program of one element has no pairs */
    op->loop = all[below(single ? 12 : sizeof all / sizeof *all)];
    op->out = INPUTS + ONES + i;
    for (int k = 0; k < 3; k++)
      op->in[k] = k < inputs_of(op->loop) ? pick(op->out) : -1;
    factors(op);
    for (int k = 0; k < 3; k++)
      if (op->in[k] >= 0) values[op->in[k]].last = i;
    for (int k = 0; k < 2; k++)
      if (op->factor[k] >= 0) values[op->factor[k]].last = i;
    values[op->out].kept = below(keep) == 0 || i == nops - 1;
    values[op->out].streamed = below(3) == 0;
  }
}

/* The value as a block, in a room of its own if it has one element. */
static const void *block(SdDtype d, int v, int64_t n, union Room *at) {
  if (v < 0) return NULL;
  if (!values[v].one) return looped[v].bytes;
  for (int64_t i = 0; i < n; i++)
    memcpy(at->bytes + (size_t)i * size_of(d), looped[v].bytes, size_of(d));
  return at->bytes;
}

static void loop_once(SdDtype d, const SdFuseOp *op, int64_t n) {
  static union Room third;
  double f64[2];
  float f32[2];
  const void *c = block(d, op->in[2], n, &third);
  for (int k = 0; k < 2 && inputs_of(op->loop) < 3; k++) {
    int v = op->factor[k];
    f64[k] = v < 0 ? 1 : d == SD_F64 ? looped[v].d[0]
                                     : (double)looped[v].f[0];
    if (op->minus[k]) f64[k] = -f64[k];
    f32[k] = (float)f64[k];
    c = d == SD_F64 ? (void *)f64 : (void *)f32;
  }
  sd_loop(d, op->loop)(n, looped[op->out].bytes,
                       block(d, op->in[0], n, &work[0]),
                       block(d, op->in[1], n, &work[1]), c);
}

/* NaN's bits are free. */
static int same(SdDtype d, const union Room *a, const union Room *b,
                int64_t i) {
  if (d == SD_F64 && isnan(a->d[i])) return isnan(b->d[i]);
  if (d == SD_F32 && isnan(a->f[i])) return isnan(b->f[i]);
  return !memcmp(a->bytes + (size_t)i * size_of(d),
                 b->bytes + (size_t)i * size_of(d), size_of(d));
}

static int agrees(SdDtype d, int v, int64_t n, int stored) {
  const union Room *want = &looped[v], *got = &fused[v];
  size_t from = stored ? (size_t)n * size_of(d) : 0;
  for (int64_t i = 0; stored && i < n; i++)
    if (!same(d, want, got, i)) {
      printf("# value %d, element %d\n", v, (int)i);
      return 0;
    }
  static union Room before; /* what lies behind is as it was */
  memcpy(before.bytes, want->bytes, sizeof before.bytes);
  return !memcmp(before.bytes + from, got->bytes + from,
                 stored ? sizeof before.bytes - from : 0);
}

/* Runs the ops in as many pieces as they take; whether the results agree. */
static int compare(SdDtype d, int nops, int single, int64_t n, int *pieces) {
  static SdFuseValue rest[VALUES];
  char *at[VALUES];
  int good = 1, done_ops = 0;
  fill(d);
  for (int v = 0; v < VALUES; v++) at[v] = fused[v].bytes;
  for (int i = 0; i < nops; i++) loop_once(d, &ops[i], n);
  for (*pieces = 0; done_ops < nops; (*pieces)++) {
    for (int v = 0; v < VALUES; v++) {
      rest[v] = values[v];
      rest[v].last -= done_ops;
    }
    SdFuseRun run = {d, single, ops + done_ops, nops - done_ops, rest, VALUES};
    int taken = 0;
    SdFused *f = sd_fuse(&run, &taken);
    if (!f || taken < 1) return 0;
    sd_fuse_call(f, n, at);
    sd_fuse_free(f);
    done_ops += taken;
  }
  for (int i = 0; i < nops; i++)
    if (values[ops[i].out].kept)
      good &= agrees(d, ops[i].out, n, 1);
  return good;
}

static void test_runs(SdDtype d, int single, const char *name) {
  static const int64_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 64, 100, 300};
  int bad = 0, cut = 0, pieces;
  for (int i = 0; i < RUNS; i++) {
    int nops = 1 + below(i % 4 ? 12 : MOST);
    int64_t n = single ? 1 : sizes[below(sizeof sizes / sizeof *sizes)];
    make_run(nops, single, i % 3 ? 6 : 1);
    if (!compare(d, nops, single, n, &pieces)) bad++;
    cut += pieces > 1;
  }
  ok(bad == 0, "%d random runs of ops, %s: the loops' bits", RUNS, name);
  if (!single) ok(cut > 0, "%d of them are cut for want of registers", cut);
}

static void test_in_place(void) {
  SdFuseOp run_ops[2] = {
      {SD_LOOP_MUL, 2, {0, 1, -1}, {-1, -1}, {0, 0}},
      {SD_LOOP_ADD, 3, {2, 0, -1}, {-1, -1}, {0, 0}}};
  SdFuseValue run_values[4] = {
      {.last = 1}, {.last = 0}, {.last = 1}, {.last = -1, .kept = 1}};
  SdFuseRun run = {SD_F32, 0, run_ops, 2, run_values, 4};
  int taken = 0, good = 1;
  fill(SD_F32);
  char *at[4] = {fused[0].bytes, fused[1].bytes, NULL, fused[0].bytes};
  SdFused *f = sd_fuse(&run, &taken);
  if (f) sd_fuse_call(f, 100, at);
  for (int i = 0; f && i < 100; i++) {
    float product = looped[0].f[i] * looped[1].f[i];
    looped[2].f[i] = product + looped[0].f[i];
    good &= same(SD_F32, &looped[2], &fused[0], i);
  }
  ok(f && taken == 2 && good, "written over an input, nothing else stored");
  sd_fuse_free(f);
}

static int is_compiled(const SdProgram *p) {
  return p->code[0].fused && p->code[0].span == p->ncode;
}

/* (x + 1) (x - y), which is compiled before its third run. */
static void test_program(void) {
  SdError err;
  SdShape shape = sd_shape_make(1, (int64_t[]){1000});
  SdProgram *p = sd_program_begin(&shape);
  int x = sd_program_input(p, SD_F64, &shape);
  int y = sd_program_input(p, SD_F64, &shape);
  int one = sd_program_constant(p, SD_F64, 1);
  int a = sd_program_instruction(p, SD_LOOP_ADD, SD_F64, SD_F64, 2,
                                 (int[]){x, one});
  int b = sd_program_instruction(p, SD_LOOP_SUB, SD_F64, SD_F64, 2,
                                 (int[]){x, y});
  sd_program_output(p, sd_program_instruction(p, SD_LOOP_MUL, SD_F64, SD_F64,
                                              2, (int[]){a, b}));
  p = sd_program_finish(p, &err);
  SdArray in[2], out;
  for (int k = 0; k < 2; k++) {
    sd_array_new(&in[k], SD_F64, &shape, &err);
    for (int i = 0; i < 1000; i++) ((double *)in[k].data)[i] = sample();
  }
  sd_array_new(&out, SD_F64, &shape, &err);
  const SdArray *inputs[2] = {&in[0], &in[1]};
  SdArray *outputs[1] = {&out};
  for (int run = 1; run <= 3; run++) {
    int good = sd_program_run(p, inputs, outputs, &err) == SD_OK;
    for (int i = 0; i < 1000; i++) {
      double u = ((double *)in[0].data)[i], v = ((double *)in[1].data)[i];
      double want = (u + 1) * (u - v), got = ((double *)out.data)[i];
      good &= want == got || (isnan(want) && isnan(got));
    }
    ok(good && is_compiled(p) == (run == 3), "run %d of a program, %s", run,
       run < 3 ? "by the loops" : "by its code");
  }
  for (int k = 0; k < 2; k++) sd_array_release(&in[k]);
  sd_array_release(&out);
  sd_program_release(p);
}

/* Blocks come back: so many of them would not fit. */
static void test_memory(void) {
  unsigned char code[300] = {0xC3};
  int got = 0;
  for (int i = 0; i < 200000; i++) {
    size_t bytes = (size_t)(1 + i % 300);
    const void *p = sd_executable_new(code, bytes);
    got += p && !memcmp(p, code, bytes);
    sd_executable_free(p, bytes);
  }
  ok(got == 200000, "code that is freed makes room");
  static const void *held[100000];
  int n = 0;
  while (n < 100000 && (held[n] = sd_executable_new(code, 300))) n++;
  ok(n > 1000 && n < 100000, "no more code than there is room for: %d", n);
  while (n > 0) sd_executable_free(held[--n], 300);
}

/* A forked copy has code of its own. */
static void test_fork(void) {
  SdFuseOp op = {SD_LOOP_ADD, 2, {0, 1, -1}, {-1, -1}, {0, 0}};
  SdFuseValue run_values[3] = {{.last = 0}, {.last = 0}, {.kept = 1}};
  SdFuseRun run = {SD_F64, 0, &op, 1, run_values, 3};
  double x[3] = {1, 2, 0};
  char *at[3] = {(char *)&x[0], (char *)&x[1], (char *)&x[2]};
  unsigned char other[128] = {0xC3};
  int taken, status = 1;
  SdFused *f = sd_fuse(&run, &taken);
  pid_t child = fork();
  if (child == 0) {
    sd_fuse_free(f);
    for (int i = 0; i < 100; i++) sd_executable_new(other, sizeof other);
    _exit(0);
  }
  waitpid(child, &status, 0);
  if (f) sd_fuse_call(f, 1, at);
  ok(status == 0 && x[2] == 3, "a forked process does not write over code");
  sd_fuse_free(f);
}

int main(void) {
  if (!sd_fuse_takes(SD_LOOP_ADD, SD_F32)) {
    printf("1..0 # SKIP no code is generated for this processor\n");
    return 0;
  }
  test_runs(SD_F32, 0, "f32");
  test_runs(SD_F64, 0, "f64");
  test_runs(SD_F32, 1, "f32, single elements");
  test_runs(SD_F64, 1, "f64, single elements");
  test_in_place();
  test_program();
  test_memory();
  test_fork();
  return done();
}
