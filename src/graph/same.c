#include "graph/same.h"

#include "base/memory.h"

#include <stdint.h>
#include <string.h>

/* Leaves are themselves, random ops never repeat, and an op's data have no
** order we know. */
static int is_comparable(const SdNode *n) {
  return !n->value && n->op->kind != SD_KIND_VALUE && !n->op->refresh &&
         !(n->attr && n->attr->data) &&
         (n->nin > 0 || n->op->kind == SD_KIND_CONSTANT);
}

static size_t mix(size_t h, size_t v) {
  h = (h ^ v) * (size_t)0x9E3779B97F4A7C15u;
  return h ^ (h >> 29);
}

static size_t hash(const SdNode *n) {
  size_t h = mix(n->dtype, (size_t)(uintptr_t)n->op);
  for (int i = 0; i < n->nin; i++)
    h = mix(h, (size_t)sd_node_resolve(n->in[i])->slot);
  for (int i = 0; n->attr && i < n->attr->count; i++)
    h = mix(h, (size_t)n->attr->i[i]);
  if (n->attr) {
    uint64_t bits;
    memcpy(&bits, &n->attr->f, sizeof bits);
    h = mix(h, (size_t)bits);
  }
  return h;
}

static int equal_attr(const SdAttr *a, const SdAttr *b) {
  if (!a || !b) return a == b;
  return !memcmp(&a->f, &b->f, sizeof a->f) && a->count == b->count &&
         !memcmp(a->i, b->i, (size_t)a->count * sizeof *a->i);
}

static int equal(const SdNode *a, const SdNode *b) {
  if (a->op != b->op || a->dtype != b->dtype || a->nin != b->nin ||
      !sd_shape_equal(&a->shape, &b->shape) || !equal_attr(a->attr, b->attr))
    return 0;
  for (int i = 0; i < a->nin; i++)
    if (sd_node_resolve(a->in[i])->slot != sd_node_resolve(b->in[i])->slot)
      return 0;
  return 1;
}

static SdNode **place(SdNode **table, size_t capacity, const SdNode *n) {
  size_t i = hash(n) & (capacity - 1);
  while (table[i] && !equal(table[i], n)) i = (i + 1) & (capacity - 1);
  return &table[i];
}

static SdStatus grow(SdSame *s, SdError *err) {
  size_t capacity = s->capacity ? 2 * s->capacity : 64;
  SdNode **table = sd_memory_alloc(capacity * sizeof *table, err);
  if (!table) return err->code;
  memset(table, 0, capacity * sizeof *table);
  for (size_t i = 0; i < s->capacity; i++)
    if (s->table[i]) *place(table, capacity, s->table[i]) = s->table[i];
  sd_memory_free(s->table, s->capacity * sizeof *s->table);
  s->table = table;
  s->capacity = capacity;
  return SD_OK;
}

SdStatus sd_same_find(SdSame *s, SdNode *n, SdNode **twin, SdError *err) {
  *twin = NULL;
  if (!is_comparable(n)) return SD_OK;
  if (2 * (s->count + 1) > s->capacity) {
    SdStatus status = grow(s, err);
    if (status != SD_OK) return status;
  }
  SdNode **at = place(s->table, s->capacity, n);
  *twin = *at;
  if (*at) return SD_OK;
  *at = n;
  s->count++;
  return SD_OK;
}

void sd_same_free(SdSame *s) {
  sd_memory_free(s->table, s->capacity * sizeof *s->table);
}
