/*
** Transforms for Lua: traces with tracers, and the functions of
** transform/transform.h on lists of tensors.  The functions scripts call
** (grad, vmap, jit ..) are built on these in lua/saddle/transform.lua.
*/
#include "lua/tensor.h"

#include "base/memory.h"
#include "ops/ops.h"
#include "transform/transform.h"

#include <string.h>

#define TRACE "saddle.trace"

/* ---- lists of nodes ----------------------------------------------------- */

/* The tensors of the list at i, in memory that Lua owns (pushed).  false
** entries are NULL. */
static SdNode **check_list(lua_State *L, int i, int *n) {
  luaL_checktype(L, i, LUA_TTABLE);
  *n = (int)lua_rawlen(L, i);
  SdNode **list = lua_newuserdatauv(L, (size_t)(*n + 1) * sizeof *list, 0);
  for (int k = 0; k < *n; k++) {
    lua_rawgeti(L, i, k + 1);
    list[k] = lua_toboolean(L, -1)
                  ? sd_lua_check_tensor(L, -1, "transform") : NULL;
    lua_pop(L, 1);
  }
  return list;
}

static SdNode **new_list(lua_State *L, int n) {
  SdNode **list = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *list, 0);
  memset(list, 0, (size_t)(n + 1) * sizeof *list);
  return list;
}

/* Pushes a table of n empty handles; fill_results gives them nodes and puts
** false where there is none. */
static int push_results(lua_State *L, int n) {
  lua_createtable(L, n, 0);
  for (int k = 0; k < n; k++) {
    sd_lua_push_handle(L);
    lua_rawseti(L, -2, k + 1);
  }
  return lua_gettop(L);
}

static void fill_results(lua_State *L, int results, SdNode *const *list,
                         int n) {
  for (int k = 0; k < n; k++) {
    if (list[k]) {
      lua_rawgeti(L, results, k + 1);
      sd_lua_fill(lua_touserdata(L, -1), list[k]);
      lua_pop(L, 1);
    } else {
      lua_pushboolean(L, 0);
      lua_rawseti(L, results, k + 1);
    }
  }
}

/* ---- traces ------------------------------------------------------------- */

/* A trace, and the tracers that watch() gave of it, which are retained. */
typedef struct Trace {
  SdTrace *trace;
  SdNode **watched;
  size_t count, capacity;
} Trace;

static Trace *check_handle(lua_State *L, int i) {
  Trace *t = luaL_checkudata(L, i, TRACE);
  if (!t->trace) sd_lua_fail(L, "transform: the trace is closed");
  return t;
}

static SdTrace *check_trace(lua_State *L, int i) {
  return check_handle(L, i)->trace;
}

/* trace([name]): abstract when named */
static int core_trace(lua_State *L) {
  static const char *const names[] = {"vmap", "jit", "checkpoint", NULL};
  SdError err;
  const char *name = NULL;
  if (!lua_isnoneornil(L, 1)) name = names[luaL_checkoption(L, 1, NULL, names)];
  Trace *t = lua_newuserdatauv(L, sizeof *t, 0);
  memset(t, 0, sizeof *t);
  luaL_setmetatable(L, TRACE);
  if (sd_trace_open(&t->trace, name, &err) != SD_OK)
    return sd_lua_raise(L, &err);
  return 1;
}

static int trace_close(lua_State *L) {
  Trace *t = luaL_checkudata(L, 1, TRACE);
  for (size_t k = 0; k < t->count; k++) sd_node_release(t->watched[k]);
  sd_memory_free(t->watched, t->capacity * sizeof *t->watched);
  if (t->trace) sd_trace_close(t->trace);
  memset(t, 0, sizeof *t);
  return 0;
}

/* leave(trace): the function has returned, its derivatives are still to
** come */
static int core_leave(lua_State *L) {
  sd_trace_leave(check_trace(L, 1));
  return 0;
}

