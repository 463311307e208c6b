/*
** Matrix-free algorithms over a Lua function v -> A v. The core calls it
** through one trampoline that runs protected: an error in Lua unwinds the
** core as a status first and is raised, the same object, afterwards.
*/
#include "lua/tensor.h"

#include "base/memory.h"
#include "curvature/eigs.h"
#include "curvature/lanczos.h"
#include "curvature/quadrature.h"
#include "curvature/trace.h"
#include "graph/layout.h"
#include "graph/plan.h"
#include "ops/ops.h"

#include <string.h>

typedef struct Matvec {
  lua_State *L;
  int f;     /* stack place of the function */
  int error; /* stack place for its error object */
  int failed;
  int64_t n;
  SdDtype dtype;
  const void *v; /* of the product under way */
  void *out;
} Matvec;

/* ---- tensors and flat memory -------------------------------------------- */

/* Pushes a tensor that holds a copy of the memory. */
static void push_copy(lua_State *L, SdDtype d, const SdShape *s,
                      const void *data) {
  SdBuilder b;
  SdNode **h = sd_lua_push_handle(L);
  sd_builder_open(&b);
  SdNode *n = sd_node_data(&b, d, s, data);
  if (n) sd_lua_fill(h, n);
  sd_lua_close(L, &b);
}

/* Copies an evaluated tensor's elements out, row-major. */
static void copy_out(lua_State *L, const SdNode *n, void *out) {
  SdArray a;
  SdError err;
  if (sd_array_contiguous(n->value, &a, &err) != SD_OK) sd_lua_raise(L, &err);
  memcpy(out, a.data, (size_t)sd_array_numel(&a) * sd_dtype_size(a.dtype));
  sd_array_release(&a);
}

/* Runs protected, with the Matvec as its argument. */
static int call_matvec(lua_State *L) {
  Matvec *m = lua_touserdata(L, 1);
  SdShape s = {1, {m->n}};
  lua_pushvalue(L, 2);
  push_copy(L, m->dtype, &s, m->v);
  lua_call(L, 1, 1);
  SdNode *y = sd_lua_check_tensor(L, -1, "matvec");
  if (y->shape.ndim != 1 || y->shape.dims[0] != m->n ||
      y->dtype != m->dtype)
    return sd_lua_fail(L, "matvec: returned %s %s, expected %s {%d}",
                       sd_dtype_name((SdDtype)y->dtype),
                       sd_shape_text(&y->shape).text,
                       sd_dtype_name(m->dtype), (int)m->n);
  sd_lua_eval(L, &y, 1);
  copy_out(L, y, m->out);
  return 0;
}

static SdStatus matvec(void *context, const void *v, void *out,
                       SdError *err) {
  Matvec *m = context;
  lua_State *L = m->L;
  m->v = v;
  m->out = out;
  lua_pushcfunction(L, call_matvec);
  lua_pushlightuserdata(L, m);
  lua_pushvalue(L, m->f);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return SD_OK;
  lua_replace(L, m->error);
  m->failed = 1;
  return sd_error_set(err, SD_EARGUMENT, "matvec failed");
}

/* (n, dtype, f, ...) at 1, 2, 3. */
static SdOperator open_operator(lua_State *L, Matvec *m) {
  luaL_checktype(L, 3, LUA_TFUNCTION);
  luaL_checkstack(L, 20, "operator");
  int d = sd_dtype_find(luaL_checkstring(L, 2));
  lua_pushnil(L);
  *m = (Matvec){.L = L, .f = 3, .error = lua_gettop(L),
                .n = luaL_checkinteger(L, 1), .dtype = (SdDtype)d};
  return (SdOperator){m->n, m->dtype, matvec, m};
}

static int raise_failure(lua_State *L, const Matvec *m, const SdError *err) {
  if (!m->failed) return sd_lua_raise(L, err);
  lua_pushvalue(L, m->error);
  return lua_error(L);
}

