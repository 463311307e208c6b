#include "host/run.h"

#include "host/interrupt.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

static int is_ours(const lua_Debug *ar) {
  return strncmp(ar->source, "=saddle", 7) == 0 || ar->currentline < 0;
}

/* "  script.lua:3: in function 'f'" for each level of the script. */
static void add_traceback(lua_State *L, luaL_Buffer *b) {
  lua_Debug ar;
  int shown = 0;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Slnt", &ar);
    if (is_ours(&ar)) continue;
    if (++shown > 20) {
      luaL_addstring(b, "\n  ...");
      return;
    }
    lua_pushfstring(L, "\n  %s:%d: in ", ar.short_src, ar.currentline);
    luaL_addvalue(b);
    if (*ar.what == 'm') luaL_addstring(b, "main chunk");
    else if (ar.name) {
      lua_pushfstring(L, "%s '%s'", *ar.namewhat ? ar.namewhat : "function",
                      ar.name);
      luaL_addvalue(b);
    } else {
      lua_pushfstring(L, "function <%s:%d>", ar.short_src, ar.linedefined);
      luaL_addvalue(b);
    }
  }
}

static int handler(lua_State *L) {
  luaL_Buffer b;
  luaL_checkstack(L, 30, "traceback");
  luaL_tolstring(L, 1, NULL);
  luaL_buffinit(L, &b);
  lua_pushvalue(L, 2);
  luaL_addvalue(&b);
  add_traceback(L, &b);
  luaL_pushresult(&b);
  return 1;
}

void host_run_report(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  fflush(stdout);
  fprintf(stderr, "saddle: %s\n", message ? message : "(no message)");
  fflush(stderr);
  lua_pop(L, 1);
}

int host_run_call(lua_State *L, int narg, int nres) {
  int base = lua_gettop(L) - narg;
  lua_pushcfunction(L, handler);
  lua_insert(L, base);
  int status = lua_pcall(L, narg, nres, base);
  lua_remove(L, base);
  int interrupted = host_interrupt_reset(L);
  if (status == LUA_OK) return 0;
  host_run_report(L);
  return interrupted ? 130 : 1;
}

int host_run_load(lua_State *L, const char *text, size_t size,
                  const char *name) {
  if (luaL_loadbufferx(L, text, size, name, "t") != LUA_OK) return 1;
  lua_getfield(L, LUA_REGISTRYINDEX, "saddle.env");
  if (lua_isnil(L, -1) || !lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
  return 0;
}
