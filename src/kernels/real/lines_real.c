#include "kernels/lines.h"

#include "kernels/tables.h"
#include "kernels/vector.h"

/* NaN in either stays, as in the loops of these names. */
#define SUM(a, b) ((a) + (b))
#define MAX(a, b) choose(((a) > (b)) | ((a) != (a)), a, b)
#define MIN(a, b) choose(((a) < (b)) | ((a) != (a)), a, b)

static inline Vec choose(VecBits first, Vec a, Vec b) {
  return (Vec)(((VecBits)a & first) | ((VecBits)b & ~first));
}

/* Four rows share one reading and writing of acc.  Those that follow are asked
** for meanwhile, in the order of memory and into the second cache: sums over
** columns gain a seventh, on two threads a fifth.  The rest of a line, shorter
** than a vector, and of rows is left to the loop for one row. */
#define LINES(name, COMBINE, loop) \
  static void name(int64_t rows, int64_t n, int64_t stride, const void *px, \
                   void *pacc) { \
    const SdLoopFn one = sd_loop(DTYPE, loop); \
    const real *x = px; \
    real *acc = pacc; \
    for (; rows >= 4; rows -= 4, x += 4 * stride) { \
      const real *next = n == stride ? x + AHEAD : x; \
      int64_t i = 0; \
      for (; i + W <= n; i += W, next += 4 * W) { \
        Vec a = load(acc + i); \
        for (int k = 0; k < 4; k++) { \
          Vec v = load(x + k * stride + i); \
          __builtin_prefetch(next + k * W, 0, 2); \
          a = COMBINE(a, v); \
        } \
        store(acc + i, a); \
      } \
      for (int k = 0; k < 4 && i < n; k++) \
        one(n - i, acc + i, acc + i, x + k * stride + i, NULL); \
    } \
    for (; rows > 0; rows--, x += stride) one(n, acc, acc, x, NULL); \
  }
LINES(sum, SUM, SD_LOOP_ADD)
LINES(most, MAX, SD_LOOP_MAX)
LINES(least, MIN, SD_LOOP_MIN)

const SdLinesTable SD_TYPED(sd_lines_table) = {
    .fold = {[SD_FOLD_SUM] = sum, [SD_FOLD_MAX] = most,
             [SD_FOLD_MIN] = least}};
