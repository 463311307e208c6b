/* Running chunks, and showing what went wrong. */
#ifndef SD_HOST_RUN_H
#define SD_HOST_RUN_H

#include <lua.h>

/* Calls the function below narg arguments; on failure shows the error with
** the script's part of the traceback. Returns an exit status: 0, 1 or
** 130. */
int host_run_call(lua_State *L, int narg, int nres);

/* Shows the error object on the top of the stack, and pops it. */
void host_run_report(lua_State *L);

/* Loads source text in the scripts' environment (registry field
** "saddle.env"). 0 with a function on the stack, else 1 with a message. */
int host_run_load(lua_State *L, const char *text, size_t size,
                  const char *name);

#endif
