/*
** Reading and writing arrays: .npy, .npz, IDX, and the atomic writer.
*/
#include "tap.h"

#include "base/array.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "io/bytes.h"
#include "io/file.h"
#include "io/idx.h"
#include "io/npy.h"
#include "io/npz.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static SdError err;
static char folder[] = "/tmp/saddle-io-XXXXXX";

/* ---- helpers ------------------------------------------------------------- */

/* The path of name in the scratch folder; four may be in use at once. */
static const char *in_folder(const char *name) {
  static char paths[4][300];
  static int next;
  char *p = paths[next++ % 4];
  snprintf(p, sizeof paths[0], "%s/%s", folder, name);
  return p;
}

static void put_file(const char *path, const void *bytes, size_t n) {
  FILE *f = fopen(path, "wb");
  if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
    fprintf(stderr, "# cannot write %s\n", path);
}

static size_t get_file(const char *path, unsigned char *bytes, size_t size) {
  FILE *f = fopen(path, "rb");
  if (!f) return 0;
  size_t n = fread(bytes, 1, size, f);
  fclose(f);
  return n;
}

static int files_in_folder(void) {
  int n = 0;
  DIR *d = opendir(folder);
  while (d && readdir(d)) n++;
  if (d) closedir(d);
  return n - 2;
}

static void empty_folder(void) {
  struct dirent *e;
  DIR *d = opendir(folder);
  while (d && (e = readdir(d)))
    if (e->d_name[0] != '.' || strlen(e->d_name) > 2)
      remove(in_folder(e->d_name));
  if (d) closedir(d);
}

static double element(const SdArray *a, int64_t i) {
  const void *p = (const char *)a->data + i * (int64_t)sd_dtype_size(a->dtype);
  switch (a->dtype) {
    case SD_I32: return *(const int32_t *)p;
    case SD_I64: return (double)*(const int64_t *)p;
    case SD_F32: return (double)*(const float *)p;
    case SD_F64: return *(const double *)p;
    default: return *(const unsigned char *)p;
  }
}

static void set_element(SdArray *a, int64_t i, double v) {
  void *p = (char *)a->data + i * (int64_t)sd_dtype_size(a->dtype);
  switch (a->dtype) {
    case SD_BOOL: *(unsigned char *)p = v != 0; break;
    case SD_U8: *(unsigned char *)p = (unsigned char)v; break;
    case SD_I32: *(int32_t *)p = (int32_t)v; break;
    case SD_I64: *(int64_t *)p = (int64_t)v; break;
    case SD_F32: *(float *)p = (float)v; break;
    default: *(double *)p = v;
  }
}

/* 0, 1, 2 ... as far as the dtype goes. */
static SdArray counting(SdDtype d, int ndim, const int64_t *dims) {
  SdArray a = {.buffer = NULL};
  SdShape s = sd_shape_make(ndim, dims);
  if (sd_array_new(&a, d, &s, &err) != SD_OK) exit(1);
  for (int64_t i = 0; i < sd_array_numel(&a); i++)
    set_element(&a, i, d == SD_BOOL ? (double)(i % 2) : (double)(i % 200));
  return a;
}

static int same(const SdArray *a, const SdArray *b) {
  return a->dtype == b->dtype && sd_shape_equal(&a->shape, &b->shape) &&
         sd_array_is_contiguous(a) && sd_array_is_contiguous(b) &&
         memcmp(a->data, b->data, (size_t)sd_array_numel(a) *
                sd_dtype_size(a->dtype)) == 0;
}

typedef struct Rng { uint64_t s; } Rng;
static uint64_t draw(Rng *r) {
  r->s = r->s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return r->s >> 33;
}

static int says(const char *what) {
  return strstr(err.message, what) != NULL;
}

/* ---- npy ----------------------------------------------------------------- */

