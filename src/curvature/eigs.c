/*
** Rows 0 .. size-1 of the basis carry the projected matrix T; row size is the
** direction to go on with.  The first locked rows are converged vectors,
** decoupled from the rest; T is diagonal on the rows kept at the last restart,
** with a row of couplings to the first one after them, and tridiagonal from
** there on (Wu and Simon 2000, equation 4.3).
*/
#include "curvature/eigs.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "curvature/lanczos.h"
#include "curvature/ritz.h"
#include "kernels/lapack.h"

#include <math.h>
#include <string.h>

enum { SMALL = 1 << 15 }; /* elements that a basis may have in any case */

typedef struct Krylov {
  const SdOperator *op;
  SdEigsOptions o;
  SdBasis basis;
  int64_t k, capacity;      /* wanted pairs, rows of T at most */
  int64_t locked, size;
  double *t;                /* capacity^2: T */
  double *s;                /* capacity^2: eigenvectors of T */
  double *theta, *residual; /* capacity: Ritz values and residuals */
  int64_t *order;           /* capacity: Ritz pairs, best first */
  double beta;              /* couples row size - 1 to row size */
  double norm;              /* of A, from below */
  int64_t products, streams;
  size_t bytes;
} Krylov;

static double *entry(const Krylov *y, int64_t i, int64_t j) {
  return y->t + i * y->capacity + j;
}

/* ---- birth and death ---------------------------------------------------- */

static void krylov_free(Krylov *y) {
  sd_memory_free(y->t, y->bytes);
  sd_basis_free(&y->basis);
}

static SdStatus krylov_new(Krylov *y, SdError *err) {
  size_t m = (size_t)y->capacity;
  y->bytes = (2 * m * m + 3 * m) * sizeof(double);
  y->t = sd_memory_alloc(y->bytes, err);
  if (!y->t) return err->code;
  memset(y->t, 0, y->bytes);
  y->s = y->t + m * m;
  y->theta = y->s + m * m;
  y->residual = y->theta + m;
  y->order = (int64_t *)(void *)(y->residual + m);
  return sd_basis_new(&y->basis, y->op->dtype, y->op->n, y->capacity + 1,
                      err);
}

/* ---- the recurrence ----------------------------------------------------- */

/* Row size becomes a fresh direction, coupled to nothing. */
static SdStatus refresh(Krylov *y, SdError *err) {
  y->beta = 0;
  return sd_basis_random_row(&y->basis, y->size, y->o.seed,
                             (uint64_t)y->streams++, err);
}

/* Row size joins T; the row after it is the next direction. */
static SdStatus expand(Krylov *y, SdError *err) {
  const SdBasis *b = &y->basis;
  int64_t j = y->size, n = y->op->n;
  void *w = sd_basis_row(b, j + 1);
  double *h = y->s; /* free between decompositions */
  if (sd_operator_apply(y->op, sd_basis_row(b, j), w, err) != SD_OK)
    return err->code;
  y->products++;
  double norm = sd_vector_norm(b->dtype, n, w);
  if (!isfinite(norm))
    return sd_error_set(err, SD_ENUMERIC,
                        "eigs: the operator's product %lld is not finite",
                        (long long)y->products);
  if (norm > y->norm) y->norm = norm;
  double beta = sd_basis_recur(b, j, j ? *entry(y, j - 1, j) : 0, w, h);
  *entry(y, j, j) = h[j];
  y->size++;
  y->beta = 0;
  if (y->size == n) return SD_OK;
  if (beta <= sd_lanczos_rounding(b->dtype) * y->norm)
    return refresh(y, err);
  sd_vector_scale(b->dtype, n, 1 / beta, w);
  y->beta = beta;
  if (y->size < y->capacity)
    *entry(y, j + 1, j) = *entry(y, j, j + 1) = beta;
  return SD_OK;
}

/* ---- Ritz pairs --------------------------------------------------------- */

