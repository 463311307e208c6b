/*
** Block Krylov spaces with thick restarts.  Rows 0 .. size-1 of the basis are
** V, the block rows after them Q, all orthonormal, with
**   A V = V T + Q B^T,
** T symmetric (size x size) and B the couplings (size x block): after an
** expansion only its last rows are not 0, after a restart all are.
*/
#include "curvature/eigs.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "curvature/lanczos.h"
#include "curvature/ritz.h"
#include "kernels/lapack.h"

#include <math.h>
#include <string.h>

typedef struct Block {
  const SdOperator *op;
  SdEigsOptions o;
  SdBasis basis;              /* capacity + block rows */
  int64_t k, block, capacity, size;
  double *t, *s;              /* capacity^2: T, its eigenvectors */
  double *b;                  /* capacity x block */
  double *h;                  /* capacity + block: coefficients */
  double *rotation;           /* capacity^2 */
  double *theta, *residual;   /* capacity */
  int64_t *order;             /* capacity */
  double norm;                /* of A, from below */
  int64_t products, streams;
  size_t bytes;
} Block;

static void block_free(Block *y) {
  sd_memory_free(y->t, y->bytes);
  sd_basis_free(&y->basis);
}

static SdStatus block_new(Block *y, SdError *err) {
  size_t m = (size_t)y->capacity, b = (size_t)y->block;
  y->bytes = (3 * m * m + m * b + 4 * m + b) * sizeof(double);
  y->t = sd_memory_alloc(y->bytes, err);
  if (!y->t) return err->code;
  memset(y->t, 0, y->bytes);
  y->s = y->t + m * m;
  y->rotation = y->s + m * m;
  y->b = y->rotation + m * m;
  y->h = y->b + m * b;
  y->theta = y->h + m + b;
  y->residual = y->theta + m;
  y->order = (int64_t *)(void *)(y->residual + m);
  return sd_basis_new(&y->basis, y->op->dtype, y->op->n,
                      y->capacity + y->block, err);
}

static SdStatus random_row(Block *y, int64_t at, SdError *err) {
  return sd_basis_random_row(&y->basis, at, y->o.seed,
                             (uint64_t)y->streams++, err);
}

/* Row at, orthogonalised against those before it and scaled; its norm before
** that, or 0 when a random row took the place of nothing but rounding. */
static SdStatus settle_row(Block *y, int64_t at, double *h, double *norm,
                           SdError *err) {
  const SdBasis *s = &y->basis;
  void *w = sd_basis_row(s, at);
  *norm = sd_basis_orthogonalize(s, at, w, h);
  if (*norm <= sd_lanczos_rounding(s->dtype) * y->norm) {
    *norm = 0;
    return random_row(y, at, err);
  }
  sd_vector_scale(s->dtype, s->n, 1 / *norm, w);
  return SD_OK;
}

static SdStatus first_block(Block *y, const void *start, SdError *err) {
  const SdBasis *s = &y->basis;
  for (int64_t i = 0; i < y->block; i++) {
    double norm;
    if (!start) {
      if (random_row(y, i, err) != SD_OK) return err->code;
      continue;
    }
    const void *from = sd_vector_at(s->dtype, start, i * s->n);
    if (sd_lanczos_start(y->op, from, sd_basis_row(s, i), err) != SD_OK)
      return err->code;
    y->norm = 1; /* of the rows, for now */
    if (settle_row(y, i, y->h, &norm, err) != SD_OK) return err->code;
  }
  y->norm = 0;
  return SD_OK;
}

/* ---- the recurrence ----------------------------------------------------- */

/* Row i of the products of Q: column size + i of T and row size + i of the
** next couplings. */
static SdStatus absorb(Block *y, int64_t i, SdError *err) {
  int64_t m = y->size, b = y->block, c = y->capacity, at = m + b + i;
  double norm = sd_vector_norm(y->op->dtype, y->op->n,
                               sd_basis_row(&y->basis, at)), left;
  if (!isfinite(norm))
    return sd_error_set(err, SD_ENUMERIC,
                        "eigs: the operator's product %lld is not finite",
                        (long long)(y->products - b + i + 1));
  if (norm > y->norm) y->norm = norm;
  if (settle_row(y, at, y->h, &left, err) != SD_OK) return err->code;
  for (int64_t j = 0; j < m + b; j++)
    y->t[(m + i) * c + j] = y->t[j * c + m + i] = y->h[j];
  double *coupling = y->b + (m + i) * b;
  memset(coupling, 0, (size_t)b * sizeof *coupling);
  for (int64_t j = 0; j < i; j++) coupling[j] = y->h[m + b + j];
  coupling[i] = left;
  return SD_OK;
}

static SdStatus expand(Block *y, SdError *err) {
  const SdBasis *s = &y->basis;
  int64_t m = y->size, b = y->block;
  if (sd_operator_apply_rows(y->op, b, sd_basis_row(s, m),
                             sd_basis_row(s, m + b), err) != SD_OK)
    return err->code;
  y->products += b;
  for (int64_t i = 0; i < b; i++)
    if (absorb(y, i, err) != SD_OK) return err->code;
  memset(y->b, 0, (size_t)(m * b) * sizeof *y->b);
  y->size = m + b;
  return SD_OK;
}

