#include "host/interrupt.h"

#include "base/interrupt.h"

#include <lauxlib.h>
#include <signal.h>
#include <unistd.h>

static lua_State *volatile running; /* the thread whose code runs */
static volatile sig_atomic_t stopping;

/* Stays armed, so that a loop around pcall does not swallow the error. */
static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  if (!stopping) {
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  sd_interrupt_clear();
  luaL_error(L, "interrupted");
}

static const int every = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE |
                         LUA_MASKCOUNT;

static void handle(int signal_number) {
  (void)signal_number;
  if (stopping) _exit(130);
  stopping = 1;
  sd_interrupt_raise();
  lua_sethook(running, stop, every, 1);
}

int host_interrupt_reset(lua_State *L) {
  int was = stopping;
  stopping = 0;
  sd_interrupt_clear();
  running = L;
  lua_sethook(L, NULL, 0, 0);
  return was;
}

/* ---- coroutines ------------------------------------------------------------------- */

/* Moves narg values over and resumes; the results, or one error object, are
** left on L. Returns their number, or -1. */
static int resume(lua_State *L, lua_State *co, int narg) {
  int nres;
  if (!lua_checkstack(co, narg)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, co, narg);
  lua_State *outer = running;
  running = co;
  if (stopping) lua_sethook(co, stop, every, 1);
  int status = lua_resume(co, L, narg, &nres);
  running = outer;
  if (stopping) lua_sethook(outer, stop, every, 1);
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return -1;
  }
  if (!lua_checkstack(L, nres + 1)) {
    lua_pop(co, nres);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(co, L, nres);
  return nres;
}

static int co_resume(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  int n = resume(L, co, lua_gettop(L) - 1);
  if (n < 0) {
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  lua_pushboolean(L, 1);
  lua_insert(L, -(n + 1));
  return n + 1;
}

static int wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  int n = resume(L, co, lua_gettop(L));
  if (n >= 0) return n;
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    status = lua_resetthread(co);
    if (status != LUA_OK) lua_xmove(co, L, 1);
  }
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int co_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, wrapped, 1);
  return 1;
}

void host_interrupt_install(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"resume", co_resume}, {"wrap", co_wrap}, {NULL, NULL}};
  struct sigaction action = {.sa_handler = handle};
  running = L;
  lua_getglobal(L, "coroutine");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  signal(SIGPIPE, SIG_DFL);
}
