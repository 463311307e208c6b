/*
** Both solvers work in cycles.  A cycle recurs its residual, which in finite
** precision drifts from the true one; when it believes to have converged the
** true residual is computed, and as long as that at least halves, another
** cycle goes on from there.
*/
#include "curvature/cg.h"

#include "base/memory.h"
#include "curvature/lanczos.h"
#include "curvature/vector.h"

#include <math.h>
#include <string.h>

enum { VECTORS = 5, PRECONDITIONED = 7 };

typedef struct Solve {
  const SdOperator *op;
  SdSolveOptions o;
  const void *b;
  void *x, *direction;
  SdSolveResult *out;
  double target;        /* for the residual */
  double largest;       /* |A|, from below */
  int ended;            /* out->end is decided */
  void *work[PRECONDITIONED]; /* work[0]: the residual when a cycle begins;
                                 the last two only with a preconditioner */
} Solve;

static const char *const end_names[] = {
    [SD_SOLVE_CONVERGED] = "converged",
    [SD_SOLVE_LEAST_SQUARES] = "least squares",
    [SD_SOLVE_MAX_ITER] = "max_iter reached",
    [SD_SOLVE_STAGNATED] = "stagnated",
    [SD_SOLVE_NEGATIVE_CURVATURE] = "negative curvature",
    [SD_SOLVE_INTERRUPTED] = "interrupted"};

const char *sd_solve_end_name(SdSolveEnd end) { return end_names[end]; }

/* ---- vectors of the system ---------------------------------------------- */

static double dot(const Solve *s, const void *x, const void *y) {
  return sd_vector_dot(s->op->dtype, s->op->n, x, y);
}

static double norm(const Solve *s, const void *x) { return sqrt(dot(s, x, x)); }

static void axpy(const Solve *s, double a, const void *x, void *y) {
  sd_vector_axpy(s->op->dtype, s->op->n, a, x, y);
}

static void scale(const Solve *s, double a, void *x) {
  sd_vector_scale(s->op->dtype, s->op->n, a, x);
}

static void copy(const Solve *s, const void *from, void *to) {
  memcpy(to, from, (size_t)s->op->n * sd_dtype_size(s->op->dtype));
}

static void clear(const Solve *s, void *x) {
  memset(x, 0, (size_t)s->op->n * sd_dtype_size(s->op->dtype));
}

/* w = (A + damping) v */
static SdStatus product(Solve *s, const void *v, void *w, SdError *err) {
  if (sd_operator_apply(s->op, v, w, err) != SD_OK) return err->code;
  s->out->iterations++;
  if (s->o.damping != 0) axpy(s, s->o.damping, v, w);
  return SD_OK;
}

static SdStatus not_finite(const Solve *s, SdError *err) {
  return sd_error_set(err, SD_ENUMERIC,
                      "solve: the operator's product %lld is not finite",
                      (long long)s->out->iterations);
}

/* z = M v: v itself without a preconditioner. */
static SdStatus precondition(Solve *s, void *v, void **z, SdError *err) {
  const SdOperator *m = s->o.precondition;
  if (m) return sd_operator_apply(m, v, *z, err);
  *z = v;
  return SD_OK;
}

/* v^T M v */
static SdStatus check_positive(const Solve *s, double vz, SdError *err) {
  if (vz >= 0 && isfinite(vz)) return SD_OK;
  if (!isfinite(vz) && s->o.precondition)
    return sd_error_set(err, SD_ENUMERIC,
                        "solve: the preconditioner's product %lld is not "
                        "finite", (long long)s->out->iterations + 1);
  if (!isfinite(vz)) return not_finite(s, err);
  return sd_error_set(err, SD_ENUMERIC,
                      "solve: the preconditioner is not positive definite: "
                      "v^T M v = %g after %lld products", vz,
                      (long long)s->out->iterations);
}

static void finish(Solve *s, SdSolveEnd end) {
  s->ended = 1;
  s->out->end = end;
}