static void npy_round_trips(void) {
  static const int64_t dims[] = {2, 3, 1, 2, 1, 1, 2, 1, 1, 3};
  static const int64_t empty[] = {3, 0, 2};
  for (int d = 0; d < SD_NDTYPES; d++)
    for (int ndim = 0; ndim <= 11; ndim++) {
      SdArray b, a = counting((SdDtype)d, ndim == 11 ? 3 : ndim,
                              ndim == 11 ? empty : dims);
      int good = sd_npy_write(in_folder("a.npy"), &a, &err) == SD_OK &&
                 sd_npy_read(in_folder("a.npy"), &b, &err) == SD_OK;
      if (ndim % 11 == 0 || ndim == 3 || !good || !same(&a, &b))
        ok(good && same(&a, &b), "npy round trip of %s %s",
           sd_dtype_name((SdDtype)d), sd_shape_text(&a.shape).text);
      if (good) sd_array_release(&b);
      sd_array_release(&a);
    }
}

static void npy_is_what_numpy_writes(void) {
  static const char want[] =
      "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, "
      "'shape': (2, 3), }";
  unsigned char got[300];
  SdArray a = counting(SD_F32, 2, (int64_t[]){2, 3});
  ok(sd_npy_write(in_folder("a.npy"), &a, &err) == SD_OK, "npy written");
  size_t n = get_file(in_folder("a.npy"), got, sizeof got);
  ok(n == 128 + 24 && got[127] == '\n', "header padded to 128 bytes");
  ok(memcmp(got, want, 60) == 0, "header begins as NumPy's");
  sd_array_release(&a);
}

/* A .npy of the given version, header and data. */
static size_t make_npy(unsigned char *p, int version, const char *header,
                       const void *data, size_t n) {
  size_t length = strlen(header);
  memcpy(p, "\x93NUMPY", 6);
  p[6] = (unsigned char)version;
  p[7] = 0;
  size_t at = version == 1 ? 10 : 12;
  sd_bytes_put(p + 8, length, version == 1 ? 2 : 4);
  memcpy(p + at, header, length);
  if (n) memcpy(p + at + length, data, n);
  return at + length + n;
}

static SdStatus read_npy(int version, const char *header, const void *data,
                         size_t n, SdArray *a) {
  unsigned char bytes[2000];
  put_file(in_folder("b.npy"), bytes,
           make_npy(bytes, version, header, data, n));
  return sd_npy_read(in_folder("b.npy"), a, &err);
}

static void npy_variants(void) {
  static const unsigned char big[] = {0, 0, 0, 1, 0, 0, 1, 0};
  static const unsigned char bytes[] = {1, 2, 3, 4, 5, 6};
  SdArray a;
  for (int version = 1; version <= 3; version++) {
    int good = read_npy(version, "{'descr': '>i4', 'fortran_order': False, "
                        "'shape': (2,), }   \n", big, 8, &a) == SD_OK;
    ok(good && element(&a, 0) == 1 && element(&a, 1) == 256,
       "version %d, big-endian", version);
    if (good) sd_array_release(&a);
  }
  ok(read_npy(1, "{\"shape\":(2L,3L),\"fortran_order\":True,\"descr\":'|u1'}",
              bytes, 6, &a) == SD_OK, "keys in any order, Fortran order");
  ok(a.shape.ndim == 2 && a.shape.dims[0] == 2 && a.shape.dims[1] == 3 &&
     a.strides[0] == 1 && a.strides[1] == 2, "is a transposed view");
  SdArray b = {.buffer = NULL};
  ok(sd_npy_write(in_folder("c.npy"), &a, &err) == SD_OK &&
     sd_npy_read(in_folder("c.npy"), &b, &err) == SD_OK &&
     sd_array_is_contiguous(&b) && element(&b, 1) == 3 &&
     element(&b, 3) == 2, "a view is written row-major");
  sd_array_release(&a);
  sd_array_release(&b);
  ok(read_npy(1, "{'descr': '|b1', 'fortran_order': False, 'shape': (3,)}",
              "\0\2\xff", 3, &a) == SD_OK && element(&a, 0) == 0 &&
     element(&a, 1) == 1 && element(&a, 2) == 1, "bools become 0 or 1");
  sd_array_release(&a);
}

