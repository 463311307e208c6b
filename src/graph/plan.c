#include "graph/plan_private.h"

#include "base/memory.h"

#include <string.h>

SdPlanStats sd_plan_stats;

/* ---- building ----------------------------------------------------------- */

static SdStatus push_ref(SdPlan *p, int item, SdError *err) {
  SdStatus s = sd_memory_grow(&p->refs, &p->refs_capacity,
                              (size_t)p->nrefs + 1, sizeof *p->refs, err);
  if (s == SD_OK) p->refs[p->nrefs++] = item;
  return s;
}

SdStatus sd_plan_materialize(SdNode *n, SdError *err) {
  SdArray a;
  if (n->value || n->op->kind != SD_KIND_CONSTANT) return SD_OK;
  SdStatus s = sd_array_new(&a, n->dtype, &n->shape, err);
  if (s != SD_OK) return s;
  SdLoopFn cast = sd_loop_cast(SD_F64, n->dtype);
  if (n->dtype == SD_F64) cast = sd_loop(SD_F64, SD_LOOP_COPY);
  cast(1, a.data, &n->attr->f, NULL, NULL);
  return sd_node_set_value(n, &a, err);
}

static SdStatus kernel_step(SdPlan *p, Step *st, int i, SdError *err) {
  const Item *x = &p->sched.items[i];
  SdStatus s = SD_OK;
  for (int k = 0; k < x->node->nin && s == SD_OK; k++) {
    int j = sd_schedule_input(&p->sched, i, k);
    s = sd_plan_materialize(p->sched.items[j].node, err);
    p->sched.items[j].looked = 1;
    if (s == SD_OK) s = push_ref(p, j, err);
  }
  st->ninputs = p->nrefs - st->inputs;
  st->outputs = p->nrefs;
  if (s == SD_OK) s = push_ref(p, i, err);
  st->noutputs = 1;
  return s;
}

/* Registers of the items a program being built has seen: item -> register,
** kept in Item.reader, which is free by now, valid if Item.tail says so. */
static SdStatus operand(SdPlan *p, Step *st, int unit, int i, int *reg,
                        SdError *err) {
  Item *x = &p->sched.items[i];
  const SdNode *n = x->node;
  SdStatus s = SD_OK;
  if (n->op->kind == SD_KIND_CONSTANT && p->replay) {
    *reg = sd_program_constant(st->program, n->dtype, n->attr->f);
  } else if (x->seen && x->level == unit) {
    *reg = x->reader;
  } else {
    *reg = x->reader = sd_program_input(st->program, n->dtype, &n->shape);
    x->seen = 1;
    x->level = unit;
    s = push_ref(p, i, err);
  }
  return s;
}

static SdStatus instruction(SdPlan *p, Step *st, int unit, int i,
                            SdError *err) {
  Item *x = &p->sched.items[i];
  const SdNode *n = x->node;
  int reg[3] = {0, 0, 0};
  SdDtype from = sd_node_resolve(n->in[n->nin > 2 ? 1 : 0])->dtype;
  for (int k = 0; k < n->nin; k++) {
    int j = sd_schedule_input(&p->sched, i, k);
    SdStatus s = operand(p, st, unit, j, &reg[k], err);
    if (s != SD_OK) return s;
  }
  x->reader = sd_program_instruction(st->program, n->op->loop, from, n->dtype,
                                     n->nin, reg);
  x->seen = 1;
  x->level = unit;
  sd_plan_stats.instructions++;
  return SD_OK;
}

static SdStatus fold(SdPlan *p, Step *st, int unit, int i, SdError *err) {
  const SdNode *n = p->sched.items[i].node;
  int reg;
  SdStatus s = operand(p, st, unit, sd_schedule_input(&p->sched, i, 0), &reg,
                       err);
  if (s == SD_OK)
    sd_program_fold(st->program, reg, n->op->fold,
                    n->attr->i[0] ? SD_FOLD_COLUMNS : SD_FOLD_ROWS,
                    (int)n->attr->i[2], (int)n->attr->i[1]);
  return s;
}

