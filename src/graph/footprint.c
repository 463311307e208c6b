/*
** The memory that a plan will take, known before it runs: its steps are gone
** through with counts of bytes in the place of memory.
*/
#include "graph/plan_private.h"

#include "base/memory.h"

#include <string.h>

/* What an item's value lies in. */
typedef struct Holding {
  int owner;     /* the item whose memory it is, or -1: what was there before */
  int holders;   /* of an owner: values that lie in its memory */
  int straight;  /* the value lies in row-major order */
  double bytes;  /* of an owner */
} Holding;

static double bytes_of(const SdPlan *p, int item) {
  const SdNode *n = p->sched.items[item].node;
  double bytes = 0;
  for (int k = 0; k < n->nout; k++) {
    const SdArray *a = &p->arrays[p->first[item] + k];
    bytes += (double)sd_array_numel(a) * (double)sd_dtype_size(a->dtype);
  }
  return bytes;
}

/* The item whose memory step st describes anew, or -1 where it makes its
** own. */
static int seen_through(const SdPlan *p, const Step *st, const Holding *h) {
  const SdOp *op = p->sched.items[p->refs[st->outputs]].node->op;
  int in = st->ninputs ? p->refs[st->inputs] : -1;
  if (st->program || op->kind != SD_KIND_VIEW || in < 0) return -1;
  return op->flags & SD_OP_STRAIGHTENS && !h[in].straight ? -1 : in;
}

/* Where output k of the step lies; returns the bytes taken for it. */
static double hold(const SdPlan *p, const Step *st, int k, Holding *h) {
  int item = p->refs[st->outputs + k], from = seen_through(p, st, h);
  const SdOp *op = p->sched.items[item].node->op;
  Holding *x = &h[item];
  int spent = st->program ? p->refs[st->spent + k] : -1;
  x->straight = from < 0 || op->flags & SD_OP_STRAIGHTENS;
  if (from < 0 && spent >= 0 && h[spent].owner >= 0 &&
      h[h[spent].owner].holders == 1)
    from = spent; /* written over */
  if (from >= 0) {
    x->owner = h[from].owner;
    if (x->owner >= 0) h[x->owner].holders++;
    return 0;
  }
  x->owner = item;
  x->holders = 1;
  return x->bytes = bytes_of(p, item);
}

/* The bytes that go with the item's value. */
static double let_go(int item, Holding *h) {
  int owner = h[item].owner;
  return owner >= 0 && --h[owner].holders == 0 ? h[owner].bytes : 0;
}

SdStatus sd_plan_peak(const SdPlan *p, double *peak, SdError *err) {
  size_t bytes = (size_t)p->sched.count * sizeof(Holding);
  Holding *h = sd_memory_alloc(bytes, err);
  double live = 0;
  if (!h) return err->code;
  for (int i = 0; i < p->sched.count; i++)
    h[i] = (Holding){.owner = -1, .straight = 1};
  *peak = 0;
  for (int s = 0; s < p->nsteps; s++) {
    const Step *st = &p->steps[s];
    for (int k = 0; k < st->noutputs; k++) live += hold(p, st, k, h);
    if (live > *peak) *peak = live;
    for (int k = 0; k < st->ndying; k++)
      live -= let_go(p->refs[st->dying + k], h);
  }
  sd_memory_free(h, bytes);
  return SD_OK;
}