static void npy_refusals(void) {
  static const struct { const char *header, *says; } bad[] = {
    {"{'descr': '<c16', 'fortran_order': False, 'shape': (1,)}", "'<c16'"},
    {"{'descr': '<f2', 'fortran_order': False, 'shape': (1,)}", "'<f2'"},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "'|O'"},
    {"{'descr': '', 'fortran_order': False, 'shape': (1,)}", "type ''"},
    {"{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': ()}",
     "[('x', '<f4')]"},
    {"{'descr': '<f4', 'fortran_order': 3, 'shape': ()}", "fortran_order"},
    {"{'descr': '<f4', 'fortran_order': True}", "missing"},
    {"{'descr': '<f4', 'fortran_order': True, 'shape': 3}", "tuple"},
    {"{'descr': '<f4', 'fortran_order': True, 'shape': (-3,)}", "extent"},
    {"{'descr': '<f4', 'fortran_order': True, 'shape': (1 2)}", "closed"},
    {"{'descr': '<f4', 'fortran_order': True, 'shape': (2,)", "closed"},
    {"{'descr': '<f4', 'order': True, 'shape': (2,)}", "unknown key"},
    {"{'descr': '<f4", "<f4"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': "
     "(99999999999999999999,)}", "too large"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': "
     "(4294967296, 4294967296, 0)}", "too many"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': "
     "(1,1,1,1,1,1,1,1,1,1,1)}", "dimensions"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': "
     "(1000000000000000,)}", "truncated"},
    {"", "dict"}};
  SdArray a;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    SdStatus status = read_npy(1, bad[i].header, "0123", 4, &a);
    ok(status != SD_OK && !a.buffer && says(bad[i].says) && says("b.npy"),
       "refused: %s", err.message);
  }
  ok(read_npy(9, "{}", "", 0, &a) == SD_EIO && says("9.0"),
     "unknown version: %s", err.message);
  put_file(in_folder("b.npy"), "hello, world, this is text", 26);
  ok(sd_npy_read(in_folder("b.npy"), &a, &err) == SD_EIO &&
     says("not .npy data"), "%s", err.message);
  ok(sd_npy_read(in_folder("nothing.npy"), &a, &err) == SD_EIO &&
     says("nothing.npy") && says("No such file"), "%s", err.message);
  ok(sd_npy_read(folder, &a, &err) == SD_EIO && says("a folder"), "%s",
     err.message);
}

/* ---- damaged files ------------------------------------------------------- */

/* Reads everything in the file, whatever it claims to be. */
static SdStatus read_any(const char *path) {
  SdArray a;
  SdNpz *z;
  SdStatus status = SD_OK;
  size_t n = strlen(path);
  if (strcmp(path + n - 4, ".npz") != 0) {
    status = strcmp(path + n - 4, ".npy") == 0 ? sd_npy_read(path, &a, &err)
                                               : sd_idx_read(path, &a, &err);
    if (status == SD_OK) sd_array_release(&a);
    return status;
  }
  if (sd_npz_open(path, &z, &err) != SD_OK) return err.code;
  for (int64_t i = 0; i < sd_npz_count(z); i++) {
    SdStatus one = sd_npz_read(z, i, &a, &err);
    if (one == SD_OK) sd_array_release(&a);
    else status = one;
  }
  sd_npz_close(z);
  return status;
}

static void survives_damage(const char *name, int exact) {
  static unsigned char whole[8192], bytes[8192];
  const char *path = in_folder(name);
  size_t n = get_file(path, whole, sizeof whole);
  ok(read_any(path) == SD_OK, "%s, %zu bytes, can be read", name, n);
  size_t live = sd_memory_stats().live;
  int accepted = 0;
  for (size_t i = 0; i < n; i++) {
    put_file(path, whole, i);
    accepted += read_any(path) == SD_OK;
  }
  ok(accepted == 0, "%s: refused when cut at any byte", name);
  Rng r = {7};
  int crashes = 0, unnoticed = 0;
  for (int i = 0; i < 3000; i++) {
    memcpy(bytes, whole, n);
    size_t at = draw(&r) % n;
    bytes[at] ^= (unsigned char)(1 + draw(&r) % 255);
    for (uint64_t k = draw(&r) % 3; k > 0; k--)
      bytes[draw(&r) % n] = (unsigned char)draw(&r);
    put_file(path, bytes, n);
    SdStatus status = read_any(path);
    unnoticed += status == SD_OK;
    crashes += status != SD_OK && err.message[0] == '\0';
  }
  ok(!crashes, "%s: 3000 damaged copies, %d read without an error", name,
     unnoticed);
  ok(!exact || unnoticed < 1500, "%s: most damage is noticed", name);
  ok(sd_memory_stats().live == live, "%s: nothing leaked", name);
  put_file(path, whole, n);
}

