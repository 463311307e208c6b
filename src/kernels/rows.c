#include "kernels/rows.h"

#include <stdlib.h>
#include <string.h>

static const int64_t parallel_elements = 1 << 15;

#define FOR_EACH_DTYPE(X) \
  X(bool, SD_BOOL, uint8_t) X(u8, SD_U8, uint8_t) X(i32, SD_I32, int32_t) \
  X(i64, SD_I64, int64_t) X(f32, SD_F32, float) X(f64, SD_F64, double)

/* Calls name_f32 and so on by dtype. */
#define CALL_CASE(suffix, dtype, type) case dtype: DISPATCH(suffix); break;
#define BY_DTYPE(d) \
  switch (d) { FOR_EACH_DTYPE(CALL_CASE) default: break; }

/* ---- argmax, argmin ----------------------------------------------------- */

#define ARG(suffix, dtype, type) \
  static int64_t argmax_##suffix(const type *x, int64_t n, int64_t step) { \
    int64_t at = 0; \
    for (int64_t j = 1; j < n && x[at * step] == x[at * step]; j++) \
      if (x[j * step] > x[at * step] || x[j * step] != x[j * step]) at = j; \
    return at; \
  } \
  static int64_t argmin_##suffix(const type *x, int64_t n, int64_t step) { \
    int64_t at = 0; \
    for (int64_t j = 1; j < n && x[at * step] == x[at * step]; j++) \
      if (x[j * step] < x[at * step] || x[j * step] != x[j * step]) at = j; \
    return at; \
  }
FOR_EACH_DTYPE(ARG)

static int64_t arg_one(SdDtype d, int most, const char *x, int64_t n,
                       int64_t step) {
#define DISPATCH(suffix) \
  return most ? argmax_##suffix((const void *)x, n, step) \
              : argmin_##suffix((const void *)x, n, step)
  BY_DTYPE(d)
#undef DISPATCH
  return 0;
}

static void arg_rows(SdDtype d, int most, const SdRows *r, const char *x,
                     int64_t *out) {
  int64_t size = (int64_t)sd_dtype_size(d), n = r->outer * r->inner;
#pragma omp parallel for schedule(static) if (n * r->len > parallel_elements)
  for (int64_t k = 0; k < n; k++) {
    int64_t o = k / r->inner, i = k % r->inner;
    out[k] = 1 + arg_one(d, most, x + (o * r->len * r->inner + i) * size,
                         r->len, r->inner);
  }
}

void sd_rows_argmax(SdDtype d, const SdRows *r, const void *x,
                    int64_t *out) {
  arg_rows(d, 1, r, x, out);
}

void sd_rows_argmin(SdDtype d, const SdRows *r, const void *x,
                    int64_t *out) {
  arg_rows(d, 0, r, x, out);
}

/* ---- running sums ------------------------------------------------------- */

#define SCAN(suffix, type, total) \
  static void cumsum_##suffix(const type *x, type *o, int64_t n, \
                              int64_t step, int reverse) { \
    total s = 0; \
    for (int64_t j = 0; j < n; j++) { \
      int64_t k = (reverse ? n - 1 - j : j) * step; \
      s += (total)x[k]; \
      o[k] = (type)s; \
    } \
  }
SCAN(bool, uint8_t, uint64_t)
SCAN(u8, uint8_t, uint64_t)
SCAN(i32, int32_t, uint64_t)
SCAN(i64, int64_t, uint64_t)
SCAN(f32, float, double)
SCAN(f64, double, double)

void sd_rows_cumsum(SdDtype d, const SdRows *r, int reverse, const void *x,
                    void *out) {
  int64_t size = (int64_t)sd_dtype_size(d), n = r->outer * r->inner;
#pragma omp parallel for schedule(static) if (n * r->len > parallel_elements)
  for (int64_t k = 0; k < n; k++) {
    int64_t at = (k / r->inner * r->len * r->inner + k % r->inner) * size;
    const void *p = (const char *)x + at;
    void *o = (char *)out + at;
#define DISPATCH(suffix) cumsum_##suffix(p, o, r->len, r->inner, reverse)
    BY_DTYPE(d)
#undef DISPATCH
  }
}

/* ---- sorting ------------------------------------------------------------ */

