/*
** Running chunks: protected, with a traceback of the script's own levels,
** and with errors in words on standard error.
*/
#ifndef SD_HOST_SCRIPT_H
#define SD_HOST_SCRIPT_H

#include <lua.h>

/* Calls the function below narg arguments.  On failure a message with a
** traceback takes their place; levels of the embedded library and of C are
** left out of it. */
int sd_script_call(lua_State *L, int narg, int nresults);

/* Both report what went wrong and return the process's exit status so far:
** 0, 1 (an error), 130 (Ctrl-C). */
int sd_script_run_string(lua_State *L, const char *code, const char *name);
/* The script's arguments are the list `arg`; path NULL is standard input. */
int sd_script_run_file(lua_State *L, const char *path);

/* Pops a message and prints it as "saddle: message". */
void sd_script_report(lua_State *L);

#endif
