/*
** Zip in brief: members, each a local header and its data; the central
** directory, one record per member, which alone is trusted for sizes; the
** end record, found from the end of the file, which says where the
** directory is.  A field of all ones says that the true value is in a zip64
** record.
*/
#include "io/npz.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "graph/layout.h"
#include "io/bytes.h"
#include "io/file.h"
#include "io/npy.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum {
  LOCAL_SIGNATURE = 0x04034b50,
  CENTRAL_SIGNATURE = 0x02014b50,
  END_SIGNATURE = 0x06054b50,
  END64_SIGNATURE = 0x06064b50,
  LOCATOR_SIGNATURE = 0x07064b50,
  LOCAL_SIZE = 30,
  CENTRAL_SIZE = 46,
  END_SIZE = 22,
  END64_SIZE = 56,
  LOCATOR_SIZE = 20,
  ZIP64_EXTRA = 1,
  STORED = 0,
  DEFLATED = 8,
  ENCRYPTED = 1,  /* flag bits */
  UTF8 = 1 << 11,
  MAX_COMMENT = 0xffff
};
#define ONES16 UINT64_C(0xffff)
#define ONES32 UINT64_C(0xffffffff)

/* No deflate stream grows by more than 258 bytes for 2 bits. */
#define MAX_RATIO UINT64_C(1032)

/* ---- the directory ------------------------------------------------------ */

typedef struct Member {
  const char *name; /* in the directory's bytes, ended at ".npy" */
  int method, flags;
  uint32_t crc;
  uint64_t packed, size, offset;
} Member;

struct SdNpz {
  int fd;
  uint64_t size;
  unsigned char *directory;
  size_t directory_size;
  Member *members;
  size_t count, capacity;
  char path[PATH_MAX];
};

typedef struct Directory {
  uint64_t count, size, offset;
} Directory;

static SdStatus corrupt(const SdNpz *z, const char *what, SdError *err) {
  return sd_error_set(err, SD_EIO,
                      "'" SD_FILE_NAME "': corrupt .npz archive: %s",
                      z->path, what);
}

/* The bytes at offset, if the file reaches so far. */
static SdStatus read_at(const SdNpz *z, uint64_t offset, void *to, size_t n,
                        const char *what, SdError *err) {
  if (offset > z->size || z->size - offset < n) return corrupt(z, what, err);
  return sd_file_read_at(z->fd, z->path, offset, to, n, err);
}

/* When the end record overflows, the truth is in the zip64 end record, to
** which a locator just before the end record points. */
static SdStatus read_end64(const SdNpz *z, uint64_t end, Directory *d,
                           SdError *err) {
  unsigned char p[END64_SIZE];
  if (d->count != ONES16 && d->size != ONES32 && d->offset != ONES32)
    return SD_OK;
  if (end < LOCATOR_SIZE) return SD_OK;
  if (read_at(z, end - LOCATOR_SIZE, p, LOCATOR_SIZE, "no locator", err))
    return err->code;
  if (sd_bytes_get(p, 4) != LOCATOR_SIGNATURE) return SD_OK;
  if (read_at(z, sd_bytes_get(p + 8, 8), p, END64_SIZE,
              "bad zip64 locator", err))
    return err->code;
  if (sd_bytes_get(p, 4) != END64_SIGNATURE)
    return corrupt(z, "bad zip64 end record", err);
  d->count = sd_bytes_get(p + 32, 8);
  d->size = sd_bytes_get(p + 40, 8);
  d->offset = sd_bytes_get(p + 48, 8);
  return SD_OK;
}

