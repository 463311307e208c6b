/*
** An array is a strided view of a counted buffer.  Strides count elements
** and may be 0 (broadcast) or negative (flipped).  Whoever holds an SdArray
** with a buffer owns one reference to it.
*/
#ifndef SD_ARRAY_H
#define SD_ARRAY_H

#include "base/dtype.h"
#include "base/error.h"
#include "base/shape.h"

#include <stddef.h>

typedef struct SdBuffer {
  int refs;
  size_t bytes;
  void *data;
} SdBuffer;

typedef struct SdArray {
  SdBuffer *buffer;
  void *data; /* the first element: buffer->data plus the view's offset */
  SdDtype dtype;
  SdShape shape;
  int64_t strides[SD_MAX_DIMS];
} SdArray;

/* A new contiguous array with undefined contents. */
SdStatus sd_array_new(SdArray *a, SdDtype dtype, const SdShape *shape,
                      SdError *err);

/* The same in two steps: what it is, and its memory. */
void sd_array_describe(SdArray *a, SdDtype dtype, const SdShape *shape);
SdStatus sd_array_allocate(SdArray *a, SdError *err);

void sd_buffer_free(SdBuffer *b);

static inline void sd_array_release(SdArray *a) { /* leaves a->buffer NULL */
  SdBuffer *b = a->buffer;
  a->buffer = NULL;
  if (b && --b->refs == 0) sd_buffer_free(b);
}

static inline SdArray sd_array_retain(const SdArray *a) {
  a->buffer->refs++;
  return *a;
}

static inline int64_t sd_array_numel(const SdArray *a) {
  return sd_shape_numel(&a->shape);
}

/* Row-major without gaps (dims of extent 1 may have any stride). */
int sd_array_is_contiguous(const SdArray *a);

#endif
