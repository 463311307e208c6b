/*
** Copies between layouts, against one that looks every element up.
*/
#include "tap.h"

#include "base/shape.h"
#include "kernels/copy.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 21 };
static unsigned char in[ROOM], out[ROOM], want[ROOM];
static uint64_t state = 1;

static int64_t below(int64_t n) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (int64_t)((state >> 33) % (uint64_t)n);
}

typedef struct Case {
  int ndim;
  int64_t dims[SD_MAX_DIMS], os[SD_MAX_DIMS], is[SD_MAX_DIMS];
  int64_t out_at, in_at, numel;
  size_t size;
} Case;

/* Offsets in elements of the kth element in row-major order. */
static int64_t offset(const Case *c, const int64_t *strides, int64_t k) {
  int64_t at = 0;
  for (int i = c->ndim - 1; i >= 0; i--) {
    at += k % c->dims[i] * strides[i];
    k /= c->dims[i];
  }
  return at;
}

static void copy_slowly(const Case *c) {
  memset(want, 0, ROOM);
  for (int64_t k = 0; k < c->numel; k++)
    memcpy(want + (c->out_at + offset(c, c->os, k)) * (int64_t)c->size,
           in + (c->in_at + offset(c, c->is, k)) * (int64_t)c->size, c->size);
}

static int strided_matches(const Case *c) {
  memset(out, 0, ROOM);
  sd_copy_strided(c->ndim, c->dims, c->size,
                  out + c->out_at * (int64_t)c->size, c->os,
                  in + c->in_at * (int64_t)c->size, c->is);
  copy_slowly(c);
  return memcmp(out, want, ROOM) == 0;
}

static int blocks_match(Case *c) {
  SdShape s = sd_shape_make(c->ndim, c->dims);
  int64_t size = (int64_t)c->size;
  sd_shape_strides(&s, c->os);
  c->out_at = 0;
  copy_slowly(c);
  memset(out, 0, ROOM);
  for (int64_t first = 0, n; first < c->numel; first += n) {
    n = 1 + below(300);
    if (n > c->numel - first) n = c->numel - first;
    sd_copy_block(c->ndim, c->dims, c->size, out + first * size,
                  in + c->in_at * size, c->is, first, n);
  }
  return memcmp(out, want, ROOM) == 0;
}

/* Lays the dims out in a random order with random gaps, some backwards,
** and (broadcast) some with stride 0. */
static void lay_out(const Case *c, int broadcast, int64_t *strides,
                    int64_t *at) {
  int order[SD_MAX_DIMS];
  int64_t step = 1;
  for (int i = 0; i < c->ndim; i++) order[i] = c->ndim - 1 - i;
  if (below(2))
    for (int i = c->ndim - 1; i > 0; i--) {
      int k = (int)below(i + 1), t = order[i];
      order[i] = order[k];
      order[k] = t;
    }
  *at = 0;
  for (int i = 0; i < c->ndim; i++) {
    int d = order[i];
    if (broadcast && below(4) == 0) {
      strides[d] = 0;
      continue;
    }
    if (below(8) == 0) step++;
    strides[d] = step;
    if (below(6) == 0) {
      strides[d] = -step;
      *at += (c->dims[d] - 1) * step;
    }
    step *= c->dims[d] ? c->dims[d] : 1;
  }
}

static Case random_case(size_t size) {
  Case c = {.ndim = (int)below(5), .numel = 1, .size = size};
  static const int64_t largest[] = {1, 50000, 200, 40, 16};
  for (int i = 0; i < c.ndim; i++) {
    c.dims[i] = below(20) ? 1 + below(largest[c.ndim]) : below(2);
    c.numel *= c.dims[i];
  }
  lay_out(&c, 0, c.os, &c.out_at);
  lay_out(&c, 1, c.is, &c.in_at);
  return c;
}

static void random_layouts(size_t size) {
  int strided = 1, blocks = 1;
  for (int i = 0; i < 150; i++) {
    Case c = random_case(size);
    strided &= strided_matches(&c);
    blocks &= blocks_match(&c);
  }
  ok(strided, "strided copies of %d-byte elements in 150 layouts", (int)size);
  ok(blocks, "blocks of %d-byte elements in 150 layouts", (int)size);
}