/* ---- npz ----------------------------------------------------------------- */

static SdStatus write_npz(const char *path, int count) {
  SdNpzWriter *w;
  char name[40];
  if (sd_npz_begin(path, &w, &err) != SD_OK) return err.code;
  for (int i = 0; i < count; i++) {
    SdArray a = counting((SdDtype)(i % SD_NDTYPES), i % 4,
                         (int64_t[]){2, 3, 4});
    snprintf(name, sizeof name, "layer%d/weight", i);
    SdStatus status = sd_npz_add(w, name, &a, &err);
    sd_array_release(&a);
    if (status == SD_OK) continue;
    sd_npz_abort(w);
    return status;
  }
  return sd_npz_finish(w, &err);
}

static void npz_round_trip(int count) {
  SdNpz *z;
  int right = 0;
  ok(write_npz(in_folder("a.npz"), count) == SD_OK, "npz of %d written",
     count);
  ok(sd_npz_open(in_folder("a.npz"), &z, &err) == SD_OK, "opened");
  ok(sd_npz_count(z) == count, "all are there");
  for (int i = 0; i < count; i++) {
    char name[40];
    SdArray b, a = counting((SdDtype)(i % SD_NDTYPES), i % 4,
                            (int64_t[]){2, 3, 4});
    snprintf(name, sizeof name, "layer%d/weight", i);
    if (sd_npz_read(z, i, &b, &err) == SD_OK) {
      right += same(&a, &b) && strcmp(name, sd_npz_name(z, i)) == 0;
      sd_array_release(&b);
    }
    sd_array_release(&a);
  }
  ok(right == count, "%d arrays and names read back", count);
  sd_npz_close(z);
}

static void npz_writer_refuses(void) {
  SdNpzWriter *w;
  SdNpz *z;
  SdArray a = counting(SD_I32, 1, (int64_t[]){3});
  ok(write_npz(in_folder("a.npz"), 2) == SD_OK, "an archive");
  sd_npz_begin(in_folder("a.npz"), &w, &err);
  sd_npz_add(w, "x", &a, &err);
  sd_npz_add(w, "xy", &a, &err);
  sd_npz_add(w, "x", &a, &err);
  ok(sd_npz_finish(w, &err) == SD_EARGUMENT && says("'x'"), "%s",
     err.message);
  ok(sd_npz_open(in_folder("a.npz"), &z, &err) == SD_OK &&
     sd_npz_count(z) == 2, "the old archive is intact");
  sd_npz_close(z);
  sd_npz_begin(in_folder("a.npz"), &w, &err);
  sd_npz_add(w, "x", &a, &err);
  sd_npz_abort(w);
  ok(sd_npz_open(in_folder("a.npz"), &z, &err) == SD_OK &&
     sd_npz_count(z) == 2, "and after an abort");
  sd_npz_close(z);
  sd_array_release(&a);
}

