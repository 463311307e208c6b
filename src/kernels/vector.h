/*
** Vectors of 64 bytes of one float type, real, which the compiler cuts to the
** target's.  Written out where the compiler makes a mess of lanes in a loop:
** sums of short rows take half the time.
*/
#ifndef SD_VECTOR_H
#define SD_VECTOR_H

#include <stdint.h>
#include <string.h>

typedef real Vec __attribute__((vector_size(64)));
typedef real HalfVec __attribute__((vector_size(32)));
typedef real QuarterVec __attribute__((vector_size(16)));
#ifdef REAL_f32
typedef int32_t VecBits __attribute__((vector_size(64)));
#else
typedef int64_t VecBits __attribute__((vector_size(64)));
#endif
enum {
  W = sizeof(Vec) / sizeof(real),
  AHEAD = 32768 / sizeof(real) /* what comes next is asked for so far before */
};

static inline Vec load(const real *p) {
  Vec v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline void store(real *p, Vec v) { memcpy(p, &v, sizeof v); }

static inline real add_lanes(Vec v) {
  HalfVec h[2], sum;
  QuarterVec q[2];
  memcpy(h, &v, sizeof v);
  sum = h[0] + h[1];
  memcpy(q, &sum, sizeof sum);
  q[0] += q[1];
  real s = q[0][0] + q[0][1];
  for (int i = 2; i < W / 4; i++) s += q[0][i];
  return s;
}

/* v with zeros but for its last lanes. */
static inline Vec last_lanes(Vec v, int64_t lanes) {
#ifdef REAL_f32
  static const VecBits back = {16, 15, 14, 13, 12, 11, 10, 9,
                               8,  7,  6,  5,  4,  3,  2,  1};
  return (Vec)((VecBits)v & (back <= (int32_t)lanes));
#else
  static const VecBits back = {8, 7, 6, 5, 4, 3, 2, 1};
  return (Vec)((VecBits)v & (back <= lanes));
#endif
}

#endif