static void transposed(size_t size, int64_t rows, int64_t cols) {
  Case c = {.ndim = 2, .dims = {rows, cols}, .os = {cols, 1},
            .is = {1, rows}, .numel = rows * cols, .size = size};
  ok(strided_matches(&c), "%d x %d transposed, %d bytes", (int)rows,
     (int)cols, (int)size);
  ok(blocks_match(&c), "the same in blocks");
}

static void broadcast(size_t size, int64_t rows, int64_t cols) {
  Case c = {.ndim = 2, .dims = {rows, cols}, .os = {cols, 1}, .is = {0, 1},
            .numel = rows * cols, .size = size};
  ok(blocks_match(&c) && strided_matches(&c), "a row of %d again and again",
     (int)cols);
  c.is[0] = 1, c.is[1] = 0;
  ok(blocks_match(&c) && strided_matches(&c), "a column spread over %d",
     (int)cols);
}

/* A stack of transposed matrices, more than SD_COPY_FAR bytes. */
static void far(size_t size, int64_t stack, int64_t rows, int64_t cols,
                int64_t shift) {
  int64_t numel = stack * rows * cols, dims[3] = {stack, rows, cols};
  int64_t os[3] = {rows * cols, cols, 1}, is[3] = {rows * cols, 1, rows};
  size_t bytes = ((size_t)(numel + shift) * size + 63) & ~(size_t)63;
  unsigned char *from = aligned_alloc(64, bytes), *to = aligned_alloc(64, bytes);
  int good = from && to;
  for (int64_t k = 0; good && k < numel; k++)
    memcpy(from + (size_t)k * size, &(int64_t){k * 77}, size);
  if (good)
    sd_copy_strided(3, dims, size, to + (size_t)shift * size, os, from, is);
  for (int64_t k = 0; good && k < numel; k++) {
    int64_t i = k / (rows * cols), r = k / cols % rows, c = k % cols;
    int64_t at = i * rows * cols + c * rows + r;
    good = !memcmp(to + (size_t)(shift + k) * size, &(int64_t){at * 77}, size);
  }
  ok(good && numel * (int64_t)size >= SD_COPY_FAR,
     "%d of %d x %d transposed, %d bytes, %d off", (int)stack, (int)rows,
     (int)cols, (int)size, (int)shift);
  free(from);
  free(to);
}

static void filled(void) {
  int good = 1;
  double f64 = -1.5;
  float f32 = 2.5f, x;
  double y;
  sd_copy_fill(1001, 1, out, &(unsigned char){7});
  for (int i = 0; i < 1001; i++) good &= out[i] == 7;
  sd_copy_fill(1001, 4, out, &f32);
  for (int i = 0; i < 1001; i++) memcpy(&x, out + 4 * i, 4), good &= x == f32;
  sd_copy_fill(1001, 8, out, &f64);
  for (int i = 0; i < 1001; i++) memcpy(&y, out + 8 * i, 8), good &= y == f64;
  sd_copy_fill(0, 8, out, &f64);
  ok(good, "runs of one value");
}

int main(void) {
  for (int i = 0; i < ROOM; i++) in[i] = (unsigned char)below(256);
  for (size_t size = 1; size <= 8; size = size == 1 ? 4 : 2 * size) {
    random_layouts(size);
    transposed(size, 300, 517);
    transposed(size, 7, 1000);
    transposed(size, 3, 5);
    broadcast(size, 1000, 1);
    broadcast(size, 1000, 3);
    broadcast(size, 1000, 10);
    broadcast(size, 500, 33);
    broadcast(size, 300, 512);
  }
  far(4, 1, 1037, 4112, 0);
  far(4, 1, 1037, 4112, 1);
  far(4, 3, 1030, 1313, 0);
  far(4, 2, 5, 400000, 0);
  far(8, 1, 1037, 2056, 0);
  far(8, 2, 1030, 1032, 0);
  far(1, 1, 4000, 4097, 0);
  filled();
  return done();
}
