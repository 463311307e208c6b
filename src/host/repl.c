#include "host/repl.h"

#include "host/interrupt.h"
#include "host/run.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- lines: readline when it is there, else plain ------------------------------- */

static char *(*read_line)(const char *);
static void (*remember)(const char *);

static void open_readline(void) {
  void *lib;
  if (!isatty(0)) return;
  lib = dlopen("libreadline.so.8", RTLD_NOW);
  if (!lib) lib = dlopen("libreadline.so", RTLD_NOW);
  if (!lib) return;
  *(void **)&read_line = dlsym(lib, "readline");
  *(void **)&remember = dlsym(lib, "add_history");
}

/* A line without its end, to be freed; NULL when there is none. */
static char *plain_line(const char *prompt) {
  char *line = NULL;
  size_t room = 0;
  if (isatty(0)) {
    fputs(prompt, stdout);
    fflush(stdout);
  }
  ssize_t n = getline(&line, &room, stdin);
  if (n < 0) {
    free(line);
    return NULL;
  }
  if (n > 0 && line[n - 1] == '\n') line[n - 1] = '\0';
  return line;
}

static char *next_line(const char *prompt) {
  fflush(stdout);
  char *line = read_line ? read_line(prompt) : plain_line(prompt);
  if (line && *line && remember) remember(line);
  return line;
}

/* ---- chunks -------------------------------------------------------------------------- */

static int is_incomplete(lua_State *L) {
  size_t n;
  const char *s = lua_tolstring(L, -1, &n);
  return s && n >= 5 && strcmp(s + n - 5, "<eof>") == 0;
}

/* `?name` asks for help; an expression is tried as one first. */
static int load_expression(lua_State *L, const char *line) {
  const char *text = line[0] == '?'
      ? lua_pushfstring(L, "return sd.help '%s'", line + 1)
      : lua_pushfstring(L, "return %s", line);
  int failed = host_run_load(L, text, strlen(text), "=prompt");
  lua_remove(L, -2);
  if (failed) lua_pop(L, 1);
  return !failed;
}

/* Reads on while the chunk has no end. Leaves a function or a message. */
static int load_statement(lua_State *L, const char *line) {
  lua_pushstring(L, line);
  for (;;) {
    size_t n;
    const char *text = lua_tolstring(L, -1, &n);
    int failed = host_run_load(L, text, n, "=prompt");
    if (!failed || !is_incomplete(L)) {
      lua_remove(L, -2);
      return failed;
    }
    char *more = next_line(">> ");
    if (!more) {
      lua_remove(L, -2);
      return 1;
    }
    lua_pop(L, 1);
    lua_pushfstring(L, "%s\n%s", lua_tostring(L, -1), more);
    lua_remove(L, -2);
    free(more);
  }
}

static int print_all(lua_State *L) {
  int n = lua_gettop(L);
  for (int i = 1; i <= n; i++) {
    if (i > 1) putchar('\t');
    fputs(luaL_tolstring(L, i, NULL), stdout);
    lua_pop(L, 1);
  }
  putchar('\n');
  fflush(stdout);
  return 0;
}

static void run(lua_State *L) {
  if (host_run_call(L, 0, LUA_MULTRET) != 0) {
    lua_settop(L, 0);
    return;
  }
  if (lua_gettop(L) > 0) {
    lua_pushcfunction(L, print_all);
    lua_insert(L, 1);
    host_run_call(L, lua_gettop(L) - 1, 0);
  }
  lua_settop(L, 0);
}

int host_repl_run(lua_State *L) {
  char *line;
  open_readline();
  lua_settop(L, 0);
  while ((line = next_line("> ")) != NULL || host_interrupt_reset(L)) {
    host_interrupt_reset(L);
    if (!line) {
      clearerr(stdin);
      putchar('\n');
      continue;
    }
    if (*line) {
      if (load_expression(L, line) || load_statement(L, line) == 0) run(L);
      else host_run_report(L);
      lua_settop(L, 0);
    }
    free(line);
  }
  if (isatty(0)) putchar('\n');
  return 0;
}
