/*
** IDX files, the format of MNIST (Yann LeCun's description at the data set):
** two zero bytes, the element type, the number of dims, the extents and the
** elements, all big-endian; often gzipped, which is recognised.
*/
#ifndef SD_IDX_H
#define SD_IDX_H

#include "base/array.h"

/* Unsigned bytes become u8; signed bytes, shorts and ints i32; floats f32
** and doubles f64. */
SdStatus sd_idx_read(const char *path, SdArray *out, SdError *err);

#endif
