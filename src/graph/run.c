/*
** Running a plan: step by step, memory taken when it is needed and given
** back where the plan says, then the tail, in which nothing can fail.
*/
#include "graph/plan_private.h"

#include "base/interrupt.h"
#include "base/memory.h"

#include <string.h>

static SdArray *array_of(SdPlan *p, int item) {
  return &p->arrays[p->first[item]];
}

static void release_item(SdPlan *p, int item) {
  for (int k = 0; k < p->sched.items[item].node->nout; k++) {
    SdArray *a = array_of(p, item) + k;
    if (a->buffer) sd_array_release(a);
  }
}

/* The buffer of the item that output out of a program may be written over, if
** nobody wants its value. */
static int reuse(SdPlan *p, int item, SdArray *out) {
  if (item < 0 || p->keep[item]) return 0;
  const SdArray *a = p->at[item];
  if (!a->buffer || a->buffer->refs != 1 || a->data != a->buffer->data ||
      !sd_array_is_contiguous(a))
    return 0;
  a->buffer->refs++;
  out->buffer = a->buffer;
  out->data = a->data;
  return 1;
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
    SdArray *out = array_of(p, item);
    p->at[item] = out;
    if (reuse(p, p->refs[st->spent + k], out)) continue;
    SdStatus s = sd_array_allocate(out, err);
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
  SdNode *n = p->sched.items[p->refs[st->outputs]].node;
  SdArray *out = array_of(p, p->refs[st->outputs]);
  p->at[p->refs[st->outputs]] = out;
  for (int k = 0; k < st->ninputs; k++)
    in[k] = p->at[p->refs[st->inputs + k]];
  if (n->op->refresh && p->replay) n->op->refresh(n);
  if (n->op->kind == SD_KIND_CALL && !(n->op->flags & SD_OP_ALLOCATES)) {
    SdStatus s = sd_array_allocate(out, err);
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

/* All memory the tail needs is there before its first step.  rooms: NULL in
** a replay, whose nodes keep nothing. */
static SdStatus run_in_rooms(SdPlan *p, SdArray **rooms, SdError *err) {
  Operands o;
  double written = 0;
  size_t most = 0;
  SdStatus s = sd_interrupt_check(err);
  if (s == SD_OK && rooms) s = make_rooms(p, rooms, err);
  for (int i = p->tail; i < p->nsteps && s == SD_OK; i++) {
    s = allocate_outputs(p, &p->steps[i], err);
    if (s == SD_OK) written += written_by(p, &p->steps[i]);
    size_t bytes = sd_program_scratch(p->steps[i].program);
    if (bytes > most) most = bytes;
  }
  void *scratch = s == SD_OK ? sd_memory_alloc(most, err) : NULL;
  if (!scratch) return err->code;
  for (int i = p->tail; i < p->nsteps; i++) {
    find_operands(p, &p->steps[i], &o);
    sd_program_run_whole(p->steps[i].program, o.in, o.out, written,
                         scratch);
    if (!rooms) release_dying(p, &p->steps[i]);
  }
  sd_memory_free(scratch, most);
  if (rooms) fill_rooms(p, rooms);
  return SD_OK;
}

static SdStatus run_tail(SdPlan *p, SdError *err) {
  size_t bytes = (size_t)p->sched.count * sizeof(SdArray *);
  if (p->replay) return run_in_rooms(p, NULL, err);
  SdArray **rooms = sd_memory_alloc(bytes, err);
  if (!rooms) return err->code;
  memset(rooms, 0, bytes);
  SdStatus s = run_in_rooms(p, rooms, err);
  free_rooms(p, rooms);
  sd_memory_free(rooms, bytes);
  return s;
}

/* Programs read a constant where it lies. */
static void place_constant(SdPlan *p, int i) {
  const SdNode *n = p->sched.items[i].node;
  Scalar *s = &p->scalars[p->first[i]];
  SdDtype d = (SdDtype)n->dtype;
  s->array = (SdArray){.data = &s->value, .dtype = d, .shape = n->shape};
  sd_loop_cast(SD_F64, d)(1, &s->value, &n->attr->f, NULL, NULL);
  p->at[i] = &s->array;
}

/* Those of a replay, but for its inputs, stay from run to run. */
static void place_leaves(SdPlan *p) {
  if (p->replay && p->runs > 0) return;
  for (int i = p->replay ? p->ninputs : 0; i < p->sched.count; i++) {
    const Item *x = &p->sched.items[i];
    if (!x->leaf) continue;
    if (x->node->value) p->at[i] = x->node->value;
    else if (!p->replay) place_constant(p, i);
  }
}

SdStatus sd_plan_run_steps(SdPlan *p, SdError *err) {
  SdStatus s = SD_OK;
  place_leaves(p);
  for (int i = 0; i < p->tail && s == SD_OK; i++)
    s = run_step(p, &p->steps[i], err);
  if (s == SD_OK && p->tail < p->nsteps) s = run_tail(p, err);
  p->runs++;
  return s;
}

void sd_plan_release_arrays(SdPlan *p) {
  for (int i = 0; i < p->narrays; i++)
    if (p->arrays[i].buffer) sd_array_release(&p->arrays[i]);
}

SdStatus sd_plan_run(SdPlan *p, const SdArray *inputs, SdArray *outputs,
                     SdError *err) {
  for (int i = 0; i < p->ninputs; i++) p->at[i] = &inputs[i];
  SdStatus s = sd_plan_run_steps(p, err);
  for (int i = 0; i < p->nroots && s == SD_OK; i++)
    outputs[i] = sd_array_retain(p->at[p->roots[i]]);
  sd_plan_release_arrays(p);
  return s;
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

/* Spent nodes that somebody else holds are not written over.  Nor is anything
** under a live trace, which may ask for derivatives. */
static void spare_shared(SdPlan *p) {
  int is_traced = 0;
  for (int i = 0; i < p->sched.count && p->ninputs > 0; i++)
    is_traced |= sd_node_is_traced(p->sched.items[i].node);
  for (int i = 0; i < p->ninputs; i++) {
    const Item *x = &p->sched.items[i];
    p->keep[i] &= SD_KEEP_VALUE;
    /* refs: ours, the caller's and the edges within the schedule */
    if (is_traced || x->node->refs > x->uses + 2) p->keep[i] |= SD_KEEP_INPUT;
  }
}

static SdStatus run_once(SdPlan *p, SdError *err) {
  spare_shared(p);
  SdStatus s = sd_plan_run_steps(p, err);
  sd_plan_release_arrays(p);
  return s;
}

/* The nodes of the walked plan p move into a plan kept for their form. */
static SdStatus bind(SdPlan *kept, SdPlan *p, SdError *err) {
  SdStatus s = SD_OK;
  for (int i = 0; i < p->sched.count; i++) {
    Item *x = &kept->sched.items[i], *y = &p->sched.items[i];
    x->node = y->node;
    x->uses = y->uses;
    y->node = NULL;
    if (x->looked && s == SD_OK) s = sd_plan_materialize(x->node, err);
  }
  return s;
}

static void unbind(SdPlan *p) {
  for (int i = 0; i < p->sched.count; i++) {
    sd_node_release(p->sched.items[i].node);
    p->sched.items[i].node = NULL;
  }
}

static SdStatus run_kept(SdPlan *kept, SdPlan *p, SdError *err) {
  SdStatus s = bind(kept, p, err);
  if (s == SD_OK) s = run_once(kept, err);
  unbind(kept);
  return s;
}

static SdStatus run_new(SdPlan *p, SdNode *const *roots, SdError *err) {
  SdStatus s = sd_plan_build(p, roots, err);
  if (s != SD_OK) return s;
  sd_plan_choose_keepers(p);
  return run_once(p, err);
}

/* Computes what the walked plan p is for; p is used up. */
static SdStatus run_walked(SdPlan *p, SdNode *const *roots, SdError *err) {
  SdForm *form;
  SdStatus s = sd_form_of(&form, p, err);
  if (s == SD_OK) {
    SdPlan *kept = form ? sd_form_plan(form) : NULL;
    s = kept ? run_kept(kept, p, err) : run_new(p, roots, err);
    if (s == SD_OK && form && !kept && sd_form_is_known(form)) {
      unbind(p);
      sd_form_keep(form, p);
      return SD_OK;
    }
    sd_form_free(form);
  }
  sd_plan_free(p);
  return s;
}

SdStatus sd_plan_eval_over(SdNode *const *roots, int nroots,
                           SdNode *const *spent, int nspent, SdError *err) {
  int pending = 0;
  for (int i = 0; i < nroots; i++) pending |= !roots[i]->value;
  if (!pending) return SD_OK;
  SdPlan *p = sd_plan_alloc(nroots, nspent, err);
  if (!p) return err->code;
  p->ndonated = nspent;
  SdStatus s = sd_schedule_walk(&p->sched, roots, nroots, spent, nspent, 0,
                                err);
  for (int i = 0; i < nroots && s == SD_OK; i++)
    s = sd_plan_materialize(sd_node_resolve(roots[i]), err);
  if (s == SD_OK) s = run_walked(p, roots, err);
  else sd_plan_free(p);
  return s == SD_OK ? deliver_aliases(roots, nroots, err) : s;
}

SdStatus sd_plan_eval(SdNode *const *roots, int nroots, SdError *err) {
  return sd_plan_eval_over(roots, nroots, NULL, 0, err);
}
