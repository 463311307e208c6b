#include "base/array.h"

#include "base/memory.h"

SdStatus sd_array_new(SdArray *a, SdDtype dtype, const SdShape *shape,
                      SdError *err) {
  size_t bytes = (size_t)sd_shape_numel(shape) * sd_dtype_size(dtype);
  SdBuffer *b = sd_memory_alloc(sizeof *b, err);
  a->buffer = NULL;
  if (!b) return err->code;
  *b = (SdBuffer){1, bytes, sd_memory_alloc(bytes, err)};
  if (!b->data) {
    sd_memory_free(b, sizeof *b);
    return err->code;
  }
  a->buffer = b;
  a->data = b->data;
  a->dtype = dtype;
  a->shape = *shape;
  sd_shape_strides(shape, a->strides);
  return SD_OK;
}

void sd_array_release(SdArray *a) {
  SdBuffer *b = a->buffer;
  a->buffer = NULL;
  if (!b || --b->refs) return;
  sd_memory_free(b->data, b->bytes);
  sd_memory_free(b, sizeof *b);
}

SdArray sd_array_retain(const SdArray *a) {
  a->buffer->refs++;
  return *a;
}

int64_t sd_array_numel(const SdArray *a) {
  return sd_shape_numel(&a->shape);
}

int sd_array_is_contiguous(const SdArray *a) {
  int64_t n = 1;
  if (sd_array_numel(a) == 0) return 1;
  for (int i = a->shape.ndim - 1; i >= 0; i--) {
    if (a->shape.dims[i] != 1 && a->strides[i] != n) return 0;
    n *= a->shape.dims[i];
  }
  return 1;
}
