/*
** The names a script run by the host sees: undefined globals are errors when
** they are read, and --sandbox takes away what reaches outside the process.
*/
#ifndef SD_GLOBALS_H
#define SD_GLOBALS_H

#include <lua.h>

/* Reading an undefined global raises an error that names the nearest known
** one.  Assigning makes a global; rawget sees what is there. */
void sd_lua_forbid_undefined(lua_State *L);

/* Takes files, programs, C modules and the debug library (but its traceback)
** away; a script that uses them is told so.  Call it before
** sd_lua_forbid_undefined and after `saddle` is open.  Modules of the
** embedded library keep debug and the standard streams. */
void sd_lua_enter_sandbox(lua_State *L);

/* In the registry, the environment of embedded chunks inside a sandbox;
** absent outside. */
#define SD_LIBRARY_ENV "saddle.environment"

/* Pushes " (did you mean 'x'?)" for the name in the list on the top of the
** stack that is nearest to key, or "" when none is near. */
void sd_lua_push_hint(lua_State *L, const char *key);

#endif
