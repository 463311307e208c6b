/*
** Matrix-free eigen-analysis against known spectra and dense LAPACK.
*/
#include "tap.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "base/thread.h"
#include "curvature/cg.h"
#include "curvature/diagonal.h"
#include "curvature/eigs.h"
#include "curvature/lanczos.h"
#include "curvature/quadrature.h"
#include "curvature/trace.h"
#include "kernels/lapack.h"
#include "kernels/random.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static SdError err;

/* ---- operators ----------------------------------------------------------- */

/* A diagonal, a dense symmetric matrix, or both; fails at product fail_at. */
typedef struct Matrix {
  int64_t n;
  SdDtype dtype;
  double *diag, *dense;
  int64_t products, fail_at;
  SdStatus code;
} Matrix;

static double get(SdDtype d, const void *x, int64_t i) {
  return d == SD_F32 ? (double)((const float *)x)[i]
                     : ((const double *)x)[i];
}

static void set(SdDtype d, void *x, int64_t i, double v) {
  if (d == SD_F32) ((float *)x)[i] = (float)v;
  else ((double *)x)[i] = v;
}

static SdStatus matvec(void *context, const void *v, void *out,
                       SdError *e) {
  Matrix *a = context;
  if (++a->products == a->fail_at)
    return sd_error_set(e, a->code, "product %lld fails",
                        (long long)a->products);
  for (int64_t i = 0; i < a->n; i++) {
    double sum = a->diag ? a->diag[i] * get(a->dtype, v, i) : 0;
    for (int64_t j = 0; a->dense && j < a->n; j++)
      sum += a->dense[i * a->n + j] * get(a->dtype, v, j);
    set(a->dtype, out, i, sum);
  }
  return SD_OK;
}

static SdOperator operator(Matrix *a) {
  return (SdOperator){a->n, a->dtype, matvec, a, NULL};
}

static Matrix new_diagonal(int64_t n, SdDtype d) {
  return (Matrix){n, d, calloc((size_t)n, sizeof(double)), NULL, 0, 0, SD_OK};
}

static Matrix linspaced(int64_t n, double from, double to, SdDtype d) {
  Matrix a = new_diagonal(n, d);
  for (int64_t i = 0; i < n; i++)
    a.diag[i] = n > 1 ? from + (to - from) * (double)i / (double)(n - 1)
                      : from;
  return a;
}

/* diag(linspace(0, 1, 297), 10, 20, 100) */
static Matrix outliers(SdDtype d) {
  Matrix a = new_diagonal(300, d);
  for (int64_t i = 0; i < 297; i++) a.diag[i] = (double)i / 296;
  a.diag[297] = 10, a.diag[298] = 20, a.diag[299] = 100;
  return a;
}

/* (G + G^T) / sqrt(2 n): a semicircle on [-2, 2]. */
static Matrix wigner(int64_t n, uint64_t seed, SdDtype d) {
  size_t size = (size_t)(n * n);
  double *g = malloc(size * sizeof *g), *s = malloc(size * sizeof *s);
  sd_random_normal(SD_F64, seed, 77, n * n, g);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      s[i * n + j] = (g[i * n + j] + g[j * n + i]) / sqrt(2 * (double)n);
  free(g);
  return (Matrix){n, d, NULL, s, 0, 0, SD_OK};
}

static void drop(Matrix *a) {
  free(a->diag);
  free(a->dense);
}

static void *random_rows(SdDtype d, int64_t n, uint64_t seed) {
  void *x = malloc((size_t)n * sd_dtype_size(d));
  sd_random_normal(d, seed, 1, n, x);
  return x;
}

static double *random_signs(int64_t n, uint64_t seed) {
  double *x = random_rows(SD_F64, n, seed);
  for (int64_t i = 0; i < n; i++) x[i] = x[i] < 0 ? -1 : 1;
  return x;
}

/* The spectrum of a, ascending. */
static double *spectrum(const Matrix *a) {
  size_t n = (size_t)a->n;
  double *m = calloc(n * n, sizeof *m), *v = malloc(n * sizeof *v);
  if (a->dense) memcpy(m, a->dense, n * n * sizeof *m);
  for (size_t i = 0; a->diag && i < n; i++) m[i * n + i] += a->diag[i];
  if (sd_lapack_eigh(SD_F64, a->n, m, v, 0, "test", &err) != SD_OK) exit(1);
  free(m);
  return v;
}

/* max |V V^T - 1| of the first rows of a basis. */
static double loss_of_orthogonality(SdDtype d, const void *v, int64_t rows,
                                    int64_t n) {
  double worst = 0;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j <= i; j++) {
      double dot = sd_vector_dot(d, n, sd_vector_at(d, v, i * n),
                                 sd_vector_at(d, v, j * n));
      worst = fmax(worst, fabs(dot - (i == j)));
    }
  return worst;
}

/* ---- Lanczos ------------------------------------------------------------- */

/* Ritz values within 1e-3 of value. */
static int copies(const SdLanczos *l, double value) {
  double *nodes = malloc((size_t)l->steps * 2 * sizeof *nodes);
  int count = 0;
  sd_quadrature_rule(l->steps, l->alpha, l->beta, nodes, nodes + l->steps,
                     &err);
  for (int64_t i = 0; i < l->steps; i++)
    count += fabs(nodes[i] - value) < 1e-3;
  free(nodes);
  return count;
}

