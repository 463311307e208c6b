/* The machine as scripts see it: threads, memory, time, counters. */
#include "lua/tensor.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "base/thread.h"
#include "graph/plan.h"
#include "graph/schedule.h"

#include <time.h>
#include <unistd.h>

static int core_threads(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) {
    lua_Integer n = luaL_checkinteger(L, 1);
    if (n < 1 || n > 1024)
      return sd_lua_fail(L, "threads: 1 to 1024, not %d", (int)n);
    sd_thread_set_count((int)n);
  }
  lua_pushinteger(L, sd_thread_count());
  return 1;
}

static int core_deterministic(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) sd_thread_set_deterministic(lua_toboolean(L, 1));
  lua_pushboolean(L, sd_thread_deterministic());
  return 1;
}

static void set_size(lua_State *L, const char *name, size_t v) {
  lua_pushinteger(L, (lua_Integer)v);
  lua_setfield(L, -2, name);
}

/* memory([limit]) -> { live, peak, cached, limit, count } in bytes */
static int core_memory(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) {
    lua_Number limit = luaL_checknumber(L, 1);
    if (!(limit >= 0)) return sd_lua_fail(L, "memory: a limit of %f", limit);
    sd_memory_set_limit((size_t)limit);
  }
  SdMemoryStats s = sd_memory_stats();
  lua_newtable(L);
  set_size(L, "live", s.live);
  set_size(L, "peak", s.peak);
  set_size(L, "cached", s.cached);
  set_size(L, "limit", s.limit);
  set_size(L, "count", s.count);
  return 1;
}

/* reset_peak(): the peak becomes what is live */
static int core_reset_peak(lua_State *L) {
  (void)L;
  sd_memory_reset_peak();
  return 0;
}

/* fail_after(n): tests make the nth allocation fail */
static int core_fail_after(lua_State *L) {
  sd_memory_fail_after((size_t)luaL_checkinteger(L, 1));
  return 0;
}

/* unfused(on): tests evaluate one node at a time */
static int core_unfused(lua_State *L) {
  sd_schedule_unfused = lua_toboolean(L, 1);
  return 0;
}

static int core_stats(lua_State *L) {
  lua_newtable(L);
  set_size(L, "plans", sd_plan_stats.plans);
  set_size(L, "steps", sd_plan_stats.steps);
  set_size(L, "programs", sd_plan_stats.programs);
  set_size(L, "instructions", sd_plan_stats.instructions);
  return 1;
}

/* keep_interrupt(): a loop in Lua that Ctrl-C ended keeps what it has */
static int core_keep_interrupt(lua_State *L) {
  (void)L;
  sd_interrupt_keep();
  return 0;
}

/* Seconds on a clock that never jumps. */
static int core_clock(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushnumber(L, (double)t.tv_sec + 1e-9 * (double)t.tv_nsec);
  return 1;
}

static int core_is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_optinteger(L, 1, 1)));
  return 1;
}

/* trim(): frees the plans kept for graphs that come again, and cached
** memory. */
static int core_trim(lua_State *L) {
  (void)L;
  sd_plan_forget();
  sd_memory_trim();
  return 0;
}

/* fail(message): raises at the script's line */
static int core_fail(lua_State *L) {
  return sd_lua_fail(L, "%s", luaL_checkstring(L, 1));
}

void sd_lua_open_system(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"threads", core_threads},       {"memory", core_memory},
      {"deterministic", core_deterministic},
      {"reset_peak", core_reset_peak}, {"fail_after", core_fail_after},
      {"unfused", core_unfused},       {"stats", core_stats},
      {"keep_interrupt", core_keep_interrupt},
      {"clock", core_clock},           {"is_terminal", core_is_terminal},
      {"fail", core_fail},             {"trim", core_trim},
      {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