/* tracers(trace, list) -> list */
static int core_tracers(lua_State *L) {
  SdTrace *t = check_trace(L, 1);
  int n;
  SdBuilder b;
  SdNode **x = check_list(L, 2, &n);
  int results = push_results(L, n);
  sd_builder_open(&b);
  for (int k = 0; k < n; k++) x[k] = sd_trace_tracer(&b, t, x[k]);
  if (!b.error.code) fill_results(L, results, x, n);
  sd_lua_close(L, &b);
  lua_settop(L, results);
  return 1;
}

/* abstract(trace, list, dims) -> list of tracers shaped as the tensors
** without dim dims[k] (0-based; false: as they are) */
static int core_abstract(lua_State *L) {
  SdTrace *t = check_trace(L, 1);
  int n;
  SdBuilder b;
  lua_settop(L, 3);
  SdNode **x = check_list(L, 2, &n);
  int results = push_results(L, n);
  sd_builder_open(&b);
  for (int k = 0; k < n; k++) {
    SdShape s = x[k]->shape;
    lua_rawgeti(L, 3, k + 1);
    if (lua_isinteger(L, -1)) {
      int d = (int)lua_tointeger(L, -1);
      memmove(s.dims + d, s.dims + d + 1,
              (size_t)(s.ndim - d - 1) * sizeof *s.dims);
      s.ndim--;
    }
    lua_pop(L, 1);
    x[k] = sd_trace_abstract(&b, t, (SdDtype)x[k]->dtype, &s);
  }
  if (!b.error.code) fill_results(L, results, x, n);
  sd_lua_close(L, &b);
  lua_settop(L, results);
  return 1;
}

/* ---- the gradient of one number ----------------------------------------- */

/* The arguments of watch and pull in a walk over a tree. */
typedef struct Watch {
  Trace *t;
  const char *what;
  SdNode ***grads; /* the handles of the results */
  size_t next;
} Watch;

/* Derivatives need f32 or f64. */
static void check_float(lua_State *L, const SdNode *x, const char *what) {
  if (!sd_dtype_is_float(x->dtype))
    sd_lua_fail(L, "%s: an argument is %s; derivatives need f32 or f64", what,
                sd_dtype_name(x->dtype));
}

static void push_tracer(lua_State *L, int i, void *to) {
  Watch *w = to;
  SdBuilder b;
  SdError err;
  SdNode *x = sd_lua_tensor(L, i);
  check_float(L, x, w->what);
  SdNode **h = sd_lua_push_handle(L);
  if (sd_memory_grow(&w->t->watched, &w->t->capacity, w->t->count + 1,
                     sizeof *w->t->watched, &err) != SD_OK)
    sd_lua_raise(L, &err);
  sd_builder_open(&b);
  SdNode *n = sd_trace_tracer(&b, w->t->trace, x);
  if (n) {
    sd_lua_fill(h, n);
    w->t->watched[w->t->count++] = sd_node_retain(n);
  }
  sd_lua_close(L, &b);
}

/* watch(trace, tree, what) -> the tree of tracers that stand for it */
static int core_watch(lua_State *L) {
  Watch w = {.t = check_handle(L, 1), .what = luaL_checkstring(L, 3)};
  size_t before = w.t->count;
  lua_settop(L, 3);
  sd_lua_map(L, 2, push_tracer, &w);
  if (w.t->count == before)
    return sd_lua_fail(L, "%s: the argument holds no tensors", w.what);
  return 1;
}

static SdNode *check_scalar(lua_State *L, int i, const char *what) {
  SdNode *y = sd_lua_tensor(L, i);
  if (!y)
    sd_lua_fail(L, "%s: the function returned a %s; its first result must be "
                "a one-element tensor", what, luaL_typename(L, i));
  if (sd_shape_numel(&y->shape) != 1)
    sd_lua_fail(L, "%s: the function returned shape %s; it must be one "
                "element", what, sd_shape_text(&y->shape).text);
  if (!sd_dtype_is_float(y->dtype))
    sd_lua_fail(L, "%s: the function returned %s; it must be f32 or f64",
                what, sd_dtype_name(y->dtype));
  return y;
}

