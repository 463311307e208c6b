/* Power iteration, one vector after the other, orthogonal to those found. */
#include "curvature/eigs.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "curvature/lanczos.h"
#include "curvature/ritz.h"

#include <math.h>
#include <string.h>

typedef struct Power {
  const SdOperator *op;
  SdEigsOptions o;
  SdBasis basis; /* k + 2 rows */
  double norm;
  int64_t products;
} Power;

/* One product of row i: its Rayleigh quotient and residual; the product,
** orthogonal to the rows before and scaled, takes its place. */
static SdStatus step(Power *y, int64_t i, double *value, double *residual,
                     SdError *err) {
  const SdBasis *b = &y->basis;
  SdDtype d = b->dtype;
  void *v = sd_basis_row(b, i), *w = sd_basis_row(b, i + 1);
  void *r = sd_basis_row(b, i + 2);
  if (sd_operator_apply(y->op, v, w, err) != SD_OK) return err->code;
  y->products++;
  double norm = sd_vector_norm(d, b->n, w);
  if (!isfinite(norm))
    return sd_error_set(err, SD_ENUMERIC,
                        "eigs: the operator's product %lld is not finite",
                        (long long)y->products);
  if (norm > y->norm) y->norm = norm;
  *value = sd_vector_dot(d, b->n, v, w);
  sd_vector_combine(d, b->n, 1, w, -*value, v, r);
  *residual = sd_vector_norm(d, b->n, r);
  double left = sd_basis_orthogonalize(b, i, w, NULL);
  if (*residual <= y->o.tol * y->norm / 2 ||
      left <= sd_lanczos_rounding(d) * y->norm)
    return SD_OK;
  sd_vector_combine(d, b->n, 1 / left, w, 0, w, v);
  return SD_OK;
}

static SdStatus find(Power *y, int64_t i, const void *start, double *value,
                     double *residual, SdError *err) {
  SdStatus status =
      start && i == 0
          ? sd_lanczos_start(y->op, start, sd_basis_row(&y->basis, 0), err)
          : sd_basis_random_row(&y->basis, i, y->o.seed, (uint64_t)i, err);
  if (status != SD_OK) return status;
  do {
    if (step(y, i, value, residual, err) != SD_OK) return err->code;
  } while (*residual > y->o.tol * y->norm / 2 &&
           y->products < y->o.max_iter);
  return SD_OK;
}

static SdStatus run(Power *y, const void *start, double *values, SdEigs *out,
                    SdError *err) {
  int64_t k = y->o.k, found = 0;
  SdEigsEnd end = SD_EIGS_CONVERGED;
  for (; found < k; found++) {
    SdStatus status =
        find(y, found, start, &values[found], &values[k + found], err);
    if (status == SD_EINTERRUPT && found > 0) {
      sd_interrupt_keep();
      end = SD_EIGS_INTERRUPTED;
      break;
    }
    if (status != SD_OK) return status;
    if (y->products >= y->o.max_iter) end = SD_EIGS_MAX_ITER;
  }
  SdRitz ritz = {y->op, &y->basis, &y->o, found, values, values + k, y->norm,
                 y->products, end};
  return sd_ritz_collect(&ritz, out, err);
}

SdStatus sd_eigs_power(const SdOperator *op, const void *start,
                       const SdEigsOptions *o, SdEigs *out, SdError *err) {
  Power y = {.op = op, .o = *o};
  *out = (SdEigs){.k = 0};
  if (sd_ritz_configure(op, &y.o, err) != SD_OK) return err->code;
  y.o.which = SD_EIGS_MAGNITUDE;
  size_t bytes = (size_t)(2 * y.o.k) * sizeof(double);
  double *values = sd_memory_alloc(bytes, err);
  if (!values) return err->code;
  SdStatus status =
      sd_basis_new(&y.basis, op->dtype, op->n, y.o.k + 2, err);
  if (status == SD_OK) status = run(&y, start, values, out, err);
  sd_basis_free(&y.basis);
  sd_memory_free(values, bytes);
  return status;
}
