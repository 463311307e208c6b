/*
** x.field, x[k] and x[k] = v.  A key is a place of the first dim, a list
** with one entry for each dim, an i64 tensor (gathers) or a bool tensor
** (selects).
*/
#include "lua/tensor.h"

#include "graph/layout.h"
#include "ops/ops.h"

#include <string.h>

typedef struct Slice { /* of every dim */
  int64_t start[SD_MAX_DIMS], count[SD_MAX_DIMS], step[SD_MAX_DIMS];
  unsigned dropped; /* bits: a single place, the dim goes */
} Slice;

static void push_shape(lua_State *L, const SdShape *s) {
  lua_createtable(L, s->ndim, 0);
  for (int i = 0; i < s->ndim; i++) {
    lua_pushinteger(L, s->dims[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

static void whole(const SdNode *x, Slice *s) {
  s->dropped = 0;
  for (int i = 0; i < x->shape.ndim; i++) {
    s->start[i] = 0;
    s->count[i] = x->shape.dims[i];
    s->step[i] = 1;
  }
}

/* A whole number, also when held as a float. */
static int is_whole(lua_State *L, int i) {
  int exact = 0;
  if (lua_type(L, i) == LUA_TNUMBER) lua_tointegerx(L, i, &exact);
  return exact;
}

static void single(lua_State *L, const SdNode *x, int dim, int i, Slice *s) {
  int64_t n = x->shape.dims[dim], k = lua_tointeger(L, i);
  if (k == 0 || k > n || k < -n)
    sd_lua_fail(L, "index %s is outside dim %d of shape %s",
                lua_pushfstring(L, "%I", (LUAI_UACINT)k), dim + 1,
                sd_shape_text(&x->shape).text);
  s->start[dim] = k > 0 ? k - 1 : k + n;
  s->count[dim] = 1;
  s->dropped |= 1u << dim;
}

/* A field of the range on the top of the stack. */
static int64_t range_field(lua_State *L, int k, int64_t otherwise) {
  lua_rawgeti(L, -1, k);
  if (!lua_isnil(L, -1) && !is_whole(L, -1))
    sd_lua_fail(L, "index: a range {from, to, step} of %s",
                luaL_tolstring(L, -1, NULL));
  int64_t v = lua_isnil(L, -1) ? otherwise : lua_tointeger(L, -1);
  lua_pop(L, 1);
  return v;
}

/* {from, to, step}, both ends included; {} is everything. */
static void range(lua_State *L, const SdNode *x, int dim, Slice *s) {
  int64_t n = x->shape.dims[dim];
  int64_t step = range_field(L, 3, 1);
  int64_t from = range_field(L, 1, step > 0 ? 1 : n);
  int64_t to = range_field(L, 2, step > 0 ? n : 1);
  if (lua_rawlen(L, -1) == 1)
    sd_lua_fail(L, "index: a range needs {from, to}, or {} for all");
  if (from < 0) from += n + 1;
  if (to < 0) to += n + 1;
  int empty = step > 0 ? to < from : to > from;
  if (step == 0 ||
      (!empty && (from < 1 || from > n || to < 1 || to > n)))
    sd_lua_fail(L, "index: range {%s} is outside dim %d of shape %s",
                lua_pushfstring(L, "%I, %I, %I", (LUAI_UACINT)from,
                                (LUAI_UACINT)to, (LUAI_UACINT)step),
                dim + 1, sd_shape_text(&x->shape).text);
  s->start[dim] = empty ? 0 : from - 1;
  s->count[dim] = empty ? 0 : (to - from) / step + 1;
  s->step[dim] = s->count[dim] > 1 ? step : 1;
}

static void read_list(lua_State *L, const SdNode *x, int i, Slice *s) {
  int n = (int)lua_rawlen(L, i);
  if (n > x->shape.ndim)
    sd_lua_fail(L, "index: %d entries for shape %s", n,
                sd_shape_text(&x->shape).text);
  for (int dim = 0; dim < n; dim++) {
    lua_rawgeti(L, i, dim + 1);
    if (is_whole(L, -1)) single(L, x, dim, -1, s);
    else if (lua_istable(L, -1)) range(L, x, dim, s);
    else sd_lua_fail(L, "index: entry %d is a %s", dim + 1,
                     luaL_typename(L, -1));
    lua_pop(L, 1);
  }
}

/* Reads an integer or a list; 0 when the key is something else. */
static int read_slice(lua_State *L, const SdNode *x, int i, Slice *s) {
  whole(x, s);
  if (is_whole(L, i)) {
    if (x->shape.ndim == 0) sd_lua_fail(L, "index: the tensor has no dims");
    single(L, x, 0, i, s);
    return 1;
  }
  if (!lua_istable(L, i)) return 0;
  read_list(L, x, i, s);
  return 1;
}

static SdShape kept(const Slice *s, int ndim) {
  SdShape r = {.ndim = 0};
  for (int i = 0; i < ndim; i++)
    if (!(s->dropped >> i & 1)) r.dims[r.ndim++] = s->count[i];
  return r;
}

/* x with v laid over a slice of it. */
static SdNode *overlaid(SdBuilder *b, SdNode *x, const Slice *s, SdNode *v) {
  SdShape part = kept(s, x->shape.ndim);
  v = sd_expand(b, sd_cast(b, v, (SdDtype)x->dtype), &part);
  v = sd_embed(b, v, &x->shape, s->start, s->step, s->dropped);
  SdNode *one = sd_full(b, SD_BOOL, &part, 1);
  SdNode *inside =
      sd_embed(b, one, &x->shape, s->start, s->step, s->dropped);
  return sd_where(b, inside, v, x);
}

/* The places where a mask is true, as an i64 node. */
static SdNode *true_places(SdBuilder *b, const SdArray *mask) {
  SdArray m, k;
  int64_t n = 0, total = sd_array_numel(mask);
  if (sd_array_contiguous(mask, &m, &b->error) != SD_OK) return NULL;
  const unsigned char *on = m.data;
  for (int64_t i = 0; i < total; i++) n += on[i] != 0;
  SdShape s = {1, {n}};
  SdNode *places = NULL;
  if (sd_array_new(&k, SD_I64, &s, &b->error) == SD_OK) {
    int64_t *to = k.data;
    for (int64_t i = 0; i < total; i++)
      if (on[i]) *to++ = i + 1;
    places = sd_node_leaf(b, &k);
  }
  sd_array_release(&m);
  return places;
}

/* The trues below element p of dims dim and on. */
static int64_t count_trues(const SdArray *m, int dim, const char *p) {
  int64_t n = 0;
  if (dim == m->shape.ndim) return *p != 0;
  for (int64_t i = 0; i < m->shape.dims[dim]; i++)
    n += count_trues(m, dim + 1, p + i * m->strides[dim]);
  return n;
}

/* The leading n dims of a shape as one. */
static SdShape leading_joined(const SdShape *s, int n) {
  SdShape flat = {.ndim = 1, .dims = {1}};
  for (int i = 0; i < n; i++) flat.dims[0] *= s->dims[i];
  for (int i = n; i < s->ndim; i++) flat.dims[flat.ndim++] = s->dims[i];
  return flat;
}

/* x[mask]: the mask covers the leading dims of x. */
static SdNode *select_mask(SdBuilder *b, SdNode *x, SdNode *mask) {
  SdShape flat;
  for (int i = 0; i < mask->shape.ndim; i++)
    if (i >= x->shape.ndim || mask->shape.dims[i] != x->shape.dims[i])
      return sd_builder_fail(b, SD_EARGUMENT,
                             "index: a mask of shape %s for shape %s",
                             sd_shape_text(&mask->shape).text,
                             sd_shape_text(&x->shape).text);
  flat = leading_joined(&x->shape, mask->shape.ndim);
  return sd_take(b, sd_reshape(b, x, &flat), 0, true_places(b, mask->value));
}

/* The shape of x[k]: k's dims, then those of x but the first. */
static SdShape places_shape(const SdNode *x, const SdNode *k) {
  SdShape shape = k->shape;
  for (int i = 1; i < x->shape.ndim; i++)
    if (shape.ndim < SD_MAX_DIMS) shape.dims[shape.ndim++] = x->shape.dims[i];
  return shape;
}

/* x[i64 tensor]: slices of the first dim, in the index's shape. */
static SdNode *select_places(SdBuilder *b, SdNode *x, SdNode *k) {
  SdShape flat = {1, {sd_shape_numel(&k->shape)}}, shape = places_shape(x, k);
  k = sd_reshape(b, sd_cast(b, k, SD_I64), &flat);
  return sd_reshape(b, sd_take(b, x, 0, k), &shape);
}

/* An index of whole numbers, of a tensor with dims. */
static void check_index(lua_State *L, const SdNode *x, const SdNode *k) {
  if (k->dtype >= SD_F32)
    sd_lua_fail(L, "index: an index tensor must be i64 or bool, not %s",
                sd_dtype_name((SdDtype)k->dtype));
  if (k->dtype != SD_BOOL && x->shape.ndim == 0)
    sd_lua_fail(L, "index: the tensor has no dims");
}

/* The mask's elements as trailing dims of x want them, or v one by one. */
static SdNode *overlaid_mask(SdBuilder *b, SdNode *x, SdNode *k, SdNode *v,
                             int one_by_one) {
  if (one_by_one) {
    SdShape flat = leading_joined(&x->shape, k->shape.ndim);
    SdNode *places = true_places(b, k->value);
    v = sd_cast(b, v, (SdDtype)x->dtype);
    SdNode *y = sd_put(b, sd_reshape(b, x, &flat), places, v);
    return sd_reshape(b, y, &x->shape);
  }
  for (int i = k->shape.ndim; i < x->shape.ndim; i++)
    k = sd_unsqueeze(b, k, k ? k->shape.ndim : 0);
  return sd_cast(b, sd_where(b, k, v, x), (SdDtype)x->dtype);
}

/* v has an entry for each true of a mask, as x[mask] gives them. */
static int fits_trues(lua_State *L, const SdNode *x, SdNode *k,
                      const SdNode *v) {
  if (!v || k->dtype != SD_BOOL || k->shape.ndim > x->shape.ndim ||
      v->shape.ndim != x->shape.ndim - k->shape.ndim + 1 ||
      v->shape.dims[0] == 1 || sd_shape_equal(&v->shape, &x->shape))
    return 0;
  for (int i = 1; i < v->shape.ndim; i++)
    if (v->shape.dims[i] != 1 &&
        v->shape.dims[i] != x->shape.dims[i + k->shape.ndim - 1])
      return 0;
  for (int i = 0; i < k->shape.ndim; i++)
    if (k->shape.dims[i] != x->shape.dims[i]) return 0;
  if (!k->value) sd_lua_eval(L, &k, 1);
  return count_trues(k->value, 0, k->value->data) == v->shape.dims[0];
}

static SdNode *overlaid_places(SdBuilder *b, SdNode *x, SdNode *k,
                               SdNode *v) {
  SdShape flat = {1, {sd_shape_numel(&k->shape)}}, rows = x->shape;
  SdShape full = places_shape(x, k);
  rows.dims[0] = flat.dims[0];
  k = sd_reshape(b, sd_cast(b, k, SD_I64), &flat);
  v = sd_expand(b, sd_cast(b, v, (SdDtype)x->dtype), &full);
  return sd_put(b, x, k, sd_reshape(b, v, &rows));
}

static int index_value(lua_State *L, SdNode *x) {
  Slice s;
  SdBuilder b;
  SdNode *k = sd_lua_tensor(L, 2), *y;
  if (k) check_index(L, x, k);
  if (k && k->dtype == SD_BOOL && !k->value) sd_lua_eval(L, &k, 1);
  int sliced = k ? 0 : read_slice(L, x, 2, &s);
  if (!k && !sliced)
    return sd_lua_fail(L, "index: a tensor has no place %s",
                       luaL_tolstring(L, 2, NULL));
  SdNode **h = sd_lua_push_handle(L);
  sd_builder_open(&b);
  if (sliced) y = sd_slice(&b, x, s.start, s.count, s.step, s.dropped);
  else if (k->dtype == SD_BOOL) y = select_mask(&b, x, k);
  else y = select_places(&b, x, k);
  if (y) sd_lua_fill(h, y);
  sd_lua_close(L, &b);
  return 1;
}

/* A name that is no method: the nearest one helps. */
static int unknown_field(lua_State *L) {
  const char *key = lua_tostring(L, 2);
  lua_getfield(L, LUA_REGISTRYINDEX, "saddle.nearest");
  if (lua_isfunction(L, -1)) {
    lua_pushvalue(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_call(L, 2, 1);
  }
  const char *hint = lua_tostring(L, -1);
  return sd_lua_fail(L, "a tensor has no field or method '%s'%s", key,
                     hint ? hint : "");
}

static SdNode *held(lua_State *L) {
  SdNode *x = *(SdNode **)lua_touserdata(L, 1);
  if (!x) sd_lua_fail(L, "index: the tensor was closed");
  return x;
}

int sd_lua_index(lua_State *L) {
  SdNode *x = held(L);
  if (lua_type(L, 2) != LUA_TSTRING) return index_value(L, x);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  const char *key = lua_tostring(L, 2);
  if (strcmp(key, "shape") == 0) push_shape(L, &x->shape);
  else if (strcmp(key, "ndim") == 0) lua_pushinteger(L, x->shape.ndim);
  else if (strcmp(key, "dtype") == 0)
    lua_pushstring(L, sd_dtype_name((SdDtype)x->dtype));
  else return unknown_field(L);
  return 1;
}

int sd_lua_newindex(lua_State *L) {
  SdNode **h = lua_touserdata(L, 1), *k = sd_lua_tensor(L, 2), *y;
  Slice s;
  SdBuilder b;
  if (k) check_index(L, held(L), k);
  int one_by_one = k && fits_trues(L, *h, k, sd_lua_tensor(L, 3));
  int sliced = k ? 0 : read_slice(L, held(L), 2, &s);
  if (!k && !sliced)
    return sd_lua_fail(L, "index: cannot assign to place %s of a tensor",
                       luaL_tolstring(L, 2, NULL));
  sd_builder_open(&b);
  SdNode *v = sd_lua_node(L, 3, &b);
  if (!v)
    sd_builder_fail(&b, SD_EARGUMENT,
                    "index: cannot assign a %s to elements of a tensor",
                    luaL_typename(L, 3));
  if (!v) y = NULL;
  else if (sliced) y = overlaid(&b, *h, &s, v);
  else if (k->dtype != SD_BOOL) y = overlaid_places(&b, *h, k, v);
  else y = overlaid_mask(&b, *h, k, v, one_by_one);
  if (y) sd_lua_fill(h, y);
  sd_lua_close(L, &b);
  return 0;
}