/* The end record is the last place where one fits exactly, before a comment
** of the length it states. */
static SdStatus find_end(const SdNpz *z, Directory *d, SdError *err) {
  size_t n = z->size < END_SIZE + MAX_COMMENT ? (size_t)z->size
                                              : END_SIZE + MAX_COMMENT;
  unsigned char *tail = sd_memory_alloc(n, err);
  if (!tail) return err->code;
  if (read_at(z, z->size - n, tail, n, "", err) != SD_OK) goto done;
  for (size_t i = n; i-- > 0;) {
    const unsigned char *p = tail + i;
    if (n - i < END_SIZE || sd_bytes_get(p, 4) != END_SIGNATURE) continue;
    if (sd_bytes_get(p + 20, 2) != n - i - END_SIZE) continue;
    d->count = sd_bytes_get(p + 10, 2);
    d->size = sd_bytes_get(p + 12, 4);
    d->offset = sd_bytes_get(p + 16, 4);
    sd_memory_free(tail, n);
    return read_end64(z, z->size - n + i, d, err);
  }
  sd_error_set(err, SD_EIO,
               "'" SD_FILE_NAME "': not an .npz archive, or truncated",
               z->path);
done:
  sd_memory_free(tail, n);
  return err->code;
}

/* Takes the 64-bit values of the fields that overflowed, in the order of
** APPNOTE 4.5.3. */
static int widen(Member *m, const unsigned char *extra, size_t n) {
  while (n >= 4) {
    size_t length = (size_t)sd_bytes_get(extra + 2, 2);
    int zip64 = sd_bytes_get(extra, 2) == ZIP64_EXTRA;
    extra += 4;
    n -= 4;
    if (length > n) return 0;
    if (zip64) {
      uint64_t *fields[] = {&m->size, &m->packed, &m->offset};
      for (int i = 0; i < 3; i++) {
        if (*fields[i] != ONES32) continue;
        if (length < 8) return 0;
        *fields[i] = sd_bytes_get(extra, 8);
        extra += 8, length -= 8, n -= 8;
      }
    }
    extra += length;
    n -= length;
  }
  return 1;
}

/* Ends the name at its .npy; 0 when it is another kind of file. */
static int is_array(unsigned char *name, size_t n) {
  if (n < 4 || memcmp(name + n - 4, ".npy", 4) != 0) return 0;
  name[n - 4] = '\0';
  return 1;
}

/* The central record at p, of at most n bytes; *used is its length. */
static SdStatus parse_record(SdNpz *z, unsigned char *p, size_t n,
                             size_t *used, SdError *err) {
  if (n < CENTRAL_SIZE || sd_bytes_get(p, 4) != CENTRAL_SIGNATURE)
    return corrupt(z, "bad directory", err);
  size_t name = (size_t)sd_bytes_get(p + 28, 2);
  size_t extra = (size_t)sd_bytes_get(p + 30, 2);
  *used = CENTRAL_SIZE + name + extra + (size_t)sd_bytes_get(p + 32, 2);
  if (*used > n) return corrupt(z, "truncated directory", err);
  Member m = {.name = (char *)p + CENTRAL_SIZE,
              .flags = (int)sd_bytes_get(p + 8, 2),
              .method = (int)sd_bytes_get(p + 10, 2),
              .crc = (uint32_t)sd_bytes_get(p + 16, 4),
              .packed = sd_bytes_get(p + 20, 4),
              .size = sd_bytes_get(p + 24, 4),
              .offset = sd_bytes_get(p + 42, 4)};
  if (!widen(&m, p + CENTRAL_SIZE + name, extra))
    return corrupt(z, "bad extra field", err);
  if (!is_array(p + CENTRAL_SIZE, name)) return SD_OK;
  if (sd_memory_grow(&z->members, &z->capacity, z->count + 1, sizeof m, err))
    return err->code;
  z->members[z->count++] = m;
  return SD_OK;
}

static SdStatus read_directory(SdNpz *z, SdError *err) {
  Directory d = {0};
  size_t at = 0, used = 0;
  if (find_end(z, &d, err) != SD_OK) return err->code;
  if (d.offset > z->size || d.size > z->size - d.offset)
    return corrupt(z, "the directory lies outside the file", err);
  z->directory = sd_memory_alloc((size_t)d.size, err);
  if (!z->directory) return err->code;
  z->directory_size = (size_t)d.size;
  if (read_at(z, d.offset, z->directory, z->directory_size, "", err))
    return err->code;
  for (uint64_t i = 0; i < d.count; i++, at += used)
    if (parse_record(z, z->directory + at, z->directory_size - at, &used,
                     err) != SD_OK)
      return err->code;
  return SD_OK;
}