static void ghosts(void) {
  static const int64_t steps[] = {40, 80, 160, 300};
  Matrix a = outliers(SD_F64);
  SdOperator op = operator(&a);
  double *start = random_rows(SD_F64, 300, 5);
  for (int i = 0; i < 4; i++) {
    SdLanczosOptions plain = {steps[i], 0, 1}, full = {steps[i], 1, 0};
    SdLanczos l;
    ok(sd_lanczos_run(&op, start, &plain, &l, &err) == SD_OK,
       "plain Lanczos, %d steps", (int)steps[i]);
    int n = copies(&l, 100);
    ok(n > 1 && loss_of_orthogonality(SD_F64, l.basis.rows, l.steps, 300) >
       .5, "without reorthogonalisation 100 appears %d times", n);
    sd_lanczos_free(&l);
    ok(sd_lanczos_run(&op, start, &full, &l, &err) == SD_OK, "and with it");
    double loss = loss_of_orthogonality(SD_F64, l.basis.rows, l.steps, 300);
    ok(copies(&l, 100) == 1 && copies(&l, 20) == 1 && copies(&l, 10) == 1,
       "100, 20 and 10 appear once");
    ok(loss < 1e-14, "|V V^T - 1| = %.1e", loss);
    sd_lanczos_free(&l);
  }
  SdLanczosOptions light = {40, 0, 0}, kept = {40, 0, 1};
  SdLanczos l, m;
  sd_lanczos_run(&op, start, &light, &l, &err);
  sd_lanczos_run(&op, start, &kept, &m, &err);
  ok(!l.basis.rows && memcmp(l.alpha, m.alpha, 40 * sizeof(double)) == 0 &&
     memcmp(l.beta, m.beta, 40 * sizeof(double)) == 0,
     "the same recurrence on three vectors");
  sd_lanczos_free(&l);
  sd_lanczos_free(&m);
  free(start);
  drop(&a);
}

/* Vectors that wait to be made orthogonal together with the next, and some that
** may not: beta falls as the outlier's multiple grows.  T is V^T A V. */
static void waiting_vectors(SdDtype d) {
  static const double tops[] = {1, 8, 30, 300, 3000};
  double eps = d == SD_F32 ? 1.2e-7 : 2.2e-16;
  int64_t n = 400;
  void *start = random_rows(d, n, 9), *av = malloc((size_t)n * 8);
  for (int i = 0; i < 10; i++) {
    Matrix a = wigner(n, 3, d);
    a.diag = calloc((size_t)n, sizeof(double));
    a.diag[7] = tops[i / 2];
    SdOperator op = operator(&a);
    SdLanczosOptions o = {60 + i % 2, 1, 0};
    SdLanczos l;
    int good = sd_lanczos_run(&op, start, &o, &l, &err) == SD_OK;
    double off = 0;
    for (int64_t j = 0; good && j < l.steps; j++) {
      matvec(&a, sd_vector_at(d, l.basis.rows, j * n), av, &err);
      for (int64_t k = 0; k < l.steps; k++) {
        double t = k == j ? l.alpha[j] : k == j + 1 ? l.beta[j]
                   : k + 1 == j ? l.beta[k] : 0;
        double got = sd_vector_dot(d, n, av,
                                   sd_vector_at(d, l.basis.rows, k * n));
        off = fmax(off, fabs(got - t) / (tops[i / 2] + 2));
      }
    }
    double loss = good ? loss_of_orthogonality(d, l.basis.rows, l.steps, n)
                       : 1;
    ok(good && l.steps == o.steps, "%s, outlier %g, %d steps",
       sd_dtype_name(d), tops[i / 2], (int)l.steps);
    ok(loss < 16 * eps, "|V V^T - 1| = %.2g roundings", loss / eps);
    ok(off < 16 * eps, "|V A V^T - T| / |A| = %.2g", off / eps);
    sd_lanczos_free(&l);
    drop(&a);
  }
  free(start);
  free(av);
}

static void lanczos_ends(void) {
  SdLanczosOptions o = {50, 1, 0};
  SdLanczos l;
  Matrix a = new_diagonal(100, SD_F32);
  for (int i = 0; i < 100; i++) a.diag[i] = i % 3;
  SdOperator op = operator(&a);
  float *start = random_rows(SD_F32, 100, 3);
  ok(sd_lanczos_run(&op, start, &o, &l, &err) == SD_OK && l.steps == 3 &&
     l.beta[2] == 0, "three distinct eigenvalues: it ends after 3 steps");
  sd_lanczos_free(&l);
  memset(start, 0, 100 * sizeof *start);
  ok(sd_lanczos_run(&op, start, &o, &l, &err) == SD_EARGUMENT, "%s",
     err.message);
  start[0] = NAN;
  ok(sd_lanczos_run(&op, start, &o, &l, &err) == SD_EARGUMENT, "%s",
     err.message);
  start[0] = 1;
  a.diag[0] = INFINITY;
  ok(sd_lanczos_run(&op, start, &o, &l, &err) == SD_ENUMERIC, "%s",
     err.message);
  free(start);
  drop(&a);
}

/* Curvature as small as 1e-30 is curvature, not zero. */
static void tiny_and_huge(void) {
  static const double scale[] = {1e-30, 1e30};
  for (int i = 0; i < 2; i++) {
    Matrix a = linspaced(200, scale[i], 9 * scale[i], SD_F32);
    SdOperator op = operator(&a);
    SdEigsOptions o = {.k = 1, .which = SD_EIGS_LARGEST};
    SdEigs e;
    SdStatus status = sd_eigs_run(&op, NULL, &o, &e, &err);
    ok(status == SD_OK && e.converged == 1 &&
       fabs(e.values[0] / scale[i] - 9) < 1e-4,
       "f32 eigenvalues of the size of %g", scale[i]);
    if (status == SD_OK) sd_eigs_free(&e);
    drop(&a);
  }
}

/* ---- eigs ---------------------------------------------------------------- */

static const char *const which_names[] = {"largest", "smallest", "magnitude",
                                          "both"};

static int by_magnitude(const void *a, const void *b) {
  double x = fabs(*(const double *)a), y = fabs(*(const double *)b);
  return (x < y) - (x > y);
}

/* The k wanted of the ascending spectrum, in the order of SdEigs. */
static void expected(double *v, int64_t n, int64_t k, SdEigsWhich which,
                     double *out) {
  if (which == SD_EIGS_MAGNITUDE) qsort(v, (size_t)n, sizeof *v, by_magnitude);
  int64_t upper = which == SD_EIGS_BOTH ? (k + 1) / 2 : k;
  for (int64_t i = 0; i < k; i++)
    out[i] = which == SD_EIGS_SMALLEST || which == SD_EIGS_MAGNITUDE ? v[i]
             : i < upper ? v[n - 1 - i]
                         : v[k - 1 - i];
}

