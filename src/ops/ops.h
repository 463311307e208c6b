/*
** The primitives as functions, for derivative rules, models, optimizers and
** C programs.  All follow the builder's convention (graph/node.h): borrowed
** result, NULL passes through.  Dims count from 0 here.
*/
#ifndef SD_OPS_H
#define SD_OPS_H

#include "graph/node.h"
#include "ops/call.h"

/* ---- elementwise (broadcasting, dtypes promoted as PyTorch does) ------- */

SdNode *sd_add(SdBuilder *b, SdNode *x, SdNode *y);
SdNode *sd_sub(SdBuilder *b, SdNode *x, SdNode *y);
SdNode *sd_mul(SdBuilder *b, SdNode *x, SdNode *y);
SdNode *sd_div(SdBuilder *b, SdNode *x, SdNode *y);
SdNode *sd_pow(SdBuilder *b, SdNode *x, SdNode *y);
SdNode *sd_neg(SdBuilder *b, SdNode *x);
SdNode *sd_square(SdBuilder *b, SdNode *x);
SdNode *sd_sqrt(SdBuilder *b, SdNode *x);
SdNode *sd_rsqrt(SdBuilder *b, SdNode *x);
SdNode *sd_reciprocal(SdBuilder *b, SdNode *x);
SdNode *sd_exp(SdBuilder *b, SdNode *x);
SdNode *sd_log(SdBuilder *b, SdNode *x);
SdNode *sd_sin(SdBuilder *b, SdNode *x);
SdNode *sd_cos(SdBuilder *b, SdNode *x);
SdNode *sd_tanh(SdBuilder *b, SdNode *x);
SdNode *sd_sinh(SdBuilder *b, SdNode *x);
SdNode *sd_cosh(SdBuilder *b, SdNode *x);
SdNode *sd_sigmoid(SdBuilder *b, SdNode *x);
SdNode *sd_sign(SdBuilder *b, SdNode *x);
SdNode *sd_relu(SdBuilder *b, SdNode *x);
SdNode *sd_polygamma(SdBuilder *b, SdNode *n, SdNode *x);
SdNode *sd_eq(SdBuilder *b, SdNode *x, SdNode *y);
SdNode *sd_lt(SdBuilder *b, SdNode *x, SdNode *y);
SdNode *sd_le(SdBuilder *b, SdNode *x, SdNode *y);
SdNode *sd_where(SdBuilder *b, SdNode *c, SdNode *x, SdNode *y);
SdNode *sd_cast(SdBuilder *b, SdNode *x, SdDtype d);

/* x times, plus a number. */
SdNode *sd_scale(SdBuilder *b, SdNode *x, double s);
SdNode *sd_shift(SdBuilder *b, SdNode *x, double s);

/* The elementwise op over in, inputs promoted and cast. */
SdNode *sd_elementwise(SdBuilder *b, const SdOp *op, SdNode *const *in,
                       int nin);

/* ---- constants ---------------------------------------------------------- */

/* A 0-d constant; weak ones (numbers of a script) take the dtype of what
** they meet. */
SdNode *sd_constant(SdBuilder *b, SdDtype d, double value);
SdNode *sd_number(SdBuilder *b, double value, int is_integer);
SdNode *sd_full(SdBuilder *b, SdDtype d, const SdShape *shape, double value);
SdNode *sd_zeros_like(SdBuilder *b, SdNode *x);
/* 0, 1, .., n-1 */
SdNode *sd_iota(SdBuilder *b, SdDtype d, int64_t n);

SdDtype sd_default_dtype(void);
void sd_set_default_dtype(SdDtype d);

/* ---- reductions over a set of dims given as bits ------------------------ */

SdNode *sd_sum(SdBuilder *b, SdNode *x, int64_t dims, int keepdim);
SdNode *sd_amax(SdBuilder *b, SdNode *x, int64_t dims, int keepdim);
/* Sums what broadcasting shape to x's shape had repeated. */
SdNode *sd_sum_to(SdBuilder *b, SdNode *x, const SdShape *shape);
SdNode *sd_cumsum(SdBuilder *b, SdNode *x, int dim, int reverse);

