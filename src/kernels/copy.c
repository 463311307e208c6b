/*
** Copies between layouts.  A copy is first brought into a normal form: dims
** in the order of the output's memory, neighbours merged, strides in bytes.
** Its two inner dims are then moved tile by tile, the rest by an odometer.
** The kernels take the element size as a constant, which makes each memcpy
** of an element one move.
*/
#include "kernels/copy.h"

#include "base/interrupt.h"
#include "base/shape.h"
#include "base/thread.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

enum {
  TILE = 16384,       /* elements a tile holds at most */
  TURNED_ROWS = 64,   /* of a tile whose rows are read across memory */
  TURNED_COLS = 256,
  FAR_ROWS = 1024,    /* of one that is written past the caches, a line wide */
  LINE = 64,          /* bytes */
  LONG = 65536        /* elements: longer copies can be interrupted */
};
/* Microseconds on one thread; half of what it is, so that a copy is made by as
** many threads as what reads it: from another's cache it comes slowly. */
static const double element_time = 1e-4;

#define INLINE static inline __attribute__((always_inline))

/* rows x cols elements; or, ir: bytes from row to row; oc, ic: from column
** to column; far: to be written past the caches. */
typedef struct Tile {
  char *out;
  const char *in;
  int64_t rows, cols, or, oc, ir, ic;
  int far;
} Tile;

/* ---- transposing in registers --------------------------------------- */

/* log2 n rounds of interleaving row i with row i + n/2 transpose an n x n
** block held in n vectors. */
typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef uint32_t Words __attribute__((vector_size(32)));
typedef uint64_t Longs __attribute__((vector_size(32)));

