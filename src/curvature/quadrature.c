#include "curvature/quadrature.h"

#include "base/memory.h"
#include "curvature/lanczos.h"
#include "curvature/vector.h"
#include "kernels/lapack.h"

#include <math.h>
#include <string.h>

/* Bytes of the bases of recurrences that run side by side. */
enum { SIDE_BY_SIDE = 256 * 1024 * 1024 };

SdStatus sd_quadrature_rule(int64_t steps, const double *alpha,
                            const double *beta, double *nodes,
                            double *weights, SdError *err) {
  size_t m = (size_t)steps, bytes = (m * m + m) * sizeof(double);
  double *z = sd_memory_alloc(bytes, err);
  if (!z) return err->code;
  double *off = z + m * m;
  memcpy(nodes, alpha, m * sizeof *nodes);
  if (m > 1) memcpy(off, beta, (m - 1) * sizeof *off);
  SdStatus status =
      sd_lapack_tridiagonal(steps, nodes, off, z, "quadrature", err);
  for (size_t j = 0; j < m && status == SD_OK; j++) weights[j] = z[j] * z[j];
  sd_memory_free(z, bytes);
  return status;
}

/* Only cells within 9 sigma of a node receive anything. */
void sd_quadrature_smooth(int64_t count, const double *nodes,
                          const double *weights, double sigma,
                          int64_t points, const double *grid,
                          double *density) {
  double h = points > 1 ? (grid[points - 1] - grid[0]) / (double)(points - 1)
                        : 1;
  double scale = 1 / (sigma * sqrt(2));
  memset(density, 0, (size_t)points * sizeof *density);
  for (int64_t j = 0; j < count; j++) {
    double from = (nodes[j] - 9 * sigma - grid[0]) / h - 1;
    double to = (nodes[j] + 9 * sigma - grid[0]) / h + 1;
    int64_t i = from < 0 ? 0 : (int64_t)from;
    int64_t end = to < (double)points ? (int64_t)to + 1 : points;
    if (end > points) end = points;
    if (i >= end) continue;
    double below = erf((grid[i] - h / 2 - nodes[j]) * scale);
    for (; i < end; i++) {
      double above = erf((grid[i] + h / 2 - nodes[j]) * scale);
      density[i] += weights[j] * (above - below) / (2 * h);
      below = above;
    }
  }
}

/* ---- density ------------------------------------------------------------ */

void sd_density_free(SdDensity *d) {
  size_t points = (size_t)d->points * sizeof(double);
  size_t nodes = (size_t)d->capacity * sizeof(double);
  sd_memory_free(d->grid, points);
  sd_memory_free(d->density, points);
  sd_memory_free(d->nodes, nodes);
  sd_memory_free(d->weights, nodes);
  sd_memory_free(d->coarse_nodes, nodes);
  sd_memory_free(d->coarse_weights, nodes);
  sd_memory_free(d->starts, (size_t)(d->room + 1) * sizeof *d->starts);
  *d = (SdDensity){.points = 0};
}

static SdStatus density_new(SdDensity *d, int64_t points, int64_t capacity,
                            int64_t probes, SdError *err) {
  size_t grid = (size_t)points * sizeof(double);
  size_t nodes = (size_t)capacity * sizeof(double);
  size_t starts = (size_t)(probes + 1) * sizeof(int64_t);
  *d = (SdDensity){.points = points, .capacity = capacity, .room = probes};
  if ((d->grid = sd_memory_alloc(grid, err)) &&
      (d->density = sd_memory_alloc(grid, err)) &&
      (d->nodes = sd_memory_alloc(nodes, err)) &&
      (d->weights = sd_memory_alloc(nodes, err)) &&
      (d->coarse_nodes = sd_memory_alloc(nodes, err)) &&
      (d->coarse_weights = sd_memory_alloc(nodes, err)) &&
      (d->starts = sd_memory_alloc(starts, err))) {
    d->starts[0] = 0;
    return SD_OK;
  }
  return err->code;
}

/* Appends the rules of probe i, whose recurrence is l. */
static SdStatus add_rule(const SdLanczos *l, int64_t i, SdDensity *d,
                         SdError *err) {
  int64_t fewer = l->steps - l->steps / 3;
  if (sd_quadrature_rule(l->steps, l->alpha, l->beta, d->nodes + d->count,
                         d->weights + d->count, err) != SD_OK ||
      sd_quadrature_rule(fewer, l->alpha, l->beta,
                         d->coarse_nodes + d->coarse_count,
                         d->coarse_weights + d->coarse_count, err) != SD_OK)
    return err->code;
  d->probes++;
  d->count += l->steps;
  d->coarse_count += fewer;
  d->starts[i + 1] = d->count;
  return SD_OK;
}

