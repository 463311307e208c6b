/*
** A symmetric linear operator on flat vectors, known only by its products.
*/
#ifndef SD_OPERATOR_H
#define SD_OPERATOR_H

#include "base/dtype.h"
#include "base/error.h"
#include "base/interrupt.h"

#include <stddef.h>
#include <stdint.h>

/* matvec writes A v to out (n elements of dtype each, never overlapping);
** matmat the same for count rows of v, or NULL: they are done one by one.
** Their failures pass through every caller unchanged. */
typedef struct SdOperator {
  int64_t n;
  SdDtype dtype; /* SD_F32 or SD_F64 */
  SdStatus (*matvec)(void *context, const void *v, void *out, SdError *err);
  void *context;
  SdStatus (*matmat)(void *context, int64_t count, const void *v, void *out,
                     SdError *err);
} SdOperator;

/* One product; between products is where interrupts are noticed. */
static inline SdStatus sd_operator_apply(const SdOperator *op, const void *v,
                                         void *out, SdError *err) {
  if (sd_interrupt_check(err) != SD_OK) return err->code;
  return op->matvec(op->context, v, out, err);
}

/* The products of count rows of v, into as many rows of out. */
static inline SdStatus sd_operator_apply_rows(const SdOperator *op,
                                              int64_t count, const void *v,
                                              void *out, SdError *err) {
  size_t row = (size_t)op->n * sd_dtype_size(op->dtype);
  if (op->matmat && count > 1) {
    if (sd_interrupt_check(err) != SD_OK) return err->code;
    return op->matmat(op->context, count, v, out, err);
  }
  for (int64_t i = 0; i < count; i++) {
    const char *from = (const char *)v + (size_t)i * row;
    if (sd_operator_apply(op, from, (char *)out + (size_t)i * row, err))
      return err->code;
  }
  return SD_OK;
}

/* The contract of the fields; what names the operation in the message. */
static inline SdStatus sd_operator_check(const SdOperator *op,
                                         const char *what, SdError *err) {
  if (op->n < 1 || op->n > INT32_MAX)
    return sd_error_set(err, SD_EARGUMENT,
                        "%s: an operator on %lld elements, 1 to %d can be",
                        what, (long long)op->n, INT32_MAX);
  if (!sd_dtype_is_float(op->dtype))
    return sd_error_set(err, SD_EARGUMENT, "%s: f32 or f64 expected, got %s",
                        what, sd_dtype_name(op->dtype));
  return SD_OK;
}

#endif
