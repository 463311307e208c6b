/*
** Where Lua's own objects live.  An interpreter makes and drops small tables
** and handles all the time; lists of free cells by size serve them in a few
** instructions.
*/
#ifndef SD_HOST_POOL_H
#define SD_HOST_POOL_H

#include <stddef.h>

/* A lua_Alloc; ud is not used.  One thread at a time. */
void *sd_host_pool(void *ud, void *p, size_t old, size_t new);

#endif
