#include "graph/plan.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "graph/schedule.h"

#include <string.h>

SdPlanStats sd_plan_stats;

typedef struct Step {
  SdProgram *program; /* NULL: the kernel or view of node */
  SdNode *node;
  int inputs, ninputs;   /* a range of plan->refs: items read */
  int outputs, noutputs; /* items written */
  int dying, ndying;     /* items whose memory ends here */
  int late;              /* belongs to the tail */
} Step;

struct SdPlan {
  Schedule sched;
  Step *steps;
  int nsteps, nrefs;
  size_t refs_capacity;
  int *refs;
  int *first;    /* item: its first array in arrays */
  int *last;     /* item: the last step that reads it, or -1 */
  char *keep;    /* item: its node wants the value (eval only) */
  int narrays;
  SdArray *arrays;
  const SdArray **at; /* item: where its value is during a run */
  int *roots;
  int nroots, ninputs;
  int ndonated;
  int tail; /* the first step of those that may write over donated inputs */
  int replay; /* made by sd_plan_new */
  int runs;
};

/* ---- building ----------------------------------------------------------- */

static SdStatus push_ref(SdPlan *p, int item, SdError *err) {
  SdStatus s = sd_memory_grow(&p->refs, &p->refs_capacity,
                              (size_t)p->nrefs + 1, sizeof *p->refs, err);
  if (s == SD_OK) p->refs[p->nrefs++] = item;
  return s;
}

