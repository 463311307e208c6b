/*
** The part of a graph that depends on some tracers, in an order in which
** inputs come first: what every transform rewrites.
*/
#ifndef SD_WALK_H
#define SD_WALK_H

#include "graph/node.h"

typedef struct SdWalk {
  SdNode **nodes; /* borrowed */
  int count;
  size_t capacity;
  unsigned epoch;
} SdWalk;

/* From roots down to the seeds (tracers of t).  fresh: pending random nodes
** made since t was opened count as dependent too. */
SdStatus sd_walk_make(SdWalk *w, const SdTrace *t, SdNode *const *roots,
                      int nroots, SdNode *const *seeds, int nseeds, int fresh,
                      SdError *err);
void sd_walk_free(SdWalk *w);

/* n's place in nodes, or -1 when it does not depend on the seeds.  Valid
** until another walk passes. */
int sd_walk_slot(const SdWalk *w, const SdNode *n);

#endif
