#include "io/npy.h"

#include "base/memory.h"
#include "graph/layout.h"
#include "io/bytes.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char magic[6] = "\x93NUMPY";

static const struct {
  const char *name; /* without the byte order */
  SdDtype dtype;
} types[] = {{"b1", SD_BOOL}, {"u1", SD_U8},  {"i4", SD_I32},
             {"i8", SD_I64},  {"f4", SD_F32}, {"f8", SD_F64}};
enum { NTYPES = sizeof types / sizeof *types };

/* ---- the header, a Python dict literal ---------------------------------- */

typedef struct Header {
  SdDtype dtype;
  int swapped, fortran;
  SdShape shape;
} Header;

typedef struct Parser {
  const char *p, *end;
  const char *name; /* of the file */
  SdError *err;
} Parser;

static SdStatus malformed(const Parser *x, const char *what) {
  return sd_error_set(x->err, SD_EIO,
                      "'" SD_FILE_NAME "': malformed .npy header: %s",
                      x->name, what);
}

static void skip_space(Parser *x) {
  while (x->p < x->end && strchr(" \t\n\r", *x->p) && *x->p) x->p++;
}

static int accept(Parser *x, char c) {
  skip_space(x);
  if (x->p >= x->end || *x->p != c) return 0;
  x->p++;
  return 1;
}

static int accept_word(Parser *x, const char *word) {
  size_t n = strlen(word);
  skip_space(x);
  if ((size_t)(x->end - x->p) < n || memcmp(x->p, word, n) != 0) return 0;
  x->p += n;
  return 1;
}

/* A string without escapes, cut to fit; 0 when there is none. */
static int parse_string(Parser *x, char *out, size_t size) {
  skip_space(x);
  if (x->p >= x->end || (*x->p != '\'' && *x->p != '"')) return 0;
  const char *first = x->p + 1;
  const char *last = memchr(first, *x->p, (size_t)(x->end - first));
  if (!last) return 0;
  snprintf(out, size, "%.*s", (int)(last - first), first);
  x->p = last + 1;
  return 1;
}

static SdStatus unsupported(Parser *x, const char *descr, int length) {
  return sd_error_set(
      x->err, SD_EIO,
      "'" SD_FILE_NAME "': element type %.*s is not supported "
      "(bool, u1, i4, i8, f4 and f8 are)", x->name, length, descr);
}

static SdStatus parse_descr(Parser *x, Header *h) {
  char text[64];
  skip_space(x);
  const char *first = x->p;
  if (!parse_string(x, text, sizeof text)) { /* a structured type */
    ptrdiff_t n = 0;
    while (n < 100 && n < x->end - first && first[n] != ']') n++;
    return unsupported(x, first, (int)n + (n < x->end - first));
  }
  for (int i = 0; i < NTYPES; i++) {
    if (!text[0] || !strchr("<>|=", text[0])) break;
    if (strcmp(text + 1, types[i].name) != 0) continue;
    h->dtype = types[i].dtype;
    h->swapped = text[0] == (sd_bytes_little_endian() ? '>' : '<') &&
                 sd_dtype_size(h->dtype) > 1;
    return SD_OK;
  }
  return unsupported(x, first, (int)(x->p - first));
}

static SdStatus parse_bool(Parser *x, int *out) {
  if (accept_word(x, "True")) *out = 1;
  else if (accept_word(x, "False")) *out = 0;
  else return malformed(x, "fortran_order is neither True nor False");
  return SD_OK;
}

static SdStatus parse_extent(Parser *x, int64_t *out) {
  int64_t v = 0;
  skip_space(x);
  const char *first = x->p;
  for (; x->p < x->end && *x->p >= '0' && *x->p <= '9'; x->p++)
    if (__builtin_mul_overflow(v, (int64_t)10, &v) ||
        __builtin_add_overflow(v, (int64_t)(*x->p - '0'), &v))
      return malformed(x, "an extent is too large");
  if (x->p == first) return malformed(x, "an extent is not a number");
  accept(x, 'L'); /* written by Python 2 */
  *out = v;
  return SD_OK;
}

