#include "lua/operator.h"

#include "base/interrupt.h"
#include "graph/layout.h"
#include "graph/plan.h"
#include "ops/ops.h"

#include <string.h>

/* ---- tensors and flat memory -------------------------------------------- */

void sd_lua_push_copy(lua_State *L, SdDtype d, const SdShape *s,
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

void *sd_lua_elements(lua_State *L, int i, int64_t count, SdDtype d) {
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

/* ---- products ----------------------------------------------------------- */

static int is_expected(const SdNode *y, const SdShape *s, SdDtype d) {
  return y->dtype == d && y->shape.ndim == s->ndim &&
         memcmp(y->shape.dims, s->dims,
                (size_t)s->ndim * sizeof *s->dims) == 0;
}

/* Empties a handle that nobody else has, ahead of the collector. */
static void let_go(lua_State *L, int i) {
  SdNode **h = luaL_checkudata(L, i, SD_TENSOR);
  sd_node_release(*h);
  *h = NULL;
}

/* Runs protected, with the operator and the function as its arguments. */
static int call_product(lua_State *L) {
  SdLuaOperator *o = lua_touserdata(L, 1);
  SdShape s = o->count ? (SdShape){2, {o->count, o->n}} : (SdShape){1, {o->n}};
  lua_pushvalue(L, 2);
  sd_lua_push_copy(L, o->dtype, &s, o->v);
  if (o->fresh) { /* else nothing here should keep it alive */
    lua_pushvalue(L, -1);
    lua_insert(L, 3);
  }
  lua_call(L, 1, 1);
  SdNode *y = sd_lua_check_tensor(L, -1, "matvec");
  if (!is_expected(y, &s, o->dtype))
    return sd_lua_fail(L, "matvec: returned %s %s, expected %s %s",
                       sd_dtype_name((SdDtype)y->dtype),
                       sd_shape_text(&y->shape).text,
                       sd_dtype_name(o->dtype), sd_shape_text(&s).text);
  sd_lua_eval(L, &y, 1);
  copy_out(L, y, o->out);
  if (o->fresh) {
    let_go(L, 3);
    let_go(L, -1);
  }
  return 0;
}

static int ends_with(const char *s, const char *end) {
  size_t n = s ? strlen(s) : 0, m = strlen(end);
  return n >= m && strcmp(s + n - m, end) == 0;
}

static SdStatus call(SdLuaOperator *o, int f, int64_t count, const void *v,
                     void *out, SdError *err) {
  lua_State *L = o->L;
  o->count = count;
  o->v = v;
  o->out = out;
  lua_pushcfunction(L, call_product);
  lua_pushlightuserdata(L, o);
  lua_pushvalue(L, f);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return SD_OK;
  /* What Ctrl-C raises reads so; the core may have results to keep. */
  int stopped = lua_type(L, -1) == LUA_TSTRING &&
                ends_with(lua_tostring(L, -1), "interrupted");
  lua_replace(L, o->error);
  o->failed = 1;
  return sd_error_set(err, stopped ? SD_EINTERRUPT : SD_EARGUMENT,
                      "matvec failed");
}

static SdStatus matvec(void *context, const void *v, void *out,
                       SdError *err) {
  SdLuaOperator *o = context;
  return call(o, o->product, 0, v, out, err);
}

static SdStatus matmat(void *context, int64_t count, const void *v, void *out,
                       SdError *err) {
  SdLuaOperator *o = context;
  return call(o, o->rows, count, v, out, err);
}

SdOperator sd_lua_operator(lua_State *L, int i, SdLuaOperator *o) {
  luaL_checktype(L, i, LUA_TTABLE);
  luaL_checkstack(L, 24, "operator");
  *o = (SdLuaOperator){.L = L};
  lua_getfield(L, i, "n");
  lua_getfield(L, i, "dtype");
  lua_getfield(L, i, "fresh");
  o->fresh = lua_toboolean(L, -1);
  lua_pop(L, 1);
  o->n = luaL_checkinteger(L, -2);
  o->dtype = (SdDtype)sd_dtype_find(luaL_checkstring(L, -1));
  lua_pop(L, 2);
  lua_getfield(L, i, "product");
  o->product = lua_gettop(L);
  luaL_checktype(L, o->product, LUA_TFUNCTION);
  if (lua_getfield(L, i, "rows") == LUA_TFUNCTION) o->rows = lua_gettop(L);
  lua_pushnil(L);
  o->error = lua_gettop(L);
  return (SdOperator){o->n, o->dtype, matvec, o, o->rows ? matmat : NULL};
}

int sd_lua_operator_raise(lua_State *L, const SdLuaOperator *o,
                          const SdError *err) {
  if (!o->failed) return sd_lua_raise(L, err);
  lua_pushvalue(L, o->error);
  return lua_error(L);
}
