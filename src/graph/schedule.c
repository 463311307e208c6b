#include "graph/schedule.h"
#include "graph/same.h"

#include "base/memory.h"

#include <limits.h>
#include <string.h>

int sd_schedule_unfused;

int sd_schedule_is_fused(const Item *x) {
  SdOpKind k = x->node->op->kind;
  return !x->leaf && (k == SD_KIND_ELEMENTWISE || k == SD_KIND_REDUCE);
}

/* ---- order: depth first, without recursion ------------------------------ */

typedef struct Frame {
  SdNode *node;
  int next;
} Frame;

typedef struct Walk {
  Schedule *s;
  Frame *stack;
  size_t depth, capacity;
  unsigned epoch;
  SdSame *same; /* NULL: equal nodes stay apart */
} Walk;

static int is_leaf(const SdNode *n) {
  return n->value || n->op->kind == SD_KIND_CONSTANT;
}

static SdStatus add_edges(Schedule *s, const SdNode *n, SdError *err) {
  SdStatus status = sd_memory_grow(&s->edges, &s->edges_capacity,
                                   (size_t)(s->nedges + n->nin),
                                   sizeof *s->edges, err);
  if (status != SD_OK) return status;
  for (int k = 0; k < n->nin; k++)
    s->edges[s->nedges++] = sd_node_resolve(n->in[k])->slot;
  return SD_OK;
}

static SdStatus add_item(Schedule *s, SdNode *n, int leaf, SdError *err) {
  SdStatus status = sd_memory_grow(&s->items, &s->capacity,
                                   (size_t)s->count + 1, sizeof *s->items,
                                   err);
  if (status != SD_OK) return status;
  Item *x = &s->items[s->count];
  *x = (Item){.node = sd_node_retain(n), .leaf = (unsigned char)leaf};
  x->unit = x->tail = s->count;
  x->next = x->reader = -1;
  x->edges = s->nedges;
  n->slot = s->count++;
  return leaf ? SD_OK : add_edges(s, n, err);
}

static SdStatus no_value(const SdNode *n, SdError *err) {
  const char *who = n->trace && n->trace->name ? n->trace->name : "a trace";
  return sd_error_set(
      err, SD_EARGUMENT,
      "%s: a traced tensor has no value to look at (item, totable, print, "
      "comparison); use sd.where for choices, or return it and look outside",
      who);
}

/* Adds n, unless an equal node is there already: then n has its number. */
static SdStatus add(Walk *w, SdNode *n, int leaf, SdError *err) {
  if (w->same) {
    SdNode *twin;
    SdStatus s = sd_same_find(w->same, n, &twin, err);
    if (s != SD_OK) return s;
    if (twin) {
      n->slot = twin->slot;
      return SD_OK;
    }
  }
  return add_item(w->s, n, leaf, err);
}

static SdStatus push(Walk *w, SdNode *n, SdError *err) {
  if (n->epoch == w->epoch) return SD_OK;
  n->epoch = w->epoch;
  if (is_leaf(n)) return add(w, n, 1, err);
  if (n->op->kind == SD_KIND_ALIAS || n->op->kind == SD_KIND_VALUE)
    return no_value(n, err);
  SdStatus s = sd_memory_grow(&w->stack, &w->capacity, w->depth + 1,
                              sizeof *w->stack, err);
  if (s == SD_OK) w->stack[w->depth++] = (Frame){n, 0};
  return s;
}

static SdStatus visit(Walk *w, SdNode *root, SdError *err) {
  SdStatus s = push(w, sd_node_resolve(root), err);
  while (s == SD_OK && w->depth > 0) {
    Frame *f = &w->stack[w->depth - 1];
    if (f->next < f->node->nin) {
      s = push(w, sd_node_resolve(f->node->in[f->next++]), err);
    } else {
      s = add(w, f->node, 0, err);
      w->depth--;
    }
  }
  return s;
}

