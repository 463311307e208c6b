/*
** The read-eval-print loop.  Results are printed without `print`; an error
** or Ctrl-C ends what runs and keeps the session.
*/
#ifndef SD_HOST_REPL_H
#define SD_HOST_REPL_H

#include <lua.h>

/* Runs until the end of the input; returns the exit status. */
int sd_repl_run(lua_State *L);

#endif