static SdStatus program_outputs(SdPlan *p, Step *st, int first,
                                SdError *err) {
  const Item *items = p->sched.items;
  SdStatus s = SD_OK;
  st->outputs = p->nrefs;
  for (int i = first; i >= 0 && s == SD_OK; i = items[i].next)
    if (items[i].output && items[i].node->op->kind == SD_KIND_ELEMENTWISE) {
      sd_program_output(st->program, items[i].reader);
      s = push_ref(p, i, err);
    }
  for (int i = first; i >= 0 && s == SD_OK; i = items[i].next)
    if (items[i].node->op->kind == SD_KIND_REDUCE) s = push_ref(p, i, err);
  st->noutputs = p->nrefs - st->outputs;
  return s;
}

/* Plans that are kept share equal programs: tensors of one shape go through
** the same update, and what is read again and again stays in the caches. */
static SdProgram *share(const SdPlan *p, SdProgram *fresh) {
  for (int i = p->nsteps - 2; i >= 0 && i > p->nsteps - 64; i--) {
    SdProgram *other = p->steps[i].program;
    if (!other || !sd_program_equal(other, fresh)) continue;
    sd_program_release(fresh);
    return sd_program_retain(other);
  }
  return fresh;
}

static SdStatus program_step(SdPlan *p, Step *st, int first, SdError *err) {
  const Item *items = p->sched.items;
  const SdNode *n = items[first].node;
  int reduces = n->op->kind == SD_KIND_REDUCE, unit = -1 - first;
  const SdShape *shape =
      reduces ? &sd_node_resolve(n->in[0])->shape : &n->shape;
  SdStatus s = SD_OK;
  st->program = sd_program_begin(shape);
  sd_plan_stats.programs++;
  for (int i = first; i >= 0 && s == SD_OK; i = items[i].next)
    if (items[i].node->op->kind == SD_KIND_ELEMENTWISE)
      s = instruction(p, st, unit, i, err);
  for (int i = first; i >= 0 && s == SD_OK; i = items[i].next)
    if (items[i].node->op->kind == SD_KIND_REDUCE)
      s = fold(p, st, unit, i, err);
  st->ninputs = p->nrefs - st->inputs;
  if (s == SD_OK) s = program_outputs(p, st, first, err);
  st->program = s == SD_OK ? sd_program_finish(st->program, err) : NULL;
  if (!st->program) return err->code;
  st->program = share(p, st->program);
  return SD_OK;
}

static SdStatus build_steps(SdPlan *p, SdError *err) {
  SdStatus s = SD_OK;
  for (int i = 0; i < p->sched.count; i++) p->sched.items[i].seen = 0;
  for (int u = 0; u < p->sched.nunits && s == SD_OK; u++) {
    Step *st = &p->steps[p->nsteps++];
    int first = p->sched.units[u];
    *st = (Step){.inputs = p->nrefs};
    s = sd_schedule_is_fused(&p->sched.items[first])
            ? program_step(p, st, first, err)
            : kernel_step(p, st, first, err);
  }
  return s;
}

/*
** The tail of a plan with donated inputs: programs that only programs of the
** tail read.  They come last, so that what they need can be set aside before
** the first donated input is written over, and nothing fails after that.
*/
static SdStatus split_tail(SdPlan *p, SdError *err) {
  int n = p->nsteps, body = 0;
  p->tail = n;
  if (!p->ndonated) return SD_OK;
  size_t bytes = (size_t)n * sizeof(Step);
  Step *sorted = sd_memory_alloc(bytes, err);
  if (!sorted) return err->code;
  /* keep: read by the body */
  for (int s = n - 1; s >= 0; s--) {
    Step *st = &p->steps[s];
    st->late = st->program != NULL;
    for (int k = 0; k < st->noutputs; k++)
      st->late &= !p->keep[p->refs[st->outputs + k]];
    for (int k = 0; k < st->ninputs && !st->late; k++)
      p->keep[p->refs[st->inputs + k]] = 1;
    body += !st->late;
  }
  for (int s = 0, early = 0, late = body; s < n; s++)
    sorted[p->steps[s].late ? late++ : early++] = p->steps[s];
  memcpy(p->steps, sorted, bytes);
  sd_memory_free(sorted, bytes);
  memset(p->keep, 0, (size_t)p->sched.count);
  p->tail = body;
  return SD_OK;
}