static SdStatus order(Schedule *s, SdNode *const *roots, int nroots,
                      SdNode *const *inputs, int ninputs, int share,
                      SdError *err) {
  SdSame same = {.count = 0};
  Walk w = {.s = s, .epoch = sd_node_epoch()};
  SdStatus status = SD_OK;
  if (share) w.same = &same;
  for (int i = 0; i < ninputs && status == SD_OK; i++) {
    inputs[i]->epoch = w.epoch;
    status = add_item(s, inputs[i], 1, err);
  }
  for (int i = 0; i < nroots && status == SD_OK; i++) {
    status = visit(&w, roots[i], err);
    if (status == SD_OK) s->items[sd_node_resolve(roots[i])->slot].root = 1;
  }
  sd_memory_free(w.stack, w.capacity * sizeof *w.stack);
  sd_same_free(&same);
  return status;
}

/* ---- units -------------------------------------------------------------- */

int sd_schedule_unit(Schedule *s, int i) {
  Item *x = s->items;
  while (x[i].unit != i) i = x[i].unit = x[x[i].unit].unit;
  return i;
}

/* The shape a fused item iterates over. */
static const SdShape *space(const SdNode *n) {
  return n->op->kind == SD_KIND_REDUCE ? &sd_node_resolve(n->in[0])->shape
                                       : &n->shape;
}

/* Adds unit b's needs to a's; 0 when a program could not hold both. */
static int combine(Item *a, const Item *b) {
  if (a->code + b->code > SD_PROGRAM_INSTRUCTIONS) return 0;
  if (a->operands + b->operands > SD_PROGRAM_OPERANDS) return 0;
  if (a->layout && b->layout && (a->layout != b->layout || a->kept != b->kept))
    return 0;
  a->code += b->code;
  a->operands += b->operands;
  if (b->layout) {
    a->layout = b->layout;
    a->kept = b->kept;
  }
  return 1;
}

/* Makes one unit of those of i and j; 0 when limits forbid it. */
static int merge(Schedule *s, int i, int j) {
  i = sd_schedule_unit(s, i);
  j = sd_schedule_unit(s, j);
  if (i == j) return 1;
  if (!combine(&s->items[i], &s->items[j])) return 0;
  s->items[j].unit = i;
  return 1;
}

/* Whether the value of x can be read from a register of i's program. */
static int feeds(const Item *x, const Item *i) {
  return !sd_schedule_unfused && !x->leaf &&
         x->node->op->kind == SD_KIND_ELEMENTWISE &&
         sd_shape_equal(&x->node->shape, space(i->node));
}

static void start_unit(Item *x) {
  const SdNode *n = x->node;
  x->code = 1;
  x->operands = n->nin;
  if (n->op->kind != SD_KIND_REDUCE) return;
  x->layout = (unsigned char)(n->attr->i[0] ? SD_FOLD_COLUMNS : SD_FOLD_ROWS);
  x->kept = (int)(n->attr->i[1] + SD_MAX_DIMS * n->attr->i[2]);
}

/* The level at which i can stand, its inputs being placed. */
static int level_of(const Schedule *s, int i) {
  const Item *x = &s->items[i];
  int level = x->level ? x->level : 1;
  for (int k = 0; k < x->node->nin; k++) {
    const Item *in = &s->items[sd_schedule_input(s, i, k)];
    int l = in->level + !feeds(in, x);
    if (l > level) level = l;
  }
  return level;
}

/* Whether i is elementwise over leaves and nodes of that kind.  Computed
** late it keeps no memory alive that would have died. */
static int can_wait(const Schedule *s, int i) {
  const Item *x = &s->items[i];
  if (x->node->op->kind != SD_KIND_ELEMENTWISE) return 0;
  for (int k = 0; k < x->node->nin; k++) {
    const Item *in = &s->items[sd_schedule_input(s, i, k)];
    if (!in->leaf && !in->waits) return 0;
  }
  return 1;
}