/* k eigenpairs of a, checked against the dense solver. */
static void check_eigs(Matrix *a, int64_t k, SdEigsWhich which,
                       const char *what) {
  SdOperator op = operator(a);
  SdEigsOptions o = {.k = k, .which = which, .verify = 1, .seed = 11};
  SdEigs e;
  int f32 = a->dtype == SD_F32;
  double *v = spectrum(a), *want = malloc((size_t)k * sizeof *want);
  double scale = fmax(fabs(v[0]), fabs(v[a->n - 1])), worst = 0, rest = 0;
  expected(v, a->n, k, which, want);
  if (sd_eigs_run(&op, NULL, &o, &e, &err) != SD_OK) {
    ok(0, "%s", err.message);
    free(v), free(want);
    return;
  }
  for (int64_t i = 0; i < k; i++) {
    double d = which == SD_EIGS_MAGNITUDE
                   ? fabs(e.values[i]) - fabs(want[i])
                   : e.values[i] - want[i];
    worst = fmax(worst, fabs(d));
    rest = fmax(rest, e.residuals[i]);
  }
  double loss = loss_of_orthogonality(a->dtype, e.vectors, k, a->n);
  ok(worst <= (f32 ? 2e-6 : 1e-10) * scale && loss < (f32 ? 1e-5 : 1e-12),
     "%s, %s %d %s: within %.1e, |V V^T - 1| = %.1e, %d products", what,
     f32 ? "f32" : "f64", (int)k, which_names[which], worst, loss,
     (int)e.iterations);
  ok(e.converged == k && rest <= (f32 ? 1e-5 : 1e-10) * e.norm,
     "%d converged, residuals up to %.1e", (int)e.converged, rest);
  sd_eigs_free(&e);
  free(v);
  free(want);
}

static void eigs_of_random_matrices(void) {
  static const int64_t sizes[] = {1, 2, 3, 7, 40, 60, 250};
  for (int i = 0; i < 7; i++)
    for (int which = 0; which < 4; which++) {
      Matrix a = wigner(sizes[i], (uint64_t)i + 1, SD_F64);
      check_eigs(&a, sizes[i] < 5 ? sizes[i] : 5, (SdEigsWhich)which,
                 "random");
      if (sizes[i] == 7)
        check_eigs(&a, 7, (SdEigsWhich)which, "random, all of them");
      a.dtype = SD_F32;
      if (sizes[i] == 250) check_eigs(&a, 6, (SdEigsWhich)which, "random");
      drop(&a);
    }
}

static void eigs_of_special_spectra(void) {
  for (int d = SD_F32; d <= SD_F64; d++) {
    Matrix a = outliers((SdDtype)d);
    check_eigs(&a, 5, SD_EIGS_LARGEST, "three outliers");
    check_eigs(&a, 4, SD_EIGS_SMALLEST, "three outliers");
    drop(&a);
    a = linspaced(200, 1, 1, (SdDtype)d);
    check_eigs(&a, 6, SD_EIGS_LARGEST, "identity");
    check_eigs(&a, 5, SD_EIGS_BOTH, "identity");
    drop(&a);
    a = new_diagonal(150, (SdDtype)d);
    check_eigs(&a, 3, SD_EIGS_SMALLEST, "zero");
    check_eigs(&a, 3, SD_EIGS_MAGNITUDE, "zero");
    a.diag[70] = -3;
    check_eigs(&a, 3, SD_EIGS_MAGNITUDE, "rank one");
    check_eigs(&a, 3, SD_EIGS_LARGEST, "negative rank one");
    drop(&a);
    a = linspaced(400, 0, 1, (SdDtype)d);
    for (int i = 0; i < 4; i++) a.diag[50 * i] = 5, a.diag[50 * i + 1] = -4;
    check_eigs(&a, 3, SD_EIGS_LARGEST, "eigenvalue 5 four times");
    check_eigs(&a, 4, SD_EIGS_LARGEST, "eigenvalue 5 four times");
    check_eigs(&a, 6, SD_EIGS_LARGEST, "eigenvalue 5 four times");
    check_eigs(&a, 6, SD_EIGS_SMALLEST, "eigenvalue -4 four times");
    check_eigs(&a, 7, SD_EIGS_BOTH, "multiple at both ends");
    check_eigs(&a, 8, SD_EIGS_MAGNITUDE, "multiple at both ends");
    for (int i = 0; i < 4; i++) a.diag[50 * i] = 5 + 1e-4 * i;
    check_eigs(&a, 4, SD_EIGS_LARGEST, "cluster of width 3e-4");
    drop(&a);
  }
  Matrix a = linspaced(500, 0, 1, SD_F64);
  check_eigs(&a, 3, SD_EIGS_LARGEST, "gaps of 1/500 of the range");
  drop(&a);
}

static void eigs_starts_and_limits(void) {
  Matrix a = outliers(SD_F64);
  SdOperator op = operator(&a);
  SdEigsOptions o = {.k = 1, .verify = 1};
  SdStatus status;
  SdEigs e;
  double *start = calloc(300, sizeof *start);
  start[10] = 1;
  status = sd_eigs_run(&op, start, &o, &e, &err);
  ok(status == SD_OK &&
     fabs(e.values[0] - 100) < 1e-8,
     "a start in the wrong invariant subspace: %d products",
     (int)e.iterations);
  sd_eigs_free(&e);
  o.verify = 0;
  start[10] = 1e-3, start[299] = 1;
  status = sd_eigs_run(&op, start, &o, &e, &err);
  ok(status == SD_OK && e.iterations < 8 &&
     fabs(e.values[0] - 100) < 1e-8, "a warm start takes %d products",
     (int)e.iterations);
  sd_eigs_free(&e);
  o = (SdEigsOptions){.k = 4, .which = SD_EIGS_SMALLEST, .max_iter = 20};
  status = sd_eigs_run(&op, NULL, &o, &e, &err);
  ok(status == SD_OK && e.converged < 4 &&
     e.iterations == 24, "max_iter ends the search; %d converged",
     (int)e.converged);
  sd_eigs_free(&e);
  o.k = 301;
  ok(sd_eigs_run(&op, NULL, &o, &e, &err) == SD_EARGUMENT, "%s",
     err.message);
  o.k = 0;
  ok(sd_eigs_run(&op, NULL, &o, &e, &err) == SD_EARGUMENT, "%s",
     err.message);
  op.dtype = SD_I32;
  ok(sd_eigs_run(&op, NULL, &o, &e, &err) == SD_EARGUMENT, "%s",
     err.message);
  free(start);
  drop(&a);
}

/* ---- several vectors at once ----------------------------------------------- */

