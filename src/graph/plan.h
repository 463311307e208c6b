/*
** A plan computes the values of some root nodes: steps in order, each a
** program or one op's kernel, with the places where memory dies.  It is
** made once and may be run again with other inputs (jit), or is run once
** and hands its results to the nodes (sd_plan_eval).
*/
#ifndef SD_PLAN_H
#define SD_PLAN_H

#include "graph/node.h"

typedef struct SdPlan SdPlan;

/* For replay.  inputs are abstract nodes; everything else that roots need
** is computed by the plan, or has a value already.  The last ndonated inputs
** may be written over by a run that succeeds, if nobody else holds their
** buffers. */
SdStatus sd_plan_new(SdPlan **plan, SdNode *const *roots, int nroots,
                     SdNode *const *inputs, int ninputs, int ndonated,
                     SdError *err);
void sd_plan_free(SdPlan *plan);

/* inputs: one array for each input node, of its shape and dtype.  outputs
** receives one reference for each root.  Random ops draw fresh numbers in
** each run after the first.  A run that fails leaves all inputs as they
** were. */
SdStatus sd_plan_run(SdPlan *plan, const SdArray *inputs, SdArray *outputs,
                     SdError *err);

/* The most bytes that arrays of a run's own take at once, results and all;
** views that turn out to lie in order may make it less. */
SdStatus sd_plan_peak(const SdPlan *plan, double *bytes, SdError *err);

/* Computes all roots that have no value yet. */
SdStatus sd_plan_eval(SdNode *const *roots, int nroots, SdError *err);

/* The same.  The nodes spent, which have values, may be written over if all
** goes well, where only the caller, once each, and the graphs of the roots
** hold them: the caller then lets go of them. */
SdStatus sd_plan_eval_over(SdNode *const *roots, int nroots,
                           SdNode *const *spent, int nspent, SdError *err);

/* Frees the plans kept for graphs that come again. */
void sd_plan_forget(void);

/* Counters for tests and `%time`. */
typedef struct SdPlanStats {
  size_t plans, steps, programs, instructions;
} SdPlanStats;
extern SdPlanStats sd_plan_stats;

#endif