static void push_empty(lua_State *L, int i, void *to) {
  Watch *w = to;
  (void)i;
  if (w->next == w->t->count)
    sd_lua_fail(L, "%s: the function added tensors to its argument", w->what);
  w->grads[w->next++] = sd_lua_push_handle(L);
}

/* pull(trace, what, y, trees ..) -> for each tree that was watched, in their
** order, the gradient of the one-element tensor y */
static int core_pull(lua_State *L) {
  Trace *t = check_handle(L, 1);
  Watch w = {.t = t, .what = luaL_checkstring(L, 2)};
  int top = lua_gettop(L), n = (int)t->count;
  SdBuilder b;
  SdNode *y = check_scalar(L, 3, w.what), **out = new_list(L, n);
  w.grads = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *w.grads, 0);
  luaL_checkstack(L, top, "pull");
  for (int i = 4; i <= top; i++) sd_lua_map(L, i, push_empty, &w);
  sd_builder_open(&b);
  SdNode *one = sd_full(&b, (SdDtype)y->dtype, &y->shape, 1);
  if (one)
    sd_transform_vjp(&b, t->trace, 1, &y, &one, n, t->watched, out);
  for (size_t k = 0; k < w.next && !b.error.code; k++) {
    SdNode *g = out[k] ? out[k] : sd_zeros_like(&b, t->watched[k]);
    if (g) sd_lua_fill(w.grads[k], g);
  }
  sd_lua_close(L, &b);
  return top - 3;
}

/* ---- transforms --------------------------------------------------------- */

typedef void (*Linear)(SdBuilder *, const SdTrace *, int, SdNode *const *,
                       SdNode *const *, int, SdNode *const *, SdNode **);

/* f(trace, from, tangents or cotangents, to) -> list over to */
static int linear(lua_State *L, Linear f) {
  SdTrace *t = check_trace(L, 1);
  int nfrom, ng, nto;
  SdBuilder b;
  SdNode **from = check_list(L, 2, &nfrom), **g = check_list(L, 3, &ng);
  SdNode **to = check_list(L, 4, &nto), **out = new_list(L, nto);
  int results = push_results(L, nto);
  if (ng != nfrom) return sd_lua_fail(L, "transform: lists differ");
  sd_builder_open(&b);
  f(&b, t, nfrom, from, g, nto, to, out);
  if (!b.error.code) fill_results(L, results, out, nto);
  sd_lua_close(L, &b);
  lua_settop(L, results);
  return 1;
}

static int core_vjp(lua_State *L) { return linear(L, sd_transform_vjp); }
static int core_jvp(lua_State *L) { return linear(L, sd_transform_jvp); }

/* vmap(trace, size, x, bx, y) -> list: by or false */
static int core_vmap(lua_State *L) {
  SdTrace *t = check_trace(L, 1);
  int nx, nb, ny;
  SdBuilder b;
  int64_t size = luaL_checkinteger(L, 2);
  SdNode **x = check_list(L, 3, &nx), **bx = check_list(L, 4, &nb);
  SdNode **y = check_list(L, 5, &ny), **out = new_list(L, ny);
  int results = push_results(L, ny);
  sd_builder_open(&b);
  sd_transform_vmap(&b, t, size, nx, x, bx, ny, y, out);
  if (!b.error.code) fill_results(L, results, out, ny);
  sd_lua_close(L, &b);
  lua_settop(L, results);
  return 1;
}

