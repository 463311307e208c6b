/*
** The caching allocator.  A size is rounded up to its class, and a freed
** block waits on the list of its class to be handed out again, last freed
** first, while its pages are still in the caches.  Small and middle-sized
** blocks are cut from slabs, middle-sized ones on huge pages; when too much
** waits, large ones return to the system, and the pages of middle-sized ones,
** whose places stay.  Under AddressSanitizer every block is a malloc of
** its own, of exactly the size asked for.
*/
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
  ALIGN = 64,
  PAGE = 4096,
  SMALL_LOG = 12,         /* small: at most 4 KiB, in steps of 64 bytes */
  SMALL = 1 << SMALL_LOG,
  SMALL_CLASSES = SMALL / ALIGN + 1,
  SLAB = 256 * 1024,
  HUGE_PAGE = 2 << 20,
  MIDDLE = 64 * 1024,     /* from here on a block is cut from a field */
  FIELD = 4 * HUGE_PAGE,
  STAGGER = PAGE + ALIGN, /* lest all blocks begin in the same cache sets */
  LARGE_LOG = 48,         /* no machine has more to give */
  LARGE_CLASSES = 4 * (LARGE_LOG - SMALL_LOG) + 1
};
static const size_t largest = (size_t)1 << LARGE_LOG;

typedef struct Block {
  struct Block *next;
} Block;

static Block *small_free[SMALL_CLASSES], *large_free[LARGE_CLASSES];
static Block *bare[LARGE_CLASSES]; /* middle-sized ones without pages */
/* What is left of the newest slab and field. */
static char *slab, *slab_end, *field, *field_end;
static SdMemoryStats stats;
static size_t large_cached, large_cached_limit;
static size_t fail_after;

static size_t machine_memory(void) {
  long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? (size_t)pages * (size_t)size : largest;
}

static void start(void) {
  size_t gib = (size_t)1 << 30;
  stats.limit = machine_memory();
  large_cached_limit = stats.limit / 8 < gib ? stats.limit / 8 : gib;
}

/* ---- classes -------------------------------------------------------- */

typedef struct Class {
  size_t size;
  Block **list;
} Class;

/* Four classes per power of two: 5, 6, 7 and 8 quarters of 2^top. */
static Class large_class(size_t bytes) {
  int top = 63 - __builtin_clzll((unsigned long long)bytes - 1);
  size_t quarters = ((bytes - 1) >> (top - 2)) + 1;
  return (Class){quarters << (top - 2),
                 &large_free[4 * (top - SMALL_LOG) + (int)quarters - 4]};
}

static size_t large_class_size(int index) {
  return (size_t)(4 + index % 4) << (index / 4 + SMALL_LOG - 2);
}

static inline Class class_of(size_t bytes) {
  if (bytes > SMALL) return large_class(bytes);
  size_t units = bytes ? (bytes + ALIGN - 1) / ALIGN : 1;
  return (Class){units * ALIGN, &small_free[units]};
}

/* ---- the system ----------------------------------------------------- */

