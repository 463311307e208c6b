/*
** Shapes: the extents of an array, row-major.  A shape with no dims is a
** scalar's; an extent may be 0.  The number of elements of a valid shape
** times 8 fits in an int64_t: sd_shape_check is the one place that tests.
*/
#ifndef SD_SHAPE_H
#define SD_SHAPE_H

#include "base/error.h"

#include <stdint.h>

enum { SD_MAX_DIMS = 10 };

typedef struct SdShape {
  int ndim;
  int64_t dims[SD_MAX_DIMS];
} SdShape;

/* Room for any shape as text, as in "{128, 784}". */
typedef struct SdShapeText {
  char text[SD_MAX_DIMS * 21 + 3];
} SdShapeText;

SdShape sd_shape_make(int ndim, const int64_t *dims);

static inline int64_t sd_shape_numel(const SdShape *s) {
  int64_t n = 1;
  for (int i = 0; i < s->ndim; i++) n *= s->dims[i];
  return n;
}

static inline int sd_shape_equal(const SdShape *a, const SdShape *b) {
  if (a->ndim != b->ndim) return 0;
  for (int i = 0; i < a->ndim; i++)
    if (a->dims[i] != b->dims[i]) return 0;
  return 1;
}

/* Fails when an extent is negative or the elements are too many; what
** names the operation in the message. */
SdStatus sd_shape_check(const SdShape *s, const char *what, SdError *err);

/* NumPy broadcasting of a and b into out (which may be a or b). */
SdStatus sd_shape_broadcast(const SdShape *a, const SdShape *b, SdShape *out,
                            const char *what, SdError *err);

/* Row-major strides in elements. */
void sd_shape_strides(const SdShape *s, int64_t *strides);

SdShapeText sd_shape_text(const SdShape *s);

#endif