/* An archive of one deflated member as a streaming zip program writes it:
** sizes unknown in the local header and given after the data; in the
** directory through a zip64 field when wide. */
static size_t deflated_npz(unsigned char *p, int wide, uint32_t size_delta) {
  unsigned char npy[700], data[512] = {0}, *first = p;
  size_t size = make_npy(npy, 1, "{'descr': '<f8', 'fortran_order': False, "
                         "'shape': (64,)}", data, sizeof data);
  memset(p, 0, 30);
  sd_bytes_put(p, 0x04034b50, 4);
  p[6] = 8, p[8] = 8, p[26] = 5;
  memcpy(p + 30, "w.npy", 5);
  z_stream s = {.next_in = npy, .avail_in = (uInt)size, .next_out = p + 35,
                .avail_out = 1000};
  deflateInit2(&s, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
  deflate(&s, Z_FINISH);
  deflateEnd(&s);
  uint32_t crc = (uint32_t)crc32(0, npy, (uInt)size);
  size_t packed = s.total_out;
  size += size_delta;
  p += 35 + packed;
  sd_bytes_put(p, 0x08074b50, 4);
  sd_bytes_put(p + 4, crc, 4);
  sd_bytes_put(p + 8, packed, 4);
  sd_bytes_put(p + 12, size, 4);
  unsigned char *c = p += 16;
  memset(c, 0, 46);
  sd_bytes_put(c, 0x02014b50, 4);
  c[8] = 8, c[10] = 8, c[28] = 5, c[30] = wide ? 20 : 0;
  sd_bytes_put(c + 16, crc, 4);
  sd_bytes_put(c + 20, wide ? UINT32_MAX : packed, 4);
  sd_bytes_put(c + 24, wide ? UINT32_MAX : size, 4);
  memcpy(c + 46, "w.npy", 5);
  p += 51;
  if (wide) {
    sd_bytes_put(p, 1 | 16 << 16, 4);
    sd_bytes_put(p + 4, size, 8);
    sd_bytes_put(p + 12, packed, 8);
    p += 20;
  }
  memset(p, 0, 22);
  sd_bytes_put(p, 0x06054b50, 4);
  p[8] = p[10] = 1;
  sd_bytes_put(p + 12, (uint64_t)(p - c), 4);
  sd_bytes_put(p + 16, (uint64_t)(c - first), 4);
  return (size_t)(p - first) + 22;
}

static void npz_deflated(void) {
  unsigned char bytes[2048];
  for (int wide = 0; wide < 2; wide++) {
    put_file(in_folder("d.npz"), bytes, deflated_npz(bytes, wide, 0));
    ok(read_any(in_folder("d.npz")) == SD_OK,
       "deflated with a data descriptor%s", wide ? " and zip64 sizes" : "");
  }
  put_file(in_folder("e.npz"), bytes, deflated_npz(bytes, 1, 1000000000));
  ok(read_any(in_folder("e.npz")) == SD_EIO && says("impossible size"),
     "%s", err.message);
}

/* ---- idx ----------------------------------------------------------------- */

static void idx_types(void) {
  static const struct {
    unsigned char code, width, value[8];
    SdDtype dtype;
    double want;
  } t[] = {{0x08, 1, {200}, SD_U8, 200},
           {0x09, 1, {200}, SD_I32, -56},
           {0x0b, 2, {0xff, 0xfe}, SD_I32, -2},
           {0x0c, 4, {0, 1, 0, 0}, SD_I32, 65536},
           {0x0d, 4, {0x3f, 0xc0}, SD_F32, 1.5},
           {0x0e, 8, {0xc0, 0x04}, SD_F64, -2.5}};
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    unsigned char b[100] = {0, 0, t[i].code, 2, 0, 0, 0, 2, 0, 0, 0, 3};
    SdArray a;
    for (int k = 1; k < 6; k++)
      memcpy(b + 12 + k * t[i].width, t[i].value, t[i].width);
    size_t n = 12 + 6 * (size_t)t[i].width;
    put_file(in_folder("a.idx"), b, n);
    gzFile gz = gzopen(in_folder("b.idx.gz"), "wb");
    gzwrite(gz, b, (unsigned)n);
    gzclose(gz);
    for (int k = 0; k < 2; k++) {
      SdStatus s = sd_idx_read(in_folder(k ? "b.idx.gz" : "a.idx"), &a,
                               &err);
      ok(s == SD_OK && a.dtype == t[i].dtype && a.shape.ndim == 2 &&
         a.shape.dims[1] == 3 && element(&a, 0) == 0 &&
         element(&a, 1) == t[i].want && element(&a, 5) == t[i].want,
         "IDX type %02x%s", t[i].code, k ? " gzipped" : "");
      if (s == SD_OK) sd_array_release(&a);
    }
  }
}

