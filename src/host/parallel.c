/*
** Jobs in processes of their own: copies of this one, which the script's
** functions need no packing for.  The OpenMP threads do not exist in a copy,
** and a product that wants them would wait for ever, so it stays on one; it
** leaves with _exit, having written its result to a pipe.  A crew owns the
** processes, pipes and bytes of the jobs that run.
*/
#include "host/parallel.h"

#include "base/interrupt.h"
#include "base/thread.h"
#include "lua/binding.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_WORKERS = 64, WAIT_MS = 100 };

typedef struct Job {
  lua_Integer index; /* 0: nobody works here */
  pid_t pid;
  int fd;
  char *bytes; /* what has come so far */
  size_t size, capacity;
} Job;

typedef struct Crew {
  Job jobs[MOST_WORKERS];
  int workers;
} Crew;

static const char *const crew_name = "saddle.crew";

/* ---- a job's end ------------------------------------------------------ */

static int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  return status;
}

static void dismiss(Job *j) {
  free(j->bytes);
  *j = (Job){0};
}

static int crew_gc(lua_State *L) {
  Crew *c = luaL_checkudata(L, 1, crew_name);
  for (int i = 0; i < c->workers; i++) {
    Job *j = &c->jobs[i];
    if (!j->index) continue;
    kill(j->pid, SIGKILL);
    close(j->fd);
    wait_for(j->pid);
    dismiss(j);
  }
  return 0;
}

static void push_death(lua_State *L, int status) {
  if (WIFSIGNALED(status))
    lua_pushfstring(L, "its process was ended by signal %d", WTERMSIG(status));
  else
    lua_pushfstring(L, "its process left with status %d", WEXITSTATUS(status));
}

/* results[index] = { ok, bytes }; the results' table is on top. */
static void collect(lua_State *L, Job *j) {
  close(j->fd);
  int status = wait_for(j->pid);
  lua_Integer index = j->index;
  lua_createtable(L, 2, 0);
  if (j->size) lua_pushlstring(L, j->bytes + 1, j->size - 1);
  else push_death(L, status);
  lua_pushboolean(L, j->size && j->bytes[0] == '1');
  dismiss(j);
  lua_rawseti(L, -3, 1);
  lua_rawseti(L, -2, 2);
  lua_rawseti(L, -2, index);
}

/* ---- a job's work ------------------------------------------------------ */

static int write_all(int fd, const char *p, size_t n) {
  while (n) {
    ssize_t done = write(fd, p, n);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return 0;
    p += done;
    n -= (size_t)done;
  }
  return 1;
}

/* In the copy: f(index), whose result goes down the pipe. Never returns. */
static void work(lua_State *L, Crew *c, lua_Integer index, int fd,
                 pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  for (int i = 0; i < c->workers; i++)
    if (c->jobs[i].index) close(c->jobs[i].fd);
  sd_thread_stay_alone();
  lua_pushvalue(L, 3);
  lua_pushinteger(L, index);
  int ok = lua_pcall(L, 1, 1, 0) == LUA_OK;
  size_t n = 0;
  const char *s = lua_tolstring(L, -1, &n);
  if (!s) {
    ok = 0;
    s = "neither a result nor a message";
    n = strlen(s);
  }
  int sent = write_all(fd, ok ? "1" : "0", 1) && write_all(fd, s, n);
  fflush(NULL);
  _exit(!sent);
}

static void start(lua_State *L, Crew *c, Job *j, lua_Integer index) {
  int ends[2];
  if (pipe(ends)) {
    sd_lua_fail(L, "parallel: no pipe for job %d: %s", (int)index,
                strerror(errno));
  }
  fflush(NULL);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    close(ends[0]);
    work(L, c, index, ends[1], parent);
  }
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    sd_lua_fail(L, "parallel: no process for job %d: %s", (int)index,
                strerror(errno));
  }
  *j = (Job){.index = index, .pid = pid, .fd = ends[0]};
}

/* ---- the crew at work -------------------------------------------------- */

/* Takes what the pipe has; 0 at its end. */
static int take(lua_State *L, Job *j) {
  if (j->capacity - j->size < 4096) {
    size_t capacity = j->capacity * 2 + 8192;
    char *bytes = realloc(j->bytes, capacity);
    if (!bytes) sd_lua_fail(L, "parallel: not enough memory");
    j->bytes = bytes;
    j->capacity = capacity;
  }
  ssize_t n = read(j->fd, j->bytes + j->size, j->capacity - j->size);
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  j->size += (size_t)n;
  return n > 0;
}

/* Waits until some job says something. */
static void listen_to(lua_State *L, Crew *c) {
  struct pollfd fds[MOST_WORKERS];
  Job *jobs[MOST_WORKERS];
  nfds_t n = 0;
  for (int i = 0; i < c->workers; i++) {
    if (!c->jobs[i].index) continue;
    fds[n] = (struct pollfd){.fd = c->jobs[i].fd, .events = POLLIN};
    jobs[n++] = &c->jobs[i];
  }
  int ready = poll(fds, n, WAIT_MS);
  SdError err = {0};
  if (sd_interrupt_check(&err) != SD_OK) sd_lua_raise(L, &err);
  if (ready <= 0) return;
  for (nfds_t i = 0; i < n; i++)
    if (fds[i].revents && !take(L, jobs[i])) collect(L, jobs[i]);
}

static Job *idle(Crew *c) {
  for (int i = 0; i < c->workers; i++)
    if (!c->jobs[i].index) return &c->jobs[i];
  return NULL;
}

static int is_busy(const Crew *c) {
  for (int i = 0; i < c->workers; i++)
    if (c->jobs[i].index) return 1;
  return 0;
}

static Crew *new_crew(lua_State *L, int workers) {
  Crew *c = lua_newuserdatauv(L, sizeof *c, 0);
  memset(c, 0, sizeof *c);
  c->workers = workers;
  if (luaL_newmetatable(L, crew_name)) {
    lua_pushcfunction(L, crew_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, crew_gc);
    lua_setfield(L, -2, "__close");
  }
  lua_setmetatable(L, -2);
  return c;
}

static int parallel(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1), workers = luaL_checkinteger(L, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 3);
  if (n < 0) return sd_lua_fail(L, "parallel: %d jobs", (int)n);
  if (workers < 1 || workers > MOST_WORKERS)
    return sd_lua_fail(L, "parallel: 1 to %d workers, not %d", MOST_WORKERS,
                       (int)workers);
  Crew *c = new_crew(L, (int)workers);
  lua_toclose(L, 4);
  lua_createtable(L, (int)(n < 65536 ? n : 65536), 0);
  lua_Integer next = 1;
  while (next <= n || is_busy(c)) {
    Job *j;
    while (next <= n && (j = idle(c))) start(L, c, j, next++);
    listen_to(L, c);
  }
  return 1;
}

void sd_parallel_open(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "saddle.core");
  lua_pushcfunction(L, parallel);
  lua_setfield(L, -2, "parallel");
  lua_pop(L, 2);
}
