/*
** The tensor type as scripts see it: handles, operators, looking at values.
*/
#include "lua/tensor.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "graph/plan.h"
#include "kernels/copy.h"
#include "kernels/finite.h"
#include "ops/ops.h"

#include <math.h>
#include <string.h>

/* ---- handles ------------------------------------------------------------ */

/* The metatable's key in the registry: found faster than by its name. */
static const char metatable;

/* Nothing that scripts can make carries the mark: cheaper to look at than
** the metatable. */
typedef struct Handle {
  SdNode *node;
  const char *mark;
} Handle;

SdNode **sd_lua_push_handle(lua_State *L) {
  Handle *h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (Handle){NULL, &metatable};
  lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable);
  lua_setmetatable(L, -2);
  return &h->node;
}

static SdNode **handle(lua_State *L, int i) {
  Handle *h = lua_touserdata(L, i);
  if (!h || lua_rawlen(L, i) != sizeof *h || h->mark != &metatable)
    return NULL;
  return &h->node;
}

void sd_lua_fill(SdNode **handle, SdNode *n) {
  SdNode *old = *handle;
  *handle = sd_node_retain(n);
  sd_node_release(old);
}

SdNode *sd_lua_tensor(lua_State *L, int i) {
  SdNode **h = handle(L, i);
  return h ? *h : NULL;
}

const char *sd_lua_kind(lua_State *L, int i) {
  return sd_lua_tensor(L, i) ? "tensor" : luaL_typename(L, i);
}

SdNode *sd_lua_check_tensor(lua_State *L, int i, const char *what) {
  SdNode *n = sd_lua_tensor(L, i);
  if (!n)
    sd_lua_fail(L, "%s: expected a tensor, not %s", what, sd_lua_kind(L, i));
  return n;
}

SdNode *sd_lua_node(lua_State *L, int i, SdBuilder *b) {
  SdNode *n;
  switch (lua_type(L, i)) {
    case LUA_TUSERDATA: return sd_lua_tensor(L, i);
    case LUA_TBOOLEAN: return sd_constant(b, SD_BOOL, lua_toboolean(L, i));
    case LUA_TNUMBER: break;
    default: return NULL;
  }
  if (!lua_isinteger(L, i)) return sd_number(b, lua_tonumber(L, i), 0);
  lua_Integer v = lua_tointeger(L, i);
  if (v > -(1LL << 53) && v < 1LL << 53) return sd_number(b, (double)v, 1);
  SdShape scalar = {.ndim = 0}; /* too long for a double */
  n = sd_node_data(b, SD_I64, &scalar, &v);
  if (n) n->weak = 1;
  return n;
}

static int handle_gc(lua_State *L) {
  SdNode **h = lua_touserdata(L, 1);
  sd_node_release(*h);
  *h = NULL;
  return 0;
}

/* ---- memory ------------------------------------------------------------- */

/*
** The collector sees 16-byte userdata, not the buffers behind them.  When
** the core's live bytes have grown by more than a second-level cache, it
** looks at the youngest handles, which costs less than a microsecond: the
** memory of a temporary then serves the next one while it is still in the
** caches.  When they have grown by half all the same, and by more than a
** last-level cache, a full collection frees what scripts dropped.
**
** Called before a result is made, not after: one that lives until the next
** but one is made, as in x = f(x), then sees one look, and is young still.
*/
static const size_t least_young = 1u << 20, least_growth = 32u << 20;

void sd_lua_charge(lua_State *L) {
  static size_t base, last; /* live after a full and after any look, or less
                               since */
  size_t live = sd_memory_stats().live;
  if (live < base) base = live;
  if (live < last) last = live;
  if (live - last < least_young) return;
  lua_gc(L, LUA_GCSTEP, 0);
  last = live = sd_memory_stats().live;
  if (live < base) base = live;
  if (live - base < (base / 2 > least_growth ? base / 2 : least_growth))
    return;
  lua_gc(L, LUA_GCCOLLECT);
  last = base = sd_memory_stats().live;
}

int sd_lua_retry(lua_State *L, SdStatus s, int *tried) {
  if (s != SD_EMEMORY || *tried) return 0;
  *tried = 1;
  lua_gc(L, LUA_GCCOLLECT);
  sd_plan_forget();
  sd_memory_trim();
  return 1;
}

