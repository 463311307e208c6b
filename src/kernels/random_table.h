/*
** Between random.c, which makes the bits, and real/random_real.c, which
** makes floats of them.  Bits come in groups of SD_RANDOM_BLOCKS Philox
** blocks, stored word by word: word w of block b is words[w][b].
*/
#ifndef SD_RANDOM_TABLE_H
#define SD_RANDOM_TABLE_H

#include <stdint.h>

enum { SD_RANDOM_BLOCKS = 256 };

typedef uint32_t SdRandomWords[4][SD_RANDOM_BLOCKS];

/* Both write all the values of a group: 1024 floats or 512 doubles. */
typedef struct SdRandomTable {
  void (*uniform)(SdRandomWords words, void *out);
  void (*normal)(SdRandomWords words, void *out);
} SdRandomTable;

extern const SdRandomTable sd_random_table_f32, sd_random_table_f64;

#endif