static SdStatus matmat(void *context, int64_t count, const void *v, void *out,
                       SdError *e) {
  Matrix *a = context;
  size_t row = (size_t)a->n * sd_dtype_size(a->dtype);
  for (int64_t i = 0; i < count; i++) {
    SdStatus s = matvec(a, (const char *)v + (size_t)i * row,
                        (char *)out + (size_t)i * row, e);
    if (s != SD_OK) return s;
  }
  return SD_OK;
}

typedef SdStatus Solver(const SdOperator *, const SdEigsOptions *, SdEigs *);

static SdStatus run_lanczos(const SdOperator *op, const SdEigsOptions *o,
                            SdEigs *e) {
  return sd_eigs_run(op, NULL, o, e, &err);
}

static SdStatus run_block(const SdOperator *op, const SdEigsOptions *o,
                          SdEigs *e) {
  return sd_eigs_block(op, 4, NULL, o, e, &err);
}

static SdStatus run_lobpcg(const SdOperator *op, const SdEigsOptions *o,
                           SdEigs *e) {
  return sd_eigs_lobpcg(op, NULL, NULL, o, e, &err);
}

static SdStatus run_power(const SdOperator *op, const SdEigsOptions *o,
                          SdEigs *e) {
  return sd_eigs_power(op, NULL, o, e, &err);
}

static Solver *const solvers[] = {run_lanczos, run_block, run_lobpcg,
                                  run_power};
static const char *const solver_names[] = {"Lanczos", "block", "LOBPCG",
                                           "power"};

/* Every solver, on spectra with copies; interrupted after each product. */
static void eigs_of_all_methods(void) {
  for (int i = 0; i < 4; i++) {
    Matrix a = linspaced(200, 0, 1, SD_F64);
    for (int j = 0; j < 3; j++) a.diag[20 * j] = 6;
    a.diag[7] = 9;
    SdOperator op = operator(&a);
    op.matmat = matmat;
    SdEigsOptions o = {.k = 4, .verify = 1, .max_iter = 2000};
    SdEigs e;
    int good = solvers[i](&op, &o, &e) == SD_OK && e.converged == 4 &&
               e.end == SD_EIGS_CONVERGED;
    ok(good && fabs(e.values[0] - 9) < 1e-10 && fabs(e.values[3] - 6) < 1e-10,
       "%s finds 9 and all copies of 6: %d products", solver_names[i],
       (int)e.iterations);
    int64_t products = e.iterations, kept = 0, wrong = 0;
    sd_eigs_free(&e);
    for (int64_t stop = 1; stop <= products && stop < 200; stop++) {
      a.products = 0, a.fail_at = stop, a.code = SD_EINTERRUPT;
      SdStatus status = solvers[i](&op, &o, &e);
      if (status == SD_EINTERRUPT) continue;
      kept++;
      wrong += status != SD_OK || e.end != SD_EIGS_INTERRUPTED || e.k < 1;
      for (int64_t j = 0; status == SD_OK && j < e.converged; j++)
        wrong += e.values[0] < 8.999;
      sd_eigs_free(&e);
    }
    ok(kept > 0 && wrong == 0, "%s, interrupted: %d times with results",
       solver_names[i], (int)kept);
    a.products = 0, a.fail_at = 5, a.code = SD_EARGUMENT;
    ok(solvers[i](&op, &o, &e) == SD_EARGUMENT && e.k == 0,
       "%s: a failing product fails", solver_names[i]);
    a.fail_at = 0, a.diag[3] = NAN;
    ok(solvers[i](&op, &o, &e) == SD_ENUMERIC, "%s: %s", solver_names[i],
       err.message);
    drop(&a);
  }
}

/* ---- quadrature ---------------------------------------------------------- */

static double integral(const SdDensity *d) {
  double sum = 0;
  for (int64_t i = 0; i < d->points; i++) sum += d->density[i];
  return sum * (d->grid[1] - d->grid[0]);
}

static void semicircle(void) {
  Matrix a = wigner(1000, 9, SD_F64);
  SdOperator op = operator(&a);
  double *probes = random_rows(SD_F64, 8000, 4), error = 0;
  SdDensityOptions o = {.steps = 50, .sigma = .08, .reorthogonalize = 1};
  SdDensity d;
  if (sd_density_run(&op, 8, probes, &o, &d, &err) != SD_OK) exit(1);
  double h = d.grid[1] - d.grid[0];
  for (int64_t i = 0; i < d.points; i++) {
    double x = d.grid[i];
    double want = fabs(x) < 2 ? sqrt(4 - x * x) / (2 * M_PI) : 0;
    error += fabs(d.density[i] - want) * h;
  }
  ok(error < .08, "Wigner semicircle: L1 error %.3f", error);
  ok(fabs(integral(&d) - 1) < 1e-4, "the density integrates to 1");
  ok(d.count == 400, "8 probes of 50 nodes");
  sd_density_free(&d);
  o.sigma = 1e-7;
  sd_density_run(&op, 2, probes, &o, &d, &err);
  ok(fabs(integral(&d) - 1) < 1e-4, "also with a sigma below the grid's step");
  sd_density_free(&d);
  free(probes);
  drop(&a);
}

static void quadrature_moments(void) {
  Matrix a = linspaced(60, -1, 2, SD_F64);
  SdOperator op = operator(&a);
  double *v = random_rows(SD_F64, 60, 2), nodes[8], weights[8];
  SdLanczosOptions o = {8, 1, 0};
  SdLanczos l;
  sd_lanczos_run(&op, v, &o, &l, &err);
  sd_quadrature_rule(8, l.alpha, l.beta, nodes, weights, &err);
  double worst = 0, norm = sd_vector_dot(SD_F64, 60, v, v);
  for (int p = 0; p < 16; p++) {
    double got = 0, want = 0;
    for (int i = 0; i < 8; i++) got += weights[i] * pow(nodes[i], p);
    for (int i = 0; i < 60; i++) want += v[i] * v[i] * pow(a.diag[i], p) / norm;
    worst = fmax(worst, fabs(got - want) / fmax(1, fabs(want)));
  }
  ok(worst < 1e-12, "8 nodes are exact for moments 0 to 15: %.1e", worst);
  sd_lanczos_free(&l);
  free(v);
  drop(&a);
}

