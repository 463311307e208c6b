#include "transform/walk.h"

#include "base/memory.h"

#include <string.h>

typedef struct Frame {
  SdNode *node;
  int next, depends;
} Frame;

typedef struct Stack {
  Frame *frames;
  size_t depth, capacity;
} Stack;

int sd_walk_slot(const SdWalk *w, const SdNode *n) {
  return n->epoch == w->epoch ? n->slot : -1;
}

static SdStatus add(SdWalk *w, SdNode *n, SdError *err) {
  SdStatus s = sd_memory_grow(&w->nodes, &w->capacity, (size_t)w->count + 1,
                              sizeof *w->nodes, err);
  if (s != SD_OK) return s;
  n->epoch = w->epoch;
  n->slot = w->count;
  w->nodes[w->count++] = n;
  return SD_OK;
}

/* Older nodes cannot depend on t's tracers. */
static int worth_a_visit(const SdWalk *w, const SdTrace *t, const SdNode *n) {
  return n->trace && n->trace->id >= t->id && n->epoch != w->epoch;
}

static SdStatus push(Stack *st, SdWalk *w, SdNode *n, int fresh,
                     SdError *err) {
  SdStatus s = sd_memory_grow(&st->frames, &st->capacity, st->depth + 1,
                              sizeof *st->frames, err);
  if (s != SD_OK) return s;
  n->epoch = w->epoch;
  n->slot = -1;
  int random = fresh && n->op->refresh && !n->value;
  st->frames[st->depth++] = (Frame){n, 0, random};
  return SD_OK;
}

static SdStatus visit(Stack *st, SdWalk *w, const SdTrace *t, SdNode *root,
                      int fresh, SdError *err) {
  SdStatus s = SD_OK;
  if (worth_a_visit(w, t, root)) s = push(st, w, root, fresh, err);
  while (s == SD_OK && st->depth > 0) {
    Frame *f = &st->frames[st->depth - 1];
    if (f->next < f->node->nin) {
      SdNode *in = f->node->in[f->next];
      if (worth_a_visit(w, t, in)) {
        s = push(st, w, in, fresh, err);
      } else {
        f->depends |= sd_walk_slot(w, in) >= 0;
        f->next++;
      }
    } else {
      SdNode *n = f->node;
      int depends = f->depends;
      st->depth--;
      if (depends) s = add(w, n, err);
    }
  }
  return s;
}

SdStatus sd_walk_make(SdWalk *w, const SdTrace *t, SdNode *const *roots,
                      int nroots, SdNode *const *seeds, int nseeds, int fresh,
                      SdError *err) {
  Stack st = {0};
  SdStatus s = SD_OK;
  memset(w, 0, sizeof *w);
  w->epoch = sd_node_epoch();
  for (int i = 0; i < nseeds && s == SD_OK; i++) s = add(w, seeds[i], err);
  for (int i = 0; i < nroots && s == SD_OK; i++)
    s = visit(&st, w, t, roots[i], fresh, err);
  sd_memory_free(st.frames, st.capacity * sizeof *st.frames);
  if (s != SD_OK) sd_walk_free(w);
  return s;
}

void sd_walk_free(SdWalk *w) {
  sd_memory_free(w->nodes, w->capacity * sizeof *w->nodes);
  w->nodes = NULL;
}
