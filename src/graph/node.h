/*
** Nodes: immutable vertices of the lazy graph.  A node knows its shape and
** dtype from birth; its value comes when somebody looks.  Nodes are
** counted; freeing one never recurses.
**
** Functions that make nodes take a builder and return a reference that the
** builder owns, NULL when something failed.  They accept NULL inputs and
** pass them on, so expressions nest and the error is looked at once, in
** b->error, when the builder is closed.
*/
#ifndef SD_NODE_H
#define SD_NODE_H

#include "base/array.h"
#include "graph/op.h"

typedef struct SdTrace SdTrace;

/* What an op knows beside its inputs.  Only the first count integers are
** stored with a node. */
typedef struct SdAttr {
  double f;
  void *data; /* owned by the node; the op's release frees it */
  int count;
  int64_t i[3 * SD_MAX_DIMS];
} SdAttr;

struct SdNode {
  int refs;
  int slot;         /* number in the walk named by epoch */
  unsigned epoch;   /* the last walk that visited this node */
  unsigned depth;   /* longest pending path below, saturating */
  double held;      /* bytes of values kept alive by the pending graph */
  unsigned char dtype;
  unsigned char nin;
  unsigned char nout; /* outputs of a multi-output op, else 1 */
  unsigned char weak; /* a plain number: does not promote its kind */
  unsigned room;      /* bytes of this node */
  const SdOp *op;
  SdTrace *trace;   /* the innermost trace this depends on, or NULL */
  SdAttr *attr;     /* NULL when the op has none */
  SdArray *value;   /* nout arrays once computed, or NULL */
  SdShape shape;    /* of the first output */
  SdNode *in[];
};

/*
** A trace is the time during which a transform watches a function.  Its
** tracers stand for the function's arguments.  Nodes made from them keep
** their inputs when evaluated, as long as the trace is live.
*/
struct SdTrace {
  int refs;
  int live;
  unsigned id;      /* later traces have larger ids */
  const char *name; /* "vmap": set when tracers have no value to look at */
  SdTrace *outer;   /* the trace open when this one was opened */
  SdNode **pinned;  /* evaluated nodes that kept their inputs */
  size_t npinned, capacity;
};

typedef struct SdBuilder {
  SdError error;
  SdNode **pool;
  size_t count, capacity;
  SdNode *first[16]; /* the pool's first room */
} SdBuilder;

void sd_builder_open(SdBuilder *b);
/* Releases what the builder owns and returns the status of all it did. */
SdStatus sd_builder_close(SdBuilder *b, SdError *err);
/* For rules that fail: fills b->error once and returns NULL. */
SdNode *sd_builder_fail(SdBuilder *b, SdStatus code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A node of op over nin inputs; its shape and dtype come from op->infer. */
SdNode *sd_node_make(SdBuilder *b, const SdOp *op, int nin,
                     SdNode *const *in, const SdAttr *attr);
/* A leaf that takes over the reference in *value (also on failure). */
SdNode *sd_node_leaf(SdBuilder *b, SdArray *value);
/* A leaf that waits for its value, so that nothing can fail when it comes. */
SdNode *sd_node_empty(SdBuilder *b);
void sd_node_put(SdNode *n, const SdArray *value); /* taken over */
/* A leaf over counts numbers copied from data. */
SdNode *sd_node_data(SdBuilder *b, SdDtype d, const SdShape *shape,
                     const void *data);

static inline SdNode *sd_node_retain(SdNode *n) {
  n->refs++;
  return n;
}
void sd_node_release(SdNode *n); /* n may be NULL */

/* Hands an evaluated node its value (nout arrays, taken over) and drops
** its inputs unless a live trace needs them. */
SdStatus sd_node_set_value(SdNode *n, SdArray *value, SdError *err);
/* The same in two steps, the second of which cannot fail: room for the value
** of a node outside all live traces, and the value put there. */
SdArray *sd_node_room(const SdNode *n, SdError *err);
void sd_node_settle(SdNode *n, SdArray *room, const SdArray *value);
int sd_node_is_traced(const SdNode *n); /* by a live trace */

/* Follows tracers and other aliases to the node that is computed. */
static inline SdNode *sd_node_resolve(SdNode *n) {
  while (n->op->kind == SD_KIND_ALIAS && !n->value && n->nin) n = n->in[0];
  return n;
}

/* Pending graphs beyond these limits should be evaluated. */
int sd_node_is_heavy(const SdNode *n);

/* A number no earlier walk has used, for SdNode.epoch. */
unsigned sd_node_epoch(void);

/* ---- traces ----------------------------------------------------------- */

/* Opens a trace inside the one now open.  abstract names the transform
** when its tracers have no value, else NULL. */
SdStatus sd_trace_open(SdTrace **t, const char *abstract, SdError *err);
/* The function has returned; derivatives may still be asked for. */
void sd_trace_leave(SdTrace *t);
/* Nobody will ask any more: evaluated nodes let go of their inputs. */
void sd_trace_close(SdTrace *t);
SdTrace *sd_trace_current(void);

/* A fresh identity over x, the mark by which t finds its way back.  x may
** be NULL for abstract traces: then shape and dtype are given. */
SdNode *sd_trace_tracer(SdBuilder *b, SdTrace *t, SdNode *x);
SdNode *sd_trace_abstract(SdBuilder *b, SdTrace *t, SdDtype d,
                          const SdShape *shape);

extern const SdOp sd_op_value;  /* a leaf */
extern const SdOp sd_op_tracer; /* an alias, or an abstract argument */
extern const SdOp sd_op_part;   /* output attr.i[0] of a multi-output node */
SdNode *sd_node_part(SdBuilder *b, SdNode *x, int k, SdDtype d,
                     const SdShape *shape);

#endif
