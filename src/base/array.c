#include "base/array.h"

#include "base/memory.h"

/* Small data lie behind the buffer's own record, in one block. */
enum { RECORD = 64, TOGETHER = 2048 };

static SdBuffer *buffer_new(size_t bytes, SdError *err) {
  int together = bytes <= TOGETHER;
  SdBuffer *b = sd_memory_alloc(RECORD + (together ? bytes : 0), err);
  if (!b) return NULL;
  *b = (SdBuffer){1, bytes, (char *)b + RECORD};
  if (together) return b;
  b->data = sd_memory_alloc(bytes, err);
  if (b->data) return b;
  sd_memory_free(b, RECORD);
  return NULL;
}

void sd_buffer_free(SdBuffer *b) {
  int together = b->bytes <= TOGETHER;
  if (!together) sd_memory_free(b->data, b->bytes);
  sd_memory_free(b, RECORD + (together ? b->bytes : 0));
}

void sd_array_describe(SdArray *a, SdDtype dtype, const SdShape *shape) {
  *a = (SdArray){.dtype = dtype, .shape = *shape};
  sd_shape_strides(shape, a->strides);
}

SdStatus sd_array_allocate(SdArray *a, SdError *err) {
  size_t bytes = (size_t)sd_array_numel(a) * sd_dtype_size(a->dtype);
  SdBuffer *b = a->buffer = buffer_new(bytes, err);
  if (!b) return err->code;
  a->data = b->data;
  return SD_OK;
}

SdStatus sd_array_new(SdArray *a, SdDtype dtype, const SdShape *shape,
                      SdError *err) {
  sd_array_describe(a, dtype, shape);
  return sd_array_allocate(a, err);
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
