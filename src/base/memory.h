/*
** All memory of the core comes from here.  Blocks for data are 64-byte
** aligned and go back to a cache of touched pages when freed, because fresh
** pages cost more than most kernels.  Not thread-safe: only the thread that
** drives the engine allocates; kernels get scratch memory handed to them.
*/
#ifndef SD_MEMORY_H
#define SD_MEMORY_H

#include "base/error.h"

#include <stddef.h>

/* At least bytes bytes, 64-byte aligned, contents undefined; NULL with err
** filled (SD_EMEMORY) on failure.  bytes may be 0. */
void *sd_memory_alloc(size_t bytes, SdError *err);

/* p may be NULL; bytes is what was asked for. */
void sd_memory_free(void *p, size_t bytes);

/* Grows *items to hold at least need items of size bytes each, doubling;
** *capacity counts items.  Contents are kept. */
SdStatus sd_memory_grow(void *items, size_t *capacity, size_t need,
                        size_t size, SdError *err);

typedef struct SdMemoryStats {
  size_t live;    /* bytes handed out */
  size_t peak;    /* highest live since the start or the last reset */
  size_t cached;  /* bytes kept for reuse */
  size_t limit;   /* live may not pass this */
  size_t count;   /* allocations so far */
} SdMemoryStats;

SdMemoryStats sd_memory_stats(void);
void sd_memory_reset_peak(void);

/* Bytes that may be live at once; 0 means the machine's memory. */
void sd_memory_set_limit(size_t bytes);

/* Gives all cached blocks back to the system. */
void sd_memory_trim(void);

/* For tests: the nth allocation from now on fails once; 0 switches off. */
void sd_memory_fail_after(size_t nth);

#endif
