#include "curvature/vector.h"

#include "kernels/gram.h"

#include <cblas.h>
#include <math.h>

enum {
  PIECES = 64,   /* of a vector, at most */
  BLOCK = 4096   /* elements; below, one thread */
};

/* Piece i of at most PIECES covers from..to, at multiples of BLOCK. */
static int64_t piece_length(int64_t n) {
  int64_t blocks = (n + BLOCK - 1) / BLOCK;
  return (blocks + PIECES - 1) / PIECES * BLOCK;
}

static double piece_dot(SdDtype d, int64_t n, const void *x, const void *y) {
  double sum = 0;
  for (int64_t at = 0; at < n; at += BLOCK)
    sum += sd_gram(d)->dot(n - at < BLOCK ? n - at : BLOCK,
                           sd_vector_at(d, x, at), sd_vector_at(d, y, at));
  return sum;
}

double sd_vector_dot(SdDtype d, int64_t n, const void *x, const void *y) {
  double partial[PIECES] = {0}, sum = 0;
  int64_t length = piece_length(n);
#pragma omp parallel for if (n > 4 * BLOCK)
  for (int i = 0; i < PIECES; i++) {
    int64_t at = i * length, left = n - at;
    if (left > 0)
      partial[i] = piece_dot(d, left < length ? left : length,
                             sd_vector_at(d, x, at), sd_vector_at(d, y, at));
  }
  for (int i = 0; i < PIECES; i++) sum += partial[i];
  return sum;
}

double sd_vector_norm(SdDtype d, int64_t n, const void *x) {
  return sqrt(sd_vector_dot(d, n, x, x));
}

void sd_vector_combine(SdDtype d, int64_t n, double a, const void *x,
                       double b, const void *y, void *out) {
#pragma omp parallel for if (n > 4 * BLOCK)
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t end = n - at < BLOCK ? n : at + BLOCK;
    if (d == SD_F32) {
      const float *u = x, *v = y;
      float *w = out, s = (float)a, t = (float)b;
      for (int64_t i = at; i < end; i++) w[i] = s * u[i] + t * v[i];
    } else {
      const double *u = x, *v = y;
      double *w = out;
      for (int64_t i = at; i < end; i++) w[i] = a * u[i] + b * v[i];
    }
  }
}

void sd_vector_axpy(SdDtype d, int64_t n, double a, const void *x, void *y) {
#pragma omp parallel for if (n > 4 * BLOCK)
  for (int64_t at = 0; at < n; at += BLOCK) {
    int length = (int)(n - at < BLOCK ? n - at : BLOCK);
    const void *u = sd_vector_at(d, x, at);
    void *v = sd_vector_at(d, y, at);
    if (d == SD_F32) cblas_saxpy(length, (float)a, u, 1, v, 1);
    else cblas_daxpy(length, a, u, 1, v, 1);
  }
}

/* Not BLAS: its scal turns 0 * NaN into 0 in some versions. */
void sd_vector_scale(SdDtype d, int64_t n, double a, void *x) {
#pragma omp parallel for if (n > 4 * BLOCK)
  for (int64_t at = 0; at < n; at += BLOCK) {
    int64_t end = n - at < BLOCK ? n : at + BLOCK;
    if (d == SD_F32) {
      float *v = x;
      for (int64_t i = at; i < end; i++) v[i] = (float)(a * (double)v[i]);
    } else {
      double *v = x;
      for (int64_t i = at; i < end; i++) v[i] *= a;
    }
  }
}
