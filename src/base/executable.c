#include "base/executable.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  REGION = 8 << 20, /* address space; pages come as they are written */
  LEAST_LOG = 7,    /* blocks are powers of 2 from 128 bytes on */
  CLASSES = 10
};

/* Blocks are named by where they begin, in units of the smallest one, plus 1;
** 0 is none. */
static struct {
  char *base; /* NULL: not mapped yet */
  int refused;
  uint32_t used;
  uint32_t free[CLASSES];              /* the first free block of each class */
  uint32_t next[REGION >> LEAST_LOG];  /* of a free block: the next one */
} region;

static char *address(uint32_t block) {
  return region.base + ((size_t)(block - 1) << LEAST_LOG);
}

static int class_of(size_t bytes) {
  int c = 0;
  while (c < CLASSES && (size_t)1 << (c + LEAST_LOG) < bytes) c++;
  return c;
}

static uint32_t take(int c) {
  uint32_t block = region.free[c], units = (uint32_t)1 << c;
  if (block) {
    region.free[c] = region.next[block - 1];
    return block;
  }
  if (region.used + units > REGION >> LEAST_LOG) return 0;
  region.used += units;
  return region.used - units + 1;
}

static void give(uint32_t block, int c) {
  region.next[block - 1] = region.free[c];
  region.free[c] = block;
}

static int map(void) {
  void *p = mmap(NULL, REGION, PROT_READ | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  region.refused = p == MAP_FAILED;
  if (!region.refused) region.base = p;
  return !region.refused;
}

/* Code beside it stays executable all the time. */
static int write_code(char *to, const void *code, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *first = to - (uintptr_t)to % page;
  size_t length = (size_t)(to + bytes - first);
  if (mprotect(first, length, PROT_READ | PROT_WRITE | PROT_EXEC)) return 0;
  memcpy(to, code, bytes);
  mprotect(first, length, PROT_READ | PROT_EXEC);
  return 1;
}

const void *sd_executable_new(const void *code, size_t bytes) {
  int c = class_of(bytes);
  if (region.refused || c == CLASSES) return NULL;
  if (!region.base && !map()) return NULL;
  uint32_t block = take(c);
  if (!block) return NULL;
  if (write_code(address(block), code, bytes)) return address(block);
  give(block, c);
  return NULL;
}

void sd_executable_free(const void *code, size_t bytes) {
  if (!code) return;
  size_t at = (size_t)((const char *)code - region.base);
  give((uint32_t)(at >> LEAST_LOG) + 1, class_of(bytes));
}
