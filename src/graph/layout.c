#include "graph/layout.h"

#include "kernels/copy.h"

SdStatus sd_array_contiguous(const SdArray *a, SdArray *out, SdError *err) {
  if (sd_array_is_contiguous(a)) {
    *out = sd_array_retain(a);
    return SD_OK;
  }
  SdStatus s = sd_array_new(out, a->dtype, &a->shape, err);
  if (s == SD_OK && sd_array_numel(a))
    sd_copy_strided(a->shape.ndim, a->shape.dims, sd_dtype_size(a->dtype),
                    out->data, out->strides, a->data, a->strides);
  return s;
}