static int is_spent(Solve *s) {
  if (s->out->iterations < s->o.max_iter) return 0;
  finish(s, SD_SOLVE_MAX_ITER);
  return 1;
}

/* ---- CG ----------------------------------------------------------------- */

/* Notes the curvature along p, w being its product: 0 when CG cannot go on.
** Of a definite A the cosine of p and w is at least 2 / sqrt(condition), far
** above rounding; but along a null vector that rounding has spoilt a little
** the cosine is, too, and the curvature is not.  Below zero rounding reaches
** farther than A's smallest eigenvalues may lie above it. */
static int is_convex(Solve *s, void *p, const void *w, double pw) {
  double pp = dot(s, p, p), length = sqrt(pp) * norm(s, w);
  double curvature = pw / pp, tiny = sd_lanczos_rounding(s->op->dtype);
  s->largest = fmax(s->largest, length / pp);
  double rounding = tiny * fmax(length, s->largest * pp / 256);
  int convex = pw > rounding;
  if (!convex && pw >= -16 * rounding) curvature = 0;
  if (!convex || curvature < s->out->curvature) s->out->curvature = curvature;
  if (convex) return 1;
  finish(s, SD_SOLVE_NEGATIVE_CURVATURE);
  scale(s, 1 / sqrt(pp), p);
  if (s->direction) copy(s, p, s->direction);
  return 0;
}

static SdStatus cg_cycle(Solve *s, SdError *err) {
  void *r = s->work[0], *p = s->work[1], *w = s->work[2], *z = s->work[5];
  double rr = dot(s, r, r);
  if (precondition(s, r, &z, err) != SD_OK) return err->code;
  double rz = dot(s, r, z);
  copy(s, z, p);
  while (!is_spent(s) && sqrt(rr) > s->target) {
    if (check_positive(s, rz, err) != SD_OK || product(s, p, w, err) != SD_OK)
      return err->code;
    double pw = dot(s, p, w), old = rz;
    if (!isfinite(pw)) return not_finite(s, err);
    if (!is_convex(s, p, w, pw)) return SD_OK;
    axpy(s, rz / pw, p, s->x);
    axpy(s, -rz / pw, w, r);
    if (precondition(s, r, &z, err) != SD_OK) return err->code;
    rr = dot(s, r, r);
    s->out->residual = sqrt(rr);
    rz = z == r ? rr : dot(s, r, z);
    sd_vector_combine(s->op->dtype, s->op->n, 1, z, rz / old, p, p);
  }
  return SD_OK;
}

/* ---- MINRES ------------------------------------------------------------- */

/* In the names of Paige and Saunders and of Choi's and Saunders's program. */
typedef struct Minres {
  double alfa, beta, oldb;          /* of the Lanczos recurrence */
  double cs, sn;                    /* the last reflection */
  double dbar, epsln;               /* what it left of T */
  double oldeps, delta, gamma;      /* the column of R just made */
  double phi, phibar;               /* right side, residual */
  double anorm2;                    /* squared Frobenius norm of T */
  double least, phibar_then;        /* the least |A r| / (|A| |r|) so far */
} Minres;

/* y = A z - beta v_old - alfa v, z being M v; z_next = M y, whose product
** with y is the square of the next beta. */
static SdStatus minres_lanczos(Solve *s, Minres *m, const void *old,
                               const void *v, const void *z, void *y,
                               void **z_next, SdError *err) {
  if (product(s, z, y, err) != SD_OK) return err->code;
  axpy(s, -m->beta, old, y);
  m->alfa = dot(s, z, y);
  axpy(s, -m->alfa, v, y);
  m->oldb = m->beta;
  if (precondition(s, y, z_next, err) != SD_OK) return err->code;
  double yz = dot(s, y, *z_next);
  if (check_positive(s, yz, err) != SD_OK) return err->code;
  m->beta = sqrt(yz);
  m->anorm2 += m->alfa * m->alfa + m->oldb * m->oldb + m->beta * m->beta;
  return isfinite(m->anorm2) ? SD_OK : not_finite(s, err);
}

