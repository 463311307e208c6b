/* The command line: one table from which arguments are read, help is
** printed and misspelt options are corrected. */
#include "host/options.h"

#include "lua/globals.h"

#include <errno.h>
#include <lauxlib.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ------------------------------------------------------- */

typedef struct Option {
  const char *name;
  const char *value; /* what help calls it; NULL for a flag */
  const char *doc;
  size_t flag; /* the int of SdOptions that a flag sets */
  int (*set)(SdOptions *o, const char *value); /* 0 when value is none */
  const char *expected;
} Option;

static int read_integer(const char *s, long long *n) {
  char *end;
  errno = 0;
  *n = strtoll(s, &end, 10);
  return end != s && !*end && !errno;
}

static int set_seed(SdOptions *o, const char *value) {
  long long n;
  o->has_seed = read_integer(value, &n);
  o->seed = n;
  return o->has_seed;
}

static int set_threads(SdOptions *o, const char *value) {
  long long n;
  if (!read_integer(value, &n) || n < 1 || n > 1024) return 0;
  o->threads = (int)n;
  return 1;
}

static int set_dtype(SdOptions *o, const char *value) {
  o->dtype = value;
  return !strcmp(value, "f32") || !strcmp(value, "f64");
}

static int add_line(SdOptions *o, const char *value) {
  (void)value;
  return ++o->lines;
}

#define FLAG(field, doc) NULL, doc, offsetof(SdOptions, field), NULL, NULL

static const Option options[] = {
    {"-e", "CODE", "run a line; may be repeated", 0, add_line, ""},
    {"-i", FLAG(interactive, "enter the REPL after the script")},
    {"--info", FLAG(info, "print versions, BLAS core, threads, memory")},
    {"--seed", "N", "seed the random numbers", 0, set_seed, "an integer"},
    {"--threads", "N", "use N threads", 0, set_threads, "1 to 1024"},
    {"--dtype", "TYPE", "f32 (the default) or f64", 0, set_dtype,
     "f32 or f64"},
    {"--deterministic",
     FLAG(deterministic, "the same bits for any number of threads")},
    {"--sandbox", FLAG(sandbox, "no files, no programs, no C modules")},
    {"-v", FLAG(version, "print the version")},
    {"-h", FLAG(help, "print this help")},
    {"--version", FLAG(version, NULL)},
    {"--help", FLAG(help, NULL)},
    {NULL, FLAG(help, NULL)}};

/* arg may continue with "=VALUE". */
static const Option *find(const char *arg) {
  for (const Option *p = options; p->name; p++) {
    size_t n = strlen(p->name);
    int joined = arg[n] == '=' && p->value && p->name[1] == '-';
    if (!strncmp(arg, p->name, n) && (!arg[n] || joined)) return p;
  }
  return NULL;
}

void sd_options_print_help(void) {
  char left[32];
  puts("usage: saddle [options] [script [args]]\n"
       "  without a script: the REPL; with - as script: standard input\n"
       "options:");
  for (const Option *p = options; p->name; p++) {
    if (!p->doc) continue;
    snprintf(left, sizeof left, "%s %s", p->name, p->value ? p->value : "");
    printf("  %-16s  %s\n", left, p->doc);
  }
}

/* ---- reading --------------------------------------------------------- */

static int unknown(lua_State *L, const char *arg) {
  lua_newtable(L);
  for (int i = 0; options[i].name; i++) {
    lua_pushstring(L, options[i].name);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushlstring(L, arg, strcspn(arg, "="));
  lua_insert(L, -2);
  sd_lua_push_hint(L, lua_tostring(L, -2));
  lua_pushfstring(L, "unknown option '%s'%s", arg, lua_tostring(L, -1));
  return 0;
}

/* The value of the option at *i, which moves to the last word used. */
static const char *take_value(const SdOptions *o, const Option *p, int *i) {
  const char *arg = o->argv[*i];
  size_t n = strlen(p->name);
  if (arg[n] == '=') return arg + n + 1;
  return *i + 1 < o->argc ? o->argv[++*i] : NULL;
}

static int read_option(lua_State *L, SdOptions *o, int *i) {
  const Option *p = find(o->argv[*i]);
  if (!p) return unknown(L, o->argv[*i]);
  if (!p->value) {
    *(int *)((char *)o + p->flag) = 1;
    return 1;
  }
  const char *value = take_value(o, p, i);
  if (value && p->set(o, value)) return 1;
  if (value)
    lua_pushfstring(L, "%s: expected %s, got '%s'", p->name, p->expected,
                    value);
  else
    lua_pushfstring(L, "%s: %s is missing", p->name, p->value);
  return 0;
}

int sd_options_read(lua_State *L, SdOptions *o, int argc, char **argv) {
  int i = 1;
  memset(o, 0, sizeof *o);
  o->argc = argc;
  o->argv = argv;
  for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
    if (!strcmp(argv[i], "--")) {
      i++;
      break;
    }
    if (!read_option(L, o, &i)) return 0;
  }
  o->script = i;
  return 1;
}

const char *sd_options_next_line(const SdOptions *o, int *i) {
  while (*i < o->script) {
    const Option *p = find(o->argv[*i]);
    const char *value = p && p->value ? take_value(o, p, i) : NULL;
    ++*i;
    if (p && p->set == add_line) return value;
  }
  return NULL;
}

void sd_options_push_arguments(lua_State *L, const SdOptions *o) {
  int zero = o->script < o->argc ? o->script : 0;
  lua_createtable(L, o->argc - zero, zero + 1);
  for (int i = 0; i < o->argc; i++) {
    lua_pushstring(L, o->argv[i]);
    lua_rawseti(L, -2, i - zero);
  }
}
