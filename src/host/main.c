/*
** The saddle program.  main only creates the state; everything else, from
** reading the command line on, runs protected.
*/
#include "base/thread.h"
#include "host/info.h"
#include "host/interrupt.h"
#include "host/options.h"
#include "host/parallel.h"
#include "host/pool.h"
#include "host/repl.h"
#include "host/script.h"
#include "lua/binding.h"
#include "lua/chunk.h"
#include "lua/globals.h"

#include <errno.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BAD_USAGE = 2 };

typedef struct CommandLine {
  int argc;
  char **argv;
} CommandLine;

/* ---- opening --------------------------------------------------------- */

/* For tests: the collector runs whenever something is allocated. */
static void set_collector(lua_State *L) {
  const char *mode = getenv("SADDLE_GC");
  if (mode && !strcmp(mode, "aggressive")) lua_gc(L, LUA_GCINC, 1, 1000, 10);
}

static void open_libraries(lua_State *L) {
  luaL_openlibs(L);
  sd_lua_open_chunks(L);
  luaL_requiref(L, "saddle", luaopen_saddle, 0);
  lua_setglobal(L, "sd");
}

/* Pushes the function sd[name]. */
static void push_sd(lua_State *L, const char *name) {
  lua_getglobal(L, "sd");
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

static void apply(lua_State *L, const SdOptions *o) {
  if (o->threads) sd_thread_set_count(o->threads);
  if (o->deterministic) sd_thread_set_deterministic(1);
  if (o->has_seed) {
    push_sd(L, "seed");
    lua_pushinteger(L, o->seed);
    lua_call(L, 1, 0);
  }
  if (o->dtype) {
    push_sd(L, "default_dtype");
    lua_pushstring(L, o->dtype);
    lua_call(L, 1, 0);
  }
  sd_options_push_arguments(L, o);
  lua_setglobal(L, "arg");
  sd_ctrlc_open(L);
  if (!o->sandbox) sd_parallel_open(L);
  sd_lua_seal_globals(L, o->sandbox);
}

/* ---- running --------------------------------------------------------- */

static int print_about(lua_State *L, const SdOptions *o) {
  if (o->help) sd_options_print_help();
  if (o->version) {
    sd_info_print_line(L);
    putchar('\n');
  }
  if (o->info) sd_info_print(L);
  return o->help || o->version || o->info;
}

static int run_chunks(lua_State *L, const SdOptions *o) {
  const char *code;
  int status = 0;
  for (int i = 1; !status && (code = sd_options_next_line(o, &i));)
    status = sd_script_run_string(L, code, "=(command line)");
  if (status || o->script >= o->argc) return status;
  const char *path = o->argv[o->script];
  return sd_script_run_file(L, strcmp(path, "-") ? path : NULL);
}

/* Everything, for a CommandLine; returns the exit status. */
static int run(lua_State *L) {
  const CommandLine *c = lua_touserdata(L, 1);
  SdOptions o;
  int status = 0;
  open_libraries(L);
  set_collector(L);
  if (!sd_options_read(L, &o, c->argc, c->argv)) {
    sd_script_report(L);
    lua_pushinteger(L, BAD_USAGE);
    return 1;
  }
  apply(L, &o);
  int has_chunks = o.lines || o.script < o.argc;
  int is_done = print_about(L, &o);
  if (has_chunks) status = run_chunks(L, &o);
  if (o.interactive || !(has_chunks || is_done)) status = sd_repl_run(L);
  lua_pushinteger(L, status);
  return 1;
}

/* Output that could not be written is a failure too. */
static int check_output(int status) {
  if (!fflush(stdout) && !ferror(stdout)) return status;
  fprintf(stderr, "saddle: cannot write to standard output: %s\n",
          strerror(errno));
  return status ? status : 1;
}

/* Lua's warn(), silent until warn("@on"). */
typedef struct Warnings {
  int on, inside; /* inside: more pieces of a message follow */
} Warnings;

static void warn(void *ud, const char *text, int more) {
  Warnings *w = ud;
  if (!w->inside && !more && *text == '@') {
    if (!strcmp(text, "@on")) w->on = 1;
    if (!strcmp(text, "@off")) w->on = 0;
    return;
  }
  if (w->on)
    fprintf(stderr, "%s%s%s", w->inside ? "" : "Lua warning: ", text,
            more ? "" : "\n");
  w->inside = more;
}

int main(int argc, char **argv) {
  Warnings warnings = {0, 0};
  CommandLine c = {argc, argv};
  int status = 1;
  lua_State *L = lua_newstate(sd_host_pool, NULL);
  if (!L) {
    fputs("saddle: not enough memory\n", stderr);
    return 1;
  }
  lua_setwarnf(L, warn, &warnings);
  /* Handles are small and many: collected while still in the caches. */
  lua_gc(L, LUA_GCGEN, 0, 0);
  lua_pushcfunction(L, run);
  lua_pushlightuserdata(L, &c);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK)
    status = (int)lua_tointeger(L, -1);
  else
    sd_script_report(L);
  sd_ctrlc_close();
  lua_close(L);
  return check_output(status);
}
