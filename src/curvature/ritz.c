#include "curvature/ritz.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "curvature/lanczos.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Ranked {
  double key;
  int64_t index;
} Ranked;

static int descending(const void *a, const void *b) {
  const Ranked *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? 1 : -1;
  return x->index < y->index ? -1 : 1;
}

SdStatus sd_ritz_rank(SdEigsWhich which, int64_t m, const double *values,
                      int64_t *order, SdError *err) {
  size_t bytes = (size_t)m * sizeof(Ranked);
  Ranked *r = sd_memory_alloc(bytes, err);
  if (!r) return err->code;
  for (int64_t i = 0; i < m; i++) {
    double v = values[i];
    r[i].key = which == SD_EIGS_SMALLEST    ? -v
               : which == SD_EIGS_MAGNITUDE ? fabs(v)
                                            : v;
    r[i].index = i;
  }
  qsort(r, (size_t)m, sizeof *r, descending);
  for (int64_t i = 0; i < m; i++)
    order[i] = r[which != SD_EIGS_BOTH ? i
                 : i % 2               ? m - 1 - i / 2
                                       : i / 2].index;
  sd_memory_free(r, bytes);
  return SD_OK;
}

SdStatus sd_ritz_configure(const SdOperator *op, SdEigsOptions *o,
                           SdError *err) {
  int64_t n = op->n;
  double rounding = sd_lanczos_rounding(op->dtype);
  if (sd_operator_check(op, "eigs", err) != SD_OK) return err->code;
  if (o->k < 1 || o->k > n)
    return sd_error_set(err, SD_EARGUMENT,
                        "eigs: k = %lld of %lld eigenvalues",
                        (long long)o->k, (long long)n);
  if (!(o->tol >= 0 && isfinite(o->tol)))
    return sd_error_set(err, SD_EARGUMENT, "eigs: tol must be 0 or above, "
                        "and finite, not %g", o->tol);
  if (o->tol == 0) o->tol = op->dtype == SD_F32 ? 1e-5 : 1e-10;
  if (o->tol < rounding) o->tol = rounding;
  if (o->max_iter == 0)
    o->max_iter = n < 100 ? 1000 : n > 1000 ? 10000 : 10 * n;
  if (o->max_iter < o->k) o->max_iter = o->k;
  return SD_OK;
}

const char *sd_eigs_end_name(SdEigsEnd end) {
  static const char *const names[] = {
      [SD_EIGS_CONVERGED] = "converged",
      [SD_EIGS_MAX_ITER] = "max_iter reached",
      [SD_EIGS_ROUNDING] = "rounding allows no smaller residuals",
      [SD_EIGS_INTERRUPTED] = "interrupted"};
  return names[end];
}

void sd_eigs_free(SdEigs *e) {
  size_t doubles = (size_t)e->k * sizeof(double);
  size_t size = (size_t)(e->k * e->n) * sd_dtype_size(e->dtype);
  sd_memory_free(e->values, doubles);
  sd_memory_free(e->residuals, doubles);
  sd_memory_free(e->vectors, size);
  *e = (SdEigs){.k = 0};
}

static SdStatus eigs_new(const SdRitz *r, SdEigs *e, SdError *err) {
  const SdOperator *op = r->op;
  size_t doubles = (size_t)r->k * sizeof(double);
  size_t size = (size_t)(r->k * op->n) * sd_dtype_size(op->dtype);
  *e = (SdEigs){.k = r->k, .n = op->n, .dtype = op->dtype};
  if ((e->values = sd_memory_alloc(doubles, err)) &&
      (e->residuals = sd_memory_alloc(doubles, err)) &&
      (e->vectors = sd_memory_alloc(size, err)))
    return SD_OK;
  return err->code;
}

/* The Rayleigh quotient of row i and its residual; w is scratch. */
static SdStatus measure(SdRitz *r, int64_t i, void *w, SdError *err) {
  SdDtype d = r->op->dtype;
  int64_t n = r->op->n;
  void *v = sd_basis_row(r->basis, i);
  if (sd_operator_apply(r->op, v, w, err) != SD_OK) return err->code;
  r->products++;
  double value = sd_vector_dot(d, n, v, w) / sd_vector_dot(d, n, v, v);
  sd_vector_axpy(d, n, -value, v, w);
  r->values[i] = value;
  r->residuals[i] = sd_vector_norm(d, n, w);
  return SD_OK;
}

/* With out's own memory for scratch. */
static SdStatus measure_all(SdRitz *r, SdEigs *e, SdError *err) {
  for (int64_t i = 0; i < r->k; i++) {
    SdStatus status = measure(r, i, e->vectors, err);
    if (status == SD_EINTERRUPT) { /* the estimates do for the others */
      sd_interrupt_keep();
      r->end = SD_EIGS_INTERRUPTED;
      return SD_OK;
    }
    if (status != SD_OK) return status;
  }
  return SD_OK;
}

static SdStatus sort_into(SdRitz *r, int64_t *order, SdEigs *e,
                          SdError *err) {
  SdEigsWhich which = r->o->which;
  size_t size = (size_t)r->op->n * sd_dtype_size(r->op->dtype);
  if (r->end != SD_EIGS_INTERRUPTED && measure_all(r, e, err) != SD_OK)
    return err->code;
  if (which == SD_EIGS_BOTH) which = SD_EIGS_LARGEST;
  if (sd_ritz_rank(which, r->k, r->values, order, err) != SD_OK)
    return err->code;
  for (int64_t i = 0; i < r->k; i++) {
    int64_t from = order[i];
    e->values[i] = r->values[from];
    e->residuals[i] = r->residuals[from];
    e->converged += r->residuals[from] <= r->o->tol * r->norm;
    memcpy((char *)e->vectors + (size_t)i * size,
           sd_basis_row(r->basis, from), size);
  }
  e->iterations = r->products;
  e->norm = r->norm;
  e->end = r->end;
  if (r->end == SD_EIGS_CONVERGED && e->converged < r->k)
    e->end = SD_EIGS_ROUNDING;
  if (r->end == SD_EIGS_MAX_ITER && e->converged == r->k)
    e->end = SD_EIGS_CONVERGED;
  return SD_OK;
}

SdStatus sd_ritz_collect(SdRitz *r, SdEigs *out, SdError *err) {
  size_t bytes = (size_t)r->k * sizeof(int64_t);
  int64_t *order = sd_memory_alloc(bytes, err);
  *out = (SdEigs){.k = 0};
  if (!order) return err->code;
  SdStatus status = eigs_new(r, out, err);
  if (status == SD_OK) status = sort_into(r, order, out, err);
  if (status != SD_OK) sd_eigs_free(out);
  sd_memory_free(order, bytes);
  return status;
}
