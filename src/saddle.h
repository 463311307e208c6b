/*
** Saddle's core for C programs: link libsaddle.a, OpenBLAS, LAPACKE, SLEEF
** and zlib.
**
** A program opens a builder, makes leaves and expressions with the
** functions of ops/ops.h, asks a transform for derivatives, and evaluates.
** Everything a builder returns is borrowed until it is closed; retain what
** is to live longer.  Failures are kept in the builder and met once:
**
**   SdBuilder b;
**   SdTrace *t;
**   sd_builder_open(&b);
**   SdNode *x = sd_node_data(&b, SD_F64, &shape, numbers);
**   sd_trace_open(&t, NULL, &b.error);
**   SdNode *p = sd_trace_tracer(&b, t, x);
**   SdNode *loss = sd_sum(&b, sd_square(&b, p), 1, 0);
**   SdNode *seed = sd_constant(&b, SD_F64, 1), *g;
**   sd_transform_vjp(&b, t, 1, &loss, &seed, 1, &p, &g);
**   sd_trace_close(t);
**   if (!b.error.code) sd_plan_eval(&g, 1, &b.error);
**   ... g->value[0].data ...
**   sd_builder_close(&b, &err);
**
** The core is not thread-safe: one thread drives it, kernels use all.
*/
#ifndef SADDLE_H
#define SADDLE_H

#include "base/array.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/thread.h"
#include "curvature/cg.h"
#include "curvature/eigs.h"
#include "curvature/lanczos.h"
#include "curvature/quadrature.h"
#include "curvature/trace.h"
#include "graph/node.h"
#include "graph/plan.h"
#include "io/idx.h"
#include "io/npy.h"
#include "io/npz.h"
#include "ops/ops.h"
#include "transform/transform.h"

#endif
