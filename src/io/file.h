/*
** Files that are either whole or not there.  A writer fills a temporary
** file in the folder of its target and renames it over the target at the
** end, so that a crash, a full disk or an error leaves the old file as it
** was.  All messages name the path and say why.
*/
#ifndef SD_FILE_H
#define SD_FILE_H

#include "base/error.h"

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Begun writers are finished or aborted exactly once; an abort after a
** finish, or of a writer whose begin failed, does nothing. */
typedef struct SdFileWriter {
  int fd;
  mode_t mode; /* of the file that is replaced, 0 when there is none */
  uint64_t size;
  char path[PATH_MAX], temp[PATH_MAX + 64];
  SdError error; /* the first one */
} SdFileWriter;

/* path may be new, a regular file, or a link to one (whose target is then
** replaced); anything else is an error. */
SdStatus sd_file_begin(SdFileWriter *w, const char *path, SdError *err);

/* After a failure every further write, and finish, fail the same way: a
** caller may leave all checking to finish. */
SdStatus sd_file_write(SdFileWriter *w, const void *bytes, size_t n,
                       SdError *err);

/* Makes the contents durable and gives them their name. */
SdStatus sd_file_finish(SdFileWriter *w, SdError *err);
void sd_file_abort(SdFileWriter *w);

/* All of the above in one call. */
SdStatus sd_file_write_atomic(const char *path, const void *bytes, size_t n,
                              SdError *err);

/* The folder called path and those above it, as far as they are missing. */
SdStatus sd_file_make_dirs(const char *path, SdError *err);

/* A regular file for reading; the caller closes *fd. */
SdStatus sd_file_open(const char *path, int *fd, uint64_t *size,
                      SdError *err);

/* Exactly n bytes from offset on; an earlier end is an error. */
SdStatus sd_file_read_at(int fd, const char *path, uint64_t offset, void *to,
                         size_t n, SdError *err);

/* SD_EIO: "cannot DO 'PATH': REASON", the reason from errno. */
SdStatus sd_file_error(const char *verb, const char *path, SdError *err);

/* Paths are cut to this many bytes in messages, to leave the reason room. */
#define SD_FILE_NAME "%.600s"

#endif
