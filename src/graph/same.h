/*
** Which nodes compute the same: the same op with the same attributes over
** the same inputs.  A table that is filled in the order of a walk, children
** first; a node's identity among its parents' inputs is its slot.
*/
#ifndef SD_SAME_H
#define SD_SAME_H

#include "graph/node.h"

typedef struct SdSame {
  SdNode **table; /* open addressing; NULL: free */
  size_t count, capacity; /* a power of two, or 0 */
} SdSame;

/* *twin: the node noted earlier that computes what n does, else NULL, n
** being noted. */
SdStatus sd_same_find(SdSame *s, SdNode *n, SdNode **twin, SdError *err);
void sd_same_free(SdSame *s);

#endif
