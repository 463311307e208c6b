/* Reading lines, with readline or without. */
#include "host/line.h"

#include "host/interrupt.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HISTORY_LINES = 2000 };

/* ---- readline's functions -------------------------------------------- */

static struct {
  void (*install)(const char *prompt, void (*on_line)(char *));
  void (*read_char)(void);
  void (*remove)(void);
  void (*forget_line)(void);
  void (*restore_terminal)(void);
  void (*remember)(const char *line);
  int (*load_history)(const char *path);
  int (*append_history)(int n, const char *path);
  int (*truncate_history)(const char *path, int n);
} rl;

/* POSIX has function pointers fit into what dlsym returns. */
static const struct {
  const char *name;
  void *slot;
} symbols[] = {{"rl_callback_handler_install", &rl.install},
               {"rl_callback_read_char", &rl.read_char},
               {"rl_callback_handler_remove", &rl.remove},
               {"rl_free_line_state", &rl.forget_line},
               {"rl_callback_sigcleanup", &rl.restore_terminal},
               {"add_history", &rl.remember},
               {"read_history", &rl.load_history},
               {"append_history", &rl.append_history},
               {"history_truncate_file", &rl.truncate_history}};

static int has_readline;

static void open_readline(void) {
  void *library = dlopen("libreadline.so.8", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libreadline.so", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
    void *found = dlsym(library, symbols[i].name);
    if (!found) return;
    memcpy(symbols[i].slot, &found, sizeof found);
  }
  has_readline = 1;
}

/* ---- history --------------------------------------------------------- */

static char history[PATH_MAX]; /* empty: none is kept */

static void make_folders(char *path) {
  for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
    *p = '\0';
    mkdir(path, 0700);
    *p = '/';
  }
}

static void open_history(void) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  const char *base = state && *state ? state : home;
  if (!base) return;
  int n = snprintf(history, sizeof history, "%s%s/saddle/history", base,
                   base == state ? "" : "/.local/state");
  if (n < (int)sizeof history) make_folders(history);
  int file = open(history, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (n >= (int)sizeof history || file < 0) {
    *history = '\0';
    return;
  }
  close(file);
  rl.truncate_history(history, HISTORY_LINES);
  rl.load_history(history);
}

static void remember(const char *line) {
  if (!*line) return;
  rl.remember(line);
  if (*history) rl.append_history(1, history);
}

/* ---- reading --------------------------------------------------------- */

static char *typed;
static int is_typed;

static void take(char *line) {
  typed = line;
  is_typed = 1;
  rl.remove();
}

/* Character by character, so that Ctrl-C is seen between them. */
static SdLine edit(lua_State *L, const char *prompt) {
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  is_typed = 0;
  rl.install(prompt, take);
  while (!is_typed && !sd_ctrlc_pressed())
    if (poll(&input, 1, -1) > 0) rl.read_char();
  if (!is_typed) {
    rl.forget_line();
    rl.restore_terminal();
    rl.remove();
    return SD_LINE_INTERRUPTED;
  }
  if (!typed) return SD_LINE_END;
  remember(typed);
  lua_pushstring(L, typed);
  free(typed);
  return SD_LINE;
}

static SdLine read_plainly(lua_State *L, const char *prompt) {
  char *line = NULL;
  size_t room = 0;
  if (sd_line_is_terminal()) fputs(prompt, stdout);
  fflush(stdout);
  ssize_t n = getline(&line, &room, stdin);
  if (n > 0) lua_pushlstring(L, line, (size_t)(n - (line[n - 1] == '\n')));
  free(line);
  if (n > 0) return SD_LINE;
  clearerr(stdin);
  return sd_ctrlc_pressed() ? SD_LINE_INTERRUPTED : SD_LINE_END;
}

int sd_line_is_terminal(void) { return isatty(STDIN_FILENO); }

void sd_line_open(void) {
  if (!sd_line_is_terminal()) return;
  open_readline();
  if (has_readline) open_history();
}

SdLine sd_line_push(lua_State *L, const char *prompt) {
  SdLine line = has_readline ? edit(L, prompt) : read_plainly(L, prompt);
  if (line != SD_LINE && sd_line_is_terminal()) putchar('\n');
  return line;
}
