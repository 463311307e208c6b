/* Ctrl-C: signals, the hook that raises the error, running coroutines. */
#include "host/interrupt.h"

#include "base/interrupt.h"
#include "lua/binding.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <termios.h>
#include <unistd.h>

enum {
  GRACE = 100000,   /* microseconds for a script to clean up */
  KEPT_GRACE = 900000, /* more, to make, print or save what was kept */
  INTERRUPTED = 130 /* exit status */
};

static lua_State *main_thread;
static lua_State *volatile running; /* main_thread or the coroutine in it */
static volatile sig_atomic_t pressed;
static volatile sig_atomic_t insisting; /* the time to clean up is over */

static pthread_t home; /* the system's thread that runs Lua */
static struct termios terminal;
static int has_terminal;

static const struct itimerval grace = {.it_value.tv_usec = GRACE},
                              kept_grace = {.it_value.tv_usec = KEPT_GRACE},
                              never;

/* ---- the hook -------------------------------------------------------- */

/* At the next instruction.  Takes itself off again unless insisting; when a
** core operation noticed the flag first, its error is enough. */
static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  if (!insisting) {
    lua_sethook(L, NULL, 0, 0);
    if (!sd_interrupted) return;
  }
  sd_interrupt_clear();
  sd_lua_fail(L, "interrupted");
}

/* Setting a hook is what Lua allows in a signal handler. */
static void arm(lua_State *L) { lua_sethook(L, stop, LUA_MASKCOUNT, 1); }

/* ---- signals --------------------------------------------------------- */

static void end_process(void) {
  if (has_terminal) tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
  _exit(INTERRUPTED);
}

/* A key press may arrive twice, from the terminal and from a parent, so only
** one after the grace is a second one. */
static void on_signal(int sig) {
  int saved = errno;
  if (!pthread_equal(pthread_self(), home)) {
    pthread_kill(home, sig); /* a worker must not touch Lua's state */
  } else if (sig == SIGINT && insisting) {
    end_process();
  } else if (sig == SIGALRM && sd_interrupt_kept) {
    sd_interrupt_kept = 0;
    setitimer(ITIMER_REAL, &kept_grace, NULL);
  } else if (sig == SIGINT ? !pressed : pressed) {
    pressed = 1;
    sd_interrupt_kept = 0;
    insisting = sig == SIGALRM;
    sd_interrupt_raise();
    arm(running);
    if (sig == SIGINT) setitimer(ITIMER_REAL, &grace, NULL);
  }
  errno = saved;
}

/* Without SA_RESTART, so that a read from a terminal or pipe ends. */
static void handle_signals(void) {
  struct sigaction action, before;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGINT);
  sigaddset(&action.sa_mask, SIGALRM);
  if (sigaction(SIGINT, NULL, &before) || before.sa_handler == SIG_IGN) return;
  has_terminal = tcgetattr(STDIN_FILENO, &terminal) == 0;
  sigaction(SIGALRM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
}

int sd_ctrlc_pressed(void) { return pressed; }

void sd_ctrlc_forget(void) {
  setitimer(ITIMER_REAL, &never, NULL);
  pressed = insisting = 0;
  sd_interrupt_kept = 0;
  sd_interrupt_clear();
  running = main_thread;
  lua_sethook(main_thread, NULL, 0, 0);
}

void sd_ctrlc_close(void) {
  setitimer(ITIMER_REAL, &never, NULL);
  if (signal(SIGINT, SIG_DFL) == SIG_IGN) signal(SIGINT, SIG_IGN);
}

/* ---- coroutines ------------------------------------------------------ */

/* coroutine.resume; the upvalue is Lua's own, which returns errors. */
static int resume(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  lua_CFunction original = lua_tocfunction(L, lua_upvalueindex(1));
  if (!co) return original(L); /* raises */
  running = co;
  if (insisting) arm(co);
  int n = original(L);
  running = L;
  if (insisting) arm(L);
  return n;
}

/* Closes co, which failed, and raises its error with the position, as Lua's
** own function of coroutine.wrap does. */
static int raise_from(lua_State *L, lua_State *co) {
  if (lua_status(co) != LUA_OK && lua_status(co) != LUA_YIELD) {
    lua_resetthread(co);
    lua_xmove(co, L, 1);
  }
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

/* The function that coroutine.wrap gives; upvalues: resume's, the thread. */
static int call_wrapped(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  int n = resume(L);
  if (!lua_toboolean(L, -n))
    return raise_from(L, lua_tothread(L, lua_upvalueindex(2)));
  return n - 1;
}

static int wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, call_wrapped, 2);
  return 1;
}

/* ---- programs -------------------------------------------------------- */

/* os.execute.  The C library ignores SIGINT while a program runs; a program
** that died of it means Ctrl-C was pressed, for this process as well. */
static int execute(lua_State *L) {
  int n = lua_tocfunction(L, lua_upvalueindex(1))(L);
  int code = n == 3 ? (int)lua_tointeger(L, -1) : 0;
  int killed = n == 3 && strcmp(lua_tostring(L, -2), "signal") == 0;
  if (killed ? code == SIGINT : code == INTERRUPTED) raise(SIGINT);
  return n;
}

/* ---- the library ----------------------------------------------------- */

/* Makes f the field of the table on the top, its upvalue the value of the
** field called original. */
static void replace(lua_State *L, const char *field, lua_CFunction f,
                    const char *original) {
  lua_getfield(L, -1, original);
  lua_pushcclosure(L, f, 1);
  lua_setfield(L, -2, field);
}

void sd_ctrlc_open(lua_State *L) {
  main_thread = running = L;
  home = pthread_self();
  lua_getglobal(L, LUA_COLIBNAME);
  replace(L, "wrap", wrap, "resume");
  replace(L, "resume", resume, "resume");
  lua_getglobal(L, LUA_OSLIBNAME);
  replace(L, "execute", execute, "execute");
  lua_pop(L, 2);
  handle_signals();
}
