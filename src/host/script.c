/* Scripts: loading, calling, reporting what went wrong. */
#include "host/script.h"

#include "host/interrupt.h"
#include "lua/chunk.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

/* ---- the traceback --------------------------------------------------- */

/* Of a deep stack only this many innermost and outermost levels are looked
** at, because finding a level takes time in proportion to its depth. */
enum { KEPT_LEVELS = 12 };

static int count_levels(lua_State *L) {
  lua_Debug ar;
  int low = 0, high = 1; /* low exists, high is looked for */
  while (lua_getstack(L, high, &ar)) low = high, high *= 2;
  while (high - low > 1) {
    int middle = low + (high - low) / 2;
    if (lua_getstack(L, middle, &ar)) low = middle;
    else high = middle;
  }
  return high;
}

/* A line typed at the prompt says as much as its own level would. */
static int is_typed(const lua_Debug *ar) {
  return *ar->what == 'm' && !strcmp(ar->source, "=stdin");
}

static int is_script(const lua_Debug *ar) {
  return ar->currentline > 0 && strncmp(ar->source, "=saddle", 7) != 0 &&
         !is_typed(ar);
}

static void add_level(lua_State *L, luaL_Buffer *b, const lua_Debug *ar) {
  lua_pushfstring(L, "\n\t%s:%d: in ", ar->short_src, ar->currentline);
  luaL_addvalue(b);
  if (ar->name)
    lua_pushfstring(L, "%s '%s'",
                    *ar->namewhat == 'm' ? ar->namewhat : "function",
                    ar->name);
  else if (*ar->what == 'm')
    lua_pushliteral(L, "main chunk");
  else
    lua_pushfstring(L, "function <%s:%d>", ar->short_src, ar->linedefined);
  luaL_addvalue(b);
}

static void add_traceback(lua_State *L, luaL_Buffer *b) {
  lua_Debug ar;
  int n = count_levels(L), any = 0;
  for (int level = 1; level < n; level++) {
    if (level == KEPT_LEVELS && n > 2 * KEPT_LEVELS) {
      level = n - KEPT_LEVELS;
      luaL_addstring(b, "\n\t...");
    }
    lua_getstack(L, level, &ar);
    lua_getinfo(L, "Sln", &ar);
    if (!is_script(&ar)) continue;
    if (!any++) luaL_addstring(b, "\nstack traceback:");
    add_level(L, b, &ar);
  }
}

/* ---- errors ---------------------------------------------------------- */

/* Replaces the error object at index 1 by what it says. */
static void read_message(lua_State *L) {
  lua_settop(L, 1);
  if (lua_type(L, 1) == LUA_TSTRING || luaL_getmetafield(L, 1, "__tostring"))
    luaL_tolstring(L, 1, NULL);
  else
    lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  lua_replace(L, 1);
}

static int add_context(lua_State *L) {
  luaL_Buffer b;
  read_message(L);
  luaL_buffinit(L, &b);
  lua_pushvalue(L, 1);
  luaL_addvalue(&b);
  add_traceback(L, &b);
  luaL_pushresult(&b);
  return 1;
}

int sd_script_call(lua_State *L, int narg, int nresults) {
  int f = lua_gettop(L) - narg;
  lua_pushcfunction(L, add_context);
  lua_insert(L, f);
  int status = lua_pcall(L, narg, nresults, f);
  lua_remove(L, f);
  return status;
}

void sd_script_report(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  fflush(stdout);
  fprintf(stderr, "saddle: %s\n", message ? message : "unknown error");
  lua_pop(L, 1);
}

/* ---- scripts --------------------------------------------------------- */

/* The exit status for a call's or load's status, its message reported. */
static int finish(lua_State *L, int status) {
  if (status == LUA_OK) return 0;
  sd_script_report(L);
  return sd_ctrlc_pressed() ? 130 : 1;
}

int sd_script_run_string(lua_State *L, const char *code, const char *name) {
  int status = luaL_loadbufferx(L, code, strlen(code), name, "t");
  if (status == LUA_OK) status = sd_script_call(L, 0, 0);
  return finish(L, status);
}

/* Pushes arg[1], arg[2], ... and returns how many. */
static int push_arguments(lua_State *L) {
  lua_getglobal(L, "arg");
  if (!lua_istable(L, -1)) return lua_pop(L, 1), 0;
  int list = lua_gettop(L), n = (int)luaL_len(L, list);
  luaL_checkstack(L, n + 3, "too many arguments to script");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, list, i);
  lua_remove(L, list);
  return n;
}

int sd_script_run_file(lua_State *L, const char *path) {
  int status = sd_lua_load_file(L, path);
  if (status == LUA_OK) status = sd_script_call(L, push_arguments(L), 0);
  return finish(L, status);
}