/* Appends the rules of probes first .. first + count - 1; *cut: whether they
** were interrupted. */
static SdStatus add_probes(const SdOperator *op, int64_t first, int64_t count,
                           const void *probes, const SdDensityOptions *o,
                           SdDensity *d, int *cut, SdError *err) {
  SdLanczosOptions lo = {o->steps, o->reorthogonalize, 0};
  const void *from = sd_vector_at(op->dtype, probes, first * op->n);
  size_t bytes = (size_t)count * sizeof(SdLanczos);
  SdLanczos *l = sd_memory_alloc(bytes, err);
  if (!l) return err->code;
  SdStatus status = sd_lanczos_run_rows(op, count, from, &lo, l, err);
  for (int64_t i = 0; status == SD_OK && i < count; i++)
    status = add_rule(&l[i], first + i, d, err);
  *cut = status == SD_OK && l[0].interrupted;
  for (int64_t i = 0; i < count; i++) sd_lanczos_free(&l[i]);
  sd_memory_free(l, bytes);
  return status;
}

/* How many recurrences run side by side: as their bases fit. */
static int64_t group_size(const SdOperator *op, int64_t steps,
                          const SdDensityOptions *o) {
  int64_t rows = o->reorthogonalize ? steps + 1 : 3;
  int64_t bytes = rows * op->n * (int64_t)sd_dtype_size(op->dtype);
  return op->matmat && bytes < SIDE_BY_SIDE ? SIDE_BY_SIDE / bytes : 1;
}

static double default_sigma(double low, double high, int64_t steps) {
  double largest = fmax(fabs(low), fabs(high));
  double sigma = (high - low) / (double)steps;
  if (sigma >= 1e-3 * largest && sigma > 0) return sigma;
  return largest > 0 ? 1e-3 * largest : 1e-3;
}

static void make_grid(SdDensity *d, const SdDensityOptions *o) {
  double low = INFINITY, high = -INFINITY;
  for (int64_t i = 0; i < d->count; i++) {
    low = fmin(low, d->nodes[i]);
    high = fmax(high, d->nodes[i]);
  }
  d->sigma = o->sigma > 0 ? o->sigma : default_sigma(low, high, o->steps);
  low -= 4 * d->sigma;
  high += 4 * d->sigma;
  for (int64_t i = 0; i < d->points; i++)
    d->grid[i] = low + (high - low) * (double)i / (double)(d->points - 1);
}

static SdStatus check(const SdDensityOptions *o, int64_t count,
                      SdError *err) {
  if (count < 1 || o->steps < 1 || o->points < 0 || o->points == 1 ||
      !(o->sigma >= 0) || count > INT32_MAX || o->steps > INT32_MAX)
    return sd_error_set(err, SD_EARGUMENT,
                        "density: %lld probes, %lld steps, %lld points, "
                        "sigma %g", (long long)count, (long long)o->steps,
                        (long long)o->points, o->sigma);
  return SD_OK;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static SdStatus run(const SdOperator *op, int64_t count, const void *probes,
                    const SdDensityOptions *o, SdDensity *d, SdError *err) {
  int64_t steps = o->reorthogonalize && o->steps > op->n ? op->n : o->steps;
  int64_t group = group_size(op, steps, o);
  if (density_new(d, o->points ? o->points : 1024, count * steps, count, err))
    return err->code;
  int cut = 0;
  for (int64_t i = 0; i < count && !cut; i += group) {
    SdStatus status = add_probes(op, i, least(group, count - i), probes, o, d,
                                 &cut, err);
    if (status == SD_EINTERRUPT && d->probes > 0) {
      sd_interrupt_keep();
      cut = 1;
    } else if (status != SD_OK) {
      return status;
    }
  }
  if (cut) d->coarse_count = 0;
  /* Each probe counts for the same. */
  for (int64_t i = 0; i < d->count; i++) d->weights[i] /= (double)d->probes;
  for (int64_t i = 0; i < d->coarse_count; i++)
    d->coarse_weights[i] /= (double)d->probes;
  make_grid(d, o);
  sd_quadrature_smooth(d->count, d->nodes, d->weights, d->sigma, d->points,
                       d->grid, d->density);
  return SD_OK;
}

SdStatus sd_density_run(const SdOperator *op, int64_t count,
                        const void *probes, const SdDensityOptions *o,
                        SdDensity *out, SdError *err) {
  *out = (SdDensity){.points = 0};
  if (sd_operator_check(op, "density", err) != SD_OK ||
      check(o, count, err) != SD_OK)
    return err->code;
  SdStatus status = run(op, count, probes, o, out, err);
  if (status != SD_OK) sd_density_free(out);
  return status;
}