static void densities_of_points(void) {
  Matrix a = linspaced(30, 4, 4, SD_F32);
  SdOperator op = operator(&a);
  float *probes = random_rows(SD_F32, 90, 2);
  SdDensityOptions o = {.steps = 80, .reorthogonalize = 1};
  SdStatus status;
  SdDensity d;
  status = sd_density_run(&op, 3, probes, &o, &d, &err);
  ok(status == SD_OK && d.count == 3 &&
     fabs(integral(&d) - 1) < 1e-3 && fabs(d.nodes[0] - 4) < 1e-5,
     "four times the identity: one node, sigma %g", d.sigma);
  sd_density_free(&d);
  memset(a.diag, 0, 30 * sizeof *a.diag);
  ok(sd_density_run(&op, 3, probes, &o, &d, &err) == SD_OK &&
     fabs(integral(&d) - 1) < 1e-3, "zero");
  sd_density_free(&d);
  ok(sd_density_run(&op, 0, probes, &o, &d, &err) == SD_EARGUMENT, "%s",
     err.message);
  free(probes);
  drop(&a);
}

/* ---- traces -------------------------------------------------------------- */

typedef SdStatus Trace(const SdOperator *, int64_t, const void *,
                       SdTraceEstimate *, SdError *);

static Trace *const traces[] = {sd_trace_hutchinson, sd_trace_hutchpp,
                                sd_trace_xtrace};
static const char *const trace_names[] = {"Hutchinson", "Hutch++", "XTrace"};

/* Decaying spectrum in a random basis: 3^-i by reflections of a diagonal. */
static Matrix decaying(int64_t n) {
  Matrix a = wigner(n, 3, SD_F64);
  double *u = random_rows(SD_F64, n, 8), uu = sd_vector_dot(SD_F64, n, u, u);
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += u[i] * u[i] * pow(1.5, -(double)i);
  for (int64_t i = 0; i < n; i++) /* (1 - 2uu^T/uu) D (1 - 2uu^T/uu) */
    for (int64_t j = 0; j < n; j++) {
      double di = pow(1.5, -(double)i), dj = pow(1.5, -(double)j);
      a.dense[i * n + j] = (i == j ? di : 0) +
          u[i] * u[j] * (4 * sum / uu - 2 * di - 2 * dj) / uu;
    }
  free(u);
  return a;
}

static double trace_of(const Matrix *a) {
  double sum = 0;
  for (int64_t i = 0; i < a->n; i++)
    sum += (a->diag ? a->diag[i] : 0) +
           (a->dense ? a->dense[i * a->n + i] : 0);
  return sum;
}

/* Over many draws: unbiased, and the standard error is the deviation. */
static void check_trace(Matrix *a, int method, int64_t count,
                        const char *what) {
  enum { DRAWS = 100 };
  SdOperator op = operator(a);
  double want = trace_of(a), bias = 0, square = 0, claimed = 0;
  int64_t products = 0;
  for (int draw = 0; draw < DRAWS; draw++) {
    double *probes = random_signs(count * a->n, (uint64_t)draw + 100);
    SdTraceEstimate t;
    if (traces[method](&op, count, probes, &t, &err) != SD_OK) exit(1);
    bias += (t.value - want) / DRAWS;
    square += (t.value - want) * (t.value - want) / DRAWS;
    claimed += t.error * t.error / DRAWS;
    products = t.products;
    free(probes);
  }
  double deviation = sqrt(square), slack = 1e-12 * fabs(want);
  ok(fabs(bias) <= 4 * deviation / sqrt(DRAWS) + slack,
     "%s of %s: trace %.4f, bias %.1e, deviation %.1e, %d products",
     trace_names[method], what, want, bias, deviation, (int)products);
  ok(deviation <= 1.3 * sqrt(claimed) + slack &&
     sqrt(claimed) <= 3 * deviation + slack, "claims %.1e", sqrt(claimed));
}

static void trace_estimates(void) {
  Matrix a = wigner(200, 5, SD_F64), b = decaying(100);
  Matrix c = linspaced(100, 0, 0, SD_F64);
  for (int i = 0; i < 3; i++) {
    check_trace(&a, i, 12, "a random matrix");
    check_trace(&b, i, 12, "a decaying spectrum");
  }
  double *probes = random_signs(30 * 100, 1);
  SdStatus status;
  SdTraceEstimate t;
  c.dense = calloc(100 * 100, sizeof *c.dense);
  for (int i = 0; i < 4 * 100; i++) /* rank 4 */
    for (int j = 0; j < 100; j++)
      c.dense[i % 100 * 100 + j] +=
          sin(1 + (i / 100 + 1) * (i % 100)) * sin(1 + (i / 100 + 1) * j);
  SdOperator op = operator(&c);
  for (int i = 1; i < 3; i++) {
    status = traces[i](&op, 10, probes, &t, &err);
    ok(status == SD_OK &&
       fabs(t.value - trace_of(&c)) < 1e-10 * trace_of(&c) &&
       t.error < 1e-10 * trace_of(&c), "%s is exact for rank 4: %.1e",
       trace_names[i], fabs(t.value - trace_of(&c)));
  }
  memset(c.dense, 0, 100 * 100 * sizeof *c.dense);
  for (int i = 0; i < 3; i++)
    ok(traces[i](&op, 10, probes, &t, &err) == SD_OK && t.value == 0,
       "%s of zero", trace_names[i]);
  Matrix one = linspaced(1, 3, 3, SD_F64);
  op = operator(&one);
  for (int i = 0; i < 3; i++)
    ok(traces[i](&op, 2, probes, &t, &err) == SD_OK &&
       fabs(t.value - 3) < 1e-14, "%s for n = 1", trace_names[i]);
  ok(sd_trace_hutchinson(&op, 1, probes, &t, &err) == SD_OK &&
     isnan(t.error), "one sample has no standard error");
  ok(sd_trace_hutchpp(&op, 1, probes, &t, &err) == SD_EARGUMENT, "%s",
     err.message);
  free(probes);
  drop(&a), drop(&b), drop(&c), drop(&one);
}

