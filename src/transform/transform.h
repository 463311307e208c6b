/*
** Transforms: functions from graph to graph.  A caller opens a trace,
** wraps the function's arguments in its tracers, runs the function, and
** hands the tracers x and the results y to one of these.  Everything they
** build is made of ops, so transforms nest to any order.  On failure
** b->error is set.
*/
#ifndef SD_TRANSFORM_H
#define SD_TRANSFORM_H

#include "graph/node.h"
#include "graph/plan.h"

/* gx[j] = sum over i of (dy_i/dx_j)^T gy_i; NULL where x_j has no
** influence.  gy may hold NULLs (zeros). */
void sd_transform_vjp(SdBuilder *b, const SdTrace *t, int ny,
                      SdNode *const *y, SdNode *const *gy, int nx,
                      SdNode *const *x, SdNode **gx);

/* ty[i] = sum over j of dy_i/dx_j tx_j; NULL where there is no influence.
** tx may hold NULLs. */
void sd_transform_jvp(SdBuilder *b, const SdTrace *t, int nx,
                      SdNode *const *x, SdNode *const *tx, int ny,
                      SdNode *const *y, SdNode **ty);

/* y computed for size examples at once: bx[j] has a new leading dim in
** place of x_j.  by[i] has one too, or is NULL where y_i is the same for
** all examples. */
void sd_transform_vmap(SdBuilder *b, const SdTrace *t, int64_t size, int nx,
                       SdNode *const *x, SdNode *const *bx, int ny,
                       SdNode *const *y, SdNode **by);

/* y with x replaced by new_x. */
void sd_transform_substitute(SdBuilder *b, const SdTrace *t, int nx,
                             SdNode *const *x, SdNode *const *new_x, int ny,
                             SdNode *const *y, SdNode **new_y);

/* A plan that computes y from values for x (abstract tracers), of which it
** may use up the last ndonated (graph/plan.h).  What does not depend on x,
** nor on random numbers drawn meanwhile, is computed now, once. */
SdStatus sd_transform_compile(SdPlan **plan, const SdTrace *t, int nx,
                              SdNode *const *x, int ny, SdNode *const *y,
                              int ndonated, SdError *err);

/* x, with no derivative. */
SdNode *sd_stop_gradient(SdBuilder *b, SdNode *x);

/* out[i] equals y[i] (a function of the abstract tracers x of t) at args;
** its derivatives compute the function again instead of keeping what lies
** between. */
void sd_transform_checkpoint(SdBuilder *b, SdTrace *t, int nx,
                             SdNode *const *x, SdNode *const *args, int ny,
                             SdNode *const *y, SdNode **out);

#endif