void sd_lua_close(lua_State *L, SdBuilder *b) {
  SdError err;
  if (sd_builder_close(b, &err) != SD_OK) sd_lua_raise(L, &err);
}

static void eval_over(lua_State *L, SdNode *const *roots, int n,
                      SdNode *const *spent, int nspent) {
  SdError err;
  SdStatus s;
  int tried = 0;
  do {
    s = sd_plan_eval_over(roots, n, spent, nspent, &err);
  } while (sd_lua_retry(L, s, &tried));
  if (s != SD_OK) sd_lua_raise(L, &err);
}

void sd_lua_eval(lua_State *L, SdNode *const *roots, int n) {
  sd_lua_charge(L);
  eval_over(L, roots, n, NULL, 0);
}

void sd_lua_settle(lua_State *L, SdNode *n) {
  if (!n->value && sd_node_is_heavy(n) && !n->trace)
    eval_over(L, &n, 1, NULL, 0);
}

/* ---- operators ---------------------------------------------------------- */

typedef SdNode *(*Binary)(SdBuilder *b, SdNode *x, SdNode *y);

static int arithmetic(lua_State *L, Binary f, const char *name) {
  SdBuilder b;
  sd_lua_charge(L);
  SdNode **h = sd_lua_push_handle(L);
  int tried = 0;
  do {
    sd_builder_open(&b);
    SdNode *x = sd_lua_node(L, 1, &b), *y = sd_lua_node(L, 2, &b);
    if ((!x || !y) && !b.error.code)
      sd_builder_fail(&b, SD_EARGUMENT, "%s: cannot take %s and %s", name,
                      sd_lua_kind(L, 1), sd_lua_kind(L, 2));
    SdNode *z = f(&b, x, y);
    if (z) sd_lua_fill(h, z);
    if (!sd_lua_retry(L, b.error.code, &tried)) break;
    sd_builder_close(&b, &b.error);
  } while (1);
  sd_lua_close(L, &b);
  sd_lua_settle(L, *h);
  return 1;
}

static SdNode *floordiv(SdBuilder *b, SdNode *x, SdNode *y) {
  SdNode *in[2] = {x, y};
  return sd_elementwise(b, sd_op_find("floordiv"), in, 2);
}

static SdNode *mod(SdBuilder *b, SdNode *x, SdNode *y) {
  SdNode *in[2] = {x, y};
  return sd_elementwise(b, sd_op_find("mod"), in, 2);
}

static SdNode *negate(SdBuilder *b, SdNode *x, SdNode *y) {
  (void)y;
  return sd_neg(b, x);
}

static int tensor_add(lua_State *L) { return arithmetic(L, sd_add, "+"); }
static int tensor_sub(lua_State *L) { return arithmetic(L, sd_sub, "-"); }
static int tensor_mul(lua_State *L) { return arithmetic(L, sd_mul, "*"); }
static int tensor_div(lua_State *L) { return arithmetic(L, sd_div, "/"); }
static int tensor_pow(lua_State *L) { return arithmetic(L, sd_pow, "^"); }
static int tensor_idiv(lua_State *L) { return arithmetic(L, floordiv, "//"); }
static int tensor_mod(lua_State *L) { return arithmetic(L, mod, "%"); }
static int tensor_unm(lua_State *L) { return arithmetic(L, negate, "-"); }

/* ---- looking ------------------------------------------------------------ */

static void push_element(lua_State *L, SdDtype d, const void *p) {
  switch (d) {
    case SD_BOOL: lua_pushboolean(L, *(const unsigned char *)p != 0); break;
    case SD_U8: lua_pushinteger(L, *(const unsigned char *)p); break;
    case SD_I32: lua_pushinteger(L, *(const int32_t *)p); break;
    case SD_I64: lua_pushinteger(L, *(const int64_t *)p); break;
    case SD_F32: lua_pushnumber(L, (double)*(const float *)p); break;
    default: lua_pushnumber(L, *(const double *)p); break;
  }
}

static const SdArray *look(lua_State *L, SdNode *n) {
  if (!n->value) sd_lua_eval(L, &n, 1);
  return &n->value[0];
}

static int tensor_item(lua_State *L) {
  SdNode *n = sd_lua_check_tensor(L, 1, "item");
  if (sd_shape_numel(&n->shape) != 1)
    return sd_lua_fail(L, "item: needs one element, not shape %s",
                       sd_shape_text(&n->shape).text);
  const SdArray *a = look(L, n);
  push_element(L, a->dtype, a->data);
  return 1;
}

