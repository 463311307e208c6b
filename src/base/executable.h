/*
** Memory for machine code, as memory.h is for data.  It is writable only
** while code is put there.  A system that refuses such memory gives none:
** callers need another way.
*/
#ifndef SD_EXECUTABLE_H
#define SD_EXECUTABLE_H

#include <stddef.h>

/* A copy of bytes of code that may be called, or NULL. */
const void *sd_executable_new(const void *code, size_t bytes);
void sd_executable_free(const void *code, size_t bytes);

#endif