static void *map_huge(size_t bytes) {
  size_t need = bytes + HUGE_PAGE;
  char *p = mmap(NULL, need, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  size_t before = -(uintptr_t)p % HUGE_PAGE;
  char *start_at = p + before, *end = start_at + bytes;
  if (before) munmap(p, before);
  munmap(end, HUGE_PAGE - before);
  madvise(start_at, bytes, MADV_HUGEPAGE);
  return start_at;
}

/* A middle-sized block: Adam over 160 tensors gains a sixteenth by huge
** pages. */
static void *cut_from_field(size_t bytes) {
  if ((size_t)(field_end - field) < bytes) {
    char *fresh = map_huge(FIELD);
    if (!fresh) return NULL;
    field = fresh;
    field_end = fresh + FIELD;
  }
  char *p = field;
  field += bytes + STAGGER;
  if (field > field_end) field = field_end;
  return p;
}

/* bytes is the size of a large class, hence a multiple of a page from MIDDLE
** on. */
static void *system_alloc(size_t bytes) {
  if (bytes < MIDDLE) return aligned_alloc(ALIGN, bytes);
  return bytes < HUGE_PAGE ? cut_from_field(bytes) : map_huge(bytes);
}

static void bare_block(Block *b, int class, size_t bytes) {
  char *first = (char *)(b + 1), *end = (char *)b + bytes;
  first += -(uintptr_t)first % PAGE;
  end -= (uintptr_t)end % PAGE;
  madvise(first, (size_t)(end - first), MADV_DONTNEED);
  b->next = bare[class];
  bare[class] = b;
}

static void system_free(Block *b, int class, size_t bytes) {
  if (bytes < MIDDLE) free(b);
  else if (bytes < HUGE_PAGE) bare_block(b, class, bytes);
  else munmap(b, bytes);
}

/* Gives back large blocks, largest first, until at most keep bytes wait. */
static void trim_to(size_t keep) {
  for (int i = LARGE_CLASSES - 1; i >= 0; i--) {
    size_t size = large_class_size(i);
    while (large_free[i] && large_cached > keep) {
      Block *b = large_free[i];
      large_free[i] = b->next;
      large_cached -= size;
      stats.cached -= size;
      system_free(b, i, size);
    }
  }
}

static void *cut_from_slab(size_t bytes) {
  if ((size_t)(slab_end - slab) < bytes) {
    char *fresh = aligned_alloc(PAGE, SLAB);
    if (!fresh) return NULL;
    slab = fresh;
    slab_end = fresh + SLAB;
  }
  char *p = slab;
  slab += bytes;
  return p;
}

/* ---- blocks --------------------------------------------------------- */

static void *sanitized_alloc(size_t bytes) {
  void *p;
  return posix_memalign(&p, ALIGN, bytes ? bytes : 1) ? NULL : p;
}

/* A large block that has been bare, or of the system. */
static void *take_new(const Class *c) {
  Block **list = &bare[c->list - large_free], *b = *list;
  if (!b) return system_alloc(c->size);
  *list = b->next;
  return b;
}

static void *take(const Class *c, size_t bytes) {
  if (SANITIZED) return sanitized_alloc(bytes);
  Block *b = *c->list;
  if (!b)
    return c->size <= SMALL ? cut_from_slab(c->size) : take_new(c);
  *c->list = b->next;
  stats.cached -= c->size;
  if (c->size > SMALL) large_cached -= c->size;
  return b;
}

static void *take_or_trim(const Class *c, size_t bytes) {
  void *p = take(c, bytes);
  if (p) return p;
  sd_memory_trim();
  return take(c, bytes);
}

typedef struct SizeText {
  char text[32];
} SizeText;

static SizeText size_text(size_t bytes) {
  static const char units[] = " kMGTPE";
  SizeText t;
  double x = (double)bytes;
  int u = 0;
  for (; x >= 999.95; u++) x /= 1000;
  if (u) snprintf(t.text, sizeof t.text, "%.1f %cB", x, units[u]);
  else snprintf(t.text, sizeof t.text, "%d bytes", (int)bytes);
  return t;
}

static void *refuse(size_t bytes, SdError *err) {
  sd_error_set(err, SD_EMEMORY,
               "out of memory: %s asked for, %s in use, limit %s",
               size_text(bytes).text, size_text(stats.live).text,
               size_text(stats.limit).text);
  return NULL;
}

static int fails_on_purpose(void) {
  return fail_after && --fail_after == 0;
}

void *sd_memory_alloc(size_t bytes, SdError *err) {
  if (!stats.limit) start();
  stats.count++;
  if (fails_on_purpose() || bytes > largest) return refuse(bytes, err);
  Class c = class_of(bytes);
  if (c.size > stats.limit || stats.live > stats.limit - c.size)
    return refuse(bytes, err);
  void *p = take_or_trim(&c, bytes);
  if (!p) return refuse(bytes, err);
  stats.live += c.size;
  if (stats.live > stats.peak) stats.peak = stats.live;
  return p;
}

void sd_memory_free(void *p, size_t bytes) {
  if (!p) return;
  Class c = class_of(bytes);
  stats.live -= c.size;
  if (SANITIZED) {
    free(p);
    return;
  }
  Block *b = p;
  b->next = *c.list;
  *c.list = b;
  stats.cached += c.size;
  if (c.size <= SMALL) return;
  large_cached += c.size;
  if (large_cached > large_cached_limit) trim_to(large_cached_limit);
}

/* items is the address of a pointer of any type, so it is read and written
** as bytes. */
SdStatus sd_memory_grow(void *items, size_t *capacity, size_t need,
                        size_t size, SdError *err) {
  size_t room = *capacity ? *capacity : 8, bytes;
  void *old, *fresh;
  if (need <= *capacity) return SD_OK;
  while (room < need && room <= SIZE_MAX / 2) room *= 2;
  if (__builtin_mul_overflow(room < need ? need : room, size, &bytes))
    bytes = SIZE_MAX;
  fresh = sd_memory_alloc(bytes, err);
  if (!fresh) return err->code;
  memcpy(&old, items, sizeof old);
  if (old) memcpy(fresh, old, *capacity * size);
  sd_memory_free(old, *capacity * size);
  memcpy(items, &fresh, sizeof fresh);
  *capacity = room;
  return SD_OK;
}

/* ---- counters ------------------------------------------------------- */

SdMemoryStats sd_memory_stats(void) {
  if (!stats.limit) start();
  return stats;
}

void sd_memory_reset_peak(void) { stats.peak = stats.live; }

void sd_memory_set_limit(size_t bytes) {
  if (!stats.limit) start();
  stats.limit = bytes ? bytes : machine_memory();
}

void sd_memory_trim(void) { trim_to(0); }

void sd_memory_fail_after(size_t nth) { fail_after = nth; }
