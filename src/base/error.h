/*
** What a fallible function tells its caller.  Every such function returns
** an SdStatus and, when that is not SD_OK, has filled the SdError it was
** given (its last argument).  Nothing in the core prints, exits or jumps.
*/
#ifndef SD_ERROR_H
#define SD_ERROR_H

typedef enum SdStatus {
  SD_OK = 0,
  SD_EARGUMENT,   /* the caller passed something that has no answer */
  SD_EMEMORY,     /* an allocation failed; the call may be repeated */
  SD_EINTERRUPT,  /* sd_interrupt_raise was called meanwhile */
  SD_ENUMERIC,    /* singular, not converged, not finite */
  SD_EIO          /* a file could not be read or written */
} SdStatus;

typedef struct SdError {
  SdStatus code;
  char message[1000];
} SdError;

/* Fills err (printf style) and returns code, so that a failing function
** can say `return sd_error_set(err, SD_EARGUMENT, "matmul: ...")`. */
SdStatus sd_error_set(SdError *err, SdStatus code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
