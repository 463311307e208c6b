/*
** Scripts build the same graph again and again, with other values.  The plan
** of a form that is seen a second time is kept, and the next graph of that
** form puts its nodes into it: it is walked and compared, but not scheduled.
**
** A form is all that a plan depends on: for each item in the order of the
** walk its op, dtype, shape, inputs, and whether its value is wanted; of the
** attributes only those of folds, for kernels read theirs from the node.
** The values of constants are not part of it.
*/
#include "graph/plan_private.h"

#include "base/memory.h"

#include <string.h>

/* Small graphs repeat; large ones cost much memory to keep. */
enum { SLOTS = 64, MOST_ITEMS = 20000 };

struct SdForm {
  uint64_t hash;
  size_t length, room; /* in words */
  uint64_t words[];
};

static struct Slot {
  uint64_t seen; /* the hash of the last form that came here without a plan */
  SdForm *form;
  SdPlan *plan;
} slots[SLOTS];

static size_t form_bytes(size_t room) {
  return sizeof(SdForm) + room * sizeof(uint64_t);
}

static size_t words_of(const SdPlan *p) {
  size_t n = 1;
  for (int i = 0; i < p->sched.count; i++)
    n += 5 + (size_t)p->sched.items[i].node->shape.ndim +
         (size_t)p->sched.items[i].node->nin;
  return n;
}

static uint64_t *write_item(uint64_t *w, const Schedule *s, int i) {
  const Item *x = &s->items[i];
  const SdNode *n = x->node;
  int is_constant = n->op->kind == SD_KIND_CONSTANT;
  int nin = x->leaf ? 0 : n->nin;
  *w++ = x->leaf && !is_constant ? 0 : (uint64_t)(uintptr_t)n->op;
  *w++ = (uint64_t)n->dtype | (uint64_t)n->nout << 8 | (uint64_t)nin << 16 |
         (uint64_t)x->leaf << 24 | (uint64_t)x->root << 25 |
         (uint64_t)(!x->leaf && sd_schedule_is_held(x)) << 26 |
         (uint64_t)(unsigned)n->shape.ndim << 32;
  for (int k = 0; k < n->shape.ndim; k++) *w++ = (uint64_t)n->shape.dims[k];
  for (int k = 0; k < nin; k++)
    *w++ = (uint64_t)sd_schedule_input(s, i, k) << 1 |
           (s->items[sd_schedule_input(s, i, k)].node == n->in[k]);
  if (!x->leaf && n->op->kind == SD_KIND_REDUCE)
    for (int k = 0; k < 3; k++) *w++ = (uint64_t)n->attr->i[k];
  return w;
}

static uint64_t hash_of(const uint64_t *w, size_t n) {
  uint64_t h = 0x2545F4914F6CDD1Du;
  for (size_t i = 0; i < n; i++) {
    h = (h ^ w[i]) * 0x9E3779B97F4A7C15u;
    h ^= h >> 32;
  }
  return h;
}

SdStatus sd_form_of(SdForm **form, const SdPlan *p, SdError *err) {
  *form = NULL;
  if (p->sched.count > MOST_ITEMS) return SD_OK;
  size_t room = words_of(p);
  SdForm *f = sd_memory_alloc(form_bytes(room), err);
  if (!f) return err->code;
  uint64_t *w = f->words;
  *w++ = (uint64_t)(unsigned)p->ninputs << 1 | (sd_schedule_unfused != 0);
  for (int i = 0; i < p->sched.count; i++) w = write_item(w, &p->sched, i);
  f->room = room;
  f->length = (size_t)(w - f->words);
  f->hash = hash_of(f->words, f->length);
  *form = f;
  return SD_OK;
}

static struct Slot *slot_of(const SdForm *f) {
  return &slots[f->hash % SLOTS];
}

SdPlan *sd_form_plan(const SdForm *f) {
  const SdForm *g = slot_of(f)->form;
  return g && g->hash == f->hash && g->length == f->length &&
                 !memcmp(g->words, f->words, f->length * sizeof *f->words)
             ? slot_of(f)->plan
             : NULL;
}

int sd_form_is_known(const SdForm *f) {
  struct Slot *s = slot_of(f);
  int known = s->seen == f->hash;
  s->seen = f->hash;
  return known;
}

static void empty(struct Slot *s) {
  sd_form_free(s->form);
  sd_plan_free(s->plan);
  s->form = NULL;
  s->plan = NULL;
}

void sd_form_keep(SdForm *f, SdPlan *p) {
  struct Slot *s = slot_of(f);
  empty(s);
  s->form = f;
  s->plan = p;
}

void sd_form_free(SdForm *f) {
  if (f) sd_memory_free(f, form_bytes(f->room));
}

void sd_plan_forget(void) {
  for (int i = 0; i < SLOTS; i++) {
    empty(&slots[i]);
    slots[i].seen = 0;
  }
}
