/*
** What the files of the Lua layer share: how errors become Lua errors, and
** how chunks are loaded.  No file below this layer knows Lua.
*/
#ifndef SD_BINDING_H
#define SD_BINDING_H

#include "base/error.h"

#include <lauxlib.h>
#include <lua.h>

/* Raises err as a Lua error "FILE:LINE: message", where FILE:LINE is the
** innermost Lua function on the stack that is not part of the embedded
** library (whose chunk names start with "=saddle").  Clears the interrupt
** flag when err is an interrupt.  Never returns. */
int sd_lua_raise(lua_State *L, const SdError *err);

/* The same for a message. */
int sd_lua_fail(lua_State *L, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The module `saddle`: pushes the table that `require "saddle"` returns.
** Also what a stock lua5.4 calls when it requires saddle.so. */
int luaopen_saddle(lua_State *L);

/* One file of the embedded library, generated from lua/. */
typedef struct SdLibraryFile {
  const char *name; /* "saddle.optim" */
  const char *source;
  size_t size;
} SdLibraryFile;
extern const SdLibraryFile sd_library[]; /* ends with a NULL name */

/* Registers every embedded file in package.preload; with the environment
** variable SADDLE_LUA set, files are read from that folder instead. */
void sd_lua_preload_library(lua_State *L);

#endif
