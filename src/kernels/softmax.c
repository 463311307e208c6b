#include "kernels/softmax.h"

#include "base/interrupt.h"
#include "base/thread.h"
#include "kernels/copy.h"
#include "kernels/loops.h"

#include <math.h>
#include <string.h>

enum {
  CHUNK = 16384       /* bytes of a row, or of a group of rows, at a time */
};
static const double element_time = 7e-4; /* microseconds, on one thread */
static const double stream_bytes = 16e6; /* written past the caches from here */

typedef struct Softmax {
  SdDtype dtype;
  size_t size;
  int take_log, streams;
  int64_t rows, cols;
  int64_t chunk; /* elements */
  int64_t group; /* rows that fit in a chunk, at least 1 */
  const char *x;
  char *out;
} Softmax;

/* One thread's room, of a chunk each. */
typedef struct Room {
  double z[CHUNK / sizeof(double)], e[CHUNK / sizeof(double)];
} Room;

static void store(SdDtype d, double v, void *element) {
  if (d == SD_F64) *(double *)element = v;
  else *(float *)element = (float)v;
}

static void add_constant(const Softmax *s, int64_t n, void *out,
                         const void *x, double c) {
  double element;
  store(s->dtype, c, &element);
  sd_loop_vs(s->dtype, SD_LOOP_ADD)(n, out, x, &element, NULL);
}

static void scale(const Softmax *s, int64_t n, void *out, double c) {
  double element;
  store(s->dtype, c, &element);
  sd_loop_vs(s->dtype, SD_LOOP_MUL)(n, out, out, &element, NULL);
}

/* out = (x - most) - log(sum), or e / sum; most and sum being those of the
** row, e the exponentials of x - most. */
static void finish(const Softmax *s, int64_t n, void *out, const void *x,
                   double most, double sum) {
  if (s->take_log) {
    add_constant(s, n, out, x, -most);
    add_constant(s, n, out, out, -log(sum));
  } else {
    scale(s, n, out, 1 / sum);
  }
}

static void fetch(const char *x, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(x + i, 0, 2);
}

/* Several rows, together no more than a chunk. */
static void few_rows(const Softmax *s, Room *room, int64_t first,
                     int64_t rows) {
  size_t bytes = (size_t)s->cols * s->size;
  const char *x = s->x + (size_t)first * bytes;
  char *out = s->out + (size_t)first * bytes;
  char *z = s->streams ? (char *)room->z : out;
  for (int64_t i = 0; i < rows; i++) {
    const char *row = x + (size_t)i * bytes;
    char *y = z + (size_t)i * bytes;
    SdAccumulator most = sd_fold_identity(s->dtype, SD_FOLD_MAX);
    sd_fold(s->dtype, SD_FOLD_MAX)(s->cols, row, &most);
    if (s->streams) fetch(row + (size_t)rows * bytes, bytes);
    double sum = sd_exp_sum(s->dtype)(s->cols, row, most.f,
                                      s->take_log ? (char *)room->e : y);
    finish(s, s->cols, y, row, most.f, sum);
  }
  if (s->streams) sd_copy_stream(out, z, (size_t)rows * bytes);
}

/* A row longer than a chunk. */
static void long_row(const Softmax *s, Room *room, int64_t row) {
  size_t start = (size_t)row * (size_t)s->cols * s->size;
  const char *x = s->x + start;
  char *out = s->out + start;
  SdAccumulator most = sd_fold_identity(s->dtype, SD_FOLD_MAX);
  double sum = 0;
  for (int pass = 0; pass < 3; pass++)
    for (int64_t i = 0; i < s->cols && !sd_interrupted; i += s->chunk) {
      int64_t n = s->cols - i < s->chunk ? s->cols - i : s->chunk;
      size_t at = (size_t)i * s->size;
      if (pass == 0)
        sd_fold(s->dtype, SD_FOLD_MAX)(n, x + at, &most);
      else if (pass == 1)
        sum += sd_exp_sum(s->dtype)(n, x + at, most.f,
                                    s->take_log ? (char *)room->e : out + at);
      else
        finish(s, n, out + at, x + at, most.f, sum);
    }
}

static void group_of_rows(const Softmax *s, Room *room, int64_t group) {
  int64_t first = group * s->group, rows = s->rows - first;
  if (s->cols > s->chunk) long_row(s, room, first);
  else few_rows(s, room, first, rows < s->group ? rows : s->group);
}

void sd_softmax(SdDtype d, int take_log, int64_t rows, int64_t cols,
                const void *x, void *out) {
  Softmax s = {d, sd_dtype_size(d), take_log, 0, rows, cols, 0, 1, x, out};
  if (rows == 0 || cols == 0) return;
  s.chunk = CHUNK / (int64_t)s.size;
  s.group = s.chunk / cols;
  if (s.group < 1) s.group = 1;
  s.streams = (double)rows * (double)cols * (double)s.size >= stream_bytes;
  int64_t groups = (rows + s.group - 1) / s.group;
  int threads = sd_thread_choose((double)rows * (double)cols * element_time);
  if (threads == 1) {
    Room room;
    for (int64_t i = 0; i < groups && !sd_interrupted; i++)
      group_of_rows(&s, &room, i);
    sd_copy_stream_end();
  } else {
#pragma omp parallel num_threads(threads)
    {
      Room room;
#pragma omp for schedule(static)
      for (int64_t i = 0; i < groups; i++)
        if (!sd_interrupted) group_of_rows(&s, &room, i);
      sd_copy_stream_end();
    }
  }
  sd_thread_done();
}
