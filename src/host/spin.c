/*
** Idle OpenMP threads that spin make a busy machine three times slower, and
** libgomp learns how long to spin from GOMP_SPINCOUNT alone, in a
** constructor that runs before any code of ours.  Starting the program again
** with the variable set costs 2.6 ms; but that constructor asks getenv, and
** a program's own getenv comes before the C library's.
*/
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char count[] = "1000";

static char *look_up(const char *name) {
  size_t n = strlen(name);
  for (char **e = environ; e && *e; e++)
    if (!strncmp(*e, name, n) && (*e)[n] == '=') return *e + n + 1;
  return NULL;
}

/* The environment's value; 1000 for GOMP_SPINCOUNT, unless it is set or the
** user has said how threads wait. */
char *getenv(const char *name) {
  char *value = look_up(name);
  if (value || strcmp(name, "GOMP_SPINCOUNT") || look_up("OMP_WAIT_POLICY"))
    return value;
  return (char *)count;
}
