#include "base/executable.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  REGION = 8 << 20, /* address space; pages come as they are written */
  LEAST_LOG = 7,    /* blocks are powers of 2 from 128 bytes on */
  CLASSES = 10
};

typedef struct Block { /* a free one: where the next one of its class is */
  size_t next;         /* from the start of the region, plus 1; 0: none */
} Block;

static struct {
  char *write;      /* NULL: not mapped yet */
  const char *run;
  size_t used;
  size_t free[CLASSES]; /* as Block.next */
  int refused;
} region;

static int map(void) {
  int fd = memfd_create("saddle-code", MFD_CLOEXEC);
  if (fd < 0) return 0;
  int ok = ftruncate(fd, REGION) == 0;
  void *w = !ok ? MAP_FAILED
                : mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  void *r = w == MAP_FAILED ? MAP_FAILED
                            : mmap(NULL, REGION, PROT_READ | PROT_EXEC,
                                   MAP_SHARED, fd, 0);
  close(fd);
  if (r == MAP_FAILED) {
    if (w != MAP_FAILED) munmap(w, REGION);
    return 0;
  }
  region.write = w;
  region.run = r;
  return 1;
}

static int class_of(size_t bytes) {
  int c = 0;
  while (c < CLASSES && (size_t)1 << (c + LEAST_LOG) < bytes) c++;
  return c;
}

static size_t take(int c) {
  size_t at = region.free[c], size = (size_t)1 << (c + LEAST_LOG);
  if (at) {
    Block b;
    memcpy(&b, region.write + at - 1, sizeof b);
    region.free[c] = b.next;
    return at;
  }
  if (region.used + size > REGION) return 0;
  region.used += size;
  return region.used - size + 1;
}

const void *sd_executable_new(const void *code, size_t bytes) {
  int c = class_of(bytes);
  if (region.refused || c == CLASSES) return NULL;
  if (!region.write && !map()) {
    region.refused = 1;
    return NULL;
  }
  size_t at = take(c);
  if (!at) return NULL;
  memcpy(region.write + at - 1, code, bytes);
  return region.run + at - 1;
}

void sd_executable_free(const void *code, size_t bytes) {
  if (!code) return;
  int c = class_of(bytes);
  size_t at = (size_t)((const char *)code - region.run);
  Block b = {region.free[c]};
  memcpy(region.write + at, &b, sizeof b);
  region.free[c] = at + 1;
}
