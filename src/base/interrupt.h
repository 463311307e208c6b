/*
** The one flag by which a signal handler asks running work to stop.  Long
** loops poll it between blocks and return SD_EINTERRUPT.
*/
#ifndef SD_INTERRUPT_H
#define SD_INTERRUPT_H

#include "base/error.h"

#include <signal.h>

extern volatile sig_atomic_t sd_interrupted;
extern volatile sig_atomic_t sd_interrupt_kept; /* see sd_interrupt_keep */

/* Async-signal-safe. */
static inline void sd_interrupt_raise(void) { sd_interrupted = 1; }
static inline void sd_interrupt_clear(void) { sd_interrupted = 0; }

/* An operation ends early with a result that says so, instead of with an
** error.  Takes the flag down, before the result is made; whoever raised it
** leaves time to make and to use it. */
static inline void sd_interrupt_keep(void) {
  sd_interrupt_kept = 1;
  sd_interrupted = 0;
}

/* SD_EINTERRUPT with a message when the flag is up, else SD_OK.  The flag
** stays up: whoever turns it into an error for the user clears it. */
SdStatus sd_interrupt_check(SdError *err);

#endif
