/*
** The saddle program: creates a Lua state and runs everything protected.
*/
#include "base/thread.h"
#include "host/info.h"
#include "host/interrupt.h"
#include "host/options.h"
#include "host/repl.h"
#include "host/run.h"
#include "lua/binding.h"

#include <errno.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
** Idle OpenMP threads that spin slow a shared machine down by three times.
** libgomp reads this variable before main, so the program starts itself
** again with it set.
*/
static void set_spin_count(char **argv) {
  if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return;
  setenv("GOMP_SPINCOUNT", "1000", 1);
  execv("/proc/self/exe", argv);
}

/* ---- opening ------------------------------------------------------------------------ */

static void call_sd(lua_State *L, const char *name, const char *arg,
                    int number) {
  lua_getglobal(L, "sd");
  lua_getfield(L, -1, name);
  if (number) lua_pushinteger(L, (lua_Integer)strtoll(arg, NULL, 10));
  else lua_pushstring(L, arg);
  lua_call(L, 1, 0);
  lua_pop(L, 1);
}

static void open_saddle(lua_State *L, const HostOptions *o) {
  luaL_openlibs(L);
  luaL_requiref(L, "saddle", luaopen_saddle, 0);
  lua_setglobal(L, "sd");
  if (o->threads) sd_thread_set_count(o->threads);
  if (o->deterministic) sd_thread_set_deterministic(1);
  if (o->seed) call_sd(L, "seed", o->seed, 1);
  if (o->dtype) call_sd(L, "default_dtype", o->dtype, 0);
}

/* arg[0] is the script, arg[1] .. its arguments, arg[-1] .. the rest. */
static void set_arg(lua_State *L, const HostOptions *o) {
  lua_newtable(L);
  for (int i = 0; i < o->argc; i++) {
    lua_pushstring(L, o->argv[i]);
    lua_rawseti(L, -2, i - o->script);
  }
  lua_setglobal(L, "arg");
}

static void prepare_scripts(lua_State *L, const HostOptions *o) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "saddle.host");
  lua_call(L, 1, 1);
  lua_newtable(L);
  lua_pushboolean(L, o->sandbox);
  lua_setfield(L, -2, "sandbox");
  lua_call(L, 1, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "saddle.env");
}

static int prepare(lua_State *L) {
  const HostOptions *o = lua_touserdata(L, 1);
  open_saddle(L, o);
  set_arg(L, o);
  prepare_scripts(L, o);
  host_interrupt_install(L);
  const char *gc = getenv("SADDLE_GC");
  if (gc && !strcmp(gc, "aggressive")) lua_gc(L, LUA_GCINC, 1, 1000, 0);
  return 0;
}

/* ---- scripts --------------------------------------------------------------------------- */

/* Pushes the whole of f; 0 on failure with a message pushed. */
static int read_all(lua_State *L, FILE *f, const char *path) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (;;) {
    char *p = luaL_prepbuffer(&b);
    size_t n = fread(p, 1, LUAL_BUFFERSIZE, f);
    luaL_addsize(&b, n);
    if (n < LUAL_BUFFERSIZE) break;
  }
  luaL_pushresult(&b);
  if (!ferror(f)) return 1;
  lua_pushfstring(L, "cannot read %s: %s", path, strerror(errno));
  return 0;
}

/* A first line that starts with # is the shell's. */
static const char *skip_shebang(const char *s, size_t *n) {
  if (*n == 0 || *s != '#') return s;
  const char *end = memchr(s, '\n', *n);
  if (!end) end = s + *n;
  *n -= (size_t)(end - s);
  return end;
}

static int load_script(lua_State *L, const char *path) {
  int from_stdin = strcmp(path, "-") == 0;
  FILE *f = from_stdin ? stdin : fopen(path, "rb");
  if (!f) {
    lua_pushfstring(L, "cannot open %s: %s", path, strerror(errno));
    return 1;
  }
  int good = read_all(L, f, path);
  if (!from_stdin) fclose(f);
  if (!good) return 1;
  size_t n;
  const char *s = lua_tolstring(L, -1, &n);
  if (n > 0 && *s == LUA_SIGNATURE[0]) {
    lua_pushfstring(L, "%s is bytecode; only source text is run", path);
    return 1;
  }
  s = skip_shebang(s, &n);
  const char *name = from_stdin ? "=stdin" : lua_pushfstring(L, "@%s", path);
  return host_run_load(L, s, n, name);
}

static int run_script(lua_State *L, const HostOptions *o) {
  if (load_script(L, o->argv[o->script])) {
    host_run_report(L);
    return 1;
  }
  int narg = o->argc - o->script - 1;
  luaL_checkstack(L, narg + 4, "too many arguments to the script");
  for (int i = 1; i <= narg; i++) lua_pushstring(L, o->argv[o->script + i]);
  return host_run_call(L, narg, 0);
}

static int run_line(lua_State *L, const char *text) {
  if (host_run_load(L, text, strlen(text), "=(command line)")) {
    host_run_report(L);
    return 1;
  }
  return host_run_call(L, 0, 0);
}

static int run_all(lua_State *L, const HostOptions *o) {
  int status = 0;
  for (int k = 0; k < o->lines && !status; k++)
    status = run_line(L, host_options_line(o, k));
  if (!status && o->script < o->argc) status = run_script(L, o);
  int prompt = o->interactive || (o->script >= o->argc && !o->lines);
  lua_settop(L, 0);
  return prompt ? host_repl_run(L) : status;
}

/* Output that could not be written is a failure too. */
static int finish(int status) {
  if (fflush(stdout) == 0 && !ferror(stdout)) return status;
  fprintf(stderr, "saddle: cannot write to standard output\n");
  return status ? status : 1;
}

int main(int argc, char **argv) {
  HostOptions o;
  set_spin_count(argv);
  int status = host_options_read(&o, argc, argv);
  if (status) return status;
  if (o.help) host_options_usage();
  if (o.version) puts("Saddle 0.1.0");
  if (o.threads) sd_thread_set_count(o.threads);
  if (o.info) host_info_print();
  if (o.help || o.version || o.info) return finish(0);
  lua_State *L = luaL_newstate();
  if (!L) {
    fputs("saddle: out of memory\n", stderr);
    return 1;
  }
  lua_pushcfunction(L, prepare);
  lua_pushlightuserdata(L, &o);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    host_run_report(L);
    return 1;
  }
  status = run_all(L, &o);
  lua_close(L);
  return finish(status);
}
