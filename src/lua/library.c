/* The embedded Lua library, in package.preload. */
#include "lua/binding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pushes the text of dir/NAME with dots as slashes, or nil. */
static void read_file(lua_State *L, const char *dir, const char *name) {
  char chunk[1024];
  luaL_Buffer b;
  const char *path = lua_pushfstring(
      L, "%s/%s.lua", dir, luaL_gsub(L, name, ".", "/"));
  FILE *f = fopen(path, "rb");
  if (!f) {
    lua_pushnil(L);
    return;
  }
  luaL_buffinit(L, &b);
  for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
    luaL_addlstring(&b, chunk, n);
  fclose(f);
  luaL_pushresult(&b);
}

static int load_module(lua_State *L) {
  const SdLibraryFile *f = lua_touserdata(L, lua_upvalueindex(1));
  const char *dir = getenv("SADDLE_LUA");
  const char *source = f->source;
  size_t size = f->size;
  if (dir) {
    read_file(L, dir, f->name);
    if (!lua_isnil(L, -1)) source = lua_tolstring(L, -1, &size);
  }
  const char *chunk = lua_pushfstring(L, "=%s", f->name);
  if (luaL_loadbufferx(L, source, size, chunk, "t") != LUA_OK)
    return lua_error(L);
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
