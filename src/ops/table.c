/* All ops in one table, and what reading a script's arguments needs. */
#include "ops/ops.h"

#include <string.h>

extern const SdOpList sd_elementwise_ops, sd_reduce_ops, sd_shape_ops,
    sd_index_ops, sd_matmul_ops, sd_random_ops, sd_create_ops, sd_linalg_ops,
    sd_softmax_ops;

static const SdOpList *const lists[] = {
    &sd_elementwise_ops, &sd_reduce_ops, &sd_shape_ops,  &sd_index_ops,
    &sd_matmul_ops,      &sd_random_ops, &sd_create_ops, &sd_linalg_ops,
    &sd_softmax_ops};

const SdOp *sd_op_at(int i) {
  for (size_t k = 0; k < sizeof lists / sizeof *lists; k++) {
    if (i < lists[k]->count) return &lists[k]->ops[i];
    i -= lists[k]->count;
  }
  return NULL;
}

const SdOp *sd_op_find(const char *name) {
  const SdOp *op;
  for (int i = 0; (op = sd_op_at(i)) != NULL; i++)
    if (strcmp(op->name, name) == 0) return op;
  return NULL;
}

int sd_call_dim(SdBuilder *b, const char *name, int64_t d, int ndim) {
  if (d >= 1 && d <= ndim) return (int)d - 1;
  if (d < 0 && d >= -ndim) return (int)d + ndim;
  sd_builder_fail(b, SD_EARGUMENT, "%s: no dim %lld in a tensor of %d dim%s",
                  name, (long long)d, ndim, ndim == 1 ? "" : "s");
  return -1;
}

int64_t sd_call_dims(SdBuilder *b, const char *name, const SdArgument *a,
                     int ndim) {
  int64_t set = 0;
  if (!a->given) return ((int64_t)1 << ndim) - 1;
  for (int i = 0; i < a->n; i++) {
    int d = sd_call_dim(b, name, a->i[i], ndim);
    if (d < 0) return -1;
    if (set >> d & 1) {
      sd_builder_fail(b, SD_EARGUMENT, "%s: dim %d given twice", name, d + 1);
      return -1;
    }
    set |= (int64_t)1 << d;
  }
  return set;
}
