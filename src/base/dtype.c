#include "base/dtype.h"

#include <string.h>

static const struct {
  const char *name;
  size_t size;
} dtypes[SD_NDTYPES] = {
    [SD_BOOL] = {"bool", 1}, [SD_U8] = {"u8", 1},   [SD_I32] = {"i32", 4},
    [SD_I64] = {"i64", 8},   [SD_F32] = {"f32", 4}, [SD_F64] = {"f64", 8},
};

size_t sd_dtype_size(SdDtype d) { return dtypes[d].size; }

const char *sd_dtype_name(SdDtype d) { return dtypes[d].name; }

int sd_dtype_find(const char *name) {
  for (int d = 0; d < SD_NDTYPES; d++)
    if (strcmp(dtypes[d].name, name) == 0) return d;
  return -1;
}