static SdStatus read_idx(const void *bytes, size_t n) {
  put_file(in_folder("c.idx"), bytes, n);
  return read_any(in_folder("c.idx"));
}

static void idx_refusals(void) {
  ok(read_idx("\x89PNG\r\n", 6) == SD_EIO && says("89 50 4e 47") &&
     says("c.idx"), "%s", err.message);
  ok(read_idx("\0\0\x0a\1\0\0\0\0", 8) == SD_EIO && says("not an IDX"),
     "%s", err.message);
  ok(read_idx("\0\0\x08\1\0\0\0\5abc", 11) == SD_EIO && says("truncated"),
     "%s", err.message);
  ok(read_idx("\0\0\x08\1\0\0\0\2abc", 11) == SD_EIO && says("follow"),
     "%s", err.message);
  ok(read_idx("\0\0\x08\4\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
              "\xff\xff\xff\xff", 20) != SD_OK && says("too many"), "%s",
     err.message);
  ok(read_idx("\0\0\x08\2\0\xff\xff\xff\0\xff\xff\xff", 12) == SD_EIO &&
     says("truncated"), "%s", err.message);
  ok(read_idx("\0\0\x08\xc8", 4) == SD_EIO && says("dimensions"), "%s",
     err.message);
  ok(read_idx("", 0) == SD_EIO && says("not an IDX"), "%s", err.message);
}

/* ---- the writer ---------------------------------------------------------- */

static void writer_is_atomic(void) {
  unsigned char got[100];
  struct stat st;
  empty_folder();
  const char *path = in_folder("f"), *link = in_folder("link");
  ok(sd_file_write_atomic(path, "old", 3, &err) == SD_OK, "written");
  chmod(path, 0640);
  ok(symlink(path, link) == 0 &&
     sd_file_write_atomic(link, "new!", 4, &err) == SD_OK,
     "written through a link");
  ok(lstat(link, &st) == 0 && S_ISLNK(st.st_mode), "which stays a link");
  ok(get_file(path, got, sizeof got) == 4 && memcmp(got, "new!", 4) == 0,
     "its target is replaced");
  ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640,
     "and keeps its mode");
  ok(files_in_folder() == 2, "no temporary file is left");
  ok(sd_file_write_atomic("/dev/null", "x", 1, &err) == SD_EIO &&
     says("not a regular file"), "%s", err.message);
  ok(sd_file_write_atomic(folder, "x", 1, &err) == SD_EIO &&
     says("a folder"), "%s", err.message);
  ok(sd_file_write_atomic(in_folder("no/x"), "x", 1, &err) == SD_EIO &&
     says("no/x") && says("No such file"), "%s", err.message);
  ok(sd_file_write_atomic("", "x", 1, &err) == SD_EIO, "%s", err.message);
  ok(sd_file_write_atomic(in_folder("f/x"), "x", 1, &err) == SD_EIO &&
     says("Not a directory"), "%s", err.message);
}

/* A limit on file sizes stands in for a full disk. */
static void writer_survives_a_full_disk(void) {
  unsigned char got[100];
  struct rlimit old, tiny;
  SdArray a = counting(SD_F64, 1, (int64_t[]){5000});
  SdNpzWriter *w;
  empty_folder();
  const char *path = in_folder("f");
  sd_file_write_atomic(path, "old", 3, &err);
  signal(SIGXFSZ, SIG_IGN);
  getrlimit(RLIMIT_FSIZE, &old);
  tiny = old;
  tiny.rlim_cur = 1000;
  setrlimit(RLIMIT_FSIZE, &tiny);
  SdStatus npy = sd_npy_write(path, &a, &err);
  char first[200];
  snprintf(first, sizeof first, "%.150s", err.message);
  sd_npz_begin(path, &w, &err);
  SdStatus added = sd_npz_add(w, "a", &a, &err);
  SdStatus npz = sd_npz_finish(w, &err);
  setrlimit(RLIMIT_FSIZE, &old);
  ok(npy == SD_EIO && strstr(first, "File too large"), "npy: %s", first);
  ok(added == SD_EIO && npz == SD_EIO && says("File too large"), "npz: %s",
     err.message);
  ok(get_file(path, got, sizeof got) == 3 && memcmp(got, "old", 3) == 0,
     "the old file is intact");
  ok(files_in_folder() == 1, "no temporary file is left");
  sd_array_release(&a);
}

