/*
** Birth, life and death of nodes.  See node.h for the contract.
*/
#include "graph/node.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Graphs deeper than this, or keeping more bytes alive, are evaluated by
** themselves. */
static const unsigned max_depth = 1000;
static const double max_held = 2e9;

static size_t node_bytes(int nin) {
  return sizeof(SdNode) + (size_t)nin * sizeof(SdNode *);
}

static size_t attr_bytes(int count) {
  return offsetof(SdAttr, i) + (size_t)count * sizeof(int64_t);
}

/* ---- builder ---------------------------------------------------------- */

void sd_builder_open(SdBuilder *b) {
  b->error.code = SD_OK;
  b->pool = b->first;
  b->count = 0;
  b->capacity = sizeof b->first / sizeof *b->first;
}

SdStatus sd_builder_close(SdBuilder *b, SdError *err) {
  for (size_t i = 0; i < b->count; i++) sd_node_release(b->pool[i]);
  if (b->pool != b->first)
    sd_memory_free(b->pool, b->capacity * sizeof *b->pool);
  if (b->error.code && err != &b->error) *err = b->error;
  return b->error.code;
}

SdNode *sd_builder_fail(SdBuilder *b, SdStatus code, const char *format,
                        ...) {
  if (!b->error.code) {
    va_list args;
    va_start(args, format);
    b->error.code = code;
    vsnprintf(b->error.message, sizeof b->error.message, format, args);
    va_end(args);
  }
  return NULL;
}

static int builder_reserve(SdBuilder *b) {
  if (b->count < b->capacity) return 1;
  size_t bytes = b->capacity * sizeof *b->pool;
  SdNode **pool = sd_memory_alloc(2 * bytes, &b->error);
  if (!pool) return 0;
  memcpy(pool, b->pool, bytes);
  if (b->pool != b->first) sd_memory_free(b->pool, bytes);
  b->pool = pool;
  b->capacity *= 2;
  return 1;
}

static SdTrace *current; /* the innermost open trace */

/* ---- making ------------------------------------------------------------ */

static SdNode *node_alloc(SdBuilder *b, const SdOp *op, int nin) {
  if (!builder_reserve(b)) return NULL;
  SdNode *n = sd_memory_alloc(node_bytes(nin), &b->error);
  if (!n) return NULL;
  memset(n, 0, sizeof *n);
  n->refs = 1;
  n->op = op;
  n->nin = (unsigned char)nin;
  n->nout = 1;
  n->room = (unsigned)node_bytes(nin);
  b->pool[b->count++] = n;
  return n;
}

static double value_bytes(const SdNode *n) {
  double bytes = 0;
  for (int k = 0; k < n->nout; k++) bytes += (double)n->value[k].buffer->bytes;
  return bytes;
}

static void set_trace(SdNode *n, SdTrace *t) {
  if (!t || (n->trace && n->trace->id >= t->id)) return;
  if (n->trace) n->trace->refs--;
  n->trace = t;
  t->refs++;
}

static void connect(SdNode *n, SdNode *const *in) {
  for (int i = 0; i < n->nin; i++) {
    SdNode *x = n->in[i] = sd_node_retain(in[i]);
    set_trace(n, x->trace);
    if (x->value) {
      n->held += value_bytes(x);
    } else {
      n->held += x->held;
      if (x->depth + 1 > n->depth) n->depth = x->depth + 1;
    }
  }
  if (!n->depth) n->depth = 1;
}

static int copy_attr(SdBuilder *b, SdNode *n, const SdAttr *attr) {
  size_t bytes = attr_bytes(attr->count);
  n->attr = sd_memory_alloc(bytes, &b->error);
  if (!n->attr) return 0;
  memcpy(n->attr, attr, bytes);
  return 1;
}

SdNode *sd_node_make(SdBuilder *b, const SdOp *op, int nin,
                     SdNode *const *in, const SdAttr *attr) {
  if (b->error.code) return NULL;
  for (int i = 0; i < nin; i++)
    if (!in[i]) return NULL;
  SdNode *n = node_alloc(b, op, nin);
  if (!n) return NULL;
  connect(n, in);
  if (attr && !copy_attr(b, n, attr)) return NULL;
  if (op->refresh) set_trace(n, current);
  if (op->infer && op->infer(n, &b->error) != SD_OK) return NULL;
  return n;
}