/* theta, residual, s and order from T.  s is block diagonal: the locked
** pairs stay apart from the others. */
static SdStatus decompose(Krylov *y, SdError *err) {
  int64_t m = y->size, l = y->locked, a = m - l, c = y->capacity;
  double *active = y->s; /* a x a, spread out below */
  for (int64_t i = 0; i < a; i++)
    memcpy(active + i * a, entry(y, l + i, l), (size_t)a * sizeof *active);
  if (a > 0 && sd_lapack_eigh(SD_F64, a, active, y->theta + l, 1, "eigs",
                              err) != SD_OK)
    return err->code;
  for (int64_t i = a - 1; i >= 0; i--) {
    memmove(y->s + (l + i) * c + l, active + i * a,
            (size_t)a * sizeof *active);
    if (l) memset(y->s + (l + i) * c, 0, (size_t)l * sizeof *active);
  }
  for (int64_t i = 0; i < l; i++) {
    memset(y->s + i * c, 0, (size_t)m * sizeof *active);
    y->s[i * c + i] = 1;
    y->theta[i] = *entry(y, i, i);
    y->residual[i] = 0;
  }
  for (int64_t i = l; i < m; i++) {
    y->residual[i] = fabs(y->beta * y->s[(m - 1) * c + i]);
    if (fabs(y->theta[i]) > y->norm) y->norm = fabs(y->theta[i]);
  }
  return sd_ritz_rank(y->o.which, m, y->theta, y->order, err);
}

/* Half of what is asked for, to leave room for what locking and rounding
** add. */
static double tolerance(const Krylov *y) { return y->o.tol * y->norm / 2; }

static int wanted_converged(const Krylov *y) {
  if (y->size < y->k) return 0;
  for (int64_t i = 0; i < y->k; i++)
    if (y->residual[y->order[i]] > tolerance(y)) return 0;
  return 1;
}

/* ---- restarts ----------------------------------------------------------- */

/* The count Ritz vectors of the list become the first rows. */
static SdStatus restart_rows(Krylov *y, const int64_t *list, int64_t count,
                             SdError *err) {
  int64_t m = y->size, c = y->capacity;
  size_t bytes = (size_t)(m * count) * sizeof(double);
  double *s = sd_memory_alloc(bytes, err);
  if (!s) return err->code;
  for (int64_t j = 0; j < count; j++)
    for (int64_t i = 0; i < m; i++)
      s[i * count + j] = y->s[i * c + list[j]];
  SdStatus status = sd_basis_rotate(&y->basis, 0, m, count, s, count, err);
  sd_memory_free(s, bytes);
  return status;
}

/* The count Ritz pairs of the list, which begins with all that stay locked,
** become the first rows; the next direction moves up behind them. */
static SdStatus restart(Krylov *y, const int64_t *list, int64_t count,
                        SdError *err) {
  const SdBasis *b = &y->basis;
  int64_t m = y->size, c = y->capacity;
  if (restart_rows(y, list, count, err) != SD_OK) return err->code;
  if (y->size < b->n && count < m)
    memcpy(sd_basis_row(b, count), sd_basis_row(b, m),
           (size_t)b->n * sd_dtype_size(b->dtype));
  memset(y->t, 0, (size_t)(c * c) * sizeof *y->t);
  for (int64_t j = 0; j < count; j++) {
    *entry(y, j, j) = y->theta[list[j]];
    if (count < c)
      *entry(y, count, j) = *entry(y, j, count) =
          y->beta * y->s[(m - 1) * c + list[j]];
  }
  y->size = count;
  return SD_OK;
}

/* The wanted pairs that are not locked. */
static int64_t wanted_active(const Krylov *y) {
  int64_t count = 0;
  for (int64_t i = 0; i < y->k && i < y->size; i++)
    count += y->order[i] >= y->locked;
  return count;
}

/* Keeps the locked pairs and of the others the wanted ones and half of the
** rest: a larger start loses less. */
static SdStatus thick_restart(Krylov *y, SdError *err) {
  int64_t active = y->size - y->locked, wanted = wanted_active(y);
  int64_t keep = wanted + (active - wanted) / 2, count = 0;
  size_t bytes = (size_t)y->size * sizeof(int64_t);
  int64_t *list = sd_memory_alloc(bytes, err);
  if (!list) return err->code;
  if (keep > active - 1) keep = active - 1;
  for (; count < y->locked; count++) list[count] = count;
  for (int64_t i = 0; i < y->size && count < y->locked + keep; i++)
    if (y->order[i] >= y->locked) list[count++] = y->order[i];
  SdStatus status = restart(y, list, count, err);
  sd_memory_free(list, bytes);
  return status;
}

