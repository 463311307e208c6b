#include "base/dtype.h"

#include <string.h>

static const char *const names[SD_NDTYPES] = {
    [SD_BOOL] = "bool", [SD_U8] = "u8",   [SD_I32] = "i32",
    [SD_I64] = "i64",   [SD_F32] = "f32", [SD_F64] = "f64",
};

const char *sd_dtype_name(SdDtype d) { return names[d]; }

int sd_dtype_find(const char *name) {
  for (int d = 0; d < SD_NDTYPES; d++)
    if (strcmp(names[d], name) == 0) return d;
  return -1;
}