/* A constant read by a kernel or looked at gets an array after all. */
static SdStatus materialize(SdNode *n, SdError *err) {
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
  st->node = x->node;
  for (int k = 0; k < x->node->nin && s == SD_OK; k++) {
    int j = sd_schedule_input(&p->sched, i, k);
    s = materialize(p->sched.items[j].node, err);
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
  if (n->op->kind == SD_KIND_CONSTANT) {
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
  if (p->replay) st->program = share(p, st->program);
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

static SdStatus place_arrays(SdPlan *p, SdError *err) {
  for (int i = 0; i < p->sched.count; i++) {
    const Item *x = &p->sched.items[i];
    p->first[i] = p->narrays;
    if (!x->leaf && x->output) p->narrays += x->node->nout;
  }
  p->arrays = sd_memory_alloc((size_t)p->narrays * sizeof *p->arrays, err);
  if (!p->arrays) return err->code;
  for (int i = 0; i < p->narrays; i++) p->arrays[i].buffer = NULL;
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
    s = materialize(n, err);
  }
  return s;
}

static SdStatus build(SdPlan *p, SdNode *const *roots, SdNode *const *inputs,
                      SdError *err) {
  SdStatus s = sd_schedule_make(&p->sched, roots, p->nroots, inputs,
                                p->ninputs, p->replay, err);
  if (s != SD_OK) return s;
  s = allocate_tables(p, err);
  if (s == SD_OK) s = find_roots(p, roots, err);
  if (s == SD_OK) s = build_steps(p, err);
  if (s == SD_OK) s = split_tail(p, err);
  if (s == SD_OK) s = find_deaths(p, err);
  if (s == SD_OK) s = place_arrays(p, err);
  sd_plan_stats.plans++;
  sd_plan_stats.steps += (size_t)p->nsteps;
  return s;
}

static SdPlan *plan_alloc(int nroots, int ninputs, SdError *err) {
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
  SdPlan *p = *plan = plan_alloc(nroots, ninputs, err);
  if (!p) return err->code;
  p->replay = 1;
  p->ndonated = ndonated;
  SdStatus s = build(p, roots, inputs, err);
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
  sd_memory_free(p->roots, (size_t)p->nroots * sizeof *p->roots);
  sd_schedule_free(&p->sched);
  sd_memory_free(p, sizeof *p);
}

/* ---- running ------------------------------------------------------------ */

static SdArray *array_of(SdPlan *p, int item) {
  return &p->arrays[p->first[item]];
}

static void release_item(SdPlan *p, int item) {
  for (int k = 0; k < p->sched.items[item].node->nout; k++) {
    SdArray *a = array_of(p, item) + k;
    if (a->buffer) sd_array_release(a);
  }
}

/* Whether step st may write over what it reads last of the item. */
static int is_spent(const SdPlan *p, const Step *st, int item) {
  const Item *x = &p->sched.items[item];
  int number = (int)(st - p->steps);
  if (x->root || p->keep[item] || p->last[item] != number) return 0;
  return !x->leaf || (number >= p->tail && item < p->ninputs &&
                      item >= p->ninputs - p->ndonated);
}

/* A dying input's buffer for output k of the program, if one fits. */
static int reuse(SdPlan *p, const Step *st, int k, SdArray *out) {
  const SdNode *n = p->sched.items[p->refs[st->outputs + k]].node;
  for (int i = 0; i < st->ninputs; i++) {
    int item = p->refs[st->inputs + i];
    if (!is_spent(p, st, item)) continue;
    const SdArray *a = p->at[item];
    if (!a->buffer || a->buffer->refs != 1 || a->data != a->buffer->data ||
        sd_dtype_size(a->dtype) != sd_dtype_size(n->dtype) ||
        !sd_shape_equal(&a->shape, &n->shape) || !sd_array_is_contiguous(a) ||
        !sd_program_may_share(st->program, i, k))
      continue;
    *out = sd_array_retain(a);
    out->dtype = n->dtype;
    return 1;
  }
  return 0;
}

/* What a program reads and writes. */
typedef struct Operands {
  const SdArray *in[SD_PROGRAM_OPERANDS + SD_PROGRAM_INSTRUCTIONS * 3];
  SdArray *out[SD_PROGRAM_INSTRUCTIONS];
} Operands;

static void find_operands(SdPlan *p, const Step *st, Operands *o) {
  for (int k = 0; k < st->ninputs; k++)
    o->in[k] = p->at[p->refs[st->inputs + k]];
  for (int k = 0; k < st->noutputs; k++)
    o->out[k] = array_of(p, p->refs[st->outputs + k]);
}

static SdStatus allocate_outputs(SdPlan *p, const Step *st, SdError *err) {
  for (int k = 0; k < st->noutputs; k++) {
    int item = p->refs[st->outputs + k];
    const SdNode *n = p->sched.items[item].node;
    SdArray *out = array_of(p, item);
    p->at[item] = out;
    if (n->op->kind == SD_KIND_ELEMENTWISE && reuse(p, st, k, out)) continue;
    SdStatus s = sd_array_new(out, n->dtype, &n->shape, err);
    if (s != SD_OK) return s;
  }
  return SD_OK;
}

static SdStatus run_program(SdPlan *p, const Step *st, SdError *err) {
  Operands o;
  SdStatus s = allocate_outputs(p, st, err);
  if (s != SD_OK) return s;
  find_operands(p, st, &o);
  return sd_program_run(st->program, o.in, o.out, err);
}

static SdStatus run_kernel(SdPlan *p, const Step *st, SdError *err) {
  const SdArray *in[256];
  SdNode *n = st->node;
  SdArray *out = array_of(p, p->refs[st->outputs]);
  p->at[p->refs[st->outputs]] = out;
  for (int k = 0; k < st->ninputs; k++)
    in[k] = p->at[p->refs[st->inputs + k]];
  if (n->op->refresh && p->replay) n->op->refresh(n);
  if (n->op->kind == SD_KIND_CALL && !(n->op->flags & SD_OP_ALLOCATES)) {
    SdStatus s = sd_array_new(out, n->dtype, &n->shape, err);
    if (s != SD_OK) return s;
  }
  SdStatus s = n->op->eval(n, in, out, err);
  return s == SD_OK ? sd_interrupt_check(err) : s;
}

/* Gives the node of an item its value, keeping ours. */
static SdStatus deliver(SdPlan *p, int item, SdError *err) {
  SdNode *n = p->sched.items[item].node;
  SdArray value[SD_MAX_RESULTS];
  for (int k = 0; k < n->nout; k++)
    value[k] = sd_array_retain(array_of(p, item) + k);
  return sd_node_set_value(n, value, err);
}

static void release_dying(SdPlan *p, const Step *st) {
  for (int k = 0; k < st->ndying; k++) release_item(p, p->refs[st->dying + k]);
}

static SdStatus run_step(SdPlan *p, const Step *st, SdError *err) {
  SdStatus s = st->program ? run_program(p, st, err) : run_kernel(p, st, err);
  for (int k = 0; k < st->noutputs && s == SD_OK; k++) {
    int item = p->refs[st->outputs + k];
    if (p->keep[item]) s = deliver(p, item, err);
  }
  release_dying(p, st);
  return s;
}

static double written_by(const SdPlan *p, const Step *st) {
  double bytes = 0;
  for (int k = 0; k < st->noutputs; k++)
    bytes += (double)p->at[p->refs[st->outputs + k]]->buffer->bytes;
  return bytes;
}

/* Room for the values that nodes keep of the tail, by item. */
static SdStatus make_rooms(const SdPlan *p, SdArray **rooms, SdError *err) {
  for (int i = 0; i < p->sched.count; i++) {
    const SdNode *n = p->sched.items[i].node;
    if (!p->keep[i] || p->sched.items[i].leaf || n->value) continue;
    rooms[i] = sd_node_room(n, err);
    if (!rooms[i]) return err->code;
  }
  return SD_OK;
}

static void fill_rooms(SdPlan *p, SdArray **rooms) {
  for (int i = 0; i < p->sched.count; i++) {
    if (!rooms[i]) continue;
    SdArray value = sd_array_retain(array_of(p, i));
    sd_node_settle(p->sched.items[i].node, rooms[i], &value);
    rooms[i] = NULL;
  }
}

static void free_rooms(const SdPlan *p, SdArray **rooms) {
  for (int i = 0; i < p->sched.count; i++)
    if (rooms[i])
      sd_memory_free(rooms[i],
                     p->sched.items[i].node->nout * sizeof **rooms);
}

/* All memory the tail needs is there before its first step. */
static SdStatus run_in_rooms(SdPlan *p, SdArray **rooms, SdError *err) {
  Operands o;
  double written = 0;
  size_t most = 0;
  SdStatus s = sd_interrupt_check(err);
  if (s == SD_OK) s = make_rooms(p, rooms, err);
  for (int i = p->tail; i < p->nsteps && s == SD_OK; i++) {
    s = allocate_outputs(p, &p->steps[i], err);
    if (s == SD_OK) written += written_by(p, &p->steps[i]);
  }
  for (int i = p->tail; i < p->nsteps && s == SD_OK; i++) {
    find_operands(p, &p->steps[i], &o);
    size_t bytes =
        sd_program_scratch(p->steps[i].program, o.in, o.out, written);
    if (bytes > most) most = bytes;
  }
  void *scratch = s == SD_OK ? sd_memory_alloc(most, err) : NULL;
  if (!scratch) return err->code;
  for (int i = p->tail; i < p->nsteps; i++) {
    find_operands(p, &p->steps[i], &o);
    sd_program_run_whole(p->steps[i].program, o.in, o.out, written,
                         scratch);
    if (p->replay) release_dying(p, &p->steps[i]);
  }
  sd_memory_free(scratch, most);
  fill_rooms(p, rooms);
  return SD_OK;
}

static SdStatus run_tail(SdPlan *p, SdError *err) {
  size_t bytes = (size_t)p->sched.count * sizeof(SdArray *);
  SdArray **rooms = sd_memory_alloc(bytes, err);
  if (!rooms) return err->code;
  memset(rooms, 0, bytes);
  SdStatus s = run_in_rooms(p, rooms, err);
  free_rooms(p, rooms);
  sd_memory_free(rooms, bytes);
  return s;
}

static SdStatus run_steps(SdPlan *p, SdError *err) {
  SdStatus s = SD_OK;
  for (int i = 0; i < p->sched.count; i++)
    if (p->sched.items[i].leaf && (i >= p->ninputs || !p->replay))
      p->at[i] = p->sched.items[i].node->value;
  for (int i = 0; i < p->tail && s == SD_OK; i++)
    s = run_step(p, &p->steps[i], err);
  if (s == SD_OK && p->tail < p->nsteps) s = run_tail(p, err);
  p->runs++;
  return s;
}

static void release_arrays(SdPlan *p) {
  for (int i = 0; i < p->narrays; i++)
    if (p->arrays[i].buffer) sd_array_release(&p->arrays[i]);
}

SdStatus sd_plan_run(SdPlan *p, const SdArray *inputs, SdArray *outputs,
                     SdError *err) {
  for (int i = 0; i < p->ninputs; i++) p->at[i] = &inputs[i];
  SdStatus s = run_steps(p, err);
  for (int i = 0; i < p->nroots && s == SD_OK; i++)
    outputs[i] = sd_array_retain(p->at[p->roots[i]]);
  release_arrays(p);
  return s;
}

/*
** Which nodes keep what was computed: the roots, and nodes that somebody
** else still holds, directly or through a node that stays pending.  A value
** that lived only in registers is not worth keeping.
*/
static void choose_keepers(SdPlan *p) {
  Item *items = p->sched.items;
  for (int i = p->sched.count - 1; i >= 0; i--) {
    Item *x = &items[i];
    if (x->leaf) continue;
    /* refs: ours, the edges within the schedule, and strangers' */
    int held = x->root || p->keep[i] || x->node->refs > x->uses + 1;
    p->keep[i] = (char)(held && x->output);
    if (!held || x->output) continue;
    for (int k = 0; k < x->node->nin; k++)
      p->keep[sd_schedule_input(&p->sched, i, k)] = 1;
  }
}

static SdStatus deliver_aliases(SdNode *const *roots, int nroots,
                                SdError *err) {
  SdStatus s = SD_OK;
  for (int i = 0; i < nroots && s == SD_OK; i++) {
    const SdNode *n = sd_node_resolve(roots[i]);
    if (roots[i]->value || n == roots[i]) continue;
    SdArray value = sd_array_retain(n->value);
    s = sd_node_set_value(roots[i], &value, err);
  }
  return s;
}

/* Spent nodes that somebody else holds are kept from being written over.  So
** is everything under a live trace, which may ask for derivatives. */
static void spare_shared(SdPlan *p) {
  int is_traced = 0;
  for (int i = 0; i < p->sched.count; i++)
    is_traced |= sd_node_is_traced(p->sched.items[i].node);
  for (int i = 0; i < p->ninputs; i++) {
    const Item *x = &p->sched.items[i];
    /* refs: ours, the caller's and the edges within the schedule */
    if (is_traced || x->node->refs > x->uses + 2) p->keep[i] = 1;
  }
}

SdStatus sd_plan_eval_over(SdNode *const *roots, int nroots,
                           SdNode *const *spent, int nspent, SdError *err) {
  int pending = 0;
  for (int i = 0; i < nroots; i++) pending |= !roots[i]->value;
  if (!pending) return SD_OK;
  SdPlan *p = plan_alloc(nroots, nspent, err);
  if (!p) return err->code;
  p->ndonated = nspent;
  SdStatus s = build(p, roots, spent, err);
  if (s == SD_OK) {
    choose_keepers(p);
    spare_shared(p);
    s = run_steps(p, err);
    release_arrays(p);
  }
  sd_plan_free(p);
  return s == SD_OK ? deliver_aliases(roots, nroots, err) : s;
}

SdStatus sd_plan_eval(SdNode *const *roots, int nroots, SdError *err) {
  return sd_plan_eval_over(roots, nroots, NULL, 0, err);
}
