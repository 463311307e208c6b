/*
** A schedule is what a set of roots needs, in an order in which it can be
** computed, cut into units: a program's worth of elementwise nodes and
** folds, or one node with a kernel or a view of its own.
**
** Grouping.  Every item has a level; an edge inside a unit keeps the level,
** every other edge raises it.  So units never wait for each other in a
** circle, whatever is merged within a level.
*/
#ifndef SD_SCHEDULE_H
#define SD_SCHEDULE_H

#include "graph/node.h"
#include "graph/program.h"

typedef struct Item {
  SdNode *node;
  int edges;   /* of the inputs: the first of node->nin in the schedule's */
  int unit;    /* parent in a union-find forest; the root names the unit */
  int level;
  int limit;   /* the level of the earliest reader, less one if not fused */
  int uses;    /* edges to this node from others in the schedule */
  int next;    /* the next member of the unit, -1: last */
  int tail;    /* of a unit: its last member */
  int reader;  /* the last elementwise reader of the same shape, or -1 */
  int code;    /* of a unit: instructions */
  int operands; /* of a unit: inputs, at most */
  int kept;    /* of a unit with folds: see sd_program_fold */
  unsigned char layout; /* of a unit: SdFoldLayout */
  unsigned char leaf;   /* has a value, is a constant or an input */
  unsigned char output; /* its value leaves the unit */
  unsigned char root;
  unsigned char seen;
  unsigned char waits; /* computed from leaves by elementwise ops alone */
  unsigned char looked; /* a constant of which a kernel reads the array */
} Item;

typedef struct Schedule {
  Item *items;
  int count;
  size_t capacity;
  int *edges; /* the items that compute the inputs of each */
  int nedges;
  size_t edges_capacity;
  int *units; /* the first members of the units, in order */
  int nunits;
} Schedule;

/* What the roots need, in order.  inputs are nodes whose values the caller
** brings.  share: equal nodes are computed once. */
SdStatus sd_schedule_walk(Schedule *s, SdNode *const *roots, int nroots,
                          SdNode *const *inputs, int ninputs, int share,
                          SdError *err);
/* The units of what has been walked. */
SdStatus sd_schedule_group(Schedule *s, SdNode *const *roots, int nroots,
                           SdError *err);
void sd_schedule_free(Schedule *s);

/* The item that computes input k of item i, which is no leaf. */
static inline int sd_schedule_input(const Schedule *s, int i, int k) {
  return s->edges[s->items[i].edges + k];
}
/* Whether somebody outside the schedule, which has one reference itself,
** holds the node. */
static inline int sd_schedule_is_held(const Item *x) {
  return x->node->refs > x->uses + 1;
}
int sd_schedule_unit(Schedule *s, int i);
int sd_schedule_is_fused(const Item *x);

/* For tests: every node a unit of its own. */
extern int sd_schedule_unfused;

#endif