/* theta, residual, s and order from T and B. */
static SdStatus decompose(Block *y, SdError *err) {
  int64_t m = y->size, c = y->capacity, b = y->block;
  for (int64_t i = 0; i < m; i++)
    memcpy(y->s + i * m, y->t + i * c, (size_t)m * sizeof *y->s);
  if (sd_lapack_eigh(SD_F64, m, y->s, y->theta, 1, "eigs", err) != SD_OK)
    return err->code;
  for (int64_t j = 0; j < m; j++) {
    double sum = 0;
    for (int64_t l = 0; l < b; l++) {
      double part = 0;
      for (int64_t i = 0; i < m; i++)
        part += y->b[i * b + l] * y->s[i * m + j];
      sum = hypot(sum, part);
    }
    y->residual[j] = sum;
    if (fabs(y->theta[j]) > y->norm) y->norm = fabs(y->theta[j]);
  }
  return sd_ritz_rank(y->o.which, m, y->theta, y->order, err);
}

/* The best keep Ritz pairs become V, T and B; rotation is scratch. */
static SdStatus restart(Block *y, int64_t keep, SdError *err) {
  const SdBasis *s = &y->basis;
  int64_t m = y->size, c = y->capacity, b = y->block;
  double *r = y->rotation, *couple = y->t; /* T is rebuilt */
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < keep; j++)
      r[i * keep + j] = y->s[i * m + y->order[j]];
  if (sd_basis_rotate(s, 0, m, keep, r, keep, err) != SD_OK)
    return err->code;
  memmove(sd_basis_row(s, keep), sd_basis_row(s, m),
          (size_t)(b * s->n) * sd_dtype_size(s->dtype));
  memset(couple, 0, (size_t)(keep * b) * sizeof *couple);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < keep; j++)
      for (int64_t l = 0; l < b; l++)
        couple[j * b + l] += r[i * keep + j] * y->b[i * b + l];
  memcpy(y->b, couple, (size_t)(keep * b) * sizeof *couple);
  memset(y->t, 0, (size_t)(c * c) * sizeof *y->t);
  for (int64_t j = 0; j < keep; j++)
    y->t[j * c + j] = y->theta[y->order[j]];
  y->size = keep;
  return SD_OK;
}

static int wanted_converged(const Block *y) {
  if (y->size < y->k) return 0;
  for (int64_t i = 0; i < y->k; i++)
    if (y->residual[y->order[i]] > y->o.tol * y->norm / 2) return 0;
  return 1;
}

static SdStatus search(Block *y, SdEigsEnd *end, SdError *err) {
  for (;;) {
    if (y->size + y->block > y->capacity) {
      int64_t keep = y->k + (y->capacity - y->block - y->k) / 2;
      if (restart(y, keep, err) != SD_OK) return err->code;
    }
    if (expand(y, err) != SD_OK || decompose(y, err) != SD_OK)
      return err->code;
    *end = wanted_converged(y) ? SD_EIGS_CONVERGED : SD_EIGS_MAX_ITER;
    if (*end == SD_EIGS_CONVERGED) return SD_OK;
    if (y->products >= y->o.max_iter && y->size >= y->k) return SD_OK;
  }
}

/* ---- the whole ---------------------------------------------------------- */

static SdStatus collect(Block *y, SdEigsEnd end, SdEigs *out, SdError *err) {
  int64_t k = y->k < y->size ? y->k : y->size, m = y->size;
  double *values = y->t, *residuals = y->t + k; /* in the order of order */
  double *r = y->rotation;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < k; j++) r[i * k + j] = y->s[i * m + y->order[j]];
  for (int64_t j = 0; j < k; j++) {
    values[j] = y->theta[y->order[j]];
    residuals[j] = y->residual[y->order[j]];
  }
  SdRitz ritz = {y->op, &y->basis, &y->o, k, values, residuals, y->norm,
                 y->products, end};
  if (sd_basis_rotate(&y->basis, 0, m, k, r, k, err) != SD_OK)
    return err->code;
  return sd_ritz_collect(&ritz, out, err);
}

static SdStatus run(Block *y, const void *start, SdEigs *out, SdError *err) {
  SdEigsEnd end = SD_EIGS_MAX_ITER;
  if (block_new(y, err) != SD_OK || first_block(y, start, err) != SD_OK)
    return err->code;
  SdStatus status = search(y, &end, err);
  if (status == SD_EINTERRUPT && y->size > 0) {
    SdError late;
    sd_interrupt_keep();
    if (decompose(y, &late) != SD_OK) return status;
    end = SD_EIGS_INTERRUPTED;
  } else if (status != SD_OK) {
    return status;
  }
  return collect(y, end, out, err);
}

SdStatus sd_eigs_block(const SdOperator *op, int64_t block, const void *start,
                       const SdEigsOptions *o, SdEigs *out, SdError *err) {
  Block y = {.op = op, .o = *o, .block = block};
  *out = (SdEigs){.k = 0};
  if (sd_ritz_configure(op, &y.o, err) != SD_OK) return err->code;
  if (block < 1)
    return sd_error_set(err, SD_EARGUMENT, "eigs: a block of %lld vectors",
                        (long long)block);
  y.k = y.o.k;
  y.capacity = y.o.subspace ? y.o.subspace : 2 * y.k + 20 + 4 * block;
  if (y.capacity < y.k + 3 * block) y.capacity = y.k + 3 * block;
  /* Where blocks hardly fit, single vectors do as well. */
  if (y.capacity + block > op->n) return sd_eigs_run(op, NULL, o, out, err);
  SdStatus status = run(&y, start, out, err);
  block_free(&y);
  return status;
}