/* Var = 2 (|A|_F^2 - sum a_ii^2) for signs. */
static void hutchinson_variance(void) {
  Matrix a = wigner(50, 6, SD_F64);
  SdOperator op = operator(&a);
  double *probes = random_signs(4000 * 50, 5), want = 0;
  SdTraceEstimate t;
  sd_trace_hutchinson(&op, 4000, probes, &t, &err);
  for (int i = 0; i < 2500; i++)
    if (i / 50 != i % 50) want += 2 * a.dense[i] * a.dense[i];
  double got = t.error * t.error * 4000;
  ok(fabs(got / want - 1) < .1, "variance %.2f, %.2f expected", got, want);
  free(probes);
  drop(&a);
}

/* ---- solvers ------------------------------------------------------------- */

typedef struct Solved {
  SdSolveResult r;
  double error; /* |x - x*| / |x*| for b = (A + damping) x* */
} Solved;

static Solved solve(Matrix *a, int minres, SdSolveOptions o) {
  SdOperator op = operator(a);
  size_t n = (size_t)a->n;
  void *want = random_rows(a->dtype, a->n, 2);
  void *b = malloc(n * 8), *x = calloc(n, 8);
  Solved s;
  matvec(a, want, b, &err);
  sd_vector_axpy(a->dtype, a->n, o.damping, want, b);
  SdStatus status = minres ? sd_minres_solve(&op, b, x, &o, &s.r, &err)
                           : sd_cg_solve(&op, b, x, NULL, &o, &s.r, &err);
  if (status != SD_OK) printf("# %s\n", err.message);
  sd_vector_axpy(a->dtype, a->n, -1, want, x);
  s.error = sd_vector_norm(a->dtype, a->n, x) /
            sd_vector_norm(a->dtype, a->n, want);
  free(want), free(b), free(x);
  return s;
}

static void solvers_of_definite_systems(void) {
  for (int d = SD_F32; d <= SD_F64; d++)
    for (int minres = 0; minres < 2; minres++) {
      const char *name = minres ? "MINRES" : "CG";
      Matrix a = linspaced(300, 1, 50, (SdDtype)d);
      double limit = d == SD_F32 ? 1e-3 : 1e-8;
      Solved s = solve(&a, minres, (SdSolveOptions){0});
      ok(s.r.end == SD_SOLVE_CONVERGED && s.error < limit,
         "%s, %s, condition 50: error %.1e, %d products, %s", name,
         sd_dtype_name((SdDtype)d), s.error, (int)s.r.iterations,
         sd_solve_end_name(s.r.end));
      s = solve(&a, minres, (SdSolveOptions){.damping = 100});
      ok(s.r.end == SD_SOLVE_CONVERGED && s.error < limit &&
         s.r.iterations < 25, "damped: %d products", (int)s.r.iterations);
      s = solve(&a, minres, (SdSolveOptions){.max_iter = 5});
      ok(s.r.end == SD_SOLVE_MAX_ITER && s.r.iterations <= 6,
         "max_iter ends it");
      s = solve(&a, minres, (SdSolveOptions){.tol = 1e-30});
      ok(s.r.end == SD_SOLVE_STAGNATED || s.r.end == SD_SOLVE_LEAST_SQUARES ||
         s.r.end == SD_SOLVE_MAX_ITER, "an impossible tol ends too: %s",
         sd_solve_end_name(s.r.end));
      drop(&a);
      a = linspaced(1, 3, 3, (SdDtype)d);
      s = solve(&a, minres, (SdSolveOptions){0});
      ok(s.r.end == SD_SOLVE_CONVERGED && s.error < limit, "n = 1");
      drop(&a);
    }
}

static void solvers_of_indefinite_systems(void) {
  Matrix a = linspaced(200, -3.01, 8, SD_F64);
  SdOperator op = operator(&a);
  SdSolveResult r;
  SdStatus status;
  SdSolveOptions o = {0};
  double *b = random_rows(SD_F64, 200, 3), x[200] = {0}, d[200], h[200];
  status = sd_cg_solve(&op, b, x, d, &o, &r, &err);
  ok(status == SD_OK &&
     r.end == SD_SOLVE_NEGATIVE_CURVATURE && r.curvature < 0,
     "CG finds negative curvature %.2f", r.curvature);
  matvec(&a, d, h, &err);
  ok(fabs(sd_vector_dot(SD_F64, 200, d, h) - r.curvature) < 1e-12 &&
     fabs(sd_vector_norm(SD_F64, 200, d) - 1) < 1e-12,
     "and the direction that has it");
  matvec(&a, x, h, &err);
  sd_vector_axpy(SD_F64, 200, -1, b, h);
  ok(sd_vector_dot(SD_F64, 200, d, h) < 0,
     "which descends from where CG stopped");
  Solved s = solve(&a, 1, o);
  ok(s.r.end == SD_SOLVE_CONVERGED && s.error < 1e-7,
     "MINRES solves it: error %.1e, %d products", s.error,
     (int)s.r.iterations);
  s = solve(&a, 0, (SdSolveOptions){.damping = 4});
  ok(s.r.end == SD_SOLVE_CONVERGED && s.error < 1e-8,
     "CG does with damping");
  free(b);
  drop(&a);
}

