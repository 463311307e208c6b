/*
** The module: `require "saddle"` opens the core, registers the embedded
** library, and returns what saddle.init returns.
*/
#include "lua/tensor.h"

#include <lualib.h>

static int open_core(lua_State *L) {
  lua_newtable(L);
  sd_lua_open_tensor(L);
  sd_lua_open_ops(L);
  sd_lua_open_tree(L);
  sd_lua_open_transform(L);
  sd_lua_open_replay(L);
  sd_lua_open_bytecode(L);
  sd_lua_open_system(L);
  sd_lua_open_io(L);
  sd_lua_open_curvature(L);
  return 1;
}

int luaopen_saddle(lua_State *L) {
  lua_gc(L, LUA_GCGEN, 0, 0);
  sd_lua_preload_library(L);
  luaL_requiref(L, "saddle.core", open_core, 0);
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "saddle.init");
  lua_call(L, 1, 1);
  return 1;
}
