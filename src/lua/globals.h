/*
** The names a script run by the host sees: undefined globals are errors when
** they are read, and --sandbox takes away what reaches outside the process.
*/
#ifndef SD_GLOBALS_H
#define SD_GLOBALS_H

#include <lua.h>

/* From here on, reading an undefined global raises an error that names the
** nearest known one.  Assigning makes a global; rawget sees what is there.
**
** In a sandbox, files, programs, C modules and all of debug but traceback
** are gone too, and a script that uses them is told so; modules of the
** embedded library keep debug and the standard streams.  Call it when
** `saddle` is open. */
void sd_lua_seal_globals(lua_State *L, int sandbox);

/* In the registry, the environment of embedded chunks inside a sandbox;
** absent outside. */
#define SD_LIBRARY_ENV "saddle.environment"

/* Whether sd_lua_seal_globals was told so: bindings that write files or run
** programs refuse then. */
int sd_lua_in_sandbox(lua_State *L);

/* Pushes " (did you mean 'x'?)" for the name nearest to key in the list on
** the top of the stack, or "" when none is near.  Raises nothing. */
void sd_lua_push_hint(lua_State *L, const char *key);

#endif
