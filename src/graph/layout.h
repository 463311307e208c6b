/* Bringing arrays into the layout a kernel wants. */
#ifndef SD_LAYOUT_H
#define SD_LAYOUT_H

#include "base/array.h"

/* out is a itself, retained, when contiguous, else a contiguous copy. */
SdStatus sd_array_contiguous(const SdArray *a, SdArray *out, SdError *err);

#endif