/* The steps after which each item's array may go. */
static SdStatus find_deaths(SdPlan *p, SdError *err) {
  SdStatus status = SD_OK;
  for (int i = 0; i < p->sched.count; i++) p->last[i] = -1;
  for (int s = 0; s < p->nsteps; s++)
    for (int k = 0; k < p->steps[s].ninputs; k++)
      p->last[p->refs[p->steps[s].inputs + k]] = s;
  for (int s = 0; s < p->nsteps && status == SD_OK; s++) {
    Step *st = &p->steps[s];
    st->dying = p->nrefs;
    for (int k = 0; k < st->ninputs && status == SD_OK; k++) {
      int i = p->refs[st->inputs + k];
      const Item *x = &p->sched.items[i];
      if (x->leaf || x->root || p->last[i] != s) continue;
      p->last[i] = -2; /* once, though read twice */
      status = push_ref(p, i, err);
    }
    st->ndying = p->nrefs - st->dying;
    for (int k = 0; k < st->ndying; k++) p->last[p->refs[st->dying + k]] = s;
  }
  return status;
}

/* Whether step st may write over what it reads last of the item. */
static int is_spent(const SdPlan *p, const Step *st, int item) {
  const Item *x = &p->sched.items[item];
  int number = (int)(st - p->steps);
  if (x->root || p->last[item] != number) return 0;
  return !x->leaf || (number >= p->tail && item < p->ninputs &&
                      item >= p->ninputs - p->ndonated);
}

static int is_taken(const SdPlan *p, const Step *st, int item, int before) {
  for (int k = 0; k < before; k++)
    if (p->refs[st->spent + k] == item) return 1;
  return 0;
}

/* The first dying input that output k may be written over, or -1. */
static int find_spent(const SdPlan *p, const Step *st, int k) {
  const SdNode *n = p->sched.items[p->refs[st->outputs + k]].node;
  if (n->op->kind != SD_KIND_ELEMENTWISE) return -1;
  for (int i = 0; i < st->ninputs; i++) {
    int item = p->refs[st->inputs + i];
    const SdNode *x = p->sched.items[item].node;
    if (is_spent(p, st, item) && !is_taken(p, st, item, k) &&
        sd_dtype_size(x->dtype) == sd_dtype_size(n->dtype) &&
        sd_shape_equal(&x->shape, &n->shape) &&
        sd_program_may_share(st->program, i, k))
      return item;
  }
  return -1;
}

static SdStatus find_spents(SdPlan *p, SdError *err) {
  SdStatus status = SD_OK;
  for (int s = 0; s < p->nsteps; s++) {
    Step *st = &p->steps[s];
    st->spent = p->nrefs;
    for (int k = 0; k < st->noutputs && st->program && status == SD_OK; k++)
      status = push_ref(p, find_spent(p, st, k), err);
  }
  return status;
}

static SdStatus place_arrays(SdPlan *p, SdError *err) {
  for (int i = 0; i < p->sched.count; i++) {
    const Item *x = &p->sched.items[i];
    p->first[i] = x->leaf ? p->nscalars : p->narrays;
    if (x->leaf) p->nscalars += x->node->op->kind == SD_KIND_CONSTANT;
    else if (x->output) p->narrays += x->node->nout;
  }
  p->scalars =
      sd_memory_alloc((size_t)p->nscalars * sizeof *p->scalars, err);
  if (!p->scalars) return err->code;
  p->arrays = sd_memory_alloc((size_t)p->narrays * sizeof *p->arrays, err);
  if (!p->arrays) return err->code;
  for (int i = 0; i < p->sched.count; i++) {
    const Item *x = &p->sched.items[i];
    for (int k = 0; !x->leaf && x->output && k < x->node->nout; k++)
      sd_array_describe(&p->arrays[p->first[i] + k], x->node->dtype,
                        &x->node->shape);
  }
  return SD_OK;
}

static SdStatus allocate_tables(SdPlan *p, SdError *err) {
  size_t n = (size_t)p->sched.count;
  p->steps = sd_memory_alloc((size_t)p->sched.nunits * sizeof *p->steps, err);
  p->first = sd_memory_alloc(n * sizeof *p->first, err);
  p->last = sd_memory_alloc(n * sizeof *p->last, err);
  p->keep = sd_memory_alloc(n, err);
  p->at = sd_memory_alloc(n * sizeof *p->at, err);
  p->roots = sd_memory_alloc((size_t)p->nroots * sizeof *p->roots, err);
  if (!p->steps || !p->first || !p->last || !p->keep || !p->at || !p->roots)
    return err->code;
  memset(p->keep, 0, n);
  return SD_OK;
}

