/*
** Chunks are source text.  Bytecode with a few changed bytes crashes the
** process, changed source never does, so the functions that load a chunk
** refuse bytecode in words and string.dump, which makes it, is gone.
*/
#ifndef SD_CHUNK_H
#define SD_CHUNK_H

#include <lua.h>

/* Replaces load, loadfile, dofile and require's search for Lua files by
** versions that take source text only, and removes string.dump.  Wants the
** standard libraries open. */
void sd_lua_open_chunks(lua_State *L);

/* Loads the file at path (NULL: standard input) as source text.  Pushes the
** function and returns LUA_OK, or pushes a message and returns another
** status. */
int sd_lua_load_file(lua_State *L, const char *path);

#endif
