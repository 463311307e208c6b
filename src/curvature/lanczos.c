#include "curvature/lanczos.h"

#include "base/memory.h"

#include <float.h>
#include <math.h>
#include <string.h>

double sd_lanczos_rounding(SdDtype d) {
  return 16 * (d == SD_F32 ? (double)FLT_EPSILON : DBL_EPSILON);
}

SdStatus sd_lanczos_start(const SdOperator *op, const void *start, void *v,
                          SdError *err) {
  double norm = sd_vector_norm(op->dtype, op->n, start);
  if (!isfinite(norm) || norm == 0)
    return sd_error_set(err, SD_EARGUMENT,
                        "lanczos: the start vector %s",
                        norm == 0 ? "is zero" : "is not finite");
  memcpy(v, start, (size_t)op->n * sd_dtype_size(op->dtype));
  sd_vector_scale(op->dtype, op->n, 1 / norm, v);
  return SD_OK;
}

void sd_lanczos_free(SdLanczos *l) {
  size_t bytes = (size_t)l->wanted * sizeof(double);
  sd_memory_free(l->alpha, bytes);
  sd_memory_free(l->beta, bytes);
  sd_basis_free(&l->basis);
  l->alpha = l->beta = NULL;
}

typedef struct Run {
  const SdOperator *op;
  const SdLanczosOptions *o;
  SdLanczos *l;
  double *h;   /* coefficients taken out of A v */
  double norm; /* of A, the best lower bound so far */
} Run;

/* Vector i: all are kept, or the last three. */
static void *vector(const Run *r, int64_t i) {
  int all = r->o->reorthogonalize || r->o->keep_basis;
  return sd_basis_row(&r->l->basis, all ? i : i % 3);
}

/* Takes the earlier vectors out of w = A v_j; returns what is left. */
static double take_out(const Run *r, int64_t j, void *w) {
  SdLanczos *l = r->l;
  SdDtype d = r->op->dtype;
  int64_t n = r->op->n;
  if (r->o->reorthogonalize) {
    double beta = sd_basis_orthogonalize(&l->basis, j + 1, w, r->h);
    l->alpha[j] = r->h[j];
    return beta;
  }
  if (j > 0) sd_vector_axpy(d, n, -l->beta[j - 1], vector(r, j - 1), w);
  l->alpha[j] = sd_vector_dot(d, n, vector(r, j), w);
  sd_vector_axpy(d, n, -l->alpha[j], vector(r, j), w);
  return sd_vector_norm(d, n, w);
}

static SdStatus step(Run *r, int64_t j, SdError *err) {
  SdLanczos *l = r->l;
  void *w = vector(r, j + 1);
  if (sd_operator_apply(r->op, vector(r, j), w, err) != SD_OK)
    return err->code;
  double norm = sd_vector_norm(r->op->dtype, r->op->n, w);
  if (!isfinite(norm))
    return sd_error_set(err, SD_ENUMERIC,
                        "lanczos: the operator's product %lld is not finite",
                        (long long)j + 1);
  if (norm > r->norm) r->norm = norm;
  double beta = take_out(r, j, w);
  l->steps = j + 1;
  if (beta <= sd_lanczos_rounding(r->op->dtype) * r->norm) beta = 0;
  l->beta[j] = l->steps == r->op->n && r->o->reorthogonalize ? 0 : beta;
  if (beta > 0) sd_vector_scale(r->op->dtype, r->op->n, 1 / beta, w);
  return SD_OK;
}

static SdStatus allocate(Run *r, int64_t steps, SdError *err) {
  SdLanczos *l = r->l;
  size_t bytes = (size_t)steps * sizeof(double);
  int all = r->o->reorthogonalize || r->o->keep_basis;
  l->wanted = steps;
  if (!(l->alpha = sd_memory_alloc(bytes, err)) ||
      !(l->beta = sd_memory_alloc(bytes, err)))
    return err->code;
  return sd_basis_new(&l->basis, r->op->dtype, r->op->n,
                      all || steps < 3 ? steps + 1 : 3, err);
}

static SdStatus run(Run *r, const void *start, int64_t steps, SdError *err) {
  if (allocate(r, steps, err) != SD_OK ||
      sd_lanczos_start(r->op, start, vector(r, 0), err) != SD_OK)
    return err->code;
  for (int64_t j = 0; j < steps; j++) {
    if (step(r, j, err) != SD_OK) return err->code;
    if (r->l->beta[j] == 0) break;
  }
  if (!r->o->reorthogonalize && !r->o->keep_basis)
    sd_basis_free(&r->l->basis);
  return SD_OK;
}

SdStatus sd_lanczos_run(const SdOperator *op, const void *start,
                        const SdLanczosOptions *o, SdLanczos *out,
                        SdError *err) {
  *out = (SdLanczos){.steps = 0};
  if (sd_operator_check(op, "lanczos", err) != SD_OK) return err->code;
  if (o->steps < 1)
    return sd_error_set(err, SD_EARGUMENT, "lanczos: %lld steps",
                        (long long)o->steps);
  int64_t steps = o->steps;
  if (o->reorthogonalize && steps > op->n) steps = op->n;
  size_t bytes = (size_t)steps * sizeof(double);
  Run r = {op, o, out, sd_memory_alloc(bytes, err), 0};
  if (!r.h) return err->code;
  SdStatus status = run(&r, start, steps, err);
  sd_memory_free(r.h, bytes);
  if (status != SD_OK) sd_lanczos_free(out);
  return status;
}