static void folders_are_made(void) {
  char path[300], deep[340];
  struct stat st;
  snprintf(path, sizeof path, "%s/x", folder);
  snprintf(deep, sizeof deep, "%s/y//z/", path);
  ok(sd_file_make_dirs(deep, &err) == SD_OK && stat(deep, &st) == 0 &&
     S_ISDIR(st.st_mode), "x/y//z/ made");
  ok(sd_file_make_dirs(deep, &err) == SD_OK, "twice is no error");
  rmdir(deep);
  snprintf(deep, sizeof deep, "%s/y/f", path);
  put_file(deep, "", 0);
  snprintf(deep, sizeof deep, "%s/y/f/g", path);
  ok(sd_file_make_dirs(deep, &err) == SD_EIO && says("y/f"), "%s",
     err.message);
  snprintf(deep, sizeof deep, "%s/y/f", path);
  remove(deep);
  snprintf(deep, sizeof deep, "%s/y", path);
  rmdir(deep);
  rmdir(path);
}

static void interrupts_are_seen(void) {
  SdArray a = counting(SD_F32, 1, (int64_t[]){10});
  sd_npy_write(in_folder("i.npy"), &a, &err);
  int files = files_in_folder();
  sd_interrupt_raise();
  ok(sd_npy_write(in_folder("j.npy"), &a, &err) == SD_EINTERRUPT &&
     read_any(in_folder("i.npy")) == SD_EINTERRUPT, "an interrupt");
  sd_interrupt_clear();
  ok(files_in_folder() == files, "leaves nothing behind");
  sd_array_release(&a);
}

/* Fails the 1st, 2nd, 3rd ... allocation until everything succeeds. */
static void survives_lack_of_memory(void) {
  size_t live = sd_memory_stats().live, nth = 0;
  SdStatus status = SD_EMEMORY;
  int files = files_in_folder(), strange = 0;
  SdArray b, a = counting(SD_F32, 2, (int64_t[]){6, 4});
  a.shape = sd_shape_make(2, (int64_t[]){4, 6});
  a.strides[0] = 1, a.strides[1] = 4;
  while (status != SD_OK && nth < 100) {
    SdNpzWriter *w;
    SdNpz *z;
    sd_memory_fail_after(++nth);
    status = sd_npz_begin(in_folder("m.npz"), &w, &err);
    if (status == SD_OK) {
      sd_npz_add(w, "a", &a, &err);
      status = sd_npz_finish(w, &err);
    }
    if (status == SD_OK)
      status = sd_npz_open(in_folder("m.npz"), &z, &err);
    if (status == SD_OK) {
      status = sd_npz_read(z, 0, &b, &err);
      sd_npz_close(z);
      if (status == SD_OK) sd_array_release(&b);
    }
    strange += status != SD_OK && status != SD_EMEMORY;
  }
  sd_memory_fail_after(0);
  sd_array_release(&a);
  ok(status == SD_OK && nth > 5 && !strange,
     "succeeds when the %zu-th allocation is the first to fail", nth);
  ok(sd_memory_stats().live == live && files_in_folder() <= files + 1,
     "and leaks nothing");
}

/* ---- numpy --------------------------------------------------------------- */

static const char *python_with_numpy(void) {
  static const char *const names[] = {"python3", "/usr/bin/python3"};
  char command[200];
  for (int i = 0; i < 2; i++) {
    snprintf(command, sizeof command, "%s -c 'import numpy' 2>/dev/null",
             names[i]);
    if (system(command) == 0) return names[i];
  }
  return NULL;
}

static int run_python(const char *python, const char *script) {
  char command[2500];
  snprintf(command, sizeof command,
           "cd %s && %s -c \"import numpy as np\n%s\"", folder, python,
           script);
  return system(command) == 0;
}