/* The elements of the tensor at i, which must have count of dtype d, in
** memory that Lua owns. */
static void *vector_at(lua_State *L, int i, int64_t count, SdDtype d) {
  SdNode *n = sd_lua_check_tensor(L, i, "operator");
  if (sd_shape_numel(&n->shape) != count || n->dtype != d)
    sd_lua_fail(L, "operator: expected %d elements of %s, got %s %s",
                (int)count, sd_dtype_name(d), sd_dtype_name((SdDtype)n->dtype),
                sd_shape_text(&n->shape).text);
  sd_lua_eval(L, &n, 1);
  void *v = lua_newuserdatauv(L, (size_t)count * sd_dtype_size(d) + 1, 0);
  copy_out(L, n, v);
  return v;
}

static void field_vector(lua_State *L, const char *name, int64_t n,
                         const double *v) {
  SdShape s = {1, {n}};
  push_copy(L, SD_F64, &s, v);
  lua_setfield(L, -2, name);
}

static void field_integer(lua_State *L, const char *name, int64_t v) {
  lua_pushinteger(L, v);
  lua_setfield(L, -2, name);
}

static double option_number(lua_State *L, int i, const char *name,
                            double otherwise) {
  lua_getfield(L, i, name);
  double v = lua_isnil(L, -1) ? otherwise : luaL_checknumber(L, -1);
  lua_pop(L, 1);
  return v;
}

/* ---- results are pushed protected, so that a full Lua frees ours first -- */

typedef struct Push {
  void (*f)(lua_State *L, const void *result);
  const void *result;
} Push;

static int push_body(lua_State *L) {
  const Push *p = lua_touserdata(L, 1);
  p->f(L, p->result);
  return 1;
}

static int push_protected(lua_State *L, void (*f)(lua_State *, const void *),
                          const void *result) {
  Push p = {f, result};
  lua_pushcfunction(L, push_body);
  lua_pushlightuserdata(L, &p);
  return lua_pcall(L, 1, 1, 0) == LUA_OK;
}

/* ---- eigs(n, dtype, f, start or nil, options) --------------------------- */

static void push_eigs(lua_State *L, const void *result) {
  const SdEigs *e = result;
  SdShape s = {2, {e->k, e->n}};
  lua_newtable(L);
  field_vector(L, "values", e->k, e->values);
  field_vector(L, "residuals", e->k, e->residuals);
  push_copy(L, e->dtype, &s, e->vectors);
  lua_setfield(L, -2, "rows");
  field_integer(L, "iterations", e->iterations);
  field_integer(L, "converged", e->converged);
  lua_pushnumber(L, e->norm);
  lua_setfield(L, -2, "norm");
}

static int core_eigs(lua_State *L) {
  static const char *const which[] = {"largest", "smallest", "magnitude",
                                      "both", NULL};
  Matvec m;
  SdError err;
  SdEigs e;
  lua_settop(L, 5);
  SdOperator op = open_operator(L, &m);
  void *start = lua_isnil(L, 4) ? NULL : vector_at(L, 4, m.n, m.dtype);
  lua_getfield(L, 5, "which");
  SdEigsOptions o = {
      .k = (int64_t)option_number(L, 5, "k", 5),
      .which = (SdEigsWhich)luaL_checkoption(L, -1, "largest", which),
      .tol = option_number(L, 5, "tol", 0),
      .max_iter = (int64_t)option_number(L, 5, "max_iter", 0),
      .subspace = (int64_t)option_number(L, 5, "subspace", 0),
      .verify = (int)option_number(L, 5, "verify", 0),
      .seed = (uint64_t)option_number(L, 5, "seed", 1)};
  if (sd_eigs_run(&op, start, &o, &e, &err) != SD_OK)
    return raise_failure(L, &m, &err);
  int good = push_protected(L, push_eigs, &e);
  sd_eigs_free(&e);
  return good ? 1 : lua_error(L);
}

/* ---- lanczos(n, dtype, f, start, options) ------------------------------- */

typedef struct LanczosResult {
  const SdLanczos *l;
  const SdOperator *op;
  int keep;
} LanczosResult;

static void push_lanczos(lua_State *L, const void *result) {
  const LanczosResult *r = result;
  const SdLanczos *l = r->l;
  lua_newtable(L);
  field_vector(L, "alpha", l->steps, l->alpha);
  field_vector(L, "beta", l->steps, l->beta);
  if (!r->keep) return;
  SdShape s = {2, {l->steps, r->op->n}};
  push_copy(L, r->op->dtype, &s, l->basis.rows);
  lua_setfield(L, -2, "basis");
}

