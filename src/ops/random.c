/*
** Random tensors.  A node names a stream of a generator: its elements are a
** function of (seed, stream, place), whoever computes them.  A replayed
** plan gives its nodes new streams.
** Attributes: i[0] dtype, i[1] seed, i[2] stream, i[3] low, i[4] high, then
** the shape; data: the generator, retained.
*/
#include "ops/ops.h"

#include "base/memory.h"
#include "kernels/random.h"

#include <string.h>

enum { RAND, RANDN, RANDINT, RANDPERM, NOPS };
static const SdOp table[NOPS];

/* ---- generators --------------------------------------------------------- */

SdGenerator *sd_generator_new(uint64_t seed, SdError *err) {
  SdGenerator *g = sd_memory_alloc(sizeof *g, err);
  if (g) *g = (SdGenerator){.refs = 1, .seed = seed};
  return g;
}

void sd_generator_release(SdGenerator *g) {
  if (g && --g->refs == 0) sd_memory_free(g, sizeof *g);
}

SdGenerator *sd_generator_default(void) {
  static SdGenerator g = {.refs = 1};
  return &g;
}

/* ---- nodes -------------------------------------------------------------- */

enum { AT_SHAPE = 5 };

static SdStatus random_infer(SdNode *y, SdError *err) {
  ((SdGenerator *)y->attr->data)->refs++;
  y->dtype = (unsigned char)y->attr->i[0];
  y->shape = sd_shape_make(y->attr->count - AT_SHAPE, y->attr->i + AT_SHAPE);
  return sd_shape_check(&y->shape, y->op->name, err);
}

static SdStatus random_eval(const SdNode *y, const SdArray *const *in,
                            SdArray *out, SdError *err) {
  const int64_t *a = y->attr->i;
  int64_t n = sd_array_numel(out);
  uint64_t seed = (uint64_t)a[1], stream = (uint64_t)a[2];
  SdDtype d = (SdDtype)y->dtype;
  (void)in, (void)err;
  if (y->op == &table[RAND])
    sd_random_uniform(d, seed, stream, n, out->data);
  else if (y->op == &table[RANDN])
    sd_random_normal(d, seed, stream, n, out->data);
  else if (y->op == &table[RANDINT])
    sd_random_integer(d, seed, stream, n, a[3], a[4], out->data);
  else
    sd_random_permutation(seed, stream, n, 1, out->data);
  return SD_OK;
}

static void random_release(SdNode *y) { sd_generator_release(y->attr->data); }

static void random_refresh(SdNode *y) {
  SdGenerator *g = y->attr->data;
  y->attr->i[1] = (int64_t)g->seed;
  y->attr->i[2] = (int64_t)g->stream++;
}

static SdNode *random_node(SdBuilder *b, const SdOp *op, SdGenerator *g,
                           SdDtype d, const SdShape *s, int64_t low,
                           int64_t high) {
  SdAttr attr = {.data = g,
                 .count = AT_SHAPE + s->ndim,
                 .i = {d, (int64_t)g->seed, (int64_t)g->stream, low, high}};
  memcpy(attr.i + AT_SHAPE, s->dims, (size_t)s->ndim * sizeof *attr.i);
  SdNode *n = sd_node_make(b, op, 0, NULL, &attr);
  if (n) g->stream++; /* a failed attempt draws nothing */
  return n;
}

SdNode *sd_rand(SdBuilder *b, SdGenerator *g, SdDtype d, const SdShape *s) {
  return random_node(b, &table[RAND], g, d, s, 0, 0);
}

SdNode *sd_randn(SdBuilder *b, SdGenerator *g, SdDtype d, const SdShape *s) {
  return random_node(b, &table[RANDN], g, d, s, 0, 0);
}

/* ---- calls -------------------------------------------------------------- */

static SdGenerator *generator_of(const SdArgument *a) {
  return a->given ? a->data : sd_generator_default();
}

static int shape_of(SdBuilder *b, const SdOp *op, const SdArgument *a,
                    SdShape *s) {
  if (a->n > SD_MAX_DIMS) {
    sd_builder_fail(b, SD_EARGUMENT, "%s: more than %d dims", op->name,
                    SD_MAX_DIMS);
    return 0;
  }
  *s = sd_shape_make(a->n, a->i);
  return 1;
}

static int rand_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                     SdNode **out) {
  SdShape s;
  SdDtype d = c->a[1].given ? (SdDtype)c->a[1].i[0] : sd_default_dtype();
  if (!shape_of(b, op, &c->a[0], &s)) return 0;
  if (!sd_dtype_is_float(d)) {
    sd_builder_fail(b, SD_EARGUMENT, "%s: dtype must be f32 or f64, not %s",
                    op->name, sd_dtype_name(d));
    return 0;
  }
  out[0] = random_node(b, op, generator_of(&c->a[2]), d, &s, 0, 0);
  return out[0] != NULL;
}

static int randint_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                        SdNode **out) {
  SdShape s;
  int64_t low = c->a[0].i[0], high = c->a[1].i[0];
  SdDtype d = c->a[3].given ? (SdDtype)c->a[3].i[0] : SD_I64;
  if (!shape_of(b, op, &c->a[2], &s)) return 0;
  if (low > high || d == SD_BOOL) {
    sd_builder_fail(b, SD_EARGUMENT, "randint: no %s from %lld to %lld",
                    sd_dtype_name(d), (long long)low, (long long)high);
    return 0;
  }
  out[0] = random_node(b, op, generator_of(&c->a[4]), d, &s, low, high);
  return out[0] != NULL;
}

static int randperm_call(SdBuilder *b, const SdOp *op, const SdCall *c,
                         SdNode **out) {
  int64_t n = c->a[0].i[0];
  if (n < 0 || n > INT32_MAX) {
    sd_builder_fail(b, SD_EARGUMENT, "randperm: n is %lld", (long long)n);
    return 0;
  }
  SdShape s = {1, {n}};
  out[0] = random_node(b, op, generator_of(&c->a[1]), SD_I64, &s, 0, 0);
  return out[0] != NULL;
}

#define RANDOM(NAME, ARGS, DOC, SAMPLES, CALL) \
  {.name = NAME, .kind = SD_KIND_CALL, .flags = SD_OP_ZERO_GRAD, \
   .args = ARGS, .doc = DOC, .samples = SAMPLES, .infer = random_infer, \
   .eval = random_eval, .call = CALL, .release = random_release, \
   .refresh = random_refresh}

static const SdOp table[NOPS] = {
    [RAND] = RANDOM("rand", "shape:S dtype:Y? generator:G?",
                    "Uniform numbers in [0, 1).", "2, 3", rand_call),
    [RANDN] = RANDOM("randn", "shape:S dtype:Y? generator:G?",
                     "Standard normal numbers.", "{2, 3}", rand_call),
    [RANDINT] = RANDOM("randint",
                       "low:I high:I shape:S dtype:Y? generator:G?",
                       "Whole numbers from low to high, both included.",
                       "1, 6, {4}", randint_call),
    [RANDPERM] = RANDOM("randperm", "n:I generator:G?",
                        "The numbers 1 .. n in random order.", "5",
                        randperm_call),
};

extern const SdOpList sd_random_ops;
const SdOpList sd_random_ops = {table, NOPS};
