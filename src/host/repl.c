/* The prompt: reading chunks line by line, running them, showing results. */
#include "host/repl.h"

#include "host/info.h"
#include "host/interrupt.h"
#include "host/line.h"
#include "host/script.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- loading --------------------------------------------------------- */

static int load(lua_State *L, const char *text, size_t size) {
  return luaL_loadbufferx(L, text, size, "=stdin", "t");
}

/* Loads the text on the top of the stack, first as an expression.  Pushes
** the function or the message. */
static int load_text(lua_State *L) {
  size_t n;
  const char *text = lua_tostring(L, -1);
  const char *expression = lua_pushfstring(L, "return %s", text);
  if (load(L, expression, strlen(expression)) == LUA_OK) {
    lua_remove(L, -2);
    return LUA_OK;
  }
  lua_pop(L, 2);
  text = lua_tolstring(L, -1, &n);
  return load(L, text, n);
}

/* Whether the message on the top says that the chunk only lacks its end. */
static int is_incomplete(lua_State *L, int status) {
  static const char end[] = "<eof>";
  size_t n;
  const char *message = lua_tolstring(L, -1, &n);
  return status == LUA_ERRSYNTAX && n >= sizeof end - 1 &&
         !strcmp(message + n - (sizeof end - 1), end);
}

/* Replaces the line on the top by the function of the chunk it starts, and
** reads on while that is incomplete. */
static int load_chunk(lua_State *L) {
  for (;;) {
    int status = load_text(L);
    if (!is_incomplete(L, status)) {
      lua_remove(L, -2);
      return status;
    }
    SdLine line = sd_line_push(L, ">> ");
    if (line != SD_LINE) { /* leaves the message, or nothing to say */
      lua_remove(L, -2);
      return status;
    }
    lua_remove(L, -2);
    lua_pushfstring(L, "%s\n%s", lua_tostring(L, -2), lua_tostring(L, -1));
    lua_replace(L, -3);
    lua_pop(L, 1);
  }
}

/* ---- running --------------------------------------------------------- */

static int print_results(lua_State *L) {
  int n = lua_gettop(L);
  for (int i = 1; i <= n; i++) {
    size_t size;
    const char *s = luaL_tolstring(L, i, &size);
    if (i > 1) putchar('\t');
    fwrite(s, 1, size, stdout);
    lua_pop(L, 1);
  }
  if (n) putchar('\n');
  return 0;
}

static void report(lua_State *L) {
  fflush(stdout);
  fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_pop(L, 1);
}

/* Calls the function below narg arguments and prints what it returns. */
static void call_and_print(lua_State *L, int narg) {
  int base = lua_gettop(L) - narg - 1;
  int status = sd_script_call(L, narg, LUA_MULTRET);
  int n = lua_gettop(L) - base;
  if (status == LUA_OK) {
    lua_pushcfunction(L, print_results);
    lua_insert(L, base + 1);
    status = sd_script_call(L, n, 0);
  }
  if (status != LUA_OK) report(L);
}

/* sd.help(topic) */
static int help(lua_State *L) {
  lua_getglobal(L, "sd");
  lua_getfield(L, -1, "help");
  lua_pushvalue(L, 1);
  lua_call(L, 1, LUA_MULTRET);
  return lua_gettop(L) - 2;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* If line starts with prefix, what follows without leading blanks. */
static const char *after(const char *line, const char *prefix) {
  size_t n = strlen(prefix);
  if (strncmp(line, prefix, n)) return NULL;
  return line + n + strspn(line + n, " \t");
}

/* Takes the line from the top of the stack. */
static void evaluate(lua_State *L) {
  const char *line = lua_tostring(L, -1);
  const char *topic = after(line, "?"), *timed = after(line, "%time ");
  if (topic) {
    lua_pushcfunction(L, help);
    lua_pushstring(L, topic);
    call_and_print(L, 1);
    return;
  }
  if (timed) lua_pushstring(L, timed);
  int status = load_chunk(L);
  if (status != LUA_OK) {
    if (!sd_ctrlc_pressed()) report(L);
    return;
  }
  double start = now();
  call_and_print(L, 0);
  if (timed) printf("%.6g s\n", now() - start);
}

int sd_repl_run(lua_State *L) {
  int base = lua_gettop(L);
  SdLine line;
  sd_line_open();
  if (sd_line_is_terminal()) {
    sd_info_print_line(L);
    puts("  ?name for help");
  }
  do {
    sd_ctrlc_forget();
    line = sd_line_push(L, "> ");
    if (line == SD_LINE) evaluate(L);
    lua_settop(L, base);
  } while (line != SD_LINE_END);
  return 0;
}
