/*
** Jobs in processes of their own.
*/
#ifndef SD_HOST_PARALLEL_H
#define SD_HOST_PARALLEL_H

#include <lua.h>

/* Adds to saddle.core: parallel(n, workers, f) -> a list of { ok, bytes }.
** Each f(i), i = 1 .. n, runs in a copy of this process, on one thread; it
** gives a string, which comes back as bytes, or the message of its error.
** Copies die with this process, and when the call ends early. */
void sd_parallel_open(lua_State *L);

#endif