/* What can wait and nobody here reads goes to the level of another reader of
** its input: an optimizer's next t is made where t is read. */
static void sink_ends(Schedule *s) {
  for (int i = 0; i < s->count; i++) {
    Item *x = &s->items[i];
    for (int k = 0; !x->leaf && k < x->node->nin; k++) {
      Item *in = &s->items[sd_schedule_input(s, i, k)];
      if (!in->leaf || !sd_shape_equal(&in->node->shape, &x->node->shape))
        continue;
      if (x->waits && x->limit < INT_MAX) in->reader = i;
    }
  }
  for (int i = 0; i < s->count; i++) {
    Item *x = &s->items[i];
    if (x->leaf || !x->waits || x->limit < INT_MAX) continue;
    for (int k = 0; k < x->node->nin; k++) {
      int r = s->items[sd_schedule_input(s, i, k)].reader;
      if (r >= 0 && s->items[r].level > x->level) x->level = s->items[r].level;
    }
  }
  for (int i = 0; i < s->count; i++) s->items[i].reader = -1;
}

/* Moves what can wait up to the level of its first reader, whose unit it may
** join there: the decayed moments of an optimizer meet the gradient.  Leaves
** in each item the level from which place() starts. */
static void sink(Schedule *s) {
  for (int i = 0; i < s->count; i++) {
    Item *x = &s->items[i];
    if (x->leaf) continue;
    x->level = level_of(s, i);
    x->waits = (unsigned char)can_wait(s, i);
    x->limit = INT_MAX;
  }
  for (int i = s->count - 1; i >= 0; i--) {
    Item *x = &s->items[i];
    if (x->leaf) continue;
    if (x->waits && x->limit < INT_MAX) x->level = x->limit;
    for (int k = 0; k < x->node->nin; k++) {
      Item *in = &s->items[sd_schedule_input(s, i, k)];
      int limit = x->level - !feeds(in, x);
      if (limit < in->limit) in->limit = limit;
    }
  }
  sink_ends(s);
}

/* The distinct units at i's level that feed it; returns how many. */
static int producers(Schedule *s, int i, int *units) {
  Item *x = &s->items[i];
  int n = 0;
  for (int k = 0; k < x->node->nin; k++) {
    int j = sd_schedule_input(s, i, k);
    if (s->items[j].level != x->level || !feeds(&s->items[j], x)) continue;
    int u = sd_schedule_unit(s, j), known = 0;
    for (int m = 0; m < n; m++) known |= units[m] == u;
    if (!known) units[n++] = u;
  }
  return n;
}

/* All or none: a unit must not wait for another of its level. */
static int join_producers(Schedule *s, int i) {
  int units[3];
  int n = producers(s, i, units);
  if (n < 2) return n == 0 || merge(s, units[0], i);
  Item together = s->items[i];
  for (int m = 0; m < n; m++)
    if (!combine(&together, &s->items[units[m]])) return 0;
  for (int m = 0; m < n; m++) merge(s, units[m], i);
  return 1;
}

/* Reading the same memory in one pass: join another reader of an input. */
static void join_readers(Schedule *s, int i) {
  Item *x = &s->items[i];
  for (int k = 0; k < x->node->nin; k++) {
    Item *in = &s->items[sd_schedule_input(s, i, k)];
    if (in->node->op->kind == SD_KIND_CONSTANT ||
        !sd_shape_equal(&in->node->shape, space(x->node)))
      continue;
    int r = in->reader;
    if (r >= 0 && s->items[r].level == x->level) merge(s, r, i);
    in->reader = i;
  }
}

static void place(Schedule *s, int i) {
  Item *x = &s->items[i];
  x->level = level_of(s, i);
  if (!sd_schedule_is_fused(x)) return;
  start_unit(x);
  /* A merge that hits a limit leaves i above all it could not join. */
  if (!join_producers(s, i)) x->level++;
  else if (!sd_schedule_unfused) join_readers(s, i);
}

static void count_uses(Schedule *s) {
  for (int i = 0; i < s->count; i++) {
    Item *x = &s->items[i];
    if (x->leaf) continue;
    for (int k = 0; k < x->node->nin; k++) {
      int j = sd_schedule_input(s, i, k);
      /* An edge through an alias is the alias's, not ours. */
      if (s->items[j].node == x->node->in[k]) s->items[j].uses++;
    }
  }
}

