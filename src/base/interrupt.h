/*
** The one flag by which a signal handler asks running work to stop.  Long
** loops poll it between blocks and return SD_EINTERRUPT.
*/
#ifndef SD_INTERRUPT_H
#define SD_INTERRUPT_H

#include "base/error.h"

#include <signal.h>

extern volatile sig_atomic_t sd_interrupted;

/* Async-signal-safe. */
static inline void sd_interrupt_raise(void) { sd_interrupted = 1; }
static inline void sd_interrupt_clear(void) { sd_interrupted = 0; }

/* SD_EINTERRUPT with a message when the flag is up, else SD_OK.  The flag
** stays up: whoever turns it into an error for the user clears it. */
SdStatus sd_interrupt_check(SdError *err);

#endif