/* Whether r is a least-squares residual: A r vanishes beside |A| |r|.  Of an
** inconsistent system that ratio falls to about the square root of rounding
** and then rises again while the residual stays, as x goes off along the null
** space (Choi, Paige and Saunders 2011). */
static int is_least(const Solve *s, Minres *m, double ratio) {
  double tiny = sd_lanczos_rounding(s->op->dtype);
  if (ratio < m->least) {
    m->least = ratio;
    m->phibar_then = m->phibar;
  }
  return ratio <= tiny || (m->least <= sqrt(tiny) && ratio > 30 * m->least &&
                           m->phibar > .99 * m->phibar_then);
}

/* The next reflection; 0 when the residual is already at its least. */
static int minres_reflect(const Solve *s, Minres *m) {
  double anorm = sqrt(m->anorm2), tiny = sd_lanczos_rounding(s->op->dtype);
  double gbar = m->sn * m->dbar - m->cs * m->alfa;
  m->oldeps = m->epsln;
  m->delta = m->cs * m->dbar + m->sn * m->alfa;
  m->epsln = m->sn * m->beta;
  m->dbar = -m->cs * m->beta;
  m->gamma = hypot(gbar, m->beta);
  if (m->gamma <= tiny * anorm) return 0;
  if (is_least(s, m, hypot(gbar, m->dbar) / anorm)) return 0;
  m->cs = gbar / m->gamma;
  m->sn = m->beta / m->gamma;
  m->phi = m->cs * m->phibar;
  m->phibar *= m->sn;
  return 1;
}

static void swap(void **a, void **b) {
  void *t = *a;
  *a = *b;
  *b = t;
}

/* w_k = (v - oldeps w_k-2 - delta w_k-1) / gamma; x += phi w_k */
static void minres_update(const Solve *s, const Minres *m, const void *v,
                          void **w1, void **w2) {
  sd_vector_combine(s->op->dtype, s->op->n, 1 / m->gamma, v,
                    -m->oldeps / m->gamma, *w1, *w1);
  axpy(s, -m->delta / m->gamma, *w2, *w1);
  axpy(s, m->phi, *w1, s->x);
  swap(w1, w2);
}

/* The first residual v and z = M v become unit vectors of each other; what
** counts as converged is taken into that norm. */
static SdStatus minres_start(Solve *s, Minres *m, void *v, void **z,
                             double *target, SdError *err) {
  if (precondition(s, v, z, err) != SD_OK) return err->code;
  double vz = dot(s, v, *z);
  if (check_positive(s, vz, err) != SD_OK) return err->code;
  m->phibar = sqrt(vz);
  *target = s->target * m->phibar / s->out->residual;
  scale(s, 1 / m->phibar, v);
  if (*z != v) scale(s, 1 / m->phibar, *z);
  return SD_OK;
}

static SdStatus minres_cycle(Solve *s, SdError *err) {
  void *v = s->work[0], *old = s->work[1], *y = s->work[2];
  void *w1 = s->work[3], *w2 = s->work[4];
  void *z = s->work[5], *z_next = s->work[6];
  int own = s->o.precondition != NULL;
  Minres m = {.cs = -1, .least = INFINITY};
  double target = 0;
  if (minres_start(s, &m, v, &z, &target, err) != SD_OK) return err->code;
  clear(s, old);
  clear(s, w1);
  clear(s, w2);
  while (!is_spent(s) && m.phibar > target) {
    if (minres_lanczos(s, &m, old, v, z, y, &z_next, err) != SD_OK)
      return err->code;
    if (!minres_reflect(s, &m)) {
      finish(s, SD_SOLVE_LEAST_SQUARES);
      return SD_OK;
    }
    minres_update(s, &m, z, &w1, &w2);
    s->out->residual = m.phibar;
    if (m.beta <= sd_lanczos_rounding(s->op->dtype) * sqrt(m.anorm2)) break;
    scale(s, 1 / m.beta, y);
    if (own) scale(s, 1 / m.beta, z_next);
    swap(&z, &z_next);
    swap(&old, &v);
    swap(&v, &y);
  }
  return SD_OK;
}

