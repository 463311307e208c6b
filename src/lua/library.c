/* The embedded Lua library, in package.preload. */
#include "lua/binding.h"
#include "lua/globals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Reader {
  FILE *file;
  char block[4096];
} Reader;

static const char *read_block(lua_State *L, void *data, size_t *size) {
  Reader *r = data;
  (void)L;
  *size = fread(r->block, 1, sizeof r->block, r->file);
  return r->block;
}

/* Loads dir/NAME.lua, dots as slashes, under the embedded file's name. */
static int load_from(lua_State *L, const char *dir, const SdLibraryFile *f,
                     const char *chunk) {
  Reader r;
  const char *part = luaL_gsub(L, f->name, ".", "/");
  const char *path = lua_pushfstring(L, "%s/%s.lua", dir, part);
  r.file = fopen(path, "rb");
  if (!r.file)
    return luaL_error(L, "cannot open %s: %s", path, strerror(errno));
  int status = lua_load(L, read_block, &r, chunk, "t");
  fclose(r.file);
  return status;
}

/* The loader of one file, which is its upvalue. */
static int load_module(lua_State *L) {
  const SdLibraryFile *f = lua_touserdata(L, lua_upvalueindex(1));
  const char *dir = getenv("SADDLE_LUA");
  const char *chunk = lua_pushfstring(L, "=%s", f->name);
  int status = dir ? load_from(L, dir, f, chunk)
                   : luaL_loadbufferx(L, f->source, f->size, chunk, "t");
  if (status != LUA_OK) return lua_error(L);
  if (lua_getfield(L, LUA_REGISTRYINDEX, SD_LIBRARY_ENV) == LUA_TTABLE)
    lua_setupvalue(L, -2, 1);
  else
    lua_pop(L, 1);
  lua_pushstring(L, f->name);
  lua_call(L, 1, 1);
  return 1;
}

void sd_lua_preload_library(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (const SdLibraryFile *f = sd_library; f->name; f++) {
    lua_pushlightuserdata(L, (void *)f);
    lua_pushcclosure(L, load_module, 1);
    lua_setfield(L, -2, f->name);
  }
  lua_pop(L, 1);
}
