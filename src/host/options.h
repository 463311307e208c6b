/* The command line. */
#ifndef SD_HOST_OPTIONS_H
#define SD_HOST_OPTIONS_H

typedef struct HostOptions {
  int argc;
  char **argv;
  int script;    /* argv's place of the script, or argc */
  int interactive, sandbox, info, version, help, deterministic;
  int threads;   /* 0: not given */
  const char *seed, *dtype;
  int lines;     /* number of -e */
} HostOptions;

/* 0, or 2 with a message on stderr. */
int host_options_read(HostOptions *o, int argc, char **argv);
void host_options_usage(void);

/* The text of the k-th -e, from 0. */
const char *host_options_line(const HostOptions *o, int k);

#endif