/* Merge sort of indices: stable, no worst case, no recursion. */
#define SORT(suffix, dtype, type) \
  static int before_##suffix(const type *x, int64_t step, int64_t a, \
                             int64_t b, int descending) { \
    type u = x[a * step], v = x[b * step]; \
    if (u != u || v != v) \
      return descending ? u != u || v == v : v != v || u == u; \
    return descending ? u >= v : u <= v; \
  } \
  static void sort_##suffix(const type *x, int64_t step, int64_t n, \
                            int descending, int64_t *k, int64_t *t) { \
    for (int64_t i = 0; i < n; i++) k[i] = i; \
    for (int64_t w = 1; w < n; w *= 2) { \
      for (int64_t at = 0; at < n; at += 2 * w) { \
        int64_t i = at, mid = at + w < n ? at + w : n, j = mid; \
        int64_t end = at + 2 * w < n ? at + 2 * w : n; \
        for (int64_t o = at; o < end; o++) \
          t[o] = j >= end || (i < mid && before_##suffix(x, step, k[i], \
                                                         k[j], descending)) \
                     ? k[i++] : k[j++]; \
      } \
      memcpy(k, t, (size_t)n * sizeof *k); \
    } \
  }
FOR_EACH_DTYPE(SORT)

size_t sd_rows_sort_scratch(const SdRows *r) {
  return (size_t)r->len * 2 * sizeof(int64_t) + 64;
}

/* Stable and in place of values: NaN rules are in before_*. */
void sd_rows_sort(SdDtype d, const SdRows *r, int descending, const void *x,
                  void *values, int64_t *indices, void *scratch) {
  int64_t size = (int64_t)sd_dtype_size(d);
  int64_t *k = scratch, *t = k + r->len;
  for (int64_t o = 0; o < r->outer; o++)
    for (int64_t i = 0; i < r->inner; i++) {
      int64_t at = o * r->len * r->inner + i;
      const char *p = (const char *)x + at * size;
#define DISPATCH(suffix) \
  sort_##suffix((const void *)p, r->inner, r->len, descending, k, t)
      BY_DTYPE(d)
#undef DISPATCH
      for (int64_t j = 0; j < r->len; j++) {
        indices[at + j * r->inner] = k[j] + 1;
        if (values)
          memcpy((char *)values + (at + j * r->inner) * size,
                 p + k[j] * r->inner * size, (size_t)size);
      }
    }
}

/* ---- gathering ---------------------------------------------------------- */

static int64_t place(int64_t k, int64_t len) {
  return k > 0 ? k - 1 : k + len;
}

/* Every index is checked before anything is read or written. */
static SdStatus check(const int64_t *index, int64_t n, int64_t len,
                      SdError *err) {
  for (int64_t i = 0; i < n; i++)
    if (index[i] == 0 || index[i] > len || index[i] < -len)
      return sd_error_set(err, SD_EARGUMENT,
                          "index %lld (entry %lld of the index) is outside "
                          "1 .. %lld", (long long)index[i], (long long)i + 1,
                          (long long)len);
  return SD_OK;
}

static void move(size_t size, void *o, const void *x) {
  if (size == 4) memcpy(o, x, 4);
  else if (size == 8) memcpy(o, x, 8);
  else *(char *)o = *(const char *)x;
}

SdStatus sd_rows_gather(size_t size, const SdRows *r, int64_t n,
                        const void *x, const int64_t *index, void *out,
                        SdError *err) {
  int64_t total = r->outer * n * r->inner;
  SdStatus s = check(index, total, r->len, err);
  if (s != SD_OK) return s;
#pragma omp parallel for schedule(static) if (total > parallel_elements)
  for (int64_t k = 0; k < total; k++) {
    int64_t i = k % r->inner, o = k / (n * r->inner);
    int64_t from = (o * r->len + place(index[k], r->len)) * r->inner + i;
    move(size, (char *)out + (size_t)k * size,
         (const char *)x + (size_t)from * size);
  }
  return SD_OK;
}

#define ADD_TO(suffix, dtype, type) \
  static void add_##suffix(int64_t n, type *o, const type *x) { \
    for (int64_t i = 0; i < n; i++) o[i] = (type)(o[i] + x[i]); \
  }
