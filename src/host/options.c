#include "host/options.h"

#include "base/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    "-e", "-i", "-v", "-h", "--help", "--version", "--info", "--seed",
    "--threads", "--dtype", "--deterministic", "--sandbox", NULL};

void host_options_usage(void) {
  puts("usage: saddle [options] [script.lua [args]]\n"
       "  saddle script.lua [args]  run a script\n"
       "  saddle                    the prompt\n"
       "  saddle -                  read a script from standard input\n"
       "  -e 'code'                 run a line (may be repeated)\n"
       "  -i                        go on at the prompt afterwards\n"
       "  --seed N                  seed of the default generator\n"
       "  --threads N               threads to use\n"
       "  --dtype f32|f64           dtype of new tensors\n"
       "  --deterministic           same bits for any number of threads\n"
       "  --sandbox                 no files, no processes, no C modules\n"
       "  --info                    versions, BLAS, threads, memory\n"
       "  -v, -h                    version, this text");
}

/* Edits by which a and b differ, at most 9 (names are short). */
static int distance(const char *a, const char *b) {
  if (!*a || !*b) return (int)(strlen(a) + strlen(b));
  if (*a == *b) return distance(a + 1, b + 1);
  static int depth;
  if (depth > 4) return 9;
  depth++;
  int d = distance(a + 1, b), e = distance(a, b + 1);
  int f = distance(a + 1, b + 1);
  depth--;
  if (e < d) d = e;
  if (f < d) d = f;
  return d + 1;
}

static int unknown(const char *arg) {
  const char *best = NULL;
  int least = 4;
  for (int i = 0; names[i]; i++) {
    int d = distance(arg, names[i]);
    if (d < least) {
      least = d;
      best = names[i];
    }
  }
  fprintf(stderr, "saddle: unknown option '%s'", arg);
  if (best) fprintf(stderr, " (did you mean '%s'?)", best);
  fputs("; saddle -h lists them\n", stderr);
  return 2;
}

static int bad(const char *option, const char *value, const char *wanted) {
  if (value)
    fprintf(stderr, "saddle: %s: '%s' is not %s\n", option, value, wanted);
  else
    fprintf(stderr, "saddle: %s needs %s\n", option, wanted);
  return 2;
}

static int is_number(const char *s, long low, long high) {
  char *end;
  long v = strtol(s, &end, 10);
  return *s && !*end && v >= low && v <= high;
}

/* An option with a value: checks it and stores it. */
static int read_value(HostOptions *o, const char *name, const char *v) {
  if (!strcmp(name, "-e")) {
    o->lines++;
    return v ? 0 : bad(name, v, "a line of Lua");
  }
  if (!strcmp(name, "--seed")) {
    if (!v || !is_number(v, 0, 0x7fffffffffffffffL))
      return bad(name, v, "a whole number");
    o->seed = v;
  } else if (!strcmp(name, "--threads")) {
    if (!v || !is_number(v, 1, 1024))
      return bad(name, v, "a number of threads from 1 to 1024");
    o->threads = atoi(v);
  } else {
    int d = v ? sd_dtype_find(v) : -1;
    if (d < 0 || !sd_dtype_is_float((SdDtype)d))
      return bad(name, v, "f32 or f64");
    o->dtype = v;
  }
  return 0;
}

static int *flag(HostOptions *o, const char *a) {
  if (!strcmp(a, "-i")) return &o->interactive;
  if (!strcmp(a, "-v") || !strcmp(a, "--version")) return &o->version;
  if (!strcmp(a, "-h") || !strcmp(a, "--help")) return &o->help;
  if (!strcmp(a, "--info")) return &o->info;
  if (!strcmp(a, "--deterministic")) return &o->deterministic;
  if (!strcmp(a, "--sandbox")) return &o->sandbox;
  return NULL;
}

int host_options_read(HostOptions *o, int argc, char **argv) {
  int i = 1;
  *o = (HostOptions){.argc = argc, .argv = argv};
  for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
    const char *a = argv[i];
    int *on = flag(o, a);
    if (!strcmp(a, "--")) {
      i++;
      break;
    }
    if (on) {
      *on = 1;
      continue;
    }
    if (strcmp(a, "-e") && strcmp(a, "--seed") && strcmp(a, "--threads") &&
        strcmp(a, "--dtype"))
      return unknown(a);
    int status = read_value(o, a, i + 1 < argc ? argv[i + 1] : NULL);
    if (status) return status;
    i++;
  }
  o->script = i;
  return 0;
}

const char *host_options_line(const HostOptions *o, int k) {
  for (int i = 1; i < o->script; i++) {
    if (flag((HostOptions *)o, o->argv[i])) continue;
    if (!strcmp(o->argv[i], "-e") && k-- == 0) return o->argv[i + 1];
    i++;
  }
  return NULL;
}
