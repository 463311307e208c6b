/*
** NumPy's .npz archives: zip files whose members are .npy files.  Members
** may be stored or deflated, archives and members of any size (zip64); see
** PKWARE's APPNOTE.TXT 6.3.  Written members are stored.
*/
#ifndef SD_NPZ_H
#define SD_NPZ_H

#include "base/array.h"

#include <stdint.h>

typedef struct SdNpz SdNpz;

SdStatus sd_npz_open(const char *path, SdNpz **out, SdError *err);
void sd_npz_close(SdNpz *z); /* z may be NULL */

/* The arrays: members whose name ends in .npy, in the archive's order. */
int64_t sd_npz_count(const SdNpz *z);

/* The name of array i without .npy; belongs to z. */
const char *sd_npz_name(const SdNpz *z, int64_t i);

/* Array i, as sd_npy_read gives it; its checksum is verified. */
SdStatus sd_npz_read(SdNpz *z, int64_t i, SdArray *out, SdError *err);

/* A new archive at path, which appears there when it is finished.  A begun
** writer ends with one finish or one abort, which free it. */
typedef struct SdNpzWriter SdNpzWriter;

SdStatus sd_npz_begin(const char *path, SdNpzWriter **out, SdError *err);
SdStatus sd_npz_add(SdNpzWriter *w, const char *name, const SdArray *a,
                    SdError *err);

/* Fails, and leaves the old file, when any step before it has failed or two
** arrays have the same name. */
SdStatus sd_npz_finish(SdNpzWriter *w, SdError *err);
void sd_npz_abort(SdNpzWriter *w); /* w may be NULL */

#endif
