/* The inside of a plan, for plan.c, run.c and kept.c alone. */
#ifndef SD_PLAN_PRIVATE_H
#define SD_PLAN_PRIVATE_H

#include "graph/plan.h"
#include "graph/schedule.h"

typedef struct Step {
  SdProgram *program; /* NULL: the kernel or view of its output's node */
  int inputs, ninputs;   /* a range of plan->refs: items read */
  int outputs, noutputs; /* items written */
  int dying, ndying;     /* items whose memory ends here */
  int spent;             /* for each output of a program the item whose memory
                            it may take, or -1 */
  int late;              /* belongs to the tail */
} Step;

typedef struct Scalar {
  SdArray array; /* of no buffer: the value lies here */
  double value;
} Scalar;

enum {
  SD_KEEP_VALUE = 1, /* the node wants it, or what is pending above it */
  SD_KEEP_INPUT = 2  /* a donated input that somebody else holds */
};

struct SdPlan {
  Schedule sched;
  Step *steps;
  int nsteps, nrefs;
  size_t refs_capacity;
  int *refs;
  int *first;    /* item: its first array in arrays; constants: in scalars */
  int *last;     /* item: the last step that reads it, or -1 */
  char *keep;    /* item: SD_KEEP_* (eval only) */
  int narrays;
  SdArray *arrays; /* without buffers but in a run; programs' outputs keep their
                      shapes and strides */
  Scalar *scalars; /* constants that programs read (eval only) */
  int nscalars;
  const SdArray **at; /* item: where its value is during a run */
  int *roots;
  int nroots, ninputs;
  int ndonated;
  int tail; /* the first step of those that may write over donated inputs */
  int replay; /* made by sd_plan_new */
  int runs;
};

SdPlan *sd_plan_alloc(int nroots, int ninputs, SdError *err);
/* The rest of a plan whose schedule has been walked. */
SdStatus sd_plan_build(SdPlan *p, SdNode *const *roots, SdError *err);
/* Which nodes keep what was computed. */
void sd_plan_choose_keepers(SdPlan *p);
/* A constant that is read as a node's value gets an array after all. */
SdStatus sd_plan_materialize(SdNode *n, SdError *err);

SdStatus sd_plan_run_steps(SdPlan *p, SdError *err);
void sd_plan_release_arrays(SdPlan *p);

/* Plans of evaluated graphs, kept for graphs of the same form. */
typedef struct SdForm SdForm;
/* The form of a walked plan; NULL in *f where none is kept.  roots: as the
** plan's. */
SdStatus sd_form_of(SdForm **f, const SdPlan *p, SdError *err);
/* The plan kept for the form, or NULL.  Its schedule has no nodes. */
SdPlan *sd_form_plan(const SdForm *f);
/* Whether the form has been seen lately: then its plan should be kept. */
int sd_form_is_known(const SdForm *f);
/* Takes over both; p has no nodes any more. */
void sd_form_keep(SdForm *f, SdPlan *p);
void sd_form_free(SdForm *f);

#endif
