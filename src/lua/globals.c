/* Undefined globals as errors, and the sandbox. */
#include "lua/globals.h"

#include <lauxlib.h>
#include <lualib.h>

/* ---- the nearest known name ------------------------------------------- */

/* Calls saddle.nearest(key, names) for the arguments key, names. */
static int nearest(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_getfield(L, -1, "saddle.nearest");
  lua_call(L, 0, 1);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_call(L, 2, 1);
  return 1;
}

void sd_lua_push_hint(lua_State *L, const char *key) {
  int names = lua_gettop(L);
  lua_pushcfunction(L, nearest);
  lua_pushstring(L, key);
  lua_pushvalue(L, names);
  if (lua_pcall(L, 2, 1, 0) == LUA_OK && lua_isstring(L, -1))
    lua_pushfstring(L, " (did you mean '%s'?)", lua_tostring(L, -1));
  else
    lua_pushliteral(L, "");
  lua_replace(L, names + 1);
}

/* Pushes a list of the names in the table at index i. */
static void push_names(lua_State *L, int i) {
  lua_Integer n = 0;
  lua_newtable(L);
  for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) continue;
    lua_pushvalue(L, -2);
    lua_rawseti(L, -4, ++n);
  }
}

/* ---- undefined globals ---------------------------------------------------- */

static int undefined(lua_State *L) {
  const char *key = lua_tostring(L, 2);
  lua_settop(L, 2);
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  push_names(L, 1);
  sd_lua_push_hint(L, key);
  return luaL_error(L, "undefined global '%s'%s", key, lua_tostring(L, -1));
}

/* Names that --sandbox took away; upvalues: a set of them, "io." or "",
** what to do with any other name (a function or nil). */
static int unavailable(lua_State *L) {
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (!lua_isnil(L, 2) && lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
    return luaL_error(L, "%s%s is not available in --sandbox",
                      lua_tostring(L, lua_upvalueindex(2)),
                      lua_tostring(L, 2));
  lua_settop(L, 2);
  if (!lua_toboolean(L, lua_upvalueindex(3))) return 0;
  return undefined(L);
}