/* The wanted pairs, best first, become the locked rows and the only ones.
** Many restarts in f32 wear the orthogonality; it is renewed here. */
static SdStatus lock(Krylov *y, SdError *err) {
  const SdBasis *b = &y->basis;
  if (restart(y, y->order, y->k, err) != SD_OK) return err->code;
  for (int64_t i = 0; i < y->k; i++) {
    void *v = sd_basis_row(b, i);
    double norm = i ? sd_basis_orthogonalize(b, i, v, NULL)
                    : sd_vector_norm(b->dtype, b->n, v);
    if (norm > 0) sd_vector_scale(b->dtype, b->n, 1 / norm, v);
    if (y->k < y->capacity) *entry(y, y->k, i) = *entry(y, i, y->k) = 0;
  }
  y->locked = y->k;
  return SD_OK;
}

/* ---- the search --------------------------------------------------------- */

static int spent(const Krylov *y) { return y->products >= y->o.max_iter; }

static SdStatus advance(Krylov *y, SdError *err) {
  if (y->size == y->capacity && thick_restart(y, err) != SD_OK)
    return err->code;
  return expand(y, err);
}

/* Whether a look at the Ritz values is worth its O(size^3) now. */
static int is_due(const Krylov *y) {
  int64_t active = y->size - y->locked;
  int64_t every = active < 80 ? 5 : active / 16;
  return y->size == y->capacity || spent(y) || active % every == 0 ||
         active * active <= y->op->n;
}

/* Until the wanted pairs have converged, max_iter, or the space is spanned.
** After a breakdown the residuals say nothing about what the basis lacks:
** then verification must follow, or the basis be filled first. */
static SdStatus search(Krylov *y, SdError *err) {
  while (y->size < y->op->n) {
    if (advance(y, err) != SD_OK) return err->code;
    if (!is_due(y)) continue;
    if (decompose(y, err) != SD_OK) return err->code;
    int full = y->size == y->capacity;
    if (wanted_converged(y) && (y->beta > 0 || full || y->o.verify)) break;
    if (spent(y) && y->size >= y->k) break;
  }
  return SD_OK;
}

/* ---- verification ------------------------------------------------------- */

/* What would have been wanted lies above upper or below lower. */
typedef struct Bounds {
  double upper, lower;
} Bounds;

static Bounds find_bounds(const Krylov *y) {
  const double *v = y->theta; /* the locked ones, best first */
  int64_t k = y->k;
  switch (y->o.which) {
    case SD_EIGS_LARGEST: return (Bounds){v[k - 1], -INFINITY};
    case SD_EIGS_SMALLEST: return (Bounds){INFINITY, v[k - 1]};
    case SD_EIGS_MAGNITUDE:
      return (Bounds){fabs(v[k - 1]), -fabs(v[k - 1])};
    default:
      return (Bounds){v[(k - 1) / 2 * 2],
                      k > 1 ? v[k / 2 * 2 - 1] : -INFINITY};
  }
}

/* Whether an eigenvalue at distance gap beyond the outermost Ritz value of
** a random start is unlikely after steps products (Kuczynski and Wozniakowski
** 1992, theorem 4.2):
**   P <= 1.648 sqrt(n) exp(-(2 steps - 1) sqrt(gap / range)). */
static int is_unlikely(int64_t n, int64_t steps, double gap, double range) {
  const double probability = 1e-3;
  double rate = sqrt(gap / range) * (double)(2 * steps - 1);
  return gap > 0 &&
         rate >= log(1.648 * sqrt((double)n) / probability);
}

typedef enum Verdict { OPEN, COMPLETE, MISSING } Verdict;

static Verdict judge(const Krylov *y, Bounds b, int64_t steps) {
  double slack = 2 * tolerance(y), low = INFINITY, high = -INFINITY;
  int64_t l = y->locked, m = y->size;
  for (int64_t i = 0; i < m; i++) {
    if (y->theta[i] < low) low = y->theta[i];
    if (y->theta[i] > high) high = y->theta[i];
  }
  double least = y->theta[l], most = y->theta[m - 1]; /* they ascend */
  if (most > b.upper + slack || least < b.lower - slack) return MISSING;
  if (y->beta == 0) return COMPLETE;
  if (isfinite(b.upper) && y->residual[m - 1] > slack &&
      !is_unlikely(y->op->n, steps, b.upper - most, b.upper - low))
    return OPEN;
  if (isfinite(b.lower) && y->residual[l] > slack &&
      !is_unlikely(y->op->n, steps, least - b.lower, high - b.lower))
    return OPEN;
  return COMPLETE;
}

