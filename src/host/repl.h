/* The prompt: line, result, error. */
#ifndef SD_HOST_REPL_H
#define SD_HOST_REPL_H

#include <lua.h>

/* Reads and runs lines until the input ends. Returns the exit status. */
int host_repl_run(lua_State *L);

#endif
