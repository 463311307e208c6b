/* libsaddle without Lua: gradient descent on a quadratic. */
#include "saddle.h"
#include "tap.h"

#include <math.h>
#include <string.h>

enum { N = 8 };

/* 1/2 sum_i scale_i (x_i - target_i)^2 */
static SdNode *loss_of(SdBuilder *b, SdNode *x, SdNode *scale,
                       SdNode *target) {
  SdNode *r = sd_sub(b, x, target);
  return sd_scale(b, sd_sum(b, sd_mul(b, scale, sd_square(b, r)), 1, 0), .5);
}

/* x <- x - rate gradient, evaluated; takes over the reference to x. */
static SdNode *descend(SdNode *x, SdNode *scale, SdNode *target, double rate,
                       SdError *err) {
  SdBuilder b;
  SdTrace *t;
  SdNode *next = NULL, *g = NULL;
  sd_builder_open(&b);
  if (sd_trace_open(&t, NULL, &b.error) == SD_OK) {
    SdNode *p = sd_trace_tracer(&b, t, x);
    SdNode *loss = loss_of(&b, p, scale, target);
    SdNode *seed = sd_constant(&b, SD_F64, 1);
    sd_trace_leave(t);
    sd_transform_vjp(&b, t, 1, &loss, &seed, 1, &p, &g);
    next = sd_sub(&b, x, sd_scale(&b, g, rate));
    sd_trace_close(t);
  }
  if (next && sd_plan_eval(&next, 1, &b.error) == SD_OK)
    sd_node_retain(next);
  sd_builder_close(&b, err);
  sd_node_release(x);
  return next;
}

static SdNode *leaf(const double *v) {
  SdBuilder b;
  SdError err;
  SdShape s = {1, {N}};
  sd_builder_open(&b);
  SdNode *n = sd_node_data(&b, SD_F64, &s, v);
  if (n) sd_node_retain(n);
  sd_builder_close(&b, &err);
  return n;
}

int main(void) {
  double zero[N] = {0}, scales[N], targets[N];
  SdError err = {SD_OK, ""};
  for (int i = 0; i < N; i++) {
    scales[i] = 1 + i;
    targets[i] = sin(i);
  }
  size_t before = sd_memory_stats().live;
  SdNode *x = leaf(zero), *scale = leaf(scales), *target = leaf(targets);
  for (int k = 0; k < 200 && x; k++)
    x = descend(x, scale, target, 0.2, &err);
  ok(x != NULL, "two hundred steps succeed (%s)", err.message);
  double worst = 0;
  for (int i = 0; x && i < N; i++)
    worst = fmax(worst, fabs(((double *)x->value[0].data)[i] - targets[i]));
  ok(worst < 1e-12, "descent reaches the minimum to %g", worst);
  sd_node_release(x);
  sd_node_release(scale);
  sd_node_release(target);
  sd_plan_forget();
  ok(sd_memory_stats().live == before, "all memory is given back");
  return done();
}