static SdStatus parse_shape(Parser *x, SdShape *s) {
  s->ndim = 0;
  if (!accept(x, '(')) return malformed(x, "the shape is not a tuple");
  while (!accept(x, ')')) {
    if (s->ndim == SD_MAX_DIMS) return malformed(x, "too many dimensions");
    if (parse_extent(x, &s->dims[s->ndim]) != SD_OK) return x->err->code;
    s->ndim++;
    if (accept(x, ',')) continue;
    if (accept(x, ')')) break;
    return malformed(x, "the shape is not closed");
  }
  return SD_OK;
}

static SdStatus parse_header(Parser *x, Header *h) {
  char key[32];
  int seen = 0;
  if (!accept(x, '{')) return malformed(x, "it is not a dict");
  while (!accept(x, '}')) {
    if (!parse_string(x, key, sizeof key) || !accept(x, ':'))
      return malformed(x, "a key is missing");
    SdStatus status;
    if (strcmp(key, "descr") == 0) seen |= 1, status = parse_descr(x, h);
    else if (strcmp(key, "fortran_order") == 0)
      seen |= 2, status = parse_bool(x, &h->fortran);
    else if (strcmp(key, "shape") == 0)
      seen |= 4, status = parse_shape(x, &h->shape);
    else status = malformed(x, "unknown key");
    if (status != SD_OK) return status;
    if (accept(x, ',')) continue;
    if (accept(x, '}')) break;
    return malformed(x, "it is not closed");
  }
  if (seen != 7)
    return malformed(x, "descr, fortran_order or shape is missing");
  return sd_shape_check(&h->shape, x->name, x->err);
}

/* ---- reading ------------------------------------------------------------ */

static SdStatus too_short(const SdNpySource *s, SdError *err) {
  return sd_error_set(err, SD_EIO, "'" SD_FILE_NAME "': truncated .npy data",
                      s->name);
}

/* Magic, version, and the length of what follows. */
static SdStatus read_prefix(SdNpySource *s, size_t *prefix, size_t *length,
                            SdError *err) {
  unsigned char p[12];
  *prefix = 10;
  if (s->size < *prefix) return too_short(s, err);
  if (s->read(s, p, *prefix, err) != SD_OK) return err->code;
  if (memcmp(p, magic, sizeof magic) != 0)
    return sd_error_set(err, SD_EIO, "'" SD_FILE_NAME "': not .npy data",
                        s->name);
  if (p[6] < 1 || p[6] > 3)
    return sd_error_set(err, SD_EIO,
                        "'" SD_FILE_NAME "': .npy format %d.%d is not known",
                        s->name, p[6], p[7]);
  if (p[6] > 1) {
    if (s->size < (*prefix = 12)) return too_short(s, err);
    if (s->read(s, p + 10, 2, err) != SD_OK) return err->code;
  }
  *length = (size_t)sd_bytes_get(p + 8, p[6] == 1 ? 2 : 4);
  return s->size - *prefix < *length ? too_short(s, err) : SD_OK;
}

static SdStatus read_header(SdNpySource *s, Header *h, uint64_t *left,
                            SdError *err) {
  size_t prefix = 0, length = 0;
  if (read_prefix(s, &prefix, &length, err) != SD_OK) return err->code;
  char *text = sd_memory_alloc(length, err);
  if (!text) return err->code;
  Parser x = {text, text + length, s->name, err};
  SdStatus status = s->read(s, text, length, err);
  if (status == SD_OK) status = parse_header(&x, h);
  sd_memory_free(text, length);
  *left = s->size - prefix - length;
  return status;
}

static void reverse(SdArray *a) {
  SdArray r = *a;
  for (int i = 0; i < a->shape.ndim; i++) {
    r.shape.dims[i] = a->shape.dims[a->shape.ndim - 1 - i];
    r.strides[i] = a->strides[a->shape.ndim - 1 - i];
  }
  *a = r;
}

static void decode(const Header *h, void *data, size_t count) {
  unsigned char *p = data;
  if (h->swapped) sd_bytes_swap(data, count, sd_dtype_size(h->dtype));
  if (h->dtype == SD_BOOL)
    for (size_t i = 0; i < count; i++) p[i] = p[i] != 0;
}

