#include "io/idx.h"

#include "base/interrupt.h"
#include "io/bytes.h"
#include "io/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static const struct {
  unsigned char code;
  SdDtype dtype;
  size_t width; /* in the file */
} types[] = {{0x08, SD_U8, 1},  {0x09, SD_I32, 1}, {0x0b, SD_I32, 2},
             {0x0c, SD_I32, 4}, {0x0d, SD_F32, 4}, {0x0e, SD_F64, 8}};
enum { NTYPES = sizeof types / sizeof *types };

typedef struct Reader {
  gzFile file;
  const char *path;
  uint64_t limit; /* no more bytes than this can come */
} Reader;

static SdStatus wrong(const Reader *r, const char *what, SdError *err) {
  return sd_error_set(err, SD_EIO, "'" SD_FILE_NAME "': %s", r->path, what);
}

/* The reason of a failed or short read. */
static SdStatus failed(const Reader *r, SdError *err) {
  int code;
  const char *text = gzerror(r->file, &code);
  if (code == Z_ERRNO) return sd_file_error("read", r->path, err);
  if (code == Z_OK || code == Z_BUF_ERROR)
    return wrong(r, "truncated IDX file", err);
  if (code == Z_MEM_ERROR)
    return sd_error_set(err, SD_EMEMORY, "gzip: out of memory");
  return sd_error_set(err, SD_EIO,
                      "'" SD_FILE_NAME "': corrupt gzip data: %.100s",
                      r->path, text);
}

static SdStatus read_exactly(const Reader *r, void *to, size_t n,
                             SdError *err) {
  unsigned char *p = to;
  while (n > 0) {
    unsigned part = n < (1 << 24) ? (unsigned)n : 1 << 24;
    if (sd_interrupt_check(err) != SD_OK) return err->code;
    int done = gzread(r->file, p, part);
    if (done <= 0) return failed(r, err);
    p += done;
    n -= (size_t)done;
  }
  return SD_OK;
}

/* Nothing may follow; reading on is also what checks a gzip checksum. */
static SdStatus check_end(const Reader *r, SdError *err) {
  char c;
  int code, n = gzread(r->file, &c, 1);
  if (n > 0) return wrong(r, "bytes follow the elements of an IDX file", err);
  gzerror(r->file, &code);
  return n < 0 || code != Z_OK ? failed(r, err) : SD_OK;
}

static SdStatus read_shape(const Reader *r, SdShape *s, SdError *err) {
  unsigned char p[4];
  for (int i = 0; i < s->ndim; i++) {
    if (read_exactly(r, p, sizeof p, err) != SD_OK) return err->code;
    sd_bytes_swap(p, 1, 4);
    s->dims[i] = (int64_t)sd_bytes_get(p, 4);
  }
  return sd_shape_check(s, r->path, err);
}

/* Signed integers of width 1 or 2 at the end of data become the i32 of all
** of it: element i is read before the write of i + 1 reaches it. */
static void widen(void *data, size_t count, size_t width) {
  unsigned char *from = (unsigned char *)data + count * (4 - width);
  for (size_t i = 0; i < count; i++, from += width) {
    int32_t v = width == 1 ? (int8_t)from[0]
                           : (int16_t)(from[0] << 8 | from[1]);
    memcpy((unsigned char *)data + 4 * i, &v, sizeof v);
  }
}

static SdStatus read_elements(const Reader *r, SdArray *a, size_t width,
                              SdError *err) {
  size_t count = (size_t)sd_array_numel(a), size = sd_dtype_size(a->dtype);
  unsigned char *to = (unsigned char *)a->data + count * (size - width);
  if (read_exactly(r, to, count * width, err) != SD_OK) return err->code;
  if (width < size) widen(a->data, count, width);
  else if (sd_bytes_little_endian()) sd_bytes_swap(a->data, count, width);
  return check_end(r, err);
}

static SdStatus read_array(const Reader *r, SdArray *out, SdError *err) {
  unsigned char p[4];
  int type = 0;
  if (r->limit < 4) return wrong(r, "not an IDX file: too short", err);
  if (read_exactly(r, p, 4, err) != SD_OK) return err->code;
  while (type < NTYPES && types[type].code != p[2]) type++;
  if (p[0] || p[1] || type == NTYPES)
    return sd_error_set(err, SD_EIO, "'" SD_FILE_NAME "': not an IDX file "
                        "(it begins with %02x %02x %02x %02x)", r->path,
                        p[0], p[1], p[2], p[3]);
  if (p[3] > SD_MAX_DIMS) return wrong(r, "too many dimensions", err);
  SdShape s = {.ndim = p[3]};
  if (read_shape(r, &s, err) != SD_OK) return err->code;
  uint64_t bytes = (uint64_t)sd_shape_numel(&s) * types[type].width;
  if (bytes > r->limit) return wrong(r, "truncated IDX file", err);
  SdArray a;
  if (sd_array_new(&a, types[type].dtype, &s, err) != SD_OK)
    return err->code;
  if (read_elements(r, &a, types[type].width, err) != SD_OK) {
    sd_array_release(&a);
    return err->code;
  }
  *out = a;
  return SD_OK;
}

/* A gzip stream grows by at most 258 bytes for 2 bits. */
static SdStatus find_limit(int fd, Reader *r, SdError *err) {
  unsigned char p[2];
  if (r->limit < sizeof p) return SD_OK;
  if (sd_file_read_at(fd, r->path, 0, p, sizeof p, err) != SD_OK)
    return err->code;
  if (p[0] == 0x1f && p[1] == 0x8b) r->limit *= 1032;
  return SD_OK;
}

SdStatus sd_idx_read(const char *path, SdArray *out, SdError *err) {
  Reader r = {.path = path};
  int fd;
  out->buffer = NULL;
  if (sd_file_open(path, &fd, &r.limit, err) != SD_OK) return err->code;
  SdStatus status = find_limit(fd, &r, err);
  if (status == SD_OK) {
    r.file = gzdopen(fd, "rb");
    if (r.file) fd = -1;
    else status = sd_error_set(err, SD_EMEMORY, "gzip: out of memory");
  }
  if (status == SD_OK) {
    gzbuffer(r.file, 1 << 17);
    status = read_array(&r, out, err);
  }
  if (r.file) gzclose(r.file);
  if (fd >= 0) close(fd);
  return status;
}