static void solvers_of_singular_systems(void) {
  Matrix a = linspaced(100, 1, 4, SD_F64);
  SdOperator op = operator(&a);
  SdSolveResult r;
  SdStatus status;
  SdSolveOptions o = {0};
  double b[100], x[100] = {0}, h[100];
  for (int i = 0; i < 100; i++) b[i] = 1;
  a.diag[0] = a.diag[1] = 0;
  status = sd_minres_solve(&op, b, x, &o, &r, &err);
  ok(status == SD_OK &&
     r.end == SD_SOLVE_LEAST_SQUARES && fabs(r.residual - sqrt(2)) < 1e-9,
     "MINRES, inconsistent: least squares, residual %.6f", r.residual);
  matvec(&a, x, h, &err);
  ok(fabs(h[50] - 1) < 1e-6, "and the rest is solved");
  memset(x, 0, sizeof x);
  status = sd_cg_solve(&op, b, x, NULL, &o, &r, &err);
  ok(status == SD_OK &&
     r.end == SD_SOLVE_NEGATIVE_CURVATURE, "CG stops: curvature %.1e",
     r.curvature);
  b[0] = b[1] = 0;
  for (int minres = 0; minres < 2; minres++) {
    memset(x, 0, sizeof x);
    status = minres ? sd_minres_solve(&op, b, x, &o, &r, &err)
                    : sd_cg_solve(&op, b, x, NULL, &o, &r, &err);
    ok(status == SD_OK && r.end == SD_SOLVE_CONVERGED && x[0] == 0,
       "consistent: both solve it");
  }
  int64_t before = a.products;
  ok(sd_cg_solve(&op, b, x, NULL, &o, &r, &err) == SD_OK &&
     r.end == SD_SOLVE_CONVERGED && a.products == before + 1,
     "a solution as first guess costs one product");
  memset(b, 0, sizeof b);
  ok(sd_minres_solve(&op, b, x, &o, &r, &err) == SD_OK && r.residual == 0 &&
     x[50] == 0, "b = 0 gives x = 0");
  memset(a.diag, 0, 100 * sizeof *a.diag);
  b[3] = 1;
  status = sd_minres_solve(&op, b, x, &o, &r, &err);
  ok(status == SD_OK &&
     r.end == SD_SOLVE_LEAST_SQUARES && r.residual == 1, "A = 0: %s",
     sd_solve_end_name(r.end));
  ok(sd_cg_solve(&op, b, x, NULL, &o, &r, &err) == SD_OK &&
     r.end == SD_SOLVE_NEGATIVE_CURVATURE && r.curvature == 0, "A = 0, CG");
  b[3] = NAN;
  ok(sd_cg_solve(&op, b, x, NULL, &o, &r, &err) == SD_EARGUMENT, "%s",
     err.message);
  b[3] = 1;
  a.diag[3] = NAN;
  ok(sd_cg_solve(&op, b, x, NULL, &o, &r, &err) == SD_ENUMERIC, "%s",
     err.message);
  ok(sd_minres_solve(&op, b, x, &o, &r, &err) == SD_ENUMERIC, "%s",
     err.message);
  drop(&a);
}

/* ---- failures ------------------------------------------------------------ */

/* Everything once, on a matrix of 60. */
static SdStatus run_with(int which, const SdOperator *op, const double *v,
                         const SdOperator *unit) {
  SdLanczosOptions lo = {20, 1, 0};
  SdEigsOptions eo = {.k = 3, .which = SD_EIGS_BOTH, .subspace = 10,
                      .verify = 1};
  SdDensityOptions dopt = {.steps = 10, .reorthogonalize = 1};
  SdSolveOptions so = {.damping = 3};
  SdSolveResult r;
  SdTraceEstimate t;
  SdLanczos l;
  SdEigs e;
  SdDensity d;
  double x[60] = {0}, x2[60];
  int64_t done;
  SdStatus status;
  switch (which) {

    case 0:
      status = sd_lanczos_run(op, v, &lo, &l, &err);
      if (status == SD_OK) sd_lanczos_free(&l);
      return status;
    case 1:
      status = sd_eigs_run(op, v, &eo, &e, &err);
      if (status == SD_OK) sd_eigs_free(&e);
      return status;
    case 2:
      status = sd_density_run(op, 4, v, &dopt, &d, &err);
      if (status == SD_OK) sd_density_free(&d);
      return status;
    case 3: return sd_cg_solve(op, v, x, NULL, &so, &r, &err);
    case 4: return sd_minres_solve(op, v, x, &so, &r, &err);
    case 8:
      status = sd_eigs_block(op, 3, v, &eo, &e, &err);
      if (status == SD_OK) sd_eigs_free(&e);
      return status;
    case 9:
      status = sd_eigs_lobpcg(op, unit, v, &eo, &e, &err);
      if (status == SD_OK) sd_eigs_free(&e);
      return status;
    case 10:
      eo.max_iter = 40;
      status = sd_eigs_power(op, v, &eo, &e, &err);
      if (status == SD_OK) sd_eigs_free(&e);
      return status;
    case 11: return sd_diagonal_estimate(op, 6, v, x, x2, &done, &err);
    case 12: return sd_frobenius_estimate(op, 6, v, x, x2, &done, &err);
    case 13:
      so.precondition = unit;
      return sd_minres_solve(op, v, x, &so, &r, &err);
    case 14:
      so.precondition = unit;
      return sd_cg_solve(op, v, x, NULL, &so, &r, &err);
    default: return traces[which - 5](op, 6, v, &t, &err);
  }
}

static SdStatus run_algorithm(int which, const SdOperator *op,
                              const double *v) {
  Matrix one = linspaced(60, 1, 2, SD_F64);
  SdOperator unit = operator(&one);
  SdStatus status = run_with(which, op, v, &unit);
  drop(&one);
  return status;
}

static void failures_pass_through(void) {
  static const char *const names[] = {
      "lanczos", "eigs", "density", "cg", "minres", "hutchinson", "hutch++",
      "xtrace", "block", "lobpcg", "power", "diagonal", "frobenius",
      "preconditioned minres", "preconditioned cg"};
  Matrix a = wigner(60, 8, SD_F64);
  SdOperator op = operator(&a);
  double *v = random_rows(SD_F64, 600, 3);
  for (int which = 0; which < 15; which++) {
    size_t live = sd_memory_stats().live, nth = 0;
    int wrong = 0;
    SdStatus status = SD_EIO;
    a.code = SD_EIO;
    for (a.fail_at = 1; status != SD_OK && a.fail_at < 1000; a.fail_at++) {
      a.products = 0;
      status = run_algorithm(which, &op, v);
      wrong += status != SD_OK &&
               (status != SD_EIO || !strstr(err.message, "fails"));
    }
    ok(status == SD_OK && !wrong && sd_memory_stats().live == live,
       "%s: a failure of any of its %d products comes through", names[which],
       (int)a.fail_at - 2);
    a.fail_at = 0;
    do {
      sd_memory_fail_after(++nth);
      status = run_algorithm(which, &op, v);
      wrong += status != SD_OK && status != SD_EMEMORY;
    } while (status != SD_OK && nth < 1000);
    sd_memory_fail_after(0);
    ok(status == SD_OK && !wrong && sd_memory_stats().live == live,
       "%s: so does lack of memory, at any of %d allocations", names[which],
       (int)nth - 1);
    sd_interrupt_raise();
    status = run_algorithm(which, &op, v);
    sd_interrupt_clear();
    ok(status == SD_EINTERRUPT && sd_memory_stats().live == live,
       "%s: and an interrupt", names[which]);
  }
  free(v);
  drop(&a);
}

