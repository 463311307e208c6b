#include "curvature/lanczos.h"

#include "base/memory.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { MOST_GROWTH = 64 }; /* of rounding, in a step that is left as it is */

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
  int raw;     /* the newest vector is orthogonal to its neighbours only */
} Run;

/* Vector i: all are kept, or the last three. */
static void *vector(const Run *r, int64_t i) {
  int all = r->o->reorthogonalize || r->o->keep_basis;
  return sd_basis_row(&r->l->basis, all ? i : i % 3);
}

/*
** Takes the earlier vectors out of w = A v_j; returns what is left.  The
** recurrence does that but for rounding, which its next step multiplies by
** |A| / beta.  Where that is little a vector waits, and is made orthogonal to
** all together with the next: the basis is read half as often, and T is as
** exact, for it depends on such errors by their squares.
*/
static double take_out(Run *r, int64_t j, void *w) {
  SdLanczos *l = r->l;
  SdDtype d = r->op->dtype;
  int64_t n = r->op->n;
  void *v = vector(r, j);
  if (j > 0) sd_vector_axpy(d, n, -l->beta[j - 1], vector(r, j - 1), w);
  l->alpha[j] = sd_vector_dot(d, n, v, w);
  sd_vector_axpy(d, n, -l->alpha[j], v, w);
  double norm = sd_vector_norm(d, n, w), left = 0;
  if (!r->o->reorthogonalize) return norm;
  if (!r->raw && norm > r->norm / MOST_GROWTH) {
    r->raw = 1;
    return norm;
  }
  if (r->raw) left = sd_basis_clean_two(&l->basis, j);
  if (r->raw && left > .7 * norm) {
    double more = sd_vector_dot(d, n, v, w);
    sd_vector_axpy(d, n, -more, v, w);
    l->alpha[j] += more;
    norm = left;
  } else {
    norm = sd_basis_reorthogonalize(&l->basis, j + 1, w, r->h);
    l->alpha[j] += r->h[j];
  }
  r->raw = 0;
  return norm;
}

/* Takes in w = A v_j, where the next vector goes. */
static SdStatus absorb(Run *r, int64_t j, SdError *err) {
  SdLanczos *l = r->l;
  void *w = vector(r, j + 1);
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

static SdStatus step(Run *r, int64_t j, SdError *err) {
  SdStatus status =
      sd_operator_apply(r->op, vector(r, j), vector(r, j + 1), err);
  return status == SD_OK ? absorb(r, j, err) : status;
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
    SdStatus status = step(r, j, err);
    if (status == SD_EINTERRUPT && j > 0) r->l->interrupted = 1;
    else if (status != SD_OK) return status;
    if (r->l->interrupted || r->l->beta[j] == 0) break;
  }
  if (r->l->interrupted) sd_interrupt_keep();
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
  Run r = {op, o, out, sd_memory_alloc(bytes, err), 0, 0};
  if (!r.h) return err->code;
  SdStatus status = run(&r, start, steps, err);
  sd_memory_free(r.h, bytes);
  if (status != SD_OK) sd_lanczos_free(out);
  return status;
}

/* ---- several side by side ----------------------------------------------- */

typedef struct Rows {
  const SdOperator *op;
  int64_t count;
  Run *runs;
  void *v, *w;     /* count x n: vectors, products */
  double *h;       /* what the runs share */
  int64_t steps;
  size_t bytes;    /* of v and w together */
} Rows;

static int is_going(const Run *r, int64_t j) {
  return j == 0 || (r->l->steps == j && r->l->beta[j - 1] > 0);
}

/* Step j of all that go on; how many did in *going. */
static SdStatus step_rows(Rows *s, int64_t j, int64_t *going, SdError *err) {
  SdDtype d = s->op->dtype;
  int64_t n = s->op->n, at = 0;
  size_t row = (size_t)n * sd_dtype_size(d);
  for (int64_t i = 0; i < s->count; i++)
    if (is_going(&s->runs[i], j))
      memcpy(sd_vector_at(d, s->v, at++ * n), vector(&s->runs[i], j), row);
  *going = at;
  if (at && sd_operator_apply_rows(s->op, at, s->v, s->w, err) != SD_OK)
    return err->code;
  at = 0;
  for (int64_t i = 0; i < s->count; i++) {
    Run *r = &s->runs[i];
    if (!is_going(r, j)) continue;
    memcpy(vector(r, j + 1), sd_vector_at(d, s->w, at++ * n), row);
    if (absorb(r, j, err) != SD_OK) return err->code;
  }
  return SD_OK;
}

static SdStatus run_rows(Rows *s, const void *starts, SdError *err) {
  int64_t going = s->count;
  for (int64_t i = 0; i < s->count; i++) {
    const void *start =
        sd_vector_at(s->op->dtype, starts, i * s->op->n);
    if (allocate(&s->runs[i], s->steps, err) != SD_OK ||
        sd_lanczos_start(s->op, start, vector(&s->runs[i], 0), err) != SD_OK)
      return err->code;
  }
  for (int64_t j = 0; j < s->steps && going; j++) {
    SdStatus status = step_rows(s, j, &going, err);
    if (status == SD_EINTERRUPT && j > 0) {
      sd_interrupt_keep();
      for (int64_t i = 0; i < s->count; i++) s->runs[i].l->interrupted = 1;
      return SD_OK;
    }
    if (status != SD_OK) return status;
  }
  return SD_OK;
}

static SdStatus new_rows(Rows *s, const SdLanczosOptions *o, SdLanczos *out,
                         SdError *err) {
  size_t count = (size_t)s->count, steps = (size_t)s->steps;
  size_t half = count * (size_t)s->op->n * sd_dtype_size(s->op->dtype);
  s->bytes = 2 * half;
  if (!(s->runs = sd_memory_alloc(count * sizeof *s->runs, err)) ||
      !(s->h = sd_memory_alloc(steps * sizeof *s->h, err)) ||
      !(s->v = sd_memory_alloc(s->bytes, err)))
    return err->code;
  s->w = (char *)s->v + half;
  for (size_t i = 0; i < count; i++)
    s->runs[i] = (Run){s->op, o, &out[i], s->h, 0, 0};
  return SD_OK;
}

SdStatus sd_lanczos_run_rows(const SdOperator *op, int64_t count,
                             const void *starts, const SdLanczosOptions *o,
                             SdLanczos *out, SdError *err) {
  SdStatus status = sd_operator_check(op, "lanczos", err);
  memset(out, 0, (size_t)count * sizeof *out);
  if (status != SD_OK) return status;
  if (count < 1 || o->steps < 1)
    return sd_error_set(err, SD_EARGUMENT, "lanczos: %lld starts, %lld steps",
                        (long long)count, (long long)o->steps);
  Rows s = {.op = op, .count = count, .steps = o->steps};
  if (o->reorthogonalize && s.steps > op->n) s.steps = op->n;
  status = new_rows(&s, o, out, err);
  if (status == SD_OK) status = run_rows(&s, starts, err);
  sd_memory_free(s.v, s.bytes);
  sd_memory_free(s.h, (size_t)s.steps * sizeof *s.h);
  sd_memory_free(s.runs, (size_t)count * sizeof *s.runs);
  for (int64_t i = 0; i < count; i++) {
    if (status != SD_OK) sd_lanczos_free(&out[i]);
    else if (!o->reorthogonalize && !o->keep_basis)
      sd_basis_free(&out[i].basis);
  }
  return status;
}
