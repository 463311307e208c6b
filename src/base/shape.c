#include "base/shape.h"

#include <stdio.h>
#include <string.h>

SdShape sd_shape_make(int ndim, const int64_t *dims) {
  SdShape s = {.ndim = ndim};
  if (ndim > 0) memcpy(s.dims, dims, (size_t)ndim * sizeof *dims);
  return s;
}

SdStatus sd_shape_check(const SdShape *s, const char *what, SdError *err) {
  int64_t n = 1, product = 1;
  for (int i = 0; i < s->ndim; i++) {
    if (s->dims[i] < 0)
      return sd_error_set(err, SD_EARGUMENT, "%s: negative size in shape %s",
                          what, sd_shape_text(s).text);
    /* Zero extents must not hide an overflow of the strides. */
    int64_t d = s->dims[i] ? s->dims[i] : 1;
    if (__builtin_mul_overflow(product, d, &product) ||
        __builtin_mul_overflow(product, (int64_t)8, &n))
      return sd_error_set(err, SD_EARGUMENT,
                          "%s: shape %s has too many elements", what,
                          sd_shape_text(s).text);
  }
  return SD_OK;
}

SdStatus sd_shape_broadcast(const SdShape *a, const SdShape *b, SdShape *out,
                            const char *what, SdError *err) {
  SdShape r = {.ndim = a->ndim > b->ndim ? a->ndim : b->ndim};
  for (int i = 0; i < r.ndim; i++) {
    int ia = i - (r.ndim - a->ndim), ib = i - (r.ndim - b->ndim);
    int64_t da = ia < 0 ? 1 : a->dims[ia], db = ib < 0 ? 1 : b->dims[ib];
    if (da != db && da != 1 && db != 1)
      return sd_error_set(err, SD_EARGUMENT,
                          "%s: shapes do not broadcast: %s and %s", what,
                          sd_shape_text(a).text, sd_shape_text(b).text);
    r.dims[i] = da == 1 ? db : da;
  }
  *out = r;
  return sd_shape_check(out, what, err);
}

void sd_shape_strides(const SdShape *s, int64_t *strides) {
  int64_t n = 1;
  for (int i = s->ndim - 1; i >= 0; i--) {
    strides[i] = n;
    n *= s->dims[i] ? s->dims[i] : 1;
  }
}

SdShapeText sd_shape_text(const SdShape *s) {
  SdShapeText t;
  size_t used = 0;
  used += (size_t)snprintf(t.text, sizeof t.text, "{");
  for (int i = 0; i < s->ndim; i++)
    used += (size_t)snprintf(t.text + used, sizeof t.text - used, "%s%lld",
                             i ? ", " : "", (long long)s->dims[i]);
  snprintf(t.text + used, sizeof t.text - used, "}");
  return t;
}