static void check_interrupt(lua_State *L) {
  SdError err;
  if (sd_interrupt_check(&err) != SD_OK) sd_lua_raise(L, &err);
}

static void push_nested(lua_State *L, const SdArray *a, int dim,
                        const char *p) {
  if (dim == a->shape.ndim) {
    push_element(L, a->dtype, p);
    return;
  }
  int64_t n = a->shape.dims[dim];
  int64_t step = a->strides[dim] * (int64_t)sd_dtype_size(a->dtype);
  luaL_checkstack(L, 4, "totable");
  lua_createtable(L, n < 1 << 20 ? (int)n : 0, 0);
  for (int64_t i = 0; i < n; i++) {
    if (i % 4096 == 0) check_interrupt(L);
    push_nested(L, a, dim + 1, p + i * step);
    lua_rawseti(L, -2, i + 1);
  }
}

static int tensor_totable(lua_State *L) {
  SdNode *n = sd_lua_check_tensor(L, 1, "totable");
  const SdArray *a = look(L, n);
  push_nested(L, a, 0, a->data);
  return 1;
}

/* One-element tensors compare as numbers do. */
static double one_element(lua_State *L, int i, const char *what) {
  SdNode *n = sd_lua_tensor(L, i);
  if (!n) return luaL_checknumber(L, i);
  if (sd_shape_numel(&n->shape) != 1)
    return sd_lua_fail(L,
                       "%s compares one-element tensors, not shape %s; "
                       "x:lt(y), x:le(y), x:eq(y) compare elementwise",
                       what, sd_shape_text(&n->shape).text);
  const SdArray *a = look(L, n);
  push_element(L, a->dtype, a->data);
  double v = lua_isboolean(L, -1) ? lua_toboolean(L, -1)
                                  : lua_tonumber(L, -1);
  lua_pop(L, 1);
  return v;
}

static int tensor_lt(lua_State *L) {
  lua_pushboolean(L, one_element(L, 1, "<") < one_element(L, 2, "<"));
  return 1;
}

static int tensor_le(lua_State *L) {
  lua_pushboolean(L, one_element(L, 1, "<=") <= one_element(L, 2, "<="));
  return 1;
}

