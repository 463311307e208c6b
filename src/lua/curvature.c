/*
** Matrix-free algorithms over operators that are Lua tables.
*/
#include "lua/operator.h"

#include "curvature/cg.h"
#include "curvature/diagonal.h"
#include "curvature/eigs.h"
#include "curvature/lanczos.h"
#include "curvature/quadrature.h"
#include "curvature/trace.h"
#include "kernels/lapack.h"

#include <string.h>

static void field_vector(lua_State *L, const char *name, int64_t n,
                         const double *v) {
  SdShape s = {1, {n}};
  sd_lua_push_copy(L, SD_F64, &s, v);
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

/* ---- eigs(operator, start or nil, options, preconditioner or nil) ------- */

static void push_eigs(lua_State *L, const void *result) {
  const SdEigs *e = result;
  SdShape s = {2, {e->k, e->n}};
  lua_newtable(L);
  field_vector(L, "values", e->k, e->values);
  field_vector(L, "residuals", e->k, e->residuals);
  sd_lua_push_copy(L, e->dtype, &s, e->vectors);
  lua_setfield(L, -2, "rows");
  field_integer(L, "iterations", e->iterations);
  field_integer(L, "converged", e->converged);
  lua_pushnumber(L, e->norm);
  lua_setfield(L, -2, "norm");
  lua_pushstring(L, sd_eigs_end_name(e->end));
  lua_setfield(L, -2, "reason");
}

typedef struct EigsCall {
  const SdOperator *op, *precondition;
  const void *start; /* rows of n, or NULL */
  int64_t block;
  SdEigsOptions o;
} EigsCall;

static SdStatus run_eigs(const EigsCall *c, int method, SdEigs *e,
                         SdError *err) {
  switch (method) {
    case 1: return sd_eigs_block(c->op, c->block, c->start, &c->o, e, err);
    case 2:
      return sd_eigs_lobpcg(c->op, c->precondition, c->start, &c->o, e, err);
    case 3: return sd_eigs_power(c->op, c->start, &c->o, e, err);
    default: return sd_eigs_run(c->op, c->start, &c->o, e, err);
  }
}

/* The named option, one of the names. */
static int option_name(lua_State *L, int i, const char *name,
                       const char *const *names) {
  lua_getfield(L, i, name);
  int found = luaL_checkoption(L, -1, names[0], names);
  lua_pop(L, 1);
  return found;
}

/* Rows of n elements; how many in *count. */
static void *rows_at(lua_State *L, int i, const SdLuaOperator *m,
                     int64_t *count) {
  SdNode *p = sd_lua_check_tensor(L, i, "rows");
  if (p->shape.ndim != 2 || p->shape.dims[1] != m->n)
    sd_lua_fail(L, "operator: expected %d elements each, got shape %s",
                (int)m->n, sd_shape_text(&p->shape).text);
  *count = p->shape.dims[0];
  return sd_lua_elements(L, i, *count * m->n, m->dtype);
}

static int core_eigs(lua_State *L) {
  static const char *const which[] = {"largest", "smallest", "magnitude",
                                      "both", NULL};
  static const char *const methods[] = {"lanczos", "block", "lobpcg", "power",
                                        NULL};
  SdLuaOperator m, p = {.failed = 0};
  SdOperator op, precondition;
  SdError err;
  SdEigs e;
  int64_t starts = 0;
  lua_settop(L, 4);
  op = sd_lua_operator(L, 1, &m);
  if (!lua_isnil(L, 4)) precondition = sd_lua_operator(L, 4, &p);
  EigsCall c = {
      .op = &op, .precondition = p.L ? &precondition : NULL,
      .start = lua_isnil(L, 2) ? NULL : rows_at(L, 2, &m, &starts),
      .block = (int64_t)option_number(L, 3, "block", 1),
      .o = {.k = (int64_t)option_number(L, 3, "k", 5),
            .which = (SdEigsWhich)option_name(L, 3, "which", which),
            .tol = option_number(L, 3, "tol", 0),
            .max_iter = (int64_t)option_number(L, 3, "max_iter", 0),
            .subspace = (int64_t)option_number(L, 3, "subspace", 0),
            .verify = (int)option_number(L, 3, "verify", 0),
            .seed = (uint64_t)option_number(L, 3, "seed", 1)}};
  int method = option_name(L, 3, "method", methods);
  int64_t needed = method == 1 ? c.block : method == 2 ? c.o.k : 1;
  if (c.start && starts < needed)
    return sd_lua_fail(L, "eigs: %d start vectors, %d needed", (int)starts,
                       (int)needed);
  if (run_eigs(&c, method, &e, &err) != SD_OK)
    return sd_lua_operator_raise(L, p.failed ? &p : &m, &err);
  int good = push_protected(L, push_eigs, &e);
  sd_eigs_free(&e);
  return good ? 1 : lua_error(L);
}

/* ---- lanczos(operator, start, options) ---------------------------------- */

typedef struct LanczosResult {
  const SdLanczos *l;
  int keep;
} LanczosResult;

/* The first count rows as a tensor that shares their memory. */
static void push_rows(lua_State *L, const SdBasis *b, int64_t count) {
  SdBuilder builder;
  SdNode **h = sd_lua_push_handle(L);
  SdArray rows = sd_array_retain(&b->array);
  rows.shape.dims[0] = count;
  sd_builder_open(&builder);
  SdNode *n = sd_node_leaf(&builder, &rows);
  if (n) sd_lua_fill(h, n);
  sd_lua_close(L, &builder);
}

static void push_lanczos(lua_State *L, const void *result) {
  const LanczosResult *r = result;
  const SdLanczos *l = r->l;
  lua_newtable(L);
  field_vector(L, "alpha", l->steps, l->alpha);
  field_vector(L, "beta", l->steps, l->beta);
  if (!r->keep) return;
  push_rows(L, &l->basis, l->steps);
  lua_setfield(L, -2, "basis");
}

static int core_lanczos(lua_State *L) {
  SdLuaOperator m;
  SdError err;
  SdLanczos l;
  lua_settop(L, 3);
  SdOperator op = sd_lua_operator(L, 1, &m);
  void *start = sd_lua_elements(L, 2, m.n, m.dtype);
  int full = (int)option_number(L, 3, "reorthogonalize", 1);
  SdLanczosOptions o = {.steps = (int64_t)option_number(L, 3, "steps", 20),
                        .reorthogonalize = full, .keep_basis = full};
  if (sd_lanczos_run(&op, start, &o, &l, &err) != SD_OK)
    return sd_lua_operator_raise(L, &m, &err);
  LanczosResult r = {&l, full};
  int good = push_protected(L, push_lanczos, &r);
  sd_lanczos_free(&l);
  return good ? 1 : lua_error(L);
}

/* ---- density(operator, probes {count, n}, options) ---------------------- */

static void push_density(lua_State *L, const void *result) {
  const SdDensity *d = result;
  lua_newtable(L);
  field_vector(L, "grid", d->points, d->grid);
  field_vector(L, "density", d->points, d->density);
  field_vector(L, "nodes", d->count, d->nodes);
  field_vector(L, "weights", d->count, d->weights);
  field_vector(L, "coarse_nodes", d->coarse_count, d->coarse_nodes);
  field_vector(L, "coarse_weights", d->coarse_count, d->coarse_weights);
  lua_createtable(L, (int)d->probes, 0);
  for (int64_t i = 0; i < d->probes; i++) {
    lua_pushinteger(L, d->starts[i + 1] - d->starts[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "steps");
  lua_pushnumber(L, d->sigma);
  lua_setfield(L, -2, "sigma");
}

static int core_density(lua_State *L) {
  SdLuaOperator m;
  SdError err;
  SdDensity d;
  int64_t count;
  lua_settop(L, 3);
  SdOperator op = sd_lua_operator(L, 1, &m);
  void *probes = rows_at(L, 2, &m, &count);
  SdDensityOptions o = {
      .steps = (int64_t)option_number(L, 3, "steps", 80),
      .sigma = option_number(L, 3, "sigma", 0),
      .points = (int64_t)option_number(L, 3, "points", 0),
      .reorthogonalize = (int)option_number(L, 3, "reorthogonalize", 1)};
  if (sd_density_run(&op, count, probes, &o, &d, &err) != SD_OK)
    return sd_lua_operator_raise(L, &m, &err);
  int good = push_protected(L, push_density, &d);
  sd_density_free(&d);
  return good ? 1 : lua_error(L);
}

/* ---- trace(operator, probes, method) -> estimate, error, samples, cut -- */

static int core_trace_estimate(lua_State *L) {
  static const char *const names[] = {"hutchinson", "hutch++", "xtrace", NULL};
  static SdStatus (*const methods[])(const SdOperator *, int64_t, const void *,
                                     SdTraceEstimate *, SdError *) = {
      sd_trace_hutchinson, sd_trace_hutchpp, sd_trace_xtrace};
  SdLuaOperator m;
  SdError err;
  SdTraceEstimate t;
  int64_t count;
  lua_settop(L, 3);
  SdOperator op = sd_lua_operator(L, 1, &m);
  void *probes = rows_at(L, 2, &m, &count);
  int method = luaL_checkoption(L, 3, "hutchinson", names);
  if (methods[method](&op, count, probes, &t, &err) != SD_OK)
    return sd_lua_operator_raise(L, &m, &err);
  lua_pushnumber(L, t.value);
  lua_pushnumber(L, t.error);
  lua_pushinteger(L, t.samples);
  lua_pushboolean(L, t.interrupted);
  return 4;
}

/* ---- diag(operator, probes) -> values, errors, samples, cut; frobenius --- */

static int core_diagonal(lua_State *L) {
  SdLuaOperator m;
  SdError err;
  int64_t count, done;
  lua_settop(L, 2);
  SdOperator op = sd_lua_operator(L, 1, &m);
  void *probes = rows_at(L, 2, &m, &count);
  size_t bytes = (size_t)m.n * sizeof(double) + 1;
  double *value = lua_newuserdatauv(L, bytes, 0);
  double *error = lua_newuserdatauv(L, bytes, 0);
  if (sd_diagonal_estimate(&op, count, probes, value, error, &done, &err) !=
      SD_OK)
    return sd_lua_operator_raise(L, &m, &err);
  SdShape s = {1, {m.n}};
  sd_lua_push_copy(L, SD_F64, &s, value);
  sd_lua_push_copy(L, SD_F64, &s, error);
  lua_pushinteger(L, done);
  lua_pushboolean(L, done < count);
  return 4;
}

static int core_frobenius(lua_State *L) {
  SdLuaOperator m;
  SdError err;
  int64_t count, done;
  double value, error;
  lua_settop(L, 2);
  SdOperator op = sd_lua_operator(L, 1, &m);
  void *probes = rows_at(L, 2, &m, &count);
  if (sd_frobenius_estimate(&op, count, probes, &value, &error, &done, &err) !=
      SD_OK)
    return sd_lua_operator_raise(L, &m, &err);
  lua_pushnumber(L, value);
  lua_pushnumber(L, error);
  lua_pushinteger(L, done);
  lua_pushboolean(L, done < count);
  return 4;
}

/* ---- solve(operator, b, x or nil, options, preconditioner or nil) ------- */

/* The result's fields into a table on the top; d: the direction, or NULL. */
static void push_solution(lua_State *L, const SdLuaOperator *m, const void *x,
                          const void *d, const SdSolveResult *r) {
  SdShape s = {1, {m->n}};
  lua_newtable(L);
  sd_lua_push_copy(L, m->dtype, &s, x);
  lua_setfield(L, -2, "x");
  if (d) sd_lua_push_copy(L, m->dtype, &s, d);
  else lua_pushnil(L);
  lua_setfield(L, -2, "direction");
  lua_pushnumber(L, r->residual);
  lua_setfield(L, -2, "residual");
  lua_pushnumber(L, r->curvature);
  lua_setfield(L, -2, "curvature");
  field_integer(L, "iterations", r->iterations);
  lua_pushstring(L, sd_solve_end_name(r->end));
  lua_setfield(L, -2, "reason");
  lua_pushboolean(L, r->end == SD_SOLVE_CONVERGED);
  lua_setfield(L, -2, "converged");
}

static int core_solve(lua_State *L) {
  static const char *const methods[] = {"cg", "minres", NULL};
  SdLuaOperator m, p = {.failed = 0};
  SdOperator op, precondition;
  SdSolveResult r;
  SdError err;
  lua_settop(L, 5);
  op = sd_lua_operator(L, 1, &m);
  if (!lua_isnil(L, 5)) precondition = sd_lua_operator(L, 5, &p);
  size_t bytes = (size_t)m.n * sd_dtype_size(m.dtype) + 1;
  void *b = sd_lua_elements(L, 2, m.n, m.dtype), *x;
  if (lua_isnil(L, 3)) memset(x = lua_newuserdatauv(L, bytes, 0), 0, bytes);
  else x = sd_lua_elements(L, 3, m.n, m.dtype);
  void *direction = lua_newuserdatauv(L, bytes, 0);
  SdSolveOptions o = {.damping = option_number(L, 4, "damping", 0),
                      .tol = option_number(L, 4, "tol", 0),
                      .max_iter = (int64_t)option_number(L, 4, "max_iter", 0),
                      .precondition = p.L ? &precondition : NULL};
  int cg = option_name(L, 4, "method", methods) == 0;
  SdStatus status = cg ? sd_cg_solve(&op, b, x, direction, &o, &r, &err)
                       : sd_minres_solve(&op, b, x, &o, &r, &err);
  if (status != SD_OK)
    return sd_lua_operator_raise(L, p.failed ? &p : &m, &err);
  push_solution(L, &m, x,
                r.end == SD_SOLVE_NEGATIVE_CURVATURE ? direction : NULL, &r);
  return 1;
}

/* ---- inertia(matrix {n, n} of f64, tol) -> negative, zero, positive ----- */

static int core_inertia(lua_State *L) {
  SdNode *a = sd_lua_check_tensor(L, 1, "inertia");
  double tol = luaL_checknumber(L, 2);
  int64_t n = a->shape.ndim == 2 ? a->shape.dims[0] : -1, counts[3];
  SdError err;
  if (n < 0) return sd_lua_fail(L, "inertia: needs a matrix");
  void *m = sd_lua_elements(L, 1, n * n, SD_F64);
  if (sd_lapack_inertia(SD_F64, n, m, tol, counts, "inertia", &err) != SD_OK)
    return sd_lua_raise(L, &err);
  for (int i = 0; i < 3; i++) lua_pushinteger(L, counts[i]);
  return 3;
}

void sd_lua_open_curvature(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"eigs", core_eigs},           {"lanczos", core_lanczos},
      {"density", core_density},     {"trace_estimate", core_trace_estimate},
      {"diagonal", core_diagonal},   {"frobenius", core_frobenius},
      {"solve", core_solve},         {"inertia", core_inertia},
      {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
