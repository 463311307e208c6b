#include "io/file.h"

#include "base/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Interrupts are noticed between pieces of this size. */
static const size_t piece = (size_t)1 << 26;

SdStatus sd_file_error(const char *verb, const char *path, SdError *err) {
  return sd_error_set(err, SD_EIO, "cannot %s '" SD_FILE_NAME "': %s", verb,
                      path, strerror(errno));
}

static int is_regular(const char *verb, const char *path,
                      const struct stat *st, SdError *err) {
  if (S_ISREG(st->st_mode)) return 1;
  sd_error_set(err, SD_EIO, "cannot %s '" SD_FILE_NAME "': it is %s", verb,
               path,
               S_ISDIR(st->st_mode) ? "a folder" : "not a regular file");
  return 0;
}

/* ---- writing ------------------------------------------------------------ */

static SdStatus fail(SdFileWriter *w, SdError *err) {
  if (w->error.code == SD_OK) sd_file_error("write", w->path, &w->error);
  *err = w->error;
  return err->code;
}

/* Fills w->path and w->mode. */
static SdStatus find_target(SdFileWriter *w, const char *path,
                            SdError *err) {
  struct stat st;
  if (realpath(path, w->path)) {
    if (stat(w->path, &st) != 0) return sd_file_error("write", path, err);
    w->mode = st.st_mode & 07777;
    return is_regular("write", path, &st, err) ? SD_OK : err->code;
  }
  if (errno != ENOENT) return sd_file_error("write", path, err);
  if (strlen(path) >= sizeof w->path) {
    errno = ENAMETOOLONG;
    return sd_file_error("write", path, err);
  }
  strcpy(w->path, path);
  return SD_OK;
}

/* The length of the path up to and with its last slash. */
static int folder_length(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? (int)(slash - path) + 1 : 0;
}

static void open_temp(SdFileWriter *w) {
  for (int i = 0; i < 1000; i++) {
    snprintf(w->temp, sizeof w->temp, "%.*s.saddle-%ld-%d.tmp",
             folder_length(w->path), w->path, (long)getpid(), i);
    w->fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (w->fd >= 0 || errno != EEXIST) return;
  }
}

SdStatus sd_file_begin(SdFileWriter *w, const char *path, SdError *err) {
  w->fd = -1;
  w->mode = 0;
  w->size = 0;
  w->error.code = SD_OK;
  if (find_target(w, path, err) != SD_OK) return err->code;
  open_temp(w);
  return w->fd < 0 ? sd_file_error("write", path, err) : SD_OK;
}

SdStatus sd_file_write(SdFileWriter *w, const void *bytes, size_t n,
                       SdError *err) {
  const char *p = bytes;
  if (w->error.code != SD_OK) return fail(w, err);
  while (n > 0) {
    if (sd_interrupt_check(&w->error) != SD_OK) return fail(w, err);
    ssize_t done = write(w->fd, p, n < piece ? n : piece);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return fail(w, err);
    p += done;
    n -= (size_t)done;
    w->size += (uint64_t)done;
  }
  return SD_OK;
}

void sd_file_abort(SdFileWriter *w) {
  if (w->fd < 0) return;
  close(w->fd);
  unlink(w->temp);
  w->fd = -1;
}

/* The new name is durable when its folder is; some file systems cannot
** sync a folder and say EINVAL. */
static int sync_folder(const char *path) {
  char folder[PATH_MAX + 2];
  snprintf(folder, sizeof folder, "%.*s.", folder_length(path), path);
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno == EACCES ? 0 : -1;
  int failed = fsync(fd) != 0 && errno != EINVAL;
  int reason = errno;
  close(fd);
  errno = reason;
  return failed ? -1 : 0;
}

static SdStatus seal(SdFileWriter *w, SdError *err) {
  if (w->mode && fchmod(w->fd, w->mode) != 0) return fail(w, err);
  if (fsync(w->fd) != 0) return fail(w, err);
  int closed = close(w->fd);
  w->fd = -1;
  if (closed != 0 || rename(w->temp, w->path) != 0) {
    fail(w, err);
    unlink(w->temp);
    return err->code;
  }
  return sync_folder(w->path) != 0 ? fail(w, err) : SD_OK;
}

SdStatus sd_file_finish(SdFileWriter *w, SdError *err) {
  if (w->error.code != SD_OK) fail(w, err);
  else if (seal(w, err) == SD_OK) return SD_OK;
  sd_file_abort(w);
  return err->code;
}

SdStatus sd_file_write_atomic(const char *path, const void *bytes, size_t n,
                              SdError *err) {
  SdFileWriter w;
  if (sd_file_begin(&w, path, err) != SD_OK) return err->code;
  sd_file_write(&w, bytes, n, err);
  return sd_file_finish(&w, err);
}

/* ---- folders ------------------------------------------------------------ */

static int make_dir(const char *path) {
  struct stat st;
  if (mkdir(path, 0777) == 0) return 0;
  int reason = errno;
  if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return 0;
  errno = reason;
  return -1;
}

SdStatus sd_file_make_dirs(const char *path, SdError *err) {
  char part[PATH_MAX];
  size_t n = strlen(path);
  if (n >= sizeof part) {
    errno = ENAMETOOLONG;
    return sd_file_error("make the folder", path, err);
  }
  for (size_t i = 1; i <= n; i++) {
    if (path[i] != '/' && path[i] != '\0') continue;
    memcpy(part, path, i);
    part[i] = '\0';
    if (make_dir(part) != 0)
      return sd_file_error("make the folder", part, err);
  }
  return SD_OK;
}

/* ---- reading ------------------------------------------------------------ */

SdStatus sd_file_open(const char *path, int *fd, uint64_t *size,
                      SdError *err) {
  struct stat st;
  *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (*fd < 0) return sd_file_error("read", path, err);
  if (fstat(*fd, &st) != 0) sd_file_error("read", path, err);
  else if (is_regular("read", path, &st, err)) {
    *size = (uint64_t)st.st_size;
    return SD_OK;
  }
  close(*fd);
  *fd = -1;
  return err->code;
}

SdStatus sd_file_read_at(int fd, const char *path, uint64_t offset, void *to,
                         size_t n, SdError *err) {
  char *p = to;
  while (n > 0) {
    if (sd_interrupt_check(err) != SD_OK) return err->code;
    ssize_t done = pread(fd, p, n < piece ? n : piece, (off_t)offset);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return sd_file_error("read", path, err);
    if (done == 0)
      return sd_error_set(err, SD_EIO, "cannot read '" SD_FILE_NAME
                          "': the file ends too early", path);
    p += done;
    n -= (size_t)done;
    offset += (uint64_t)done;
  }
  return SD_OK;
}