static SdStatus find_roots(SdPlan *p, SdNode *const *roots, SdError *err) {
  SdStatus s = SD_OK;
  for (int i = 0; i < p->nroots && s == SD_OK; i++) {
    SdNode *n = sd_node_resolve(roots[i]);
    p->roots[i] = n->slot;
    s = sd_plan_materialize(n, err);
  }
  return s;
}

SdStatus sd_plan_build(SdPlan *p, SdNode *const *roots, SdError *err) {
  SdStatus s = sd_schedule_group(&p->sched, roots, p->nroots, err);
  if (s == SD_OK) s = allocate_tables(p, err);
  if (s == SD_OK) s = find_roots(p, roots, err);
  if (s == SD_OK) s = build_steps(p, err);
  if (s == SD_OK) s = split_tail(p, err);
  if (s == SD_OK) s = find_deaths(p, err);
  if (s == SD_OK) s = find_spents(p, err);
  if (s == SD_OK) s = place_arrays(p, err);
  sd_plan_stats.plans++;
  sd_plan_stats.steps += (size_t)p->nsteps;
  return s;
}

SdPlan *sd_plan_alloc(int nroots, int ninputs, SdError *err) {
  SdPlan *p = sd_memory_alloc(sizeof *p, err);
  if (!p) return NULL;
  memset(p, 0, sizeof *p);
  p->nroots = nroots;
  p->ninputs = ninputs;
  return p;
}

SdStatus sd_plan_new(SdPlan **plan, SdNode *const *roots, int nroots,
                     SdNode *const *inputs, int ninputs, int ndonated,
                     SdError *err) {
  SdPlan *p = *plan = sd_plan_alloc(nroots, ninputs, err);
  if (!p) return err->code;
  p->replay = 1;
  p->ndonated = ndonated;
  SdStatus s = sd_schedule_walk(&p->sched, roots, nroots, inputs, ninputs, 1,
                                err);
  if (s == SD_OK) s = sd_plan_build(p, roots, err);
  if (s != SD_OK) {
    sd_plan_free(p);
    *plan = NULL;
  }
  return s;
}

void sd_plan_free(SdPlan *p) {
  size_t n;
  if (!p) return;
  n = (size_t)p->sched.count;
  for (int i = 0; i < p->nsteps; i++)
    if (p->steps[i].program) sd_program_release(p->steps[i].program);
  sd_memory_free(p->steps, (size_t)p->sched.nunits * sizeof *p->steps);
  sd_memory_free(p->refs, p->refs_capacity * sizeof *p->refs);
  sd_memory_free(p->first, n * sizeof *p->first);
  sd_memory_free(p->last, n * sizeof *p->last);
  sd_memory_free(p->keep, n);
  sd_memory_free(p->at, n * sizeof *p->at);
  sd_memory_free(p->arrays, (size_t)p->narrays * sizeof *p->arrays);
  sd_memory_free(p->scalars, (size_t)p->nscalars * sizeof *p->scalars);
  sd_memory_free(p->roots, (size_t)p->nroots * sizeof *p->roots);
  sd_schedule_free(&p->sched);
  sd_memory_free(p, sizeof *p);
}

/*
** Which nodes keep what was computed: the roots, and nodes that somebody
** else still holds, directly or through a node that stays pending.  A value
** that lived only in registers is not worth keeping.
*/
void sd_plan_choose_keepers(SdPlan *p) {
  Item *items = p->sched.items;
  for (int i = p->sched.count - 1; i >= 0; i--) {
    Item *x = &items[i];
    if (x->leaf) continue;
    int held = x->root || p->keep[i] || sd_schedule_is_held(x);
    p->keep[i] = (char)(held && x->output);
    if (!held || x->output) continue;
    for (int k = 0; k < x->node->nin; k++)
      p->keep[sd_schedule_input(&p->sched, i, k)] = SD_KEEP_VALUE;
  }
}
