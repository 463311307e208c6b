/* Loading source text, and nothing else. */
#include "lua/chunk.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

/* Says what is wrong with bytecode in place of Lua's own message, which
** speaks of modes. */
static void explain(lua_State *L, const char *name) {
  const char *message = lua_tostring(L, -1);
  if (!message || !strstr(message, "attempt to load a binary chunk")) return;
  lua_pop(L, 1);
  lua_pushfstring(L, "%s: bytecode is refused, only source text is loaded",
                  name);
}

int sd_lua_load_file(lua_State *L, const char *path) {
  int status = luaL_loadfilex(L, path, "t");
  if (status != LUA_OK) explain(L, path ? path : "stdin");
  return status;
}

static int fail(lua_State *L) {
  luaL_pushfail(L);
  lua_insert(L, -2);
  return 2;
}

/* The mode at index i may ask for text; it cannot ask for bytecode alone. */
static int wants_text(lua_State *L, int i) {
  return strchr(luaL_optstring(L, i, "bt"), 't') != NULL;
}

static int refuse(lua_State *L, const char *name) {
  lua_pushliteral(L, "attempt to load a binary chunk");
  explain(L, name);
  return fail(L);
}

/* load(chunk [, name [, mode [, env]]]); the upvalue is Lua's own load. */
static int load(lua_State *L) {
  const char *name = luaL_optstring(L, 2, "load");
  if (!wants_text(L, 3)) return refuse(L, name);
  lua_settop(L, lua_gettop(L) < 3 ? 3 : 4);
  if (lua_isnone(L, 4)) lua_settop(L, 3);
  lua_pushliteral(L, "t");
  lua_replace(L, 3);
  int n = lua_tocfunction(L, lua_upvalueindex(1))(L);
  if (n == 2) explain(L, name);
  return n;
}

/* loadfile([path [, mode [, env]]]) */
static int loadfile(lua_State *L) {
  const char *path = luaL_optstring(L, 1, NULL);
  int has_env = !lua_isnone(L, 3);
  if (!wants_text(L, 2)) return refuse(L, path ? path : "stdin");
  if (sd_lua_load_file(L, path) != LUA_OK) return fail(L);
  if (has_env) {
    lua_pushvalue(L, 3);
    if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
  }
  return 1;
}

static int finish_dofile(lua_State *L, int status, lua_KContext context) {
  (void)status, (void)context;
  return lua_gettop(L) - 1;
}

/* dofile([path]) */
static int dofile(lua_State *L) {
  const char *path = luaL_optstring(L, 1, NULL);
  lua_settop(L, 1);
  if (sd_lua_load_file(L, path) != LUA_OK) return lua_error(L);
  lua_callk(L, 0, LUA_MULTRET, 0, finish_dofile);
  return finish_dofile(L, LUA_OK, 0);
}

/* The searcher for Lua files; upvalues: package, package.searchpath. */
static int search(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushvalue(L, 1);
  if (lua_getfield(L, lua_upvalueindex(1), "path") != LUA_TSTRING)
    return luaL_error(L, "package.path must be a string");
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2)) return 1; /* the message that lists what was tried */
  lua_pop(L, 1);
  const char *path = lua_tostring(L, -1);
  if (sd_lua_load_file(L, path) != LUA_OK)
    return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s",
                      name, path, lua_tostring(L, -1));
  lua_pushvalue(L, -2);
  return 2;
}

static void replace_searcher(lua_State *L) {
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, "searchers");
  lua_pushvalue(L, -2);
  lua_getfield(L, -3, "searchpath");
  lua_pushcclosure(L, search, 2);
  lua_rawseti(L, -2, 2); /* after the searcher of package.preload */
  lua_pop(L, 2);
}

void sd_lua_open_chunks(lua_State *L) {
  lua_getglobal(L, "load");
  lua_pushcclosure(L, load, 1);
  lua_setglobal(L, "load");
  lua_register(L, "loadfile", loadfile);
  lua_register(L, "dofile", dofile);
  replace_searcher(L);
  lua_getglobal(L, LUA_STRLIBNAME);
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  lua_pop(L, 1);
}
