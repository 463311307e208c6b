/*
** The two halves of classical Gram-Schmidt, one or two vectors against many
** rows, each row being read once, at the speed of memory; and a product of
** vectors.  f32 or f64, one thread; results depend on the arguments alone.
*/
#ifndef SD_GRAM_H
#define SD_GRAM_H

#include "base/dtype.h"

#include <stdint.h>

enum { SD_GRAM_CHUNK = 4096 }; /* elements */

/* count rows of n elements, stride elements apart, and one or two vectors, just
** as far apart. */
typedef struct SdGram {
  int64_t count, n, stride;
  const void *rows;
  int vectors;
} SdGram;

typedef struct SdGramTable {
  /* sums[v count + i] += row i . vector v, in the rows' dtype within a chunk of
  ** elements. */
  void (*dots)(const SdGram *g, const void *w, double *sums);
  /* Vector v -= sum of c[v count + i] times row i, c being of the rows'
  ** dtype. */
  void (*subtract)(const SdGram *g, const void *c, void *w);
  /* x . y summed in f64: squares of f32 neither overflow nor vanish. */
  double (*dot)(int64_t n, const void *x, const void *y);
} SdGramTable;

extern const SdGramTable sd_gram_table_f32, sd_gram_table_f64;

static inline const SdGramTable *sd_gram(SdDtype d) {
  return d == SD_F32 ? &sd_gram_table_f32 : &sd_gram_table_f64;
}

#endif