INLINE void interleave_bytes(Bytes *to, const Bytes *a) {
  for (int i = 0; i < 8; i++) {
    to[2 * i] = __builtin_shufflevector(a[i], a[i + 8], 0, 16, 1, 17, 2, 18,
                                        3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    to[2 * i + 1] = __builtin_shufflevector(
        a[i], a[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30,
        15, 31);
  }
}

INLINE void interleave_words(Words *to, const Words *a) {
  for (int i = 0; i < 4; i++) {
    to[2 * i] =
        __builtin_shufflevector(a[i], a[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
    to[2 * i + 1] =
        __builtin_shufflevector(a[i], a[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
  }
}

INLINE void interleave_longs(Longs *to, const Longs *a) {
  for (int i = 0; i < 2; i++) {
    to[2 * i] = __builtin_shufflevector(a[i], a[i + 2], 0, 4, 1, 5);
    to[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 2], 2, 6, 3, 7);
  }
}

/* a[r][c] = in[c][r] for a square; is: bytes from row to row. */
INLINE void turn_words(Words *a, const char *in, int64_t is) {
  Words b[8];
  for (int i = 0; i < 8; i++) memcpy(&b[i], in + i * is, sizeof b[i]);
  interleave_words(a, b);
  interleave_words(b, a);
  interleave_words(a, b);
}

INLINE void turn_longs(Longs *a, const char *in, int64_t is) {
  Longs b[4];
  for (int i = 0; i < 4; i++) memcpy(&a[i], in + i * is, sizeof a[i]);
  interleave_longs(b, a);
  interleave_longs(a, b);
}

/* out[r][c] = in[c][r] for a square of edge(size) elements; os and is are
** the bytes from row to row of each. */
INLINE void square_bytes(char *out, int64_t os, const char *in, int64_t is) {
  Bytes a[16], b[16];
  for (int i = 0; i < 16; i++) memcpy(&a[i], in + i * is, sizeof a[i]);
  interleave_bytes(b, a);
  interleave_bytes(a, b);
  interleave_bytes(b, a);
  interleave_bytes(a, b);
  for (int i = 0; i < 16; i++) memcpy(out + i * os, &a[i], sizeof a[i]);
}

INLINE void square_words(char *out, int64_t os, const char *in, int64_t is) {
  Words a[8];
  turn_words(a, in, is);
  for (int i = 0; i < 8; i++) memcpy(out + i * os, &a[i], sizeof a[i]);
}

INLINE void square_longs(char *out, int64_t os, const char *in, int64_t is) {
  Longs a[4];
  turn_longs(a, in, is);
  for (int i = 0; i < 4; i++) memcpy(out + i * os, &a[i], sizeof a[i]);
}

INLINE int64_t edge(size_t size) {
  return size == 1 ? 16 : size == 4 ? 8 : 4;
}

INLINE void square(size_t size, char *out, int64_t os, const char *in,
                   int64_t is) {
  if (size == 1) square_bytes(out, os, in, is);
  else if (size == 4) square_words(out, os, in, is);
  else square_longs(out, os, in, is);
}

/* ---- tiles ---------------------------------------------------------- */

INLINE void plain(size_t size, const Tile *t) {
  for (int64_t r = 0; r < t->rows; r++) {
    char *out = t->out + r * t->or;
    const char *in = t->in + r * t->ir;
    for (int64_t c = 0; c < t->cols; c++)
      memcpy(out + c * t->oc, in + c * t->ic, size);
  }
}

/* The longer side goes into the inner loop. */
INLINE void plain_either_way(size_t size, const Tile *t) {
  Tile same = *t; /* which out cannot be part of */
  Tile turned = {t->out, t->in, t->cols, t->rows, t->oc, t->or, t->ic, t->ir,
                 0};
  if (t->rows > 4 * t->cols) plain(size, &turned);
  else plain(size, &same);
}

/* Squares go along the rows of out: the lines of in they share stay in the
** second-level cache, and writing wants the long runs.  The last ones overlap
** those before. */
INLINE void transposed(size_t size, const Tile *t) {
  int64_t e = edge(size);
  if (t->rows < e || t->cols < e) {
    plain_either_way(size, t);
    return;
  }
  for (int64_t i = 0; i < t->rows; i += e)
    for (int64_t j = 0; j < t->cols; j += e) {
      int64_t r = i + e > t->rows ? t->rows - e : i;
      int64_t c = j + e > t->cols ? t->cols - e : j;
      square(size, t->out + r * t->or + c * t->oc, t->or,
             t->in + r * t->ir + c * t->ic, t->ic);
    }
}

#ifdef __AVX__
INLINE void stream_line(char *out, __m256i a, __m256i b) {
  __m256i *to = (__m256i *)(void *)out;
  _mm256_stream_si256(to, a);
  _mm256_stream_si256(to + 1, b);
}

/* Two squares side by side, a line of each row past the caches. */
INLINE void stream_squares(size_t size, char *out, int64_t os, const char *in,
                           int64_t is) {
  if (size == 4) {
    Words a[8], b[8];
    turn_words(a, in, is);
    turn_words(b, in + 8 * is, is);
    for (int i = 0; i < 8; i++)
      stream_line(out + i * os, (__m256i)a[i], (__m256i)b[i]);
  } else {
    Longs a[4], b[4];
    turn_longs(a, in, is);
    turn_longs(b, in + 4 * is, is);
    for (int i = 0; i < 4; i++)
      stream_line(out + i * os, (__m256i)a[i], (__m256i)b[i]);
  }
}

/* Whole lines of out, which begins with one.  Where the rows of in lie any
** distance apart this takes half the time, or a third; and up to a third less
** if the lines of in that come next are asked for meanwhile. */
INLINE void stream_transposed(size_t size, const Tile *all) {
  Tile t = *all;
  int64_t e = edge(size);
  for (int64_t c = 0; c < t.cols; c += 2 * e)
    for (int64_t i = 0; i < t.rows; i += e) {
      int64_t r = i + e > t.rows ? t.rows - e : i;
      const char *in = t.in + r * t.ir + c * t.ic;
      /* two steps share a line of each row */
      const char *next = in + (2 * e + i / e % 2) * t.ic;
      for (int64_t k = 0; k < 2 * e; k += 2)
        __builtin_prefetch(next + k * t.ic, 0, 2);
      stream_squares(size, t.out + r * t.or + c * t.oc, t.or, in, t.ic);
    }
  _mm_sfence();
}

INLINE int can_stream(size_t size, const Tile *t) {
  return size > 1 && t->far && t->rows >= edge(size) &&
         t->cols * (int64_t)size % LINE == 0;
}
#else
#define can_stream(size, t) 0
#define stream_transposed transposed
#endif

INLINE void fill_run(size_t size, char *out, const char *value, int64_t n) {
  char v[8];
  memcpy(v, value, size);
  for (int64_t i = 0; i < n; i++)
    memcpy(out + i * (int64_t)size, v, size);
}

/* Vectors of copies of the element, which is read straight into their lanes. */
INLINE void splat(size_t size, Longs *v, const char *value) {
  uint8_t byte;
  uint32_t word;
  uint64_t lng;
  if (size == 1) {
    memcpy(&byte, value, 1);
    *v = byte * (UINT64_MAX / 255) - (Longs){0};
  } else if (size == 4) {
    memcpy(&word, value, 4);
    *v = (Longs)(word - (Words){0});
  } else {
    memcpy(&lng, value, 8);
    *v = lng - (Longs){0};
  }
}

/* Rows that a store of wide bytes covers, or one and more others behind it. */
INLINE void fill_rows(size_t size, size_t wide, const Tile *t, int64_t rows,
                      int64_t more) {
  char *out = t->out;
  const char *in = t->in;
  for (int64_t r = 0; r < rows; r++, out += t->or, in += t->ir) {
    Longs v;
    splat(size, &v, in);
    for (int64_t i = more; i > 0; i--)
      memcpy(out + i * (int64_t)wide, &v, wide);
    memcpy(out, &v, wide);
  }
}

/* Gapless short rows are written by the vector, and what is too much of it is
** written over by the next ones; returns at which row that has to end. */
INLINE int64_t fill_short(size_t size, const Tile *t) {
  int64_t row = t->or, wide = sizeof(Longs), more = (row - 1) / wide;
  int64_t last = t->rows * row - (more + 1) * wide; /* may start here */
  if (row <= 0 || row != t->cols * (int64_t)size || more > 3 || last < 0)
    return 0;
  int64_t rows = last / row + 1;
  if (row <= 16) fill_rows(size, 16, t, rows, 0);
  else if (!more) fill_rows(size, 32, t, rows, 0);
  else fill_rows(size, 32, t, rows, more);
  return rows;
}

INLINE void fills(size_t size, const Tile *t) {
  for (int64_t r = fill_short(size, t); r < t->rows; r++)
    fill_run(size, t->out + r * t->or, t->in + r * t->ir, t->cols);
}

/* One row again and again, gapless: what is there is doubled. */
static void repeat_row(char *out, const char *row, size_t bytes,
                       int64_t rows) {
  size_t done = bytes, all = bytes * (size_t)rows;
  memcpy(out, row, bytes);
  while (done < all) {
    size_t n = done < all - done ? done : all - done;
    memcpy(out + done, out, n);
    done += n;
  }
}

INLINE void runs(size_t size, const Tile *t) {
  size_t bytes = (size_t)t->cols * size;
  if (t->ir == 0 && t->or == (int64_t)bytes && t->rows > 1) {
    repeat_row(t->out, t->in, bytes, t->rows);
    return;
  }
  if (bytes < 32) {
    plain_either_way(size, t);
    return;
  }
  for (int64_t r = 0; r < t->rows; r++)
    memcpy(t->out + r * t->or, t->in + r * t->ir, bytes);
}

INLINE void tile_of(int64_t size, const Tile *t) {
  if (t->oc != size) plain_either_way((size_t)size, t);
  else if (t->ic == size) runs((size_t)size, t);
  else if (t->ic == 0) fills((size_t)size, t);
  else if (t->ir != size) plain_either_way((size_t)size, t);
  else if (can_stream((size_t)size, t)) stream_transposed((size_t)size, t);
  else transposed((size_t)size, t);
}

static void move_tile(size_t size, const Tile *t) {
  if (size == 1) tile_of(1, t);
  else if (size == 4) tile_of(4, t);
  else tile_of(8, t);
}

/* ---- the normal form ------------------------------------------------ */

/* Strides in bytes; no extent is 1.  ndim may be 0: one element. */
typedef struct Copy {
  int ndim;
  size_t size;
  char *out;
  const char *in;
  int64_t dims[SD_MAX_DIMS + 1], os[SD_MAX_DIMS + 1], is[SD_MAX_DIMS + 1];
} Copy;

static void add_dim(Copy *c, int64_t extent, int64_t os, int64_t is) {
  int i = c->ndim++;
  c->dims[i] = extent;
  c->os[i] = os;
  c->is[i] = is;
}

/* Adds a dim inside the last one, into which it is merged if both sides
** are laid out as one. */
static void add_or_merge(Copy *c, int64_t extent, int64_t os, int64_t is) {
  int i = c->ndim - 1;
  if (i >= 0 && c->os[i] == os * extent && c->is[i] == is * extent) {
    c->dims[i] *= extent;
    c->os[i] = os;
    c->is[i] = is;
    return;
  }
  add_dim(c, extent, os, is);
}

/* Takes dim i of c out and puts it back in front of place to. */
static void move_dim(Copy *c, int i, int to) {
  int64_t extent = c->dims[i], os = c->os[i], is = c->is[i];
  int step = i < to ? 1 : -1;
  for (; i != to; i += step) {
    c->dims[i] = c->dims[i + step];
    c->os[i] = c->os[i + step];
    c->is[i] = c->is[i + step];
  }
  c->dims[to] = extent;
  c->os[to] = os;
  c->is[to] = is;
}

/* A dim that runs backwards in out is walked from its other end. */
static void make_out_forward(Copy *c) {
  for (int i = 0; i < c->ndim; i++) {
    if (c->os[i] >= 0) continue;
    c->out += (c->dims[i] - 1) * c->os[i];
    c->in += (c->dims[i] - 1) * c->is[i];
    c->os[i] = -c->os[i];
    c->is[i] = -c->is[i];
  }
}

static void sort_by_out(Copy *c) {
  for (int i = 1; i < c->ndim; i++) {
    int to = i;
    while (to > 0 && c->os[to - 1] < c->os[i]) to--;
    move_dim(c, i, to);
  }
}

static void merge_dims(Copy *c) {
  Copy all = *c;
  c->ndim = 0;
  for (int i = 0; i < all.ndim; i++)
    add_or_merge(c, all.dims[i], all.os[i], all.is[i]);
}

/* Unless rows are read as they lie, the second dim from the end becomes the
** one along which in moves least: for a transposed copy, its elements. */
static void choose_rows(Copy *c) {
  int last = c->ndim - 1, rows = last - 1;
  if (c->is[last] == (int64_t)c->size) return;
  for (int i = rows - 1; i >= 0; i--)
    if (c->is[i] && llabs(c->is[i]) < llabs(c->is[rows])) rows = i;
  move_dim(c, rows, last - 1);
}

/* Afterwards c has two dims at least. */
static void normalize(Copy *c) {
  make_out_forward(c);
  sort_by_out(c);
  merge_dims(c);
  while (c->ndim < 2) {
    add_dim(c, 1, 0, 0);
    move_dim(c, c->ndim - 1, 0);
  }
  if (c->dims[0] == 1 && c->dims[1] == 1)
    c->os[1] = c->is[1] = (int64_t)c->size;
  choose_rows(c);
}

/* ---- strided copies ------------------------------------------------- */

/* The grid of tiles: the outer dims' positions, times rows x cols tiles.  They
** are numbered by bands of rows, one for each thread, so that these share few
** lines of out, and then down the columns, along which in lies. */
typedef struct Grid {
  int64_t rows, cols;           /* of a tile */
  int64_t down, across, tiles;  /* how many */
  int64_t band;                 /* tiles of a column in a band */
  int far;                      /* tiles are written past the caches */
} Grid;

static int64_t pieces(int64_t n, int64_t piece) {
  return (n + piece - 1) / piece;
}

static int64_t at_most(int64_t n, int64_t limit) {
  return n < limit ? n : limit;
}

/* Whether a copy is a transposed one, large, and its rows are whole lines. */
static int is_far(const Copy *c, int64_t numel) {
  int last = c->ndim - 1, lines = (uintptr_t)c->out % LINE == 0;
  int64_t size = (int64_t)c->size;
  for (int i = 0; i < last; i++) lines &= c->os[i] % LINE == 0;
  return lines && size > 1 && c->os[last] == size &&
         c->is[last - 1] == size && numel * size >= SD_COPY_FAR;
}

static Grid grid_of(const Copy *c, int64_t numel, int threads) {
  Grid g;
  int64_t rows = c->dims[c->ndim - 2], cols = c->dims[c->ndim - 1];
  int64_t ic = c->is[c->ndim - 1], size = (int64_t)c->size;
  int turned = rows > 1 && ic != 0 && ic != size;
  g.far = turned && is_far(c, numel);
  g.cols = at_most(cols, g.far ? LINE / size : turned ? TURNED_COLS : TILE);
  g.rows = at_most(rows, g.far ? FAR_ROWS
                               : turned ? TURNED_ROWS : TILE / g.cols);
  g.down = pieces(rows, g.rows);
  g.across = pieces(cols, g.cols);
  g.band = pieces(g.down, threads);
  g.tiles = pieces(g.down, g.band) * g.band * g.across;
  for (int i = 0; i < c->ndim - 2; i++) g.tiles *= c->dims[i];
  return g;
}

static void copy_tile(const Copy *c, const Grid *g, int64_t number) {
  int nd = c->ndim;
  int64_t bands = pieces(g->down, g->band);
  int64_t row = number % g->band, rest = number / g->band;
  int64_t col = rest % g->across * g->cols;
  rest /= g->across;
  row = (row + rest % bands * g->band) * g->rows;
  rest /= bands;
  if (row >= c->dims[nd - 2]) return;
  Tile t = {c->out, c->in, at_most(c->dims[nd - 2] - row, g->rows),
            at_most(c->dims[nd - 1] - col, g->cols),
            c->os[nd - 2], c->os[nd - 1], c->is[nd - 2], c->is[nd - 1],
            g->far};
  t.out += row * t.or + col * t.oc;
  t.in += row * t.ir + col * t.ic;
  for (int i = nd - 3; i >= 0; i--) {
    int64_t k = rest % c->dims[i];
    rest /= c->dims[i];
    t.out += k * c->os[i];
    t.in += k * c->is[i];
  }
  move_tile(c->size, &t);
}

void sd_copy_strided(int ndim, const int64_t *dims, size_t size, void *out,
                     const int64_t *out_strides, const void *in,
                     const int64_t *in_strides) {
  Copy c = {.size = size, .out = out, .in = in};
  int64_t numel = 1, s = (int64_t)size;
  for (int i = 0; i < ndim; i++) {
    numel *= dims[i];
    if (dims[i] != 1)
      add_dim(&c, dims[i], out_strides[i] * s, in_strides[i] * s);
  }
  if (numel == 1) memcpy(out, in, size);
  if (numel < 2) return;
  normalize(&c);
  int threads = sd_thread_choose((double)numel * element_time);
  Grid g = grid_of(&c, numel, threads);
  if (threads == 1) {
    /* OpenMP's if clause would still wake the threads, for half a
    ** microsecond. */
    for (int64_t i = 0; i < g.tiles; i++)
      if (numel < LONG || !sd_interrupted) copy_tile(&c, &g, i);
  } else {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < g.tiles; i++)
      if (!sd_interrupted) copy_tile(&c, &g, i);
  }
  sd_thread_done();
}

/* ---- blocks --------------------------------------------------------- */

/* Where a walk in row-major order stands: the index along each dim. */
typedef struct Walk {
  const char *in; /* the element at index */
  int64_t index[SD_MAX_DIMS + 1];
} Walk;

static Walk walk_from(const Copy *c, int64_t first) {
  Walk w = {.in = c->in};
  for (int i = c->ndim - 1; i >= 0; i--) {
    int64_t rest = i ? first / c->dims[i] : 0;
    w.index[i] = first - rest * c->dims[i];
    w.in += w.index[i] * c->is[i];
    first = rest;
  }
  return w;
}

/* Steps by n along dim i, at most to its end, and carries. */
static void walk_step(const Copy *c, Walk *w, int i, int64_t n) {
  w->index[i] += n;
  w->in += n * c->is[i];
  for (; i > 0 && w->index[i] == c->dims[i]; i--) {
    w->in += c->is[i - 1] - c->dims[i] * c->is[i];
    w->index[i] = 0;
    w->index[i - 1]++;
  }
}

INLINE void copy_block(size_t size, const Copy *c, int64_t first, int64_t n) {
  int last = c->ndim - 1;
  int64_t cols = c->dims[last], s = (int64_t)size;
  Walk w = walk_from(c, first);
  char *out = c->out, *end = out + n * s;
  while (out < end) {
    int64_t left = (end - out) / s;
    Tile t = {out, w.in, 1, at_most(cols - w.index[last], left), cols * s, s,
              last ? c->is[last - 1] : 0, c->is[last], 0};
    if (t.cols == cols && last) {
      t.rows = at_most(c->dims[last - 1] - w.index[last - 1], left / cols);
      walk_step(c, &w, last - 1, t.rows);
    } else {
      walk_step(c, &w, last, t.cols);
    }
    tile_of(s, &t);
    out += t.rows * t.cols * s;
  }
}

void sd_copy_block(int ndim, const int64_t *dims, size_t size, void *out,
                   const void *in, const int64_t *in_strides, int64_t first,
                   int64_t n) {
  Copy c = {.size = size, .out = out, .in = in};
  int64_t s = (int64_t)size;
  if (n == 0) return;
  /* out is gapless and never in a merge's way, so its strides are left 0. */
  for (int i = 0; i < ndim; i++)
    if (dims[i] != 1) add_or_merge(&c, dims[i], 0, in_strides[i] * s);
  if (c.ndim == 0) add_dim(&c, 1, 0, s);
  if (size == 1) copy_block(1, &c, first, n);
  else if (size == 4) copy_block(4, &c, first, n);
  else copy_block(8, &c, first, n);
}

/* ---- one value ------------------------------------------------------ */

void sd_copy_fill(int64_t n, size_t size, void *out, const void *value) {
  if (size == 1) {
    if (n > 0) memset(out, *(const unsigned char *)value, (size_t)n);
  } else if (size == 4) {
    fill_run(4, out, value, n);
  } else {
    fill_run(8, out, value, n);
  }
}

/* ---- past the caches ------------------------------------------------- */

#ifdef __SSE2__
#ifdef __AVX__
typedef __m256i Line;
#define LOAD_LINE(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define STREAM_LINE(p, v) _mm256_stream_si256((__m256i *)(void *)(p), v)
#else
typedef __m128i Line;
#define LOAD_LINE(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define STREAM_LINE(p, v) _mm_stream_si128((__m128i *)(void *)(p), v)
#endif

void sd_copy_stream(void *out_, const void *in_, size_t bytes) {
  char *out = out_;
  const char *in = in_;
  size_t head = -(uintptr_t)out % sizeof(Line);
  if (head > bytes) head = bytes;
  memcpy(out, in, head);
  size_t i = head;
  for (; i + sizeof(Line) <= bytes; i += sizeof(Line))
    STREAM_LINE(out + i, LOAD_LINE(in + i));
  memcpy(out + i, in + i, bytes - i);
}

void sd_copy_stream_end(void) { _mm_sfence(); }
#else
void sd_copy_stream(void *out, const void *in, size_t bytes) {
  memcpy(out, in, bytes);
}

void sd_copy_stream_end(void) {}
#endif
