/*
** The command line.  SdOptions stand before the script; what follows its name
** belongs to it.
*/
#ifndef SD_HOST_OPTIONS_H
#define SD_HOST_OPTIONS_H

#include <lua.h>

typedef struct SdOptions {
  char **argv;
  int argc;
  int script; /* index in argv; argc when there is none */
  int help, version, info, interactive, sandbox, deterministic;
  int lines;         /* how many -e */
  int threads;       /* 0: not given */
  const char *dtype; /* NULL: not given */
  int has_seed;
  lua_Integer seed;
} SdOptions;

/* Reads argv.  On bad usage pushes a message and returns 0. */
int sd_options_read(lua_State *L, SdOptions *o, int argc, char **argv);

/* The code of the next -e; NULL when there is none left.  *i is where to
** look from and moves on; start with 1. */
const char *sd_options_next_line(const SdOptions *o, int *i);

/* Pushes the list `arg`: the script at 0, its arguments from 1, what stands
** before it at negative indices. */
void sd_options_push_arguments(lua_State *L, const SdOptions *o);

/* What -h prints. */
void sd_options_print_help(void);

#endif
