#include "base/interrupt.h"

volatile sig_atomic_t sd_interrupted = 0;
volatile sig_atomic_t sd_interrupt_kept = 0;

SdStatus sd_interrupt_check(SdError *err) {
  if (!sd_interrupted) return SD_OK;
  return sd_error_set(err, SD_EINTERRUPT, "interrupted");
}
