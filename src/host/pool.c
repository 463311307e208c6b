#include "host/pool.h"

#include <stdlib.h>
#include <string.h>

enum { STEP = 16, LARGEST = 512, SLAB = 64 * 1024 };

typedef struct Cell {
  struct Cell *next;
} Cell;

static Cell *cells[LARGEST / STEP + 1];
static char *slab;
static size_t slab_left;

/* Under AddressSanitizer every object is a malloc of its own. */
static int is_pooled(size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  (void)bytes;
  return 0;
#else
  return bytes <= LARGEST;
#endif
}

static size_t class_of(size_t bytes) { return (bytes + STEP - 1) / STEP; }

/* What is left of the last slab, less than a cell of class c, is put on the
** list it fits. */
static int new_slab(size_t c) {
  char *fresh = malloc(SLAB);
  if (!fresh) return 0;
  if (slab_left >= STEP && slab_left < c * STEP) {
    Cell *rest = (Cell *)(void *)slab;
    rest->next = cells[slab_left / STEP];
    cells[slab_left / STEP] = rest;
  }
  slab = fresh;
  slab_left = SLAB;
  return 1;
}

static void *take(size_t bytes) {
  if (!is_pooled(bytes)) return malloc(bytes);
  size_t c = class_of(bytes);
  Cell *cell = cells[c];
  if (cell) {
    cells[c] = cell->next;
    return cell;
  }
  if (slab_left < c * STEP && !new_slab(c)) return NULL;
  void *p = slab;
  slab += c * STEP;
  slab_left -= c * STEP;
  return p;
}

static void give(void *p, size_t bytes) {
  if (!is_pooled(bytes)) {
    free(p);
    return;
  }
  Cell *cell = p;
  size_t c = class_of(bytes);
  cell->next = cells[c];
  cells[c] = cell;
}

void *sd_host_pool(void *ud, void *p, size_t old, size_t new) {
  (void)ud;
  if (new == 0) {
    if (p) give(p, old);
    return NULL;
  }
  if (!p) return take(new);
  if (is_pooled(old) && is_pooled(new) && class_of(old) == class_of(new))
    return p;
  if (!is_pooled(old) && !is_pooled(new)) return realloc(p, new);
  void *q = take(new);
  if (!q) return new <= old ? p : NULL;
  memcpy(q, p, old < new ? old : new);
  give(p, old);
  return q;
}