static void mark_outputs(Schedule *s) {
  for (int i = 0; i < s->count; i++) {
    Item *x = &s->items[i];
    if (x->leaf) continue;
    if (x->root || x->node->op->kind != SD_KIND_ELEMENTWISE) x->output = 1;
    for (int k = 0; k < x->node->nin; k++) {
      int j = sd_schedule_input(s, i, k);
      if (sd_schedule_unit(s, j) != sd_schedule_unit(s, i))
        s->items[j].output = 1;
    }
  }
}

static void link_members(Schedule *s) {
  for (int i = 0; i < s->count; i++) {
    int u = sd_schedule_unit(s, i);
    s->items[u].tail = -1;
  }
  /* A unit's list starts at its first member in order, kept in reader. */
  for (int i = 0; i < s->count; i++) {
    Item *u = &s->items[sd_schedule_unit(s, i)];
    s->items[i].next = -1;
    if (u->tail < 0) u->reader = i;
    else s->items[u->tail].next = i;
    u->tail = i;
  }
}

/* ---- order of the units ------------------------------------------------- */

typedef struct UnitFrame {
  int member, next; /* the member looked at, its next input */
  int first;
} UnitFrame;

typedef struct UnitWalk {
  Schedule *s;
  UnitFrame *stack;
  size_t depth, capacity;
} UnitWalk;

static SdStatus push_unit(UnitWalk *w, int i, SdError *err) {
  Item *items = w->s->items;
  int u = sd_schedule_unit(w->s, i);
  if (items[i].leaf || items[u].seen) return SD_OK;
  items[u].seen = 1;
  SdStatus s = sd_memory_grow(&w->stack, &w->capacity, w->depth + 1,
                              sizeof *w->stack, err);
  int first = items[u].reader;
  if (s == SD_OK) w->stack[w->depth++] = (UnitFrame){first, 0, first};
  return s;
}

static SdStatus visit_unit(UnitWalk *w, int root, SdError *err) {
  Schedule *sch = w->s;
  SdStatus s = push_unit(w, root, err);
  while (s == SD_OK && w->depth > 0) {
    UnitFrame *f = &w->stack[w->depth - 1];
    const Item *x = &sch->items[f->member];
    if (f->next < x->node->nin) {
      s = push_unit(w, sd_schedule_input(sch, f->member, f->next++), err);
    } else if (x->next >= 0) {
      f->member = x->next;
      f->next = 0;
    } else {
      sch->units[sch->nunits++] = f->first;
      w->depth--;
    }
  }
  return s;
}

static SdStatus order_units(Schedule *s, SdNode *const *roots, int nroots,
                            SdError *err) {
  UnitWalk w = {.s = s};
  SdStatus status = SD_OK;
  s->units = sd_memory_alloc((size_t)s->count * sizeof *s->units, err);
  if (!s->units) return err->code;
  for (int i = 0; i < nroots && status == SD_OK; i++)
    status = visit_unit(&w, sd_node_resolve(roots[i])->slot, err);
  sd_memory_free(w.stack, w.capacity * sizeof *w.stack);
  return status;
}

/* ---- all together ------------------------------------------------------ */

SdStatus sd_schedule_walk(Schedule *s, SdNode *const *roots, int nroots,
                          SdNode *const *inputs, int ninputs, int share,
                          SdError *err) {
  memset(s, 0, sizeof *s);
  SdStatus status = order(s, roots, nroots, inputs, ninputs, share, err);
  if (status == SD_OK) count_uses(s);
  else sd_schedule_free(s);
  return status;
}

SdStatus sd_schedule_group(Schedule *s, SdNode *const *roots, int nroots,
                           SdError *err) {
  sink(s);
  for (int i = 0; i < s->count; i++)
    if (!s->items[i].leaf) place(s, i);
  mark_outputs(s);
  link_members(s);
  return order_units(s, roots, nroots, err);
}

void sd_schedule_free(Schedule *s) {
  for (int i = 0; i < s->count; i++) sd_node_release(s->items[i].node);
  sd_memory_free(s->units, (size_t)s->count * sizeof *s->units);
  sd_memory_free(s->items, s->capacity * sizeof *s->items);
  sd_memory_free(s->edges, s->edges_capacity * sizeof *s->edges);
  memset(s, 0, sizeof *s);
}
