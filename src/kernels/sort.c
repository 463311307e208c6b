/*
** Sorting along a dim.  Elements become unsigned keys of the same order,
** and pairs of a key and a place go through a stable radix sort by bytes,
** least significant first.  Keys of 64 bits are sorted by their lower half,
** then by their upper one.
*/
#include "kernels/rows.h"

#include "base/interrupt.h"
#include "kernels/rows_table.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#include <string.h>

enum {
  SHORT = 32,    /* rows up to here are sorted by insertion */
  POLL = 1 << 16 /* elements between two looks for an interrupt */
};

typedef struct Pair {
  uint32_t key, place;
} Pair;

static int thread_number(void) {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

static int thread_count(void) {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

size_t sd_rows_sort_scratch(const SdRows *r) {
  return 2 * sizeof(Pair) * (size_t)r->len * (size_t)thread_count();
}

/* Asked for element i: whether to give up.  The flag stays up, so that who
** comes next sees it, too, and does not trust the places. */
static inline int stopped(int64_t i) {
  return i % POLL == 0 && sd_interrupted;
}

/* ---- keys ------------------------------------------------------------ */

/* Negative floats in reverse, positive ones above; zeros are equal, NaNs
** are the largest. */
static inline uint64_t key_of_f64(double x) {
  uint64_t bits;
  if (x != x) return UINT64_MAX;

  memcpy(&bits, &x, sizeof bits);
  if (bits == (uint64_t)1 << 63) bits = 0;
  return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

static inline uint32_t key_of_f32(float x) {
  uint32_t bits;
  if (x != x) return UINT32_MAX;
  memcpy(&bits, &x, sizeof bits);
  if (bits == (uint32_t)1 << 31) bits = 0;
  return bits >> 31 ? ~bits : bits | (uint32_t)1 << 31;
}

static inline uint64_t key_of(SdDtype d, const void *x, int64_t i) {
  switch (d) {
    case SD_F64: return key_of_f64(((const double *)x)[i]);
    case SD_F32: return key_of_f32(((const float *)x)[i]);
    case SD_I64:
      return (uint64_t)((const int64_t *)x)[i] ^ (uint64_t)1 << 63;
    case SD_I32:
      return (uint32_t)((const int32_t *)x)[i] ^ (uint32_t)1 << 31;
    default: return ((const unsigned char *)x)[i];
  }
}

/* One row to sort: len elements, step apart. */
typedef struct Row {
  SdDtype dtype;
  int64_t len, step;
  const void *x;
  uint64_t flip; /* all ones to sort descending */
} Row;

static inline uint64_t row_key(const Row *r, int64_t i) {
  return key_of(r->dtype, r->x, i * r->step) ^ r->flip;
}

/* ---- two sorts -------------------------------------------------------- */

static void sort_by_insertion(const Row *r, uint32_t *place) {
  uint64_t key[SHORT];
  for (int64_t i = 0; i < r->len; i++) {
    uint64_t k = row_key(r, i);
    int64_t j = i;
    for (; j > 0 && key[j - 1] > k; j--) {
      key[j] = key[j - 1];
      place[j] = place[j - 1];
    }
    key[j] = k;
    place[j] = (uint32_t)i;
  }
}

/* Distributes from by byte b of the keys; 0 when all have the same. */
static int pass(int64_t n, const Pair *from, Pair *to, int b) {
  int64_t start[256] = {0}, sum = 0;
  for (int64_t i = 0; i < n && !stopped(i); i++)
    start[from[i].key >> 8 * b & 255]++;
  if (start[from[0].key >> 8 * b & 255] == n) return 0;
  for (int k = 0; k < 256; k++) {
    int64_t count = start[k];
    start[k] = sum;
    sum += count;
  }
  for (int64_t i = 0; i < n && !stopped(i); i++)
    to[start[from[i].key >> 8 * b & 255]++] = from[i];
  return 1;
}

static void sort_pairs(int64_t n, Pair **pairs, Pair **other) {
  for (int b = 0; b < 4 && !sd_interrupted; b++)
    if (pass(n, *pairs, *other, b)) {
      Pair *t = *pairs;
      *pairs = *other;
      *other = t;
    }
}

/* The sorted places are left in the returned pairs, which lie in scratch. */
static Pair *sort_by_radix(const Row *r, Pair *scratch) {
  Pair *pairs = scratch, *other = scratch + r->len;
  for (int64_t i = 0; i < r->len && !stopped(i); i++)
    pairs[i] = (Pair){(uint32_t)row_key(r, i), (uint32_t)i};
  sort_pairs(r->len, &pairs, &other);
  if (r->dtype != SD_F64 && r->dtype != SD_I64) return pairs;
  for (int64_t i = 0; i < r->len && !sd_interrupted; i++)
    pairs[i].key = (uint32_t)(row_key(r, pairs[i].place) >> 32);
  sort_pairs(r->len, &pairs, &other);
  return pairs;
}

/* ---- rows -------------------------------------------------------------- */

static void put(const Row *r, int64_t i, int64_t place, void *values,
                int64_t *indices) {
  size_t size = sd_dtype_size(r->dtype);
  int64_t to = i * r->step;
  indices[to] = place + 1;
  if (values)
    memcpy((char *)values + (size_t)to * size,
           (const char *)r->x + (size_t)(place * r->step) * size, size);
}

static void sort_row(const Row *r, void *values, int64_t *indices,
                     Pair *scratch) {
  uint32_t place[SHORT];
  if (sd_interrupted) return;
  if (r->len <= SHORT) {
    sort_by_insertion(r, place);
    for (int64_t i = 0; i < r->len; i++)
      put(r, i, place[i], values, indices);
    return;
  }
  const Pair *sorted = sort_by_radix(r, scratch);
  for (int64_t i = 0; i < r->len && !sd_interrupted; i++)
    put(r, i, sorted[i].place, values, indices);
}

void sd_rows_sort(SdDtype d, const SdRows *r, int descending, const void *x,
                  void *values, int64_t *indices, void *scratch) {
  size_t size = sd_dtype_size(d);
#pragma omp parallel for collapse(2) schedule(static) \
    if (r->outer * r->len * r->inner >= SD_ROWS_PARALLEL)
  for (int64_t o = 0; o < r->outer; o++)
    for (int64_t i = 0; i < r->inner; i++) {
      size_t at = (size_t)(o * r->len * r->inner + i);
      Row row = {d, r->len, r->inner, (const char *)x + at * size,
                 descending ? UINT64_MAX : 0};
      sort_row(&row, values ? (char *)values + at * size : NULL, indices + at,
               (Pair *)scratch + (size_t)thread_number() * 2 * (size_t)r->len);
    }
}