static int tensor_eq(lua_State *L) {
  if (!sd_lua_tensor(L, 1) || !sd_lua_tensor(L, 2)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_pushboolean(L, one_element(L, 1, "==") == one_element(L, 2, "=="));
  return 1;
}

static int tensor_len(lua_State *L) {
  SdNode *n = sd_lua_check_tensor(L, 1, "#");
  if (n->shape.ndim == 0) return sd_lua_fail(L, "#: the tensor has no dims");
  lua_pushinteger(L, n->shape.dims[0]);
  return 1;
}

static int tensor_numel(lua_State *L) {
  SdNode *n = sd_lua_check_tensor(L, 1, "numel");
  lua_pushinteger(L, sd_shape_numel(&n->shape));
  return 1;
}

static int tensor_size(lua_State *L) {
  SdNode *n = sd_lua_check_tensor(L, 1, "size");
  int exact = 0;
  lua_Integer given = lua_tointegerx(L, 2, &exact), d = given;
  if (!exact || lua_type(L, 2) != LUA_TNUMBER)
    return sd_lua_fail(L, "size: expected a dim, got %s", sd_lua_kind(L, 2));
  if (d < 0) d += n->shape.ndim + 1;
  if (d < 1 || d > n->shape.ndim)
    return sd_lua_fail(L, "size: no dim %d in shape %s", (int)given,
                       sd_shape_text(&n->shape).text);
  lua_pushinteger(L, n->shape.dims[d - 1]);
  return 1;
}

/* ---- making from Lua values --------------------------------------------- */

/* The shape of nested tables, from the first element of each level. */
static void table_shape(lua_State *L, int i, SdShape *s) {
  luaL_checkstack(L, 4, "tensor");
  lua_pushvalue(L, i);
  s->ndim = 0;
  while (lua_istable(L, -1)) {
    if (s->ndim == SD_MAX_DIMS)
      sd_lua_fail(L, "tensor: tables nested deeper than %d", SD_MAX_DIMS);
    s->dims[s->ndim++] = (int64_t)lua_rawlen(L, -1);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
  lua_pop(L, 1);
}

static const char *put_number(lua_State *L, SdDtype d, char *p) {
  if (d == SD_BOOL && lua_isboolean(L, -1)) {
    *(unsigned char *)p = (unsigned char)lua_toboolean(L, -1);
    return NULL;
  }
  if (lua_type(L, -1) != LUA_TNUMBER) return luaL_typename(L, -1);
  double v = lua_tonumber(L, -1);
  if (d == SD_F64) {
    memcpy(p, &v, 8);
  } else if (d == SD_F32) {
    float f = (float)v;
    memcpy(p, &f, 4);
  } else if (lua_isinteger(L, -1)) {
    int64_t k = lua_tointeger(L, -1);
    if (d == SD_I64) memcpy(p, &k, 8);
    else if (d == SD_I32) memcpy(p, &(int32_t){(int32_t)k}, 4);
    else *(unsigned char *)p = (unsigned char)(d == SD_BOOL ? k != 0 : k);
  } else {
    sd_loop_cast(SD_F64, d)(1, p, &v, NULL, NULL);
  }
  return NULL;
}

/* Returns a word about what is wrong, or NULL. */
static const char *fill_nested(lua_State *L, const SdArray *a, int dim,
                               char *p) {
  if (dim == a->shape.ndim) {
    SdNode *n = sd_lua_tensor(L, -1);
    if (n && n->value && sd_shape_numel(&n->shape) == 1) {
      push_element(L, n->value->dtype, n->value->data);
      lua_replace(L, -2);
    }
    return put_number(L, a->dtype, p);
  }
  int64_t n = a->shape.dims[dim];
  size_t step = (size_t)a->strides[dim] * sd_dtype_size(a->dtype);
  if (!lua_istable(L, -1) || (int64_t)lua_rawlen(L, -1) != n)
    return "tables of unequal length";
  for (int64_t i = 0; i < n; i++) {
    lua_rawgeti(L, -1, i + 1);
    const char *wrong = fill_nested(L, a, dim + 1, p + (size_t)i * step);
    lua_pop(L, 1);
    if (wrong) return wrong;
  }
  return NULL;
}

/* Tensors inside a table are numbers once looked at. */
static void settle_elements(lua_State *L, int i, int depth) {
  if (depth > SD_MAX_DIMS) return;
  luaL_checkstack(L, 4, "tensor");
  lua_Integer n = (lua_Integer)lua_rawlen(L, i);
  for (lua_Integer k = 1; k <= n; k++) {
    lua_rawgeti(L, i, k);
    SdNode *x = sd_lua_tensor(L, -1);
    if (x) look(L, x);
    else if (lua_istable(L, -1)) settle_elements(L, lua_gettop(L), depth + 1);
    lua_pop(L, 1);
  }
}

static SdDtype option_dtype(lua_State *L, int i, SdDtype otherwise) {
  if (!lua_istable(L, i)) return otherwise;
  lua_pushnil(L);
  while (lua_next(L, i)) {
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2)
                                                     : "?";
    if (strcmp(key, "dtype"))
      sd_lua_fail(L, "tensor: unknown option '%s' (did you mean 'dtype'?)",
                  key);
    lua_pop(L, 1);
  }
  lua_getfield(L, i, "dtype");
  const char *name = lua_tostring(L, -1);
  int d = name ? sd_dtype_find(name) : -1;
  if (name && d < 0) sd_lua_fail(L, "tensor: no dtype '%s'", name);
  lua_pop(L, 1);
  return name ? (SdDtype)d : otherwise;
}

static SdDtype guess_dtype(lua_State *L, int i) {
  lua_pushvalue(L, i);
  while (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
  int boolean = lua_isboolean(L, -1);
  lua_pop(L, 1);
  return boolean ? SD_BOOL : sd_default_dtype();
}

/* tensor(value [, {dtype =}]): numbers become the default dtype. */
static int core_tensor(lua_State *L) {
  SdNode *x = sd_lua_tensor(L, 1);
  SdDtype d = option_dtype(L, 2, x ? (SdDtype)x->dtype : guess_dtype(L, 1));
  SdNode **h;
  SdBuilder b;
  SdShape shape;
  SdArray a;
  const char *wrong = NULL;
  if (lua_istable(L, 1)) settle_elements(L, 1, 0);
  table_shape(L, 1, &shape);
  lua_settop(L, 1);
  h = sd_lua_push_handle(L);
  sd_builder_open(&b);
  if (x) {
    x = sd_cast(&b, x, d);
  } else if (sd_shape_check(&shape, "tensor", &b.error) == SD_OK &&
             sd_array_new(&a, d, &shape, &b.error) == SD_OK) {
    lua_pushvalue(L, 1);
    wrong = fill_nested(L, &a, 0, a.data);
    lua_settop(L, 2);
    x = sd_node_leaf(&b, &a);
  }
  if (x) sd_lua_fill(h, x);
  if (wrong)
    sd_builder_fail(&b, SD_EARGUMENT,
                    "tensor: expected numbers in equal rows, found %s", wrong);
  sd_lua_close(L, &b);
  return 1;
}

/* The nodes of the list of tensors at index i, in a userdata pushed. */
static SdNode **push_nodes(lua_State *L, int i, int *n) {
  luaL_checktype(L, i, LUA_TTABLE);
  *n = (int)lua_rawlen(L, i);
  SdNode **nodes = lua_newuserdatauv(L, (size_t)(*n + 1) * sizeof *nodes, 0);
  for (int k = 0; k < *n; k++) {
    lua_rawgeti(L, i, k + 1);
    nodes[k] = sd_lua_check_tensor(L, -1, "eval");
    lua_pop(L, 1);
  }
  return nodes;
}

/* Bytes from which it pays to write over what is spent. */
static const double worth_reusing = 1e6;

static double bytes_of(SdNode *const *nodes, int n) {
  double bytes = 0;
  for (int k = 0; k < n; k++)
    if (nodes[k]->value) bytes += (double)nodes[k]->value->buffer->bytes;
  return bytes;
}

/*
** eval(list of tensors [, spent]): computes them all at once.  The tensors of
** the list spent may be written over; the caller releases them after that.
** Handles that nobody has any more would hold them: the collector drops these
** first.
*/
static int core_eval(lua_State *L) {
  int n, nspent = 0;
  lua_settop(L, 2);
  sd_lua_charge(L);
  SdNode **roots = push_nodes(L, 1, &n), **spent = NULL;
  if (!lua_isnil(L, 2)) spent = push_nodes(L, 2, &nspent);
  for (int k = 0; k < nspent; k++)
    if (!spent[k]->value) nspent = 0;
  if (bytes_of(spent, nspent) < worth_reusing) nspent = 0;
  if (nspent > 0) lua_gc(L, LUA_GCSTEP, 0);
  eval_over(L, roots, n, spent, nspent);
  return 0;
}

static int core_is_tensor(lua_State *L) {
  lua_pushboolean(L, sd_lua_tensor(L, 1) != NULL);
  return 1;
}

/* Whether the value is there already. */
static int core_is_ready(lua_State *L) {
  lua_pushboolean(L, sd_lua_check_tensor(L, 1, "is_ready")->value != NULL);
  return 1;
}

/* first_nonfinite(list of tensors) -> the place of the first that holds a NaN
** or an infinity, or nil.  Computes what is pending. */
static int core_first_nonfinite(lua_State *L) {
  core_eval(L);
  int n = (int)lua_rawlen(L, 1);
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    SdNode *x = sd_lua_check_tensor(L, -1, "first_nonfinite");
    if (x->value && !sd_finite(x->value)) {
      lua_pushinteger(L, i);
      return 1;
    }
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  return 1;
}

/* set(x, y): the handle x is rebound to y's node. */
static int core_set(lua_State *L) {
  SdNode **h = luaL_checkudata(L, 1, SD_TENSOR);
  sd_lua_fill(h, sd_lua_check_tensor(L, 2, "set"));
  return 0;
}

/* same(x, y): whether two handles hold one node. */
static int core_same(lua_State *L) {
  lua_pushboolean(L, sd_lua_check_tensor(L, 1, "same") ==
                         sd_lua_check_tensor(L, 2, "same"));
  return 1;
}

static int core_same_shape(lua_State *L) {
  lua_pushboolean(
      L, sd_shape_equal(&sd_lua_check_tensor(L, 1, "same_shape")->shape,
                        &sd_lua_check_tensor(L, 2, "same_shape")->shape));
  return 1;
}

/* scalar(number) -> a 0-d f64 tensor */
static int core_scalar(lua_State *L) {
  double v = luaL_checknumber(L, 1);
  SdShape shape = {.ndim = 0};
  SdBuilder b;
  SdNode **h = sd_lua_push_handle(L);
  sd_builder_open(&b);
  SdNode *n = sd_node_data(&b, SD_F64, &shape, &v);
  if (n) sd_lua_fill(h, n);
  sd_lua_close(L, &b);
  return 1;
}

/* A second handle on the same node, which rebinding the first leaves. */
static int core_alias(lua_State *L) {
  SdNode *n = sd_lua_check_tensor(L, 1, "alias");
  sd_lua_fill(sd_lua_push_handle(L), n);
  return 1;
}

/* blank(rows, columns [, {dtype =}]): undefined contents, for lay. */
static int core_blank(lua_State *L) {
  SdShape shape = {2, {luaL_checkinteger(L, 1), luaL_checkinteger(L, 2)}};
  SdDtype d = option_dtype(L, 3, sd_default_dtype());
  SdNode **h = sd_lua_push_handle(L);
  SdBuilder b;
  SdArray a;
  int tried = 0;
  sd_lua_charge(L);
  do {
    sd_builder_open(&b);
    if (sd_shape_check(&shape, "matrix", &b.error) == SD_OK &&
        sd_array_new(&a, d, &shape, &b.error) == SD_OK) {
      SdNode *n = sd_node_leaf(&b, &a);
      if (n) sd_lua_fill(h, n);
    }
    if (!sd_lua_retry(L, b.error.code, &tried)) break;
    sd_builder_close(&b, &b.error);
  } while (1);
  sd_lua_close(L, &b);
  return 1;
}

/* lay(x, y, i, j): writes y, computed, into x, which nobody has read yet, from
** row i and column j on. */
static int core_lay(lua_State *L) {
  const SdArray *x = sd_lua_check_tensor(L, 1, "lay")->value;
  const SdArray *y = sd_lua_check_tensor(L, 2, "lay")->value;
  int64_t i = luaL_checkinteger(L, 3) - 1, j = luaL_checkinteger(L, 4) - 1;
  luaL_argcheck(L, x && x->buffer->refs == 1 && x->shape.ndim == 2, 1,
                "a matrix of one's own");
  luaL_argcheck(L, y && y->shape.ndim == 2 && y->dtype == x->dtype && i >= 0 &&
                       j >= 0 && y->shape.dims[0] <= x->shape.dims[0] - i &&
                       y->shape.dims[1] <= x->shape.dims[1] - j,
                2, "does not fit");
  size_t size = sd_dtype_size(x->dtype);
  int64_t at = i * x->strides[0] + j * x->strides[1];
  sd_copy_strided(2, y->shape.dims, size, (char *)x->data + at * (int64_t)size,
                  x->strides, y->data, y->strides);
  return 0;
}

static const luaL_Reg metamethods[] = {
    {"__gc", handle_gc},        {"__close", handle_gc},
    {"__add", tensor_add},      {"__sub", tensor_sub},
    {"__mul", tensor_mul},      {"__div", tensor_div},
    {"__pow", tensor_pow},      {"__idiv", tensor_idiv},
    {"__mod", tensor_mod},      {"__unm", tensor_unm},
    {"__lt", tensor_lt},        {"__le", tensor_le},
    {"__eq", tensor_eq},        {"__len", tensor_len},
    {"__index", sd_lua_index},  {"__newindex", sd_lua_newindex},
    {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"item", tensor_item},   {"totable", tensor_totable},
    {"numel", tensor_numel}, {"size", tensor_size},
    {NULL, NULL}};

static const luaL_Reg core[] = {
    {"tensor", core_tensor},       {"eval", core_eval},
    {"is_tensor", core_is_tensor}, {"is_ready", core_is_ready},
    {"set", core_set},             {"same", core_same},
    {"alias", core_alias},         {"same_shape", core_same_shape},
    {"scalar", core_scalar},       {"first_nonfinite", core_first_nonfinite},
    {"blank", core_blank},         {"lay", core_lay},
    {NULL, NULL}};

/* core.methods is where all methods live; __index has it as upvalue. */
void sd_lua_open_tensor(lua_State *L) {
  luaL_setfuncs(L, core, 0);
  luaL_newmetatable(L, SD_TENSOR);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable);
  luaL_newlib(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "methods");
  luaL_setfuncs(L, metamethods, 1);
  lua_pushliteral(L, "tensor");
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "metatable");
  lua_pop(L, 1);
}
