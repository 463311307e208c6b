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

/* One element after another, by the strides of a view. */
static int finite_view(const SdArray *a) {
  int64_t at[SD_MAX_DIMS] = {0}, offset = 0;
  for (int64_t left = sd_array_numel(a); left > 0; left--) {
    int good = a->dtype == SD_F32
                   ? finite32(1, (const uint32_t *)a->data + offset)
                   : finite64(1, (const uint64_t *)a->data + offset);
    if (!good) return 0;
    for (int d = a->shape.ndim - 1; d >= 0; d--) {
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
  if (!sd_array_is_contiguous(a)) return finite_view(a);
  if (a->dtype == SD_F32) return finite32(sd_array_numel(a), a->data);
  return finite64(sd_array_numel(a), a->data);
}