ADD_TO(u8, SD_U8, uint8_t)
ADD_TO(f32, SD_F32, float)
ADD_TO(f64, SD_F64, double)
static void add_bool(int64_t n, uint8_t *o, const uint8_t *x) {
  for (int64_t i = 0; i < n; i++) o[i] |= x[i];
}
static void add_i32(int64_t n, int32_t *o, const int32_t *x) {
  for (int64_t i = 0; i < n; i++)
    o[i] = (int32_t)((uint32_t)o[i] + (uint32_t)x[i]);
}
static void add_i64(int64_t n, int64_t *o, const int64_t *x) {
  for (int64_t i = 0; i < n; i++)
    o[i] = (int64_t)((uint64_t)o[i] + (uint64_t)x[i]);
}

static void add(SdDtype d, int64_t n, void *o, const void *x) {
#define DISPATCH(suffix) add_##suffix(n, o, x)
  BY_DTYPE(d)
#undef DISPATCH
}

static void zero(SdDtype d, const SdRows *r, void *out) {
  int64_t n = r->outer * r->len * r->inner;
  if (n > 0) memset(out, 0, (size_t)n * sd_dtype_size(d));
}

SdStatus sd_rows_scatter_add(SdDtype d, const SdRows *r, int64_t n,
                             const void *x, const int64_t *index, void *out,
                             SdError *err) {
  int64_t size = (int64_t)sd_dtype_size(d), per = n * r->inner;
  SdStatus s = check(index, r->outer * per, r->len, err);
  if (s != SD_OK) return s;
  zero(d, r, out);
#pragma omp parallel for schedule(static) \
    if (r->outer * per > parallel_elements)
  for (int64_t o = 0; o < r->outer; o++)
    for (int64_t k = o * per; k < (o + 1) * per; k++) {
      int64_t i = k % r->inner;
      int64_t to = (o * r->len + place(index[k], r->len)) * r->inner + i;
      add(d, 1, (char *)out + to * size, (const char *)x + k * size);
    }
  return SD_OK;
}

SdStatus sd_rows_take(size_t size, const SdRows *r, int64_t n, const void *x,
                      const int64_t *index, void *out, SdError *err) {
  size_t row = (size_t)r->inner * size;
  SdStatus s = check(index, n, r->len, err);
  if (s != SD_OK || row == 0) return s;
#pragma omp parallel for schedule(static) \
    if (r->outer * n * r->inner > parallel_elements)
  for (int64_t k = 0; k < r->outer * n; k++) {
    int64_t from = k / n * r->len + place(index[k % n], r->len);
    memcpy((char *)out + (size_t)k * row, (const char *)x + (size_t)from * row,
           row);
  }
  return SD_OK;
}

SdStatus sd_rows_put_add(SdDtype d, const SdRows *r, int64_t n,
                         const void *x, const int64_t *index, void *out,
                         SdError *err) {
  size_t row = (size_t)r->inner * sd_dtype_size(d);
  SdStatus s = check(index, n, r->len, err);
  if (s != SD_OK) return s;
  zero(d, r, out);
#pragma omp parallel for schedule(static) \
    if (r->outer * n * r->inner > parallel_elements)
  for (int64_t o = 0; o < r->outer; o++)
    for (int64_t j = 0; j < n; j++) {
      int64_t to = o * r->len + place(index[j], r->len);
      add(d, r->inner, (char *)out + (size_t)to * row,
          (const char *)x + (size_t)(o * n + j) * row);
    }
  return SD_OK;
}

/* ---- histogram ---------------------------------------------------------- */

static double element(SdDtype d, const void *x, int64_t i) {
  switch (d) {
    case SD_F64: return ((const double *)x)[i];
    case SD_F32: return (double)((const float *)x)[i];
    case SD_I64: return (double)((const int64_t *)x)[i];
    case SD_I32: return ((const int32_t *)x)[i];
    default: return ((const uint8_t *)x)[i];
  }
}

void sd_rows_histogram(SdDtype d, int64_t n, const void *x, double low,
                       double high, int64_t bins, double *out) {
  double scale = (double)bins / (high - low);
  memset(out, 0, (size_t)bins * sizeof *out);
  for (int64_t i = 0; i < n; i++) {
    double v = element(d, x, i);
    if (!(v >= low && v <= high)) continue;
    int64_t k = (int64_t)((v - low) * scale);
    out[k < bins ? k : bins - 1]++;
  }
}