/* Looks beside the locked pairs for one that should be among them. */
static SdStatus verify(Krylov *y, Verdict *verdict, SdError *err) {
  int64_t budget = y->products;
  Bounds bounds = find_bounds(y);
  *verdict = OPEN;
  if (refresh(y, err) != SD_OK) return err->code;
  for (int64_t i = 1; i <= budget && *verdict == OPEN && !spent(y); i++) {
    if (advance(y, err) != SD_OK || decompose(y, err) != SD_OK)
      return err->code;
    *verdict = judge(y, bounds, i);
  }
  return SD_OK;
}

static SdStatus find(Krylov *y, SdError *err) {
  for (;;) {
    Verdict verdict;
    if (search(y, err) != SD_OK) return err->code;
    int sure = !y->o.verify || y->size == y->op->n || !wanted_converged(y);
    if (lock(y, err) != SD_OK) return err->code;
    if (sure || y->k == y->op->n) return SD_OK;
    for (int64_t i = 0; i < y->k; i++) y->theta[i] = *entry(y, i, i);
    if (verify(y, &verdict, err) != SD_OK) return err->code;
    if (verdict != MISSING) return SD_OK;
  }
}

/* ---- results ------------------------------------------------------------ */

/* After an interrupt: what Ritz pairs there are, best first, become the
** first rows. */
static SdStatus salvage(Krylov *y, SdError *err) {
  SdError late;
  if (y->size < 1 || y->capacity < 2) return err->code;
  if (y->k > y->size) y->k = y->size;
  if (decompose(y, &late) != SD_OK) return err->code;
  double *kept = y->t; /* T is not needed any more */
  for (int64_t i = 0; i < y->k; i++) {
    kept[i] = y->residual[y->order[i]];
    kept[y->k + i] = y->theta[y->order[i]];
  }
  if (restart_rows(y, y->order, y->k, &late) != SD_OK) return err->code;
  memcpy(y->residual, kept, (size_t)y->k * sizeof *kept);
  memcpy(y->theta, kept + y->k, (size_t)y->k * sizeof *kept);
  return SD_OK;
}

static SdStatus collect(Krylov *y, SdEigsEnd end, SdEigs *out, SdError *err) {
  SdRitz r = {y->op, &y->basis, &y->o, y->k, y->theta, y->residual, y->norm,
              y->products, end};
  return sd_ritz_collect(&r, out, err);
}

static SdStatus run(Krylov *y, const void *start, SdEigs *out,
                    SdError *err) {
  if (sd_ritz_configure(y->op, &y->o, err) != SD_OK) return err->code;
  int64_t n = y->op->n, rows = y->o.subspace;
  int64_t usual = 2 * y->o.k + 30;
  if (rows == 0) rows = SMALL / n > usual ? SMALL / n : usual;
  if (rows < y->o.k + 6) rows = y->o.k + 6;
  y->k = y->o.k;
  y->capacity = rows < n ? rows : n;
  if (krylov_new(y, err) != SD_OK) return err->code;
  SdStatus status =
      start ? sd_lanczos_start(y->op, start, sd_basis_row(&y->basis, 0), err)
            : refresh(y, err);
  if (status == SD_OK) status = find(y, err);
  if (status == SD_EINTERRUPT) {
    sd_interrupt_keep();
    if (salvage(y, err) != SD_OK) return err->code;
    return collect(y, SD_EIGS_INTERRUPTED, out, err);
  }
  if (status != SD_OK) return status;
  return collect(y, spent(y) ? SD_EIGS_MAX_ITER : SD_EIGS_CONVERGED, out, err);
}

SdStatus sd_eigs_run(const SdOperator *op, const void *start,
                     const SdEigsOptions *o, SdEigs *out, SdError *err) {
  Krylov y = {.op = op, .o = *o};
  *out = (SdEigs){.k = 0};
  SdStatus status = run(&y, start, out, err);
  krylov_free(&y);
  return status;
}