SdStatus sd_npz_open(const char *path, SdNpz **out, SdError *err) {
  *out = NULL;
  SdNpz *z = sd_memory_alloc(sizeof *z, err);
  if (!z) return err->code;
  memset(z, 0, sizeof *z);
  z->fd = -1;
  snprintf(z->path, sizeof z->path, "%s", path);
  if (sd_file_open(path, &z->fd, &z->size, err) != SD_OK ||
      read_directory(z, err) != SD_OK) {
    sd_npz_close(z);
    return err->code;
  }
  *out = z;
  return SD_OK;
}

void sd_npz_close(SdNpz *z) {
  if (!z) return;
  if (z->fd >= 0) close(z->fd);
  sd_memory_free(z->members, z->capacity * sizeof *z->members);
  sd_memory_free(z->directory, z->directory_size);
  sd_memory_free(z, sizeof *z);
}

int64_t sd_npz_count(const SdNpz *z) { return (int64_t)z->count; }

const char *sd_npz_name(const SdNpz *z, int64_t i) {
  return z->members[i].name;
}

/* ---- reading a member --------------------------------------------------- */

typedef struct MemberSource {
  SdNpySource source;
  const SdNpz *z;
  const Member *m;
  uint64_t at, packed; /* where the rest of the packed bytes is, how many */
  uint64_t left;       /* unpacked bytes still to come */
  uint32_t crc;
  z_stream stream;
  char name[PATH_MAX + 300];
  unsigned char buffer[1 << 15];
} MemberSource;

static SdStatus bad_member(const MemberSource *s, const char *what,
                           SdError *err) {
  return sd_error_set(err, SD_EIO, "'" SD_FILE_NAME "': %s", s->name, what);
}

static SdStatus take_packed(MemberSource *s, void *to, size_t n,
                            SdError *err) {
  if (n > s->packed) return bad_member(s, "truncated .npz member", err);
  if (sd_file_read_at(s->z->fd, s->z->path, s->at, to, n, err) != SD_OK)
    return err->code;
  s->at += n;
  s->packed -= n;
  return SD_OK;
}

static SdStatus refill(MemberSource *s, SdError *err) {
  size_t n = s->packed < sizeof s->buffer ? (size_t)s->packed
                                          : sizeof s->buffer;
  if (s->stream.avail_in > 0 || n == 0) return SD_OK;
  s->stream.next_in = s->buffer;
  s->stream.avail_in = (uInt)n;
  return take_packed(s, s->buffer, n, err);
}

static SdStatus inflate_exactly(MemberSource *s, void *to, size_t n,
                                SdError *err) {
  unsigned char *p = to;
  while (n > 0) {
    uInt part = n < (1 << 24) ? (uInt)n : 1 << 24;
    if (sd_interrupt_check(err) != SD_OK || refill(s, err) != SD_OK)
      return err->code;
    s->stream.next_out = p;
    s->stream.avail_out = part;
    int code = inflate(&s->stream, Z_NO_FLUSH);
    size_t done = part - s->stream.avail_out;
    p += done;
    n -= done;
    if (code == Z_MEM_ERROR)
      return sd_error_set(err, SD_EMEMORY, "inflate: out of memory");
    if ((code != Z_OK && code != Z_BUF_ERROR && n > 0) ||
        (done == 0 && s->stream.avail_in == 0 && s->packed == 0))
      return bad_member(s, "corrupt compressed data", err);
  }
  return SD_OK;
}

static SdStatus read_member(SdNpySource *source, void *to, size_t n,
                            SdError *err) {
  MemberSource *s = (MemberSource *)source;
  if (n > s->left) return bad_member(s, "truncated .npz member", err);
  SdStatus status = s->m->method == STORED ? take_packed(s, to, n, err)
                                           : inflate_exactly(s, to, n, err);
  if (status != SD_OK) return status;
  s->left -= n;
  if (n) s->crc = (uint32_t)crc32_z(s->crc, to, n);
  return SD_OK;
}