/* With signs as probes, Hutchinson's samples of a diagonal are its trace; what
** Hutch++ tests is not signs. */
static void interrupted_estimates(Matrix *a, const SdOperator *op) {
  double *v = random_signs(8 * a->n, 4), x[60], x2[60], trace = 0;
  int64_t done;
  for (int i = 0; i < 60; i++) trace += a->diag[i];
  for (int k = 0; k < 3; k++) {
    double tol = k == 1 ? 0.1 : 1e-9;
    int wrong = 0, cut = 0;
    for (a->fail_at = 1; a->fail_at <= 16; a->fail_at++) {
      SdTraceEstimate t;
      a->products = 0;
      SdStatus status = traces[k](op, 8, v, &t, &err);
      wrong += a->fail_at == 1 ? status != SD_EINTERRUPT
                               : status != SD_OK || t.samples < 1 ||
                                     fabs(t.value - trace) > tol * trace;
      cut += status == SD_OK && t.interrupted;
      if (status == SD_OK && !t.interrupted) break;
    }
    ok(!wrong && cut >= 7, "%s, interrupted, is that of its samples: %d times",
       trace_names[k], cut);
  }
  int wrong = 0;
  for (a->fail_at = 2; a->fail_at <= 8; a->fail_at++) {
    a->products = 0;
    wrong += sd_diagonal_estimate(op, 8, v, x, x2, &done, &err) != SD_OK ||
             done != a->fail_at - 1 || x[7] != a->diag[7];
    a->products = 0;
    wrong += sd_frobenius_estimate(op, 8, v, x, x2, &done, &err) != SD_OK ||
             done != a->fail_at - 1;
  }
  ok(!wrong, "so are a diagonal and a norm");
  free(v);
}

/* Interrupted at each product in turn: what came before it stands. */
static void interrupts_keep_what_there_is(void) {
  size_t live = sd_memory_stats().live;
  Matrix a = linspaced(60, 1, 50, SD_F64);
  SdOperator op = operator(&a);
  double *b = random_rows(SD_F64, 2 * a.n, 9), x[60];
  int wrong = 0, cut = 0;
  a.code = SD_EINTERRUPT;
  for (a.fail_at = 1; a.fail_at <= 20; a.fail_at++) {
    SdLanczosOptions lo = {.steps = 20, .reorthogonalize = 1};
    SdLanczos l;
    a.products = 0;
    SdStatus status = sd_lanczos_run(&op, b, &lo, &l, &err);
    wrong += a.fail_at == 1 ? status != SD_EINTERRUPT
                            : status != SD_OK || !l.interrupted ||
                                  l.steps != a.fail_at - 1;
    if (status == SD_OK) sd_lanczos_free(&l);
  }
  ok(!wrong, "an interrupted recurrence keeps its steps");
  for (a.fail_at = 1; a.fail_at <= 40; a.fail_at++) {
    SdDensityOptions o = {.steps = 20, .reorthogonalize = 1, .points = 8};
    SdDensity d;
    a.products = 0;
    SdStatus status = sd_density_run(&op, 2, b, &o, &d, &err);
    if (status == SD_EINTERRUPT) continue;
    double sum = 0;
    for (int64_t i = 0; i < d.count; i++) sum += d.weights[i];
    int all = d.probes == 2 && d.starts[2] == 40;
    wrong += status != SD_OK || d.probes < 1 || fabs(sum - 1) > 1e-12 ||
             d.starts[d.probes] != d.count || (d.coarse_count == 0) == all;
    cut += !all;
    sd_density_free(&d);
  }
  ok(!wrong && cut > 10, "an interrupted density is that of its %s", "probes");
  interrupted_estimates(&a, &op);
  for (int method = 0; method < 2; method++) {
    double last = INFINITY;
    for (a.fail_at = 2; a.fail_at <= 30; a.fail_at++) {
      SdSolveOptions o = {.tol = 1e-12};
      SdSolveResult r;
      a.products = 0;
      memset(x, 0, sizeof x);
      SdStatus status = method ? sd_minres_solve(&op, b, x, &o, &r, &err)
                               : sd_cg_solve(&op, b, x, NULL, &o, &r, &err);
      double residual = 0;
      for (int i = 0; i < 60; i++)
        residual = hypot(residual, b[i] - a.diag[i] * x[i]);
      wrong += status != SD_OK || r.end != SD_SOLVE_INTERRUPTED ||
               r.iterations != a.fail_at - 1 ||
               fabs(r.residual - residual) > 1e-9 ||
               (method && residual > last);
      last = residual;
    }
    ok(!wrong, "%s, interrupted, gives x and its residual",
       method ? "MINRES" : "CG");
  }
  ok(sd_memory_stats().live == live, "and nothing is leaked");
  free(b);
  drop(&a);
}

/* A workspace that is too small: LAPACK would print it on its own. */
static void refused_arguments_are_silent(void) {
  float a[4] = {0}, values[2], work[1];
  FILE *file = tmpfile();
  if (!file) return;
  int iwork[1], out = dup(1), error = dup(2);
  dup2(fileno(file), 1);
  dup2(fileno(file), 2);
  int info = LAPACKE_ssyevd_work(LAPACK_COL_MAJOR, 'V', 'U', 2, a, 2, values,
                                 work, 1, iwork, 1);
  dup2(out, 1);
  dup2(error, 2);
  close(out);
  close(error);
  ok(info < 0 && lseek(fileno(file), 0, SEEK_END) == 0,
     "an argument that LAPACK refuses is a status and no message");
  fclose(file);
}

int main(void) {
  sd_thread_set_count(1); /* waiting threads slow down a busy machine */
  refused_arguments_are_silent();
  ghosts();
  waiting_vectors(SD_F32);
  waiting_vectors(SD_F64);
  lanczos_ends();
  tiny_and_huge();
  eigs_of_random_matrices();
  eigs_of_special_spectra();
  eigs_starts_and_limits();
  eigs_of_all_methods();
  semicircle();
  quadrature_moments();
  densities_of_points();
  trace_estimates();
  hutchinson_variance();
  solvers_of_definite_systems();
  solvers_of_indefinite_systems();
  solvers_of_singular_systems();
  failures_pass_through();
  interrupts_keep_what_there_is();
  return done();
}
