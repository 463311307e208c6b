#include "kernels/finite.h"

#include <stdint.h>

/* All bits of the exponent set: what is no finite number. */
#define EXPONENT32 0x7f800000u
#define EXPONENT64 0x7ff0000000000000u
enum { BLOCK = 4096 };

static int finite32(int64_t n, const uint32_t *x) {
  for (int64_t from = 0; from < n; from += BLOCK) {
    int64_t to = from + BLOCK < n ? from + BLOCK : n;
    uint32_t found = 0;
    for (int64_t i = from; i < to; i++)
      found |= (x[i] & EXPONENT32) == EXPONENT32;
    if (found) return 0;
  }
  return 1;
}

static int finite64(int64_t n, const uint64_t *x) {
  for (int64_t from = 0; from < n; from += BLOCK) {
    int64_t to = from + BLOCK < n ? from + BLOCK : n;
    uint64_t found = 0;
    for (int64_t i = from; i < to; i++)
      found |= (x[i] & EXPONENT64) == EXPONENT64;
    if (found) return 0;
  }
  return 1;
}

/* How many elements there are from a->data on, without gaps, when these are
** those of a in some order, each perhaps several times; otherwise -1. */
static int64_t dense(const SdArray *a) {
  int64_t n = 1;
  int left = 0, found = 1;
  for (int d = 0; d < a->shape.ndim; d++)
    left += a->shape.dims[d] > 1 && a->strides[d] != 0;
  while (left > 0 && found) {
    found = 0;
    for (int d = 0; d < a->shape.ndim && !found; d++)
      if (a->shape.dims[d] > 1 && a->strides[d] == n) {
        n *= a->shape.dims[d];
        found = 1;
        left--;
      }
  }
  return found ? n : -1;
}

static int finite(const SdArray *a, int64_t offset, int64_t n) {
  return a->dtype == SD_F32
             ? finite32(n, (const uint32_t *)a->data + offset)
             : finite64(n, (const uint64_t *)a->data + offset);
}

/* One run of adjacent elements after another, by the strides of a view. */
static int finite_view(const SdArray *a) {
  int64_t at[SD_MAX_DIMS] = {0}, offset = 0, n = 1;
  int run = a->shape.ndim - 1;
  while (run >= 0 && a->strides[run] != 1) run--;
  if (run >= 0) n = a->shape.dims[run];
  for (int64_t left = sd_array_numel(a) / n; left > 0; left--) {
    if (!finite(a, offset, n)) return 0;
    for (int d = a->shape.ndim - 1; d >= 0; d--) {
      if (d == run) continue;
      offset += a->strides[d];
      if (++at[d] < a->shape.dims[d]) break;
      offset -= a->strides[d] * at[d];
      at[d] = 0;
    }
  }
  return 1;
}

int sd_finite(const SdArray *a) {
  if (a->dtype != SD_F32 && a->dtype != SD_F64) return 1;
  if (sd_array_numel(a) == 0) return 1;
  int64_t n = dense(a);
  return n < 0 ? finite_view(a) : finite(a, 0, n);
}