/* ---- cycles ------------------------------------------------------------- */

static SdStatus find_residual(Solve *s, SdError *err) {
  void *r = s->work[0];
  if (norm(s, s->x) == 0) copy(s, s->b, r);
  else {
    if (product(s, s->x, r, err) != SD_OK) return err->code;
    sd_vector_combine(s->op->dtype, s->op->n, 1, s->b, -1, r, r);
  }
  s->out->residual = norm(s, r);
  if (isfinite(s->out->residual)) return SD_OK;
  if (s->out->iterations > 1) return not_finite(s, err);
  return sd_error_set(err, SD_ENUMERIC,
                      "solve: the start, or its product, is not finite");
}

static SdStatus iterate(Solve *s, SdStatus (*cycle)(Solve *, SdError *),
                        SdError *err) {
  for (double last = INFINITY;; last = s->out->residual) {
    if (find_residual(s, err) != SD_OK) return err->code;
    if (s->out->residual <= s->target &&
        !(s->ended && s->out->end == SD_SOLVE_NEGATIVE_CURVATURE))
      finish(s, SD_SOLVE_CONVERGED);
    else if (!s->ended && s->out->residual > last / 2)
      finish(s, SD_SOLVE_STAGNATED);
    if (s->ended || is_spent(s)) return SD_OK;
    if (cycle(s, err) != SD_OK) return err->code;
  }
}

static SdStatus configure(Solve *s, SdError *err) {
  SdSolveOptions *o = &s->o;
  if (sd_operator_check(s->op, "solve", err) != SD_OK) return err->code;
  double length = norm(s, s->b);
  if (!isfinite(length) || !isfinite(o->damping) || !(o->tol >= 0) ||
      o->max_iter < 0)
    return sd_error_set(err, SD_EARGUMENT,
                        "solve: |b| = %g, damping %g, tol %g, max_iter %lld",
                        length, o->damping, o->tol, (long long)o->max_iter);
  if (o->tol == 0) o->tol = s->op->dtype == SD_F32 ? 1e-5 : 1e-10;
  if (o->max_iter == 0) o->max_iter = s->op->n < 10 ? 100 : 10 * s->op->n;
  s->target = o->tol * length;
  *s->out = (SdSolveResult){.curvature = INFINITY};
  if (length == 0) clear(s, s->x);
  return SD_OK;
}

static SdStatus solve(Solve *s, SdStatus (*cycle)(Solve *, SdError *),
                      SdError *err) {
  if (configure(s, err) != SD_OK) return err->code;
  size_t size = (size_t)s->op->n * sd_dtype_size(s->op->dtype);
  int vectors = s->o.precondition ? PRECONDITIONED : VECTORS;
  char *work = sd_memory_alloc((size_t)vectors * size, err);
  if (!work) return err->code;
  for (int i = 0; i < vectors; i++) s->work[i] = work + (size_t)i * size;
  SdStatus status = iterate(s, cycle, err);
  sd_memory_free(work, (size_t)vectors * size);
  if (status == SD_EINTERRUPT && s->out->iterations > 0) {
    sd_interrupt_keep();
    finish(s, SD_SOLVE_INTERRUPTED);
    return SD_OK;
  }
  return status;
}

SdStatus sd_cg_solve(const SdOperator *op, const void *b, void *x,
                     void *direction, const SdSolveOptions *o,
                     SdSolveResult *out, SdError *err) {
  Solve s = {.op = op, .o = *o, .b = b, .x = x, .direction = direction,
             .out = out};
  return solve(&s, cg_cycle, err);
}

SdStatus sd_minres_solve(const SdOperator *op, const void *b, void *x,
                         const SdSolveOptions *o, SdSolveResult *out,
                         SdError *err) {
  Solve s = {.op = op, .o = *o, .b = b, .x = x, .out = out};
  return solve(&s, minres_cycle, err);
}