SdNode *sd_node_empty(SdBuilder *b) {
  SdNode *n = b->error.code ? NULL : node_alloc(b, &sd_op_value, 0);
  if (!n) return NULL;
  n->value = sd_memory_alloc(sizeof *n->value, &b->error);
  if (!n->value) return NULL;
  n->value->buffer = NULL;
  return n;
}

void sd_node_put(SdNode *n, const SdArray *value) {
  *n->value = *value;
  n->dtype = (unsigned char)value->dtype;
  n->shape = value->shape;
}

SdNode *sd_node_leaf(SdBuilder *b, SdArray *value) {
  SdNode *n = sd_node_empty(b);
  if (!n) {
    sd_array_release(value);
    return NULL;
  }
  sd_node_put(n, value);
  value->buffer = NULL;
  return n;
}

SdNode *sd_node_data(SdBuilder *b, SdDtype d, const SdShape *shape,
                     const void *data) {
  SdArray a;
  if (b->error.code) return NULL;
  if (sd_array_new(&a, d, shape, &b->error) != SD_OK) return NULL;
  size_t bytes = (size_t)sd_array_numel(&a) * sd_dtype_size(d);
  if (bytes) memcpy(a.data, data, bytes);
  return sd_node_leaf(b, &a);
}

/* ---- letting go -------------------------------------------------------- */

static void trace_release(SdTrace *t) {
  if (!t || --t->refs) return;
  trace_release(t->outer);
  sd_memory_free(t->pinned, t->capacity * sizeof *t->pinned);
  sd_memory_free(t, sizeof *t);
}

static void free_value(SdNode *n) {
  if (!n->value) return;
  for (int k = 0; k < n->nout; k++) sd_array_release(&n->value[k]);
  sd_memory_free(n->value, n->nout * sizeof *n->value);
}

/* Frees what n owns except its inputs and itself. */
static void free_contents(SdNode *n) {
  if (n->op->release && n->attr) n->op->release(n);
  if (n->attr) sd_memory_free(n->attr, attr_bytes(n->attr->count));
  free_value(n);
  trace_release(n->trace);
}

/* Dead nodes wait in a list threaded through their value fields, so that
** a long chain dies without recursion. */
static SdNode *dead_push(SdNode *list, SdNode *n) {
  free_contents(n);
  n->value = (void *)list;
  return n;
}

static SdNode *drop_inputs(SdNode *n, SdNode *list) {
  for (int i = 0; i < n->nin; i++)
    if (n->in[i] && --n->in[i]->refs == 0) list = dead_push(list, n->in[i]);
  return list;
}

static void bury(SdNode *list) {
  while (list) {
    SdNode *n = list;
    list = (void *)n->value;
    list = drop_inputs(n, list);
    sd_memory_free(n, n->room);
  }
}

void sd_node_release(SdNode *n) {
  if (n && --n->refs == 0) bury(dead_push(NULL, n));
}

/* ---- values ------------------------------------------------------------ */

static SdTrace *live_trace(const SdNode *n) {
  SdTrace *t = n->trace;
  while (t && !t->live) t = t->outer;
  return t;
}

static void detach(SdNode *n) {
  SdNode *list = drop_inputs(n, NULL);
  n->nin = 0;
  bury(list);
}

static SdStatus pin(SdTrace *t, SdNode *n, SdError *err) {
  SdStatus s = sd_memory_grow(&t->pinned, &t->capacity, t->npinned + 1,
                              sizeof *t->pinned, err);
  if (s == SD_OK) t->pinned[t->npinned++] = sd_node_retain(n);
  return s;
}

SdArray *sd_node_room(const SdNode *n, SdError *err) {
  return sd_memory_alloc(n->nout * sizeof(SdArray), err);
}

void sd_node_settle(SdNode *n, SdArray *room, const SdArray *value) {
  memcpy(room, value, n->nout * sizeof *room);
  n->value = room;
  if (!live_trace(n)) detach(n);
}

