/* Undefined globals as errors, and the sandbox. */
#include "lua/globals.h"

#include <lauxlib.h>
#include <lualib.h>

/* ---- the nearest known name ------------------------------------------ */

/* saddle.nearest(key, names), whatever became of `require`. */
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
  lua_settop(L, names + 1);
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

/* ---- missing names --------------------------------------------------- */

static int undefined(lua_State *L) {
  const char *key = lua_tostring(L, 2);
  push_names(L, 1);
  sd_lua_push_hint(L, key);
  return luaL_error(L, "undefined global '%s'%s", key, lua_tostring(L, -1));
}

/* __index of the globals and of what the sandbox made poorer; upvalues: the
** set of names taken away, and "" for the globals or "os." for os. */
static int missing(lua_State *L) {
  const char *prefix = lua_tostring(L, lua_upvalueindex(2));
  lua_settop(L, 2);
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
    return luaL_error(L, "%s%s is not available in --sandbox", prefix,
                      lua_tostring(L, 2));
  lua_settop(L, 2);
  return *prefix ? 0 : undefined(L);
}

/* Takes names away from the table on the top of the stack and pops it. */
static void seal(lua_State *L, const char *prefix, const char *const *names) {
  int table = lua_gettop(L);
  lua_newtable(L); /* the metatable */
  lua_newtable(L); /* the set */
  for (; *names; names++) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, *names);
    lua_pushnil(L);
    lua_setfield(L, table, *names);
  }
  lua_pushstring(L, prefix);
  lua_pushcclosure(L, missing, 2);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, table);
  lua_pop(L, 1);
}

/* ---- the sandbox ----------------------------------------------------- */

static const char *const no_names[] = {NULL};
static const char *const global_names[] = {"io", "dofile", "loadfile", NULL};
static const char *const os_names[] = {"execute", "exit",   "remove",
                                       "rename",  "tmpname", NULL};
static const char *const package_names[] = {"loadlib", "searchpath", NULL};
static const char *const debug_names[] = {
    "debug",        "gethook",      "getinfo",  "getlocal",
    "getmetatable", "getregistry",  "getupvalue", "getuservalue",
    "sethook",      "setlocal",     "setmetatable", "setupvalue",
    "setuservalue", "upvalueid",    "upvaluejoin", "setcstacklimit", NULL};

/* Pushes a table with some fields of the global table called name. */
static void push_part(lua_State *L, const char *name,
                      const char *const *fields) {
  lua_newtable(L);
  lua_getglobal(L, name);
  for (; *fields; fields++) {
    lua_getfield(L, -1, *fields);
    lua_setfield(L, -3, *fields);
  }
  lua_pop(L, 1);
}

/* The embedded library reports where the script called it and draws in the
** terminal; its chunks see what that takes. */
static void make_library_environment(lua_State *L) {
  static const char *const streams[] = {"stdin", "stdout", "stderr", "write",
                                        NULL};
  lua_newtable(L);
  push_part(L, LUA_IOLIBNAME, streams);
  lua_setfield(L, -2, LUA_IOLIBNAME);
  lua_getglobal(L, LUA_DBLIBNAME);
  lua_setfield(L, -2, LUA_DBLIBNAME);
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_setfield(L, -2, LUA_OSLIBNAME);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, LUA_GNAME);
  lua_newtable(L);
  lua_pushglobaltable(L);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_setfield(L, LUA_REGISTRYINDEX, SD_LIBRARY_ENV);
}

/* Makes the value on the top of the stack the standard library name. */
static void replace_library(lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
  lua_setglobal(L, name);
}

static void forget_c_searchers(lua_State *L) {
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "searchers");
  for (int i = 3; i <= 4; i++) {
    lua_pushnil(L);
    lua_rawseti(L, -2, i);
  }
  lua_pop(L, 2);
}

static void enter_sandbox(lua_State *L) {
  static const char *const traceback[] = {"traceback", NULL};
  make_library_environment(L);
  push_part(L, LUA_DBLIBNAME, traceback);
  lua_pushvalue(L, -1);
  replace_library(L, LUA_DBLIBNAME);
  seal(L, "debug.", debug_names);
  lua_pushnil(L);
  replace_library(L, LUA_IOLIBNAME);
  forget_c_searchers(L);
  lua_getglobal(L, LUA_LOADLIBNAME);
  seal(L, "package.", package_names);
  lua_getglobal(L, LUA_OSLIBNAME);
  seal(L, "os.", os_names);
}

int sd_lua_in_sandbox(lua_State *L) {
  int type = lua_getfield(L, LUA_REGISTRYINDEX, SD_LIBRARY_ENV);
  lua_pop(L, 1);
  return type != LUA_TNIL;
}

void sd_lua_seal_globals(lua_State *L, int sandbox) {
  if (sandbox) enter_sandbox(L);
  lua_pushglobaltable(L);
  seal(L, "", sandbox ? global_names : no_names);
}