/* What follows the array takes part in the checksum. */
static SdStatus check_rest(MemberSource *s, SdError *err) {
  unsigned char skipped[4096];
  while (s->left > 0) {
    size_t n = s->left < sizeof skipped ? (size_t)s->left : sizeof skipped;
    if (read_member(&s->source, skipped, n, err) != SD_OK) return err->code;
  }
  return s->crc == s->m->crc ? SD_OK
                             : bad_member(s, "wrong checksum", err);
}

/* Finds the data behind the local header and checks the member's claims. */
static SdStatus locate(MemberSource *s, SdError *err) {
  unsigned char p[LOCAL_SIZE];
  const Member *m = s->m;
  if (m->flags & ENCRYPTED) return bad_member(s, "encrypted", err);
  if (m->method != STORED && m->method != DEFLATED)
    return sd_error_set(err, SD_EIO, "'" SD_FILE_NAME
                        "': compression method %d is not supported",
                        s->name, m->method);
  if (read_at(s->z, m->offset, p, sizeof p, "bad offset", err) != SD_OK)
    return err->code;
  if (sd_bytes_get(p, 4) != LOCAL_SIGNATURE)
    return bad_member(s, "no local header", err);
  s->at = m->offset + LOCAL_SIZE + sd_bytes_get(p + 26, 2) +
          sd_bytes_get(p + 28, 2);
  if (s->at > s->z->size || m->packed > s->z->size - s->at)
    return bad_member(s, "truncated .npz member", err);
  if (m->method == STORED ? m->packed != m->size
                          : m->size / MAX_RATIO > m->packed + 1)
    return bad_member(s, "impossible size", err);
  return SD_OK;
}

SdStatus sd_npz_read(SdNpz *z, int64_t i, SdArray *out, SdError *err) {
  const Member *m = &z->members[i];
  MemberSource s = {.source = {.name = s.name, .size = m->size,
                               .read = read_member},
                    .z = z, .m = m, .packed = m->packed, .left = m->size};
  out->buffer = NULL;
  snprintf(s.name, sizeof s.name, "%.500s[%.90s]", z->path, m->name);
  if (locate(&s, err) != SD_OK) return err->code;
  if (m->method == DEFLATED && inflateInit2(&s.stream, -MAX_WBITS) != Z_OK)
    return sd_error_set(err, SD_EMEMORY, "inflate: out of memory");
  SdStatus status = sd_npy_read_from(&s.source, out, err);
  if (status == SD_OK && (status = check_rest(&s, err)) != SD_OK)
    sd_array_release(out);
  if (m->method == DEFLATED) inflateEnd(&s.stream);
  return status;
}

/* ---- writing ------------------------------------------------------------ */

struct SdNpzWriter {
  SdFileWriter file;
  unsigned char *directory; /* the central records so far */
  size_t used, capacity;
  uint64_t count;
};

SdStatus sd_npz_begin(const char *path, SdNpzWriter **out, SdError *err) {
  *out = NULL;
  SdNpzWriter *w = sd_memory_alloc(sizeof *w, err);
  if (!w) return err->code;
  if (sd_file_begin(&w->file, path, err) != SD_OK) {
    sd_memory_free(w, sizeof *w);
    return err->code;
  }
  w->directory = NULL;
  w->used = w->capacity = 0;
  w->count = 0;
  *out = w;
  return SD_OK;
}

void sd_npz_abort(SdNpzWriter *w) {
  if (!w) return;
  sd_file_abort(&w->file);
  sd_memory_free(w->directory, w->capacity);
  sd_memory_free(w, sizeof *w);
}

/* Later steps must not succeed after this one failed. */
static SdStatus keep(SdNpzWriter *w, SdError *err) {
  if (w->file.error.code == SD_OK) w->file.error = *err;
  return err->code;
}

static int is_ascii(const char *s) {
  for (; *s; s++)
    if ((unsigned char)*s > 127) return 0;
  return 1;
}

/* v in four bytes, or ones there and v in the extra field. */
static void put32(unsigned char *p, uint64_t v, unsigned char *extra,
                  size_t *used) {
  sd_bytes_put(p, v < ONES32 ? v : ONES32, 4);
  if (v < ONES32) return;
  sd_bytes_put(extra + *used, v, 8);
  *used += 8;
}