/* checkpoint(trace, x, args, y) -> list; keeps the trace */
static int core_checkpoint(lua_State *L) {
  SdTrace *t = check_trace(L, 1);
  int nx, na, ny;
  SdBuilder b;
  SdNode **x = check_list(L, 2, &nx), **args = check_list(L, 3, &na);
  SdNode **y = check_list(L, 4, &ny), **out = new_list(L, ny);
  int results = push_results(L, ny);
  sd_builder_open(&b);
  sd_trace_leave(t);
  sd_transform_checkpoint(&b, t, nx, x, args, ny, y, out);
  if (!b.error.code) fill_results(L, results, out, ny);
  sd_lua_close(L, &b);
  lua_settop(L, results);
  return 1;
}

static int core_stop_gradient(lua_State *L) {
  SdBuilder b;
  SdNode *x = sd_lua_check_tensor(L, 1, "stop_gradient");
  SdNode **h = sd_lua_push_handle(L);
  sd_builder_open(&b);
  x = sd_stop_gradient(&b, x);
  if (x) sd_lua_fill(h, x);
  sd_lua_close(L, &b);
  return 1;
}

/* ---- plans -------------------------------------------------------------- */

static int plan_gc(lua_State *L) {
  SdLuaPlan *p = lua_touserdata(L, 1);
  sd_plan_free(p->plan);
  p->plan = NULL;
  return 0;
}

/* compile(trace, x, y, donated) -> plan, which may use up the last so many
** of x */
static int core_compile(lua_State *L) {
  SdTrace *t = check_trace(L, 1);
  SdError err;
  int nx, ny;
  int donated = (int)luaL_checkinteger(L, 4);
  SdNode **x = check_list(L, 2, &nx), **y = check_list(L, 3, &ny);
  SdLuaPlan *p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = (SdLuaPlan){NULL, nx, ny};
  luaL_setmetatable(L, SD_LUA_PLAN);
  if (sd_transform_compile(&p->plan, t, nx, x, ny, y, donated, &err) != SD_OK)
    return sd_lua_raise(L, &err);
  return 1;
}

/* ---- what a function looks at ------------------------------------------- */

/* The nodes that roots stand on, whatever they depend on, but for what lies
** beneath nodes of the op called end, if any. */
static SdStatus ancestors(SdNode **roots, int n, const char *end,
                          SdNode ***all, size_t *count, size_t *room,
                          SdError *err) {
  unsigned epoch = sd_node_epoch();
  SdStatus s = SD_OK;
  for (size_t k = 0; s == SD_OK && k <= *count; k++) {
    SdNode *x = k ? (*all)[k - 1] : NULL; /* first the roots, then each */
    int nin = x ? x->nin : n;
    if (x && end && strcmp(x->op->name, end) == 0) continue;
    for (int i = 0; i < nin && s == SD_OK; i++) {
      SdNode *in = x ? x->in[i] : roots[i];
      if (in->epoch == epoch) continue;
      in->epoch = epoch;
      s = sd_memory_grow(all, room, *count + 1, sizeof **all, err);
      if (s == SD_OK) (*all)[(*count)++] = in;
    }
  }
  return s;
}

/* ancestors(list) -> the set of all that the tensors are computed from,
** keyed by core.id */
static int core_ancestors(lua_State *L) {
  SdNode **all = NULL;
  size_t count = 0, room = 0;
  SdError err;
  int n;
  SdNode **roots = check_list(L, 1, &n);
  lua_newtable(L);
  SdStatus s = ancestors(roots, n, NULL, &all, &count, &room, &err);
  for (size_t i = 0; i < count && s == SD_OK; i++) {
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -2, all[i]);
  }
  sd_memory_free(all, room * sizeof *all);
  if (s != SD_OK) return sd_lua_raise(L, &err);
  return 1;
}

typedef struct Nodes {
  SdNode **all;
  size_t count;
} Nodes;

