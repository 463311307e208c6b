/*
** Stochastic Lanczos quadrature: the spectral density of an operator from the
** Lanczos recurrences of a few random vectors (Lin, Saad and Yang 2016, SIAM
** Review 58; Ghorbani, Krishnan and Xiao 2019).
*/
#ifndef SD_QUADRATURE_H
#define SD_QUADRATURE_H

#include "curvature/operator.h"

/* The Gauss rule of one recurrence (Golub and Welsch 1969): nodes ascending,
** weights with sum 1.  v^T f(A) v is close to |v|^2 sum_i weights[i]
** f(nodes[i]).  beta: only the first steps - 1 are read. */
SdStatus sd_quadrature_rule(int64_t steps, const double *alpha,
                            const double *beta, double *nodes,
                            double *weights, SdError *err);

/* density[i]: the mean, over the cell of grid[i], of the sum of Gaussians of
** standard deviation sigma at the nodes; the grid is ascending and even.  Means
** instead of values: the integral stays right however narrow sigma. */
void sd_quadrature_smooth(int64_t count, const double *nodes,
                          const double *weights, double sigma,
                          int64_t points, const double *grid,
                          double *density);

typedef struct SdDensityOptions {
  int64_t steps;       /* of each recurrence */
  double sigma;        /* 0: the range of the nodes over steps, about the
                          distance of two nodes; 1e-3 of the largest
                          |node| when the range is less than that */
  int64_t points;      /* of the grid; 0: 1024 */
  int reorthogonalize; /* off: steps x n of memory less, and ghosts */
} SdDensityOptions;

/* The grid reaches 4 sigma beyond the nodes; the density integrates to 1.
** Probe i has the nodes starts[i] .. starts[i + 1] - 1; coarse is the rule of
** its first two thirds of steps, whose difference from the whole one shows how
** far quadratures have settled.  After an interrupt the probes are those that
** had begun, with fewer steps, and nothing is coarse. */
typedef struct SdDensity {
  int64_t points, count, capacity, probes, room; /* for probes */
  int64_t coarse_count;
  double sigma;
  double *grid, *density;  /* points */
  double *nodes, *weights; /* count: of all probes; weights sum to 1 */
  double *coarse_nodes, *coarse_weights; /* coarse_count: likewise */
  int64_t *starts;         /* probes + 1 */
} SdDensity;

/* probes: count x n, rows of independent entries with mean 0 and variance 1
** (any rows: each is normalised). */
SdStatus sd_density_run(const SdOperator *op, int64_t count,
                        const void *probes, const SdDensityOptions *o,
                        SdDensity *out, SdError *err);
void sd_density_free(SdDensity *d);

#endif