static size_t put_extra_head(unsigned char *extra, size_t used) {
  if (used == 4) return 0;
  sd_bytes_put(extra, ZIP64_EXTRA, 2);
  sd_bytes_put(extra + 2, used - 4, 2);
  return used;
}

/* The part that the local header, from byte 4, and the central record, from
** byte 6, share: version needed to the length of the name, 24 bytes.  The
** date is the first that zip knows, 1 January 1980. */
static void put_common(unsigned char *p, const Member *m, size_t name,
                       unsigned char *extra, size_t *used) {
  sd_bytes_put(p, 45, 2);
  sd_bytes_put(p + 2, (uint64_t)m->flags, 2);
  sd_bytes_put(p + 4, STORED, 2);
  sd_bytes_put(p + 6, 0, 2);
  sd_bytes_put(p + 8, 1 << 5 | 1, 2);
  sd_bytes_put(p + 10, m->crc, 4);
  put32(p + 18, m->size, extra, used);
  put32(p + 14, m->packed, extra, used);
  sd_bytes_put(p + 22, name + 4, 2);
}

static SdStatus write_name(SdNpzWriter *w, const char *name, size_t n,
                           SdError *err) {
  sd_file_write(&w->file, name, n, err);
  return sd_file_write(&w->file, ".npy", 4, err);
}

static SdStatus write_local(SdNpzWriter *w, const Member *m, SdError *err) {
  unsigned char p[LOCAL_SIZE], extra[32];
  size_t used = 4, name = strlen(m->name);
  sd_bytes_put(p, LOCAL_SIGNATURE, 4);
  put_common(p + 4, m, name, extra, &used);
  size_t length = put_extra_head(extra, used);
  sd_bytes_put(p + 28, length, 2);
  sd_file_write(&w->file, p, sizeof p, err);
  write_name(w, m->name, name, err);
  return sd_file_write(&w->file, extra, length, err);
}

static SdStatus add_record(SdNpzWriter *w, const Member *m, SdError *err) {
  unsigned char p[CENTRAL_SIZE] = {0}, extra[32];
  size_t used = 4, name = strlen(m->name);
  sd_bytes_put(p, CENTRAL_SIGNATURE, 4);
  sd_bytes_put(p + 4, 3 << 8 | 45, 2); /* made on Unix */
  put_common(p + 6, m, name, extra, &used);
  put32(p + 42, m->offset, extra, &used);
  size_t length = put_extra_head(extra, used);
  sd_bytes_put(p + 30, length, 2);
  sd_bytes_put(p + 38, UINT64_C(0100644) << 16, 4);
  size_t need = w->used + CENTRAL_SIZE + name + 4 + length;
  if (sd_memory_grow(&w->directory, &w->capacity, need, 1, err) != SD_OK)
    return keep(w, err);
  unsigned char *to = w->directory + w->used;
  memcpy(to, p, CENTRAL_SIZE);
  memcpy(to + CENTRAL_SIZE, m->name, name);
  memcpy(to + CENTRAL_SIZE + name, ".npy", 4);
  memcpy(to + CENTRAL_SIZE + name + 4, extra, length);
  w->used = need;
  w->count++;
  return SD_OK;
}

SdStatus sd_npz_add(SdNpzWriter *w, const char *name, const SdArray *a,
                    SdError *err) {
  char header[SD_NPY_HEADER];
  SdArray c;
  if (strlen(name) > ONES16 - 4) {
    sd_error_set(err, SD_EARGUMENT, "npz: the name %.40s... is too long",
                 name);
    return keep(w, err);
  }
  if (sd_array_contiguous(a, &c, err) != SD_OK) return keep(w, err);
  size_t head = sd_npy_header(&c, header);
  size_t bytes = (size_t)sd_array_numel(&c) * sd_dtype_size(c.dtype);
  uLong crc = crc32_z(0, (unsigned char *)header, head);
  if (bytes) crc = crc32_z(crc, c.data, bytes);
  Member m = {.name = name, .flags = is_ascii(name) ? 0 : UTF8,
              .crc = (uint32_t)crc, .packed = head + bytes,
              .size = head + bytes, .offset = w->file.size};
  SdStatus status = write_local(w, &m, err);
  if (status == SD_OK) status = sd_file_write(&w->file, header, head, err);
  if (status == SD_OK) status = sd_file_write(&w->file, c.data, bytes, err);
  if (status == SD_OK) status = add_record(w, &m, err);
  sd_array_release(&c);
  return status;
}