/* The inputs of n, each with the name of its op under via, and n's own name
** and integers (attr) as a table on the top. */
static void push_node(lua_State *L, SdNode *n) {
  lua_createtable(L, n->nin, 3);
  lua_pushstring(L, n->op->name);
  lua_setfield(L, -2, "name");
  lua_createtable(L, n->nin, 0);
  lua_createtable(L, n->attr ? n->attr->count : 0, 0);
  for (int i = 0; n->attr && i < n->attr->count; i++) {
    lua_pushinteger(L, n->attr->i[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -3, "attr");
  for (int i = 0; i < n->nin; i++) {
    lua_pushstring(L, n->in[i]->op->name);
    lua_rawseti(L, -2, i + 1);
    sd_lua_fill(sd_lua_push_handle(L), n->in[i]);
    lua_rawseti(L, -3, i + 1);
  }
  lua_setfield(L, -2, "via");
}

/* Runs protected, with the list of nodes and the table of names: pushes those
** whose op's name is in it. */
static int push_named(lua_State *L) {
  const Nodes *list = lua_touserdata(L, 1);
  lua_newtable(L);
  for (size_t i = list->count, k = 0; i-- > 0;) {
    SdNode *x = list->all[i];
    if (x->nin == 0) continue; /* a leaf, or computed and without its inputs */
    int wanted = lua_getfield(L, 2, x->op->name) != LUA_TNIL;
    lua_pop(L, 1);
    if (!wanted) continue;
    push_node(L, x);
    lua_rawseti(L, -2, (lua_Integer)++k);
  }
  return 1;
}

/* nodes(list, names, end) -> those that the tensors are computed from whose
** ops are keys of names, and that do not lie beneath an op called end alone:
** a list of { name, attr, via (names of the inputs' ops), inputs ... } */
static int core_nodes(lua_State *L) {
  Nodes list = {NULL, 0};
  size_t room = 0;
  SdError err;
  int n;
  SdNode **roots = check_list(L, 1, &n);
  luaL_checktype(L, 2, LUA_TTABLE);
  const char *end = luaL_optstring(L, 3, NULL);
  SdStatus s = ancestors(roots, n, end, &list.all, &list.count, &room, &err);
  lua_pushcfunction(L, push_named);
  lua_pushlightuserdata(L, &list);
  lua_pushvalue(L, 2);
  int good = s == SD_OK && lua_pcall(L, 2, 1, 0) == LUA_OK;
  sd_memory_free(list.all, room * sizeof *list.all);
  if (s != SD_OK) return sd_lua_raise(L, &err);
  return good ? 1 : lua_error(L);
}

static int core_id(lua_State *L) {
  lua_pushlightuserdata(L, sd_lua_check_tensor(L, 1, "id"));
  return 1;
}

/* Whether a function is being traced. */
static int core_is_tracing(lua_State *L) {
  lua_pushboolean(L, sd_trace_current() != NULL);
  return 1;
}

static int core_depends_on_trace(lua_State *L) {
  SdNode *n = sd_lua_check_tensor(L, 1, "is_traced");
  SdTrace *t = n->trace;
  while (t && !t->live) t = t->outer;
  lua_pushboolean(L, t != NULL);
  return 1;
}

void sd_lua_open_transform(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"trace", core_trace},       {"close", trace_close},
      {"leave", core_leave},       {"tracers", core_tracers},
      {"abstract", core_abstract}, {"vjp", core_vjp},
      {"jvp", core_jvp},           {"vmap", core_vmap},
      {"checkpoint", core_checkpoint},
      {"stop_gradient", core_stop_gradient},
      {"watch", core_watch},       {"pull", core_pull},
      {"compile", core_compile},
      {"is_traced", core_depends_on_trace},
      {"is_tracing", core_is_tracing},
      {"ancestors", core_ancestors}, {"nodes", core_nodes},
      {"id", core_id},             {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  luaL_newmetatable(L, TRACE);
  lua_pushcfunction(L, trace_close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, trace_close);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
  luaL_newmetatable(L, SD_LUA_PLAN);
  lua_pushcfunction(L, plan_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
