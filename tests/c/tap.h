/* The Test Anything Protocol in a page: ok() per claim, done() at the end. */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 4, 5), unused))
static int tap_ok(int good, const char *file, int line, const char *format,
                  ...) {
  va_list args;
  printf("%sok %d - ", good ? "" : "not ", ++tap_count);
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  putchar('\n');
  if (!good) {
    tap_failed++;
    printf("# failed at %s:%d\n", file, line);
  }
  fflush(stdout);
  return good;
}

#define ok(condition, ...) \
  tap_ok((condition) != 0, __FILE__, __LINE__, __VA_ARGS__)

__attribute__((unused)) static int done(void) {
  printf("1..%d\n", tap_count);
  return tap_failed != 0;
}

#endif