static int core_lanczos(lua_State *L) {
  Matvec m;
  SdError err;
  SdLanczos l;
  lua_settop(L, 5);
  SdOperator op = open_operator(L, &m);
  void *start = vector_at(L, 4, m.n, m.dtype);
  int full = (int)option_number(L, 5, "reorthogonalize", 1);
  SdLanczosOptions o = {.steps = (int64_t)option_number(L, 5, "steps", 20),
                        .reorthogonalize = full, .keep_basis = full};
  if (sd_lanczos_run(&op, start, &o, &l, &err) != SD_OK)
    return raise_failure(L, &m, &err);
  LanczosResult r = {&l, &op, full};
  int good = push_protected(L, push_lanczos, &r);
  sd_lanczos_free(&l);
  return good ? 1 : lua_error(L);
}

/* ---- density(n, dtype, f, probes {count, n}, options) ------------------- */

static void push_density(lua_State *L, const void *result) {
  const SdDensity *d = result;
  lua_newtable(L);
  field_vector(L, "grid", d->points, d->grid);
  field_vector(L, "density", d->points, d->density);
  field_vector(L, "nodes", d->count, d->nodes);
  field_vector(L, "weights", d->count, d->weights);
  lua_pushnumber(L, d->sigma);
  lua_setfield(L, -2, "sigma");
}

/* Probes are rows: count of them. */
static void *probes_at(lua_State *L, int i, const Matvec *m,
                       int64_t *count) {
  SdNode *p = sd_lua_check_tensor(L, i, "probes");
  if (p->shape.ndim != 2 || p->shape.dims[1] != m->n)
    sd_lua_fail(L, "probes: expected %d elements each, got shape %s",
                (int)m->n, sd_shape_text(&p->shape).text);
  *count = p->shape.dims[0];
  return vector_at(L, i, *count * m->n, m->dtype);
}

static int core_density(lua_State *L) {
  Matvec m;
  SdError err;
  SdDensity d;
  int64_t count;
  lua_settop(L, 5);
  SdOperator op = open_operator(L, &m);
  void *probes = probes_at(L, 4, &m, &count);
  SdDensityOptions o = {
      .steps = (int64_t)option_number(L, 5, "steps", 80),
      .sigma = option_number(L, 5, "sigma", 0),
      .points = (int64_t)option_number(L, 5, "points", 0),
      .reorthogonalize = (int)option_number(L, 5, "reorthogonalize", 1)};
  if (sd_density_run(&op, count, probes, &o, &d, &err) != SD_OK)
    return raise_failure(L, &m, &err);
  int good = push_protected(L, push_density, &d);
  sd_density_free(&d);
  return good ? 1 : lua_error(L);
}

/* ---- trace(n, dtype, f, probes, method) -> estimate, error, products ---- */

static int core_trace_estimate(lua_State *L) {
  static const char *const names[] = {"hutchinson", "hutch++", "xtrace", NULL};
  static SdStatus (*const methods[])(const SdOperator *, int64_t, const void *,
                                     SdTraceEstimate *, SdError *) = {
      sd_trace_hutchinson, sd_trace_hutchpp, sd_trace_xtrace};
  Matvec m;
  SdError err;
  SdTraceEstimate t;
  int64_t count;
  lua_settop(L, 5);
  SdOperator op = open_operator(L, &m);
  void *probes = probes_at(L, 4, &m, &count);
  int method = luaL_checkoption(L, 5, "hutchinson", names);
  if (methods[method](&op, count, probes, &t, &err) != SD_OK)
    return raise_failure(L, &m, &err);
  lua_pushnumber(L, t.value);
  lua_pushnumber(L, t.error);
  lua_pushinteger(L, t.products);
  return 3;
}

void sd_lua_open_curvature(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"eigs", core_eigs},       {"lanczos", core_lanczos},
      {"density", core_density}, {"trace_estimate", core_trace_estimate},
      {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