SdStatus sd_npy_read_from(SdNpySource *s, SdArray *out, SdError *err) {
  Header h;
  uint64_t left = 0;
  out->buffer = NULL;
  if (read_header(s, &h, &left, err) != SD_OK) return err->code;
  size_t count = (size_t)sd_shape_numel(&h.shape);
  size_t bytes = count * sd_dtype_size(h.dtype);
  if (bytes > left)
    return sd_error_set(err, SD_EIO,
                        "'" SD_FILE_NAME "': truncated: %s of %s needs %zu "
                        "bytes, %llu are there", s->name,
                        sd_shape_text(&h.shape).text,
                        sd_dtype_name(h.dtype), bytes,
                        (unsigned long long)left);
  SdArray a = {.shape = h.shape};
  if (h.fortran)
    for (int i = 0; i < h.shape.ndim; i++)
      a.shape.dims[i] = h.shape.dims[h.shape.ndim - 1 - i];
  SdShape stored = a.shape;
  if (sd_array_new(&a, h.dtype, &stored, err) != SD_OK) return err->code;
  if (s->read(s, a.data, bytes, err) != SD_OK) {
    sd_array_release(&a);
    return err->code;
  }
  decode(&h, a.data, count);
  if (h.fortran) reverse(&a);
  *out = a;
  return SD_OK;
}

typedef struct FileSource {
  SdNpySource source;
  int fd;
  uint64_t at;
} FileSource;

static SdStatus read_file(SdNpySource *s, void *to, size_t n, SdError *err) {
  FileSource *f = (FileSource *)s;
  SdStatus status = sd_file_read_at(f->fd, s->name, f->at, to, n, err);
  f->at += n;
  return status;
}

SdStatus sd_npy_read(const char *path, SdArray *out, SdError *err) {
  FileSource f = {.source = {.name = path, .read = read_file}};
  out->buffer = NULL;
  if (sd_file_open(path, &f.fd, &f.source.size, err) != SD_OK)
    return err->code;
  SdStatus status = sd_npy_read_from(&f.source, out, err);
  close(f.fd);
  return status;
}

/* ---- writing ------------------------------------------------------------ */

static const char *type_name(SdDtype d) {
  for (int i = 0; i < NTYPES; i++)
    if (types[i].dtype == d) return types[i].name;
  return "";
}

/* Padded with blanks so that the data begin at a multiple of 64. */
size_t sd_npy_header(const SdArray *a, char header[SD_NPY_HEADER]) {
  char order = sd_dtype_size(a->dtype) == 1 ? '|'
               : sd_bytes_little_endian()   ? '<'
                                            : '>';
  size_t n = 10;
  memset(header, ' ', SD_NPY_HEADER);
  n += (size_t)snprintf(header + n, SD_NPY_HEADER - n,
                        "{'descr': '%c%s', 'fortran_order': False, "
                        "'shape': (", order, type_name(a->dtype));
  for (int i = 0; i < a->shape.ndim; i++)
    n += (size_t)snprintf(header + n, SD_NPY_HEADER - n, "%lld,%s",
                          (long long)a->shape.dims[i],
                          i + 1 < a->shape.ndim ? " " : "");
  n += (size_t)snprintf(header + n, SD_NPY_HEADER - n, "), }");
  header[n] = ' '; /* the terminator */
  size_t total = (n + 1 + 63) / 64 * 64;
  header[total - 1] = '\n';
  memcpy(header, magic, sizeof magic);
  header[6] = 1;
  header[7] = 0;
  sd_bytes_put((unsigned char *)header + 8, total - 10, 2);
  return total;
}

SdStatus sd_npy_write(const char *path, const SdArray *a, SdError *err) {
  char header[SD_NPY_HEADER];
  SdArray c;
  SdFileWriter w;
  if (sd_array_contiguous(a, &c, err) != SD_OK) return err->code;
  SdStatus status = sd_file_begin(&w, path, err);
  if (status == SD_OK) {
    sd_file_write(&w, header, sd_npy_header(&c, header), err);
    sd_file_write(&w, c.data,
                  (size_t)sd_array_numel(&c) * sd_dtype_size(c.dtype), err);
    status = sd_file_finish(&w, err);
  }
  sd_array_release(&c);
  return status;
}