SdStatus sd_node_set_value(SdNode *n, SdArray *value, SdError *err) {
  SdTrace *t = live_trace(n);
  SdArray *room = sd_node_room(n, err);
  SdStatus s = room ? SD_OK : err->code;
  if (s == SD_OK && t) s = pin(t, n, err);
  if (s != SD_OK) {
    sd_memory_free(room, n->nout * sizeof *room);
    for (int k = 0; k < n->nout; k++) sd_array_release(&value[k]);
    return s;
  }
  sd_node_settle(n, room, value);
  return SD_OK;
}

int sd_node_is_traced(const SdNode *n) { return live_trace(n) != NULL; }

int sd_node_is_heavy(const SdNode *n) {
  return n->depth > max_depth || n->held > max_held;
}

unsigned sd_node_epoch(void) {
  static unsigned epoch;
  return ++epoch;
}

/* ---- traces ------------------------------------------------------------ */

SdTrace *sd_trace_current(void) { return current; }

SdStatus sd_trace_open(SdTrace **t, const char *abstract, SdError *err) {
  static unsigned last_id;
  SdTrace *n = *t = sd_memory_alloc(sizeof *n, err);
  if (!n) return err->code;
  *n = (SdTrace){.refs = 1, .live = 1, .id = ++last_id, .name = abstract};
  n->outer = current;
  if (current) current->refs++;
  current = n;
  n->refs++;
  return SD_OK;
}

void sd_trace_leave(SdTrace *t) {
  if (current != t) return;
  current = t->outer;
  t->refs--;
}

void sd_trace_close(SdTrace *t) {
  sd_trace_leave(t);
  t->live = 0;
  for (size_t i = 0; i < t->npinned; i++) {
    SdNode *n = t->pinned[i];
    SdTrace *o = live_trace(n);
    SdError ignored;
    if (!o || pin(o, n, &ignored) != SD_OK) detach(n);
    sd_node_release(n);
  }
  t->npinned = 0;
  trace_release(t);
}

SdNode *sd_trace_tracer(SdBuilder *b, SdTrace *t, SdNode *x) {
  SdNode *n = sd_node_make(b, &sd_op_tracer, 1, &x, NULL);
  if (!n) return NULL;
  n->dtype = x->dtype;
  n->shape = x->shape;
  set_trace(n, t);
  return n;
}

SdNode *sd_trace_abstract(SdBuilder *b, SdTrace *t, SdDtype d,
                          const SdShape *shape) {
  SdNode *n = sd_node_make(b, &sd_op_tracer, 0, NULL, NULL);
  if (!n) return NULL;
  n->dtype = (unsigned char)d;
  n->shape = *shape;
  set_trace(n, t);
  return n;
}

/* ---- the engine's own ops ----------------------------------------------- */

const SdOp sd_op_value = {.name = "value", .kind = SD_KIND_VALUE};
const SdOp sd_op_tracer = {.name = "tracer", .kind = SD_KIND_ALIAS};

static SdStatus part_infer(SdNode *y, SdError *err) {
  (void)err;
  y->dtype = (unsigned char)y->attr->i[1];
  y->shape = sd_shape_make(y->attr->count - 2, y->attr->i + 2);
  return SD_OK;
}

static SdStatus part_eval(const SdNode *y, const SdArray *const *in,
                          SdArray *out, SdError *err) {
  (void)err;
  *out = sd_array_retain(&in[0][y->attr->i[0]]);
  return SD_OK;
}

const SdOp sd_op_part = {.name = "part",
                         .kind = SD_KIND_VIEW,
                         .infer = part_infer,
                         .eval = part_eval};

SdNode *sd_node_part(SdBuilder *b, SdNode *x, int k, SdDtype d,
                     const SdShape *shape) {
  SdAttr attr = {.count = 2 + shape->ndim, .i = {k, d}};
  memcpy(attr.i + 2, shape->dims, (size_t)shape->ndim * sizeof *attr.i);
  return sd_node_make(b, &sd_op_part, 1, &x, &attr);
}
