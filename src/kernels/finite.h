#ifndef SD_FINITE_H
#define SD_FINITE_H

#include "base/array.h"

/* Whether no element is NaN or infinite; integers never are. */
int sd_finite(const SdArray *a);

#endif