static void numpy_agrees(void) {
  const char *python = python_with_numpy();
  if (!python) {
    ok(1, "NumPy reads and writes the same # SKIP no python3-numpy");
    return;
  }
  ok(run_python(python,
     "a = np.arange(24).reshape(2, 3, 4)\n"
     "d = dict(f=np.asfortranarray(a.astype('>f4')), b=a % 2 == 0,\n"
     "         u=a.astype('u1'), z=np.zeros((3, 0)), s=np.float64(2.5),\n"
     "         i=a.astype('i4'), l=a, r=np.ones(100000, 'f4'))\n"
     "np.savez('s.npz', **d)\n"
     "np.savez_compressed('c.npz', **d)\n"), "NumPy writes");
  static const char *const names[] = {"s.npz", "c.npz"};
  for (int k = 0; k < 2; k++) {
    SdNpz *z;
    SdArray a;
    if (sd_npz_open(in_folder(names[k]), &z, &err) != SD_OK) {
      ok(0, "%s", err.message);
      continue;
    }
    int good = sd_npz_count(z) == 8;
    for (int64_t i = 0; i < sd_npz_count(z); i++) {
      if (sd_npz_read(z, i, &a, &err) != SD_OK) {
        good = 0;
        continue;
      }
      char c = sd_npz_name(z, i)[0];
      good &= c == 'f'   ? a.dtype == SD_F32 && a.strides[0] == 1
              : c == 'b' ? a.dtype == SD_BOOL && element(&a, 2) == 1
              : c == 'u' ? a.dtype == SD_U8 && element(&a, 23) == 23
              : c == 'z' ? sd_array_numel(&a) == 0 && a.shape.ndim == 2
              : c == 's' ? a.shape.ndim == 0 && element(&a, 0) == 2.5
              : c == 'i' ? a.dtype == SD_I32 && element(&a, 23) == 23
              : c == 'l' ? a.dtype == SD_I64 && element(&a, 23) == 23
                         : element(&a, 99999) == 1;
      sd_array_release(&a);
    }
    ok(good, "%s of NumPy is read", names[k]);
    sd_npz_close(z);
  }
  SdArray a = counting(SD_F32, 2, (int64_t[]){4, 3});
  sd_npy_write(in_folder("o.npy"), &a, &err);
  sd_array_release(&a);
  ok(write_npz(in_folder("o.npz"), 6) == SD_OK && run_python(python,
     "import zipfile\n"
     "assert zipfile.ZipFile('o.npz').testzip() is None\n"
     "a = np.load('o.npy')\n"
     "assert a.dtype == 'f4' and a.shape == (4, 3) and a[3, 2] == 11\n"
     "z = np.load('o.npz')\n"
     "assert len(z.files) == 6\n"
     "types = ['?', 'u1', 'i4', 'i8', 'f4', 'f8']\n"
     "for i in range(6):\n"
     "    x = z['layer%d/weight' % i]\n"
     "    assert x.dtype == types[i] and x.shape == (2, 3, 4)[:i % 4]\n"
     "assert z['layer3/weight'][1, 2, 3] == 23\n"), "NumPy reads ours");
}

int main(void) {
  if (!mkdtemp(folder)) return 1;
  npy_round_trips();
  npy_is_what_numpy_writes();
  npy_variants();
  npy_refusals();
  npz_round_trip(0);
  npz_round_trip(7);
  npz_round_trip(70000); /* beyond the 16-bit count */
  npz_writer_refuses();
  npz_deflated();
  idx_types();
  idx_refusals();
  write_npz(in_folder("a.npz"), 3);
  survives_damage("a.npy", 0);
  survives_damage("a.npz", 1);
  survives_damage("d.npz", 1);
  survives_damage("a.idx", 0);
  survives_damage("b.idx.gz", 1);
  survives_lack_of_memory();
  interrupts_are_seen();
  numpy_agrees();
  writer_is_atomic();
  writer_survives_a_full_disk();
  folders_are_made();
  empty_folder();
  ok(rmdir(folder) == 0, "the scratch folder is empty");
  return done();
}