/* ---- shape -------------------------------------------------------------- */

SdNode *sd_reshape(SdBuilder *b, SdNode *x, const SdShape *shape);
SdNode *sd_permute(SdBuilder *b, SdNode *x, const int *dims);
SdNode *sd_transpose(SdBuilder *b, SdNode *x, int i, int j);
/* Whether x is another node with its last two dims exchanged. */
int sd_is_turned(const SdNode *x);
SdNode *sd_expand(SdBuilder *b, SdNode *x, const SdShape *shape);
SdNode *sd_unsqueeze(SdBuilder *b, SdNode *x, int dim);
SdNode *sd_squeeze(SdBuilder *b, SdNode *x, int dim);
/* Elements start, start + step, .. (count of them) of each dim; without the
** dims whose bits are dropped, which have one. */
SdNode *sd_slice(SdBuilder *b, SdNode *x, const int64_t *start,
                 const int64_t *count, const int64_t *step, unsigned dropped);
SdNode *sd_narrow(SdBuilder *b, SdNode *x, int dim, int64_t start,
                  int64_t count);
/* The transpose of slice: zeros of the given shape with x laid in. */
SdNode *sd_embed(SdBuilder *b, SdNode *x, const SdShape *shape,
                 const int64_t *start, const int64_t *step, unsigned dropped);
SdNode *sd_cat(SdBuilder *b, SdNode *const *x, int n, int dim);

/* ---- indexing; index is i64 and counts from 1 --------------------------- */

SdNode *sd_gather(SdBuilder *b, SdNode *x, int dim, SdNode *index);
SdNode *sd_scatter_add(SdBuilder *b, SdNode *x, int dim, SdNode *index,
                       int64_t size);
SdNode *sd_take(SdBuilder *b, SdNode *x, int dim, SdNode *index);
SdNode *sd_put_add(SdBuilder *b, SdNode *x, int dim, SdNode *index,
                   int64_t size);

/* x with slice j of v laid at place index[j] of the first dim, for all j in
** order: the last of equals stays.  v has x's dtype. */
SdNode *sd_put(SdBuilder *b, SdNode *x, SdNode *index, SdNode *v);

/* ---- products ----------------------------------------------------------- */

/* NumPy's matmul. */
SdNode *sd_matmul(SdBuilder *b, SdNode *x, SdNode *y);

/* ---- linear algebra over the last two dims ------------------------------ */

SdNode *sd_solve(SdBuilder *b, SdNode *a, SdNode *x);
SdNode *sd_solve_triangular(SdBuilder *b, SdNode *a, SdNode *x, int upper,
                            int transpose);
SdNode *sd_cholesky(SdBuilder *b, SdNode *a);
SdNode *sd_tril(SdBuilder *b, SdNode *x, int64_t diagonal);

/* ---- random ------------------------------------------------------------- */

typedef struct SdGenerator {
  int refs;
  uint64_t seed, stream; /* the next stream to draw from */
} SdGenerator;

SdGenerator *sd_generator_new(uint64_t seed, SdError *err);
void sd_generator_release(SdGenerator *g);
SdGenerator *sd_generator_default(void);
SdNode *sd_randn(SdBuilder *b, SdGenerator *g, SdDtype d, const SdShape *s);
SdNode *sd_rand(SdBuilder *b, SdGenerator *g, SdDtype d, const SdShape *s);

/* ---- the table ---------------------------------------------------------- */

typedef struct SdOpList {
  const SdOp *ops;
  int count;
} SdOpList;

/* The i-th op of all, NULL past the end; the op called name or NULL. */
const SdOp *sd_op_at(int i);
const SdOp *sd_op_find(const char *name);

extern const SdOp sd_op_constant;

#endif