static void write_end64(SdNpzWriter *w, uint64_t offset, SdError *err) {
  unsigned char p[END64_SIZE + LOCATOR_SIZE] = {0};
  unsigned char *locator = p + END64_SIZE;
  sd_bytes_put(p, END64_SIGNATURE, 4);
  sd_bytes_put(p + 4, END64_SIZE - 12, 8);
  sd_bytes_put(p + 12, 3 << 8 | 45, 2);
  sd_bytes_put(p + 14, 45, 2);
  sd_bytes_put(p + 24, w->count, 8);
  sd_bytes_put(p + 32, w->count, 8);
  sd_bytes_put(p + 40, w->used, 8);
  sd_bytes_put(p + 48, offset, 8);
  sd_bytes_put(locator, LOCATOR_SIGNATURE, 4);
  sd_bytes_put(locator + 8, w->file.size, 8);
  sd_bytes_put(locator + 16, 1, 4);
  sd_file_write(&w->file, p, sizeof p, err);
}

static void write_end(SdNpzWriter *w, uint64_t offset, SdError *err) {
  unsigned char p[END_SIZE] = {0};
  uint64_t count = w->count < ONES16 ? w->count : ONES16;
  uint64_t used = w->used < ONES32 ? w->used : ONES32;
  uint64_t at = offset < ONES32 ? offset : ONES32;
  if (count == ONES16 || used == ONES32 || at == ONES32)
    write_end64(w, offset, err);
  sd_bytes_put(p, END_SIGNATURE, 4);
  sd_bytes_put(p + 8, count, 2);
  sd_bytes_put(p + 10, count, 2);
  sd_bytes_put(p + 12, used, 4);
  sd_bytes_put(p + 16, at, 4);
  sd_file_write(&w->file, p, sizeof p, err);
}

static size_t record_name(const unsigned char *p) {
  return (size_t)sd_bytes_get(p + 28, 2);
}

static int by_name(const void *a, const void *b) {
  const unsigned char *p = *(unsigned char *const *)a;
  const unsigned char *q = *(unsigned char *const *)b;
  size_t n = record_name(p), m = record_name(q);
  int order = memcmp(p + CENTRAL_SIZE, q + CENTRAL_SIZE, n < m ? n : m);
  return order ? order : (n > m) - (n < m);
}

/* Readers would see only one of two members of the same name. */
static SdStatus check_names(SdNpzWriter *w, SdError *err) {
  size_t bytes = (size_t)w->count * sizeof(unsigned char *), at = 0;
  unsigned char **records = sd_memory_alloc(bytes, err);
  if (!records) return keep(w, err);
  for (uint64_t i = 0; i < w->count; i++) {
    records[i] = w->directory + at;
    at += CENTRAL_SIZE + record_name(records[i]) +
          (size_t)sd_bytes_get(records[i] + 30, 2);
  }
  if (w->count) qsort(records, (size_t)w->count, sizeof *records, by_name);
  SdStatus status = SD_OK;
  for (uint64_t i = 1; i < w->count && status == SD_OK; i++) {
    if (by_name(&records[i - 1], &records[i]) != 0) continue;
    size_t n = record_name(records[i]) - 4;
    sd_error_set(err, SD_EARGUMENT, "npz: two arrays are called '%.*s'",
                 n < 200 ? (int)n : 200, records[i] + CENTRAL_SIZE);
    status = keep(w, err);
  }
  sd_memory_free(records, bytes);
  return status;
}

SdStatus sd_npz_finish(SdNpzWriter *w, SdError *err) {
  uint64_t offset = w->file.size;
  check_names(w, err);
  sd_file_write(&w->file, w->directory, w->used, err);
  write_end(w, offset, err);
  SdStatus status = sd_file_finish(&w->file, err);
  sd_npz_abort(w);
  return status;
}
