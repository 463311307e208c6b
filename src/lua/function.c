/*
** Ops as Lua functions and methods.  An op's args string (ops/call.h) is
** read once, when the library opens; a call then fills an SdCall.
*/
#include "lua/tensor.h"

#include "base/memory.h"
#include "ops/ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Param {
  char name[16];
  char kind;
  int optional;
  double otherwise;
} Param;

typedef struct Function {
  const SdOp *op;
  int n;
  Param params[SD_MAX_ARGS];
} Function;

#define GENERATOR "saddle.generator"

/* ---- reading the args string -------------------------------------------- */

static const char *read_param(const char *s, Param *p) {
  size_t n = strcspn(s, ": ");
  memset(p, 0, sizeof *p);
  memcpy(p->name, s, n < sizeof p->name ? n : sizeof p->name - 1);
  p->kind = 'X'; /* a tensor, not a number */
  s += n;
  if (*s == ':') {
    p->kind = s[1];
    s += 2;
  }
  p->optional = *s == '?' || *s == '=';
  if (*s == '=') p->otherwise = strtod(s + 1, NULL);
  s += strcspn(s, " ");
  return s + strspn(s, " ");
}

static void read_params(Function *f) {
  const char *s = f->op->args;
  f->n = 0;
  while (*s) s = read_param(s, &f->params[f->n++]);
}

/* ---- reading a call ----------------------------------------------------- */

typedef struct Reader {
  lua_State *L;
  const Function *f;
  SdBuilder *b;
  int at, top; /* the next argument, the last */
  int options; /* the table of named ones, or 0 */
} Reader;

static void wrong(Reader *r, const Param *p, const char *expected, int i) {
  sd_builder_fail(r->b, SD_EARGUMENT, "%s: %s: expected %s, got %s",
                  r->f->op->name, p->name, expected,
                  lua_isnone(r->L, i) ? "nothing" : sd_lua_kind(r->L, i));
}

static int read_integer(Reader *r, const Param *p, int i, int64_t *out) {
  lua_State *L = r->L;
  int exact = 0;
  *out = lua_tointegerx(L, i, &exact);
  if (!exact || lua_type(L, i) != LUA_TNUMBER) {
    wrong(r, p, "a whole number", i);
    return 0;
  }
  return 1;
}

static void read_list(Reader *r, const Param *p, SdArgument *a, int i) {
  lua_State *L = r->L;
  int n = (int)lua_rawlen(L, i);
  if (n > SD_MAX_LIST) {
    sd_builder_fail(r->b, SD_EARGUMENT, "%s: %s: a list of %d is too long",
                    r->f->op->name, p->name, n);
    return;
  }
  for (a->n = 0; a->n < n; a->n++) {
    lua_rawgeti(L, i, a->n + 1);
    int good = read_integer(r, p, lua_gettop(L), &a->i[a->n]);
    lua_pop(L, 1);
    if (!good) return;
  }
}

/* Numbers one after another, or one list of them. */
static void read_shape(Reader *r, const Param *p, SdArgument *a) {
  lua_State *L = r->L;
  a->given = 1;
  if (r->at <= r->top && lua_istable(L, r->at)) {
    read_list(r, p, a, r->at++);
    return;
  }
  while (r->at <= r->top && lua_type(L, r->at) == LUA_TNUMBER &&
         a->n < SD_MAX_LIST)
    if (!read_integer(r, p, r->at++, &a->i[a->n++])) return;
}

static void read_tensors(Reader *r, const Param *p, SdArgument *a, int i) {
  lua_State *L = r->L;
  if (!lua_istable(L, i)) {
    wrong(r, p, "a list of tensors", i);
    return;
  }
  a->n = (int)lua_rawlen(L, i);
  /* Lua owns the list's memory. */
  a->list = lua_newuserdatauv(L, (size_t)(a->n + 1) * sizeof *a->list, 0);
  for (int k = 0; k < a->n; k++) {
    lua_rawgeti(L, i, k + 1);
    a->list[k] = sd_lua_node(L, lua_gettop(L), r->b);
    if (!a->list[k]) wrong(r, p, "a list of tensors", lua_gettop(L));
    lua_pop(L, 1);
    if (r->b->error.code) return;
  }
}

static void read_value(Reader *r, const Param *p, SdArgument *a, int i) {
  lua_State *L = r->L;
  void *g;
  a->given = 1;
  switch (p->kind) {
    case 'X': case 'T':
      a->x = p->kind == 'X' ? sd_lua_tensor(L, i) : sd_lua_node(L, i, r->b);
      if (!a->x) wrong(r, p, p->kind == 'X' ? "a tensor"
                                            : "a tensor or number", i);
      break;
    case 'L': read_tensors(r, p, a, i); break;
    case 'I': read_integer(r, p, i, &a->i[0]); break;
    case 'D':
      a->n = 1;
      if (lua_istable(L, i)) read_list(r, p, a, i);
      else read_integer(r, p, i, &a->i[0]);
      break;
    case 'F':
      if (lua_type(L, i) != LUA_TNUMBER) wrong(r, p, "a number", i);
      else a->f = lua_tonumber(L, i);
      break;
    case 'B':
      if (!lua_isboolean(L, i)) wrong(r, p, "true or false", i);
      else a->i[0] = lua_toboolean(L, i);
      break;
    case 'Y':
      a->i[0] = lua_type(L, i) == LUA_TSTRING
                    ? sd_dtype_find(lua_tostring(L, i)) : -1;
      if (a->i[0] < 0)
        sd_builder_fail(r->b, SD_EARGUMENT,
                        "%s: no dtype '%s' (f32 f64 i64 i32 u8 bool)",
                        r->f->op->name, luaL_tolstring(L, i, NULL));
      break;
    default:
      g = luaL_testudata(L, i, GENERATOR);
      if (!g) wrong(r, p, "a generator", i);
      else a->data = *(SdGenerator **)g;
      break;
  }
}

static int is_tensor_param(const Param *p) {
  return p->kind == 'X' || p->kind == 'T' || p->kind == 'L';
}

/* By name from the options; 1 when it was there. */
static int read_option(Reader *r, const Param *p, SdArgument *a) {
  lua_State *L = r->L;
  if (!r->options || is_tensor_param(p)) return 0;
  int given = lua_getfield(L, r->options, p->name) != LUA_TNIL;
  if (given) read_value(r, p, a, lua_gettop(L));
  lua_pop(L, 1);
  return given;
}

/* A last {} is options nobody gave, where no list is expected. */
static int is_empty_options(Reader *r, const Param *p) {
  if (r->at != r->top || !lua_istable(r->L, r->at)) return 0;
  if (p && strchr("SDL", p->kind)) return 0;
  lua_pushnil(r->L);
  if (!lua_next(r->L, r->at)) return 1;
  lua_pop(r->L, 2);
  return 0;
}

/* Dims that come last may follow one another without a list. */
static void read_more_dims(Reader *r, const Param *p, SdArgument *a) {
  lua_State *L = r->L;
  if (p->kind != 'D' || p != &r->f->params[r->f->n - 1] ||
      lua_type(L, r->at - 1) != LUA_TNUMBER)
    return;
  while (r->at <= r->top && lua_type(L, r->at) == LUA_TNUMBER &&
         a->n < SD_MAX_LIST)
    if (!read_integer(r, p, r->at++, &a->i[a->n++])) return;
}

static void read_argument(Reader *r, const Param *p, SdArgument *a) {
  memset(a, 0, offsetof(SdArgument, i));
  a->i[0] = (int64_t)p->otherwise;
  a->f = p->otherwise;
  a->data = NULL;
  if (is_empty_options(r, p)) r->at++;
  if (p->kind == 'S') {
    read_shape(r, p, a);
  } else if (r->at <= r->top && !lua_isnil(r->L, r->at) &&
             /* a dtype or generator is only ever named */
             p->kind != 'Y' && p->kind != 'G') {
    read_value(r, p, a, r->at++);
    if (!r->b->error.code) read_more_dims(r, p, a);
  } else if (p->kind == 'Y' && r->at <= r->top &&
             lua_type(r->L, r->at) == LUA_TSTRING) {
    read_value(r, p, a, r->at++);
  } else {
    if (r->at <= r->top && lua_isnil(r->L, r->at)) r->at++;
    if (!read_option(r, p, a) && !p->optional)
      wrong(r, p, is_tensor_param(p) ? "a tensor" : "a value",
            r->top + 100);
  }
}

/* The last argument, when it is a table with a name in it. */
static int find_options(lua_State *L, int top) {
  if (top == 0 || !lua_istable(L, top) || lua_rawlen(L, top) > 0) return 0;
  lua_pushnil(L);
  if (!lua_next(L, top)) return 0;
  int named = lua_type(L, -2) == LUA_TSTRING;
  lua_pop(L, 2);
  return named ? top : 0;
}

static void check_options(Reader *r) {
  lua_State *L = r->L;
  if (!r->options) return;
  lua_pushnil(L);
  while (lua_next(L, r->options)) {
    int known = 0;
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2)
                                                     : "?";
    for (int k = 0; k < r->f->n; k++)
      known |= !strcmp(key, r->f->params[k].name) &&
               !is_tensor_param(&r->f->params[k]);
    if (!known) {
      char all[200] = "";
      for (int k = 0; k < r->f->n; k++) {
        const Param *p = &r->f->params[k];
        if (is_tensor_param(p)) continue;
        if (all[0]) strcat(all, ", ");
        strcat(all, p->name);
      }
      sd_builder_fail(r->b, SD_EARGUMENT, "%s: unknown option '%s' (%s%s)",
                      r->f->op->name, key, all[0] ? "it takes " : "no options",
                      all);
    }
    lua_pop(L, 1);
  }
}

static void read_call(Reader *r, SdCall *c) {
  const Function *f = r->f;
  c->name = f->op->name;
  c->n = f->n;
  r->at = 1;
  r->top = lua_gettop(r->L) - 1; /* the result's handle is last */
  r->options = find_options(r->L, r->top);
  if (r->options) r->top--;
  for (int k = 0; k < f->n && !r->b->error.code; k++)
    read_argument(r, &f->params[k], &c->a[k]);
  if (!r->b->error.code) check_options(r);
  if (is_empty_options(r, NULL)) r->at++;
  if (!r->b->error.code && r->at <= r->top)
    sd_builder_fail(r->b, SD_EARGUMENT, "%s: too many arguments (it takes "
                    "%d)", f->op->name, f->n);
}

static int build(SdBuilder *b, const SdOp *op, const SdCall *c,
                 SdNode **out) {
  if (op->call) return op->call(b, op, c, out);
  SdNode *in[3];
  for (int k = 0; k < c->n; k++) in[k] = c->a[k].x;
  out[0] = sd_elementwise(b, op, in, c->n);
  return out[0] != NULL;
}

static int call(lua_State *L) {
  const Function *f = lua_touserdata(L, lua_upvalueindex(1));
  SdNode *out[SD_MAX_RESULTS];
  SdBuilder b;
  SdCall c;
  int n = 0, tried = 0, top = lua_gettop(L);
  luaL_checkstack(L, 20, f->op->name);
  sd_lua_charge(L);
  for (;;) {
    lua_settop(L, top);
    SdNode **h = sd_lua_push_handle(L);
    sd_builder_open(&b);
    Reader r = {.L = L, .f = f, .b = &b};
    read_call(&r, &c);
    n = b.error.code ? 0 : build(&b, f->op, &c, out);
    if (n) sd_lua_fill(h, out[0]);
    lua_settop(L, top + 1);
    for (int k = 1; k < n; k++) sd_lua_fill(sd_lua_push_handle(L), out[k]);
    if (!sd_lua_retry(L, b.error.code, &tried)) break;
    sd_builder_close(&b, &b.error);
  }
  sd_lua_close(L, &b);
  for (int k = 0; k < n; k++)
    sd_lua_settle(L, *(SdNode **)lua_touserdata(L, top + 1 + k));
  return n;
}

/* ---- generators --------------------------------------------------------- */

static int generator_gc(lua_State *L) {
  sd_generator_release(*(SdGenerator **)lua_touserdata(L, 1));
  return 0;
}

static int core_generator(lua_State *L) {
  SdError err;
  lua_Integer seed = luaL_checkinteger(L, 1);
  SdGenerator **g = lua_newuserdatauv(L, sizeof *g, 0);
  *g = NULL;
  luaL_setmetatable(L, GENERATOR);
  *g = sd_generator_new((uint64_t)seed, &err);
  if (!*g) return sd_lua_raise(L, &err);
  return 1;
}

/* stream(generator [, n]) -> the next stream it draws from, set to n. */
static int core_stream(lua_State *L) {
  SdGenerator *g = *(SdGenerator **)luaL_checkudata(L, 1, GENERATOR);
  lua_pushinteger(L, (lua_Integer)g->stream);
  if (!lua_isnoneornil(L, 2)) g->stream = (uint64_t)luaL_checkinteger(L, 2);
  return 1;
}

static int core_seed(lua_State *L) {
  SdGenerator *g = sd_generator_default();
  g->seed = (uint64_t)luaL_checkinteger(L, 1);
  g->stream = 0;
  return 0;
}

/* ---- opening ------------------------------------------------------------ */

static int core_default_dtype(lua_State *L) {
  lua_pushstring(L, sd_dtype_name(sd_default_dtype()));
  if (lua_isnoneornil(L, 1)) return 1;
  const char *name = luaL_checkstring(L, 1);
  int d = sd_dtype_find(name);
  if (d < 0 || !sd_dtype_is_float((SdDtype)d))
    return sd_lua_fail(L, "default_dtype: f32 or f64, not '%s'", name);
  sd_set_default_dtype((SdDtype)d);
  return 1;
}

static void describe(lua_State *L, const SdOp *op) {
  lua_newtable(L);
  lua_pushstring(L, op->args);
  lua_setfield(L, -2, "args");
  lua_pushstring(L, op->doc);
  lua_setfield(L, -2, "doc");
  lua_pushstring(L, op->samples ? op->samples : "");
  lua_setfield(L, -2, "samples");
  lua_pushboolean(L, (op->flags & SD_OP_ZERO_GRAD) != 0);
  lua_setfield(L, -2, "zero_grad");
}

/* core.ops: name -> function; core.about: name -> args, doc, samples. */
void sd_lua_open_ops(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"generator", core_generator}, {"seed", core_seed},
      {"stream", core_stream},
      {"default_dtype", core_default_dtype}, {NULL, NULL}};
  const SdOp *op;
  luaL_setfuncs(L, functions, 0);
  luaL_newmetatable(L, GENERATOR);
  lua_pushcfunction(L, generator_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  for (int i = 0; (op = sd_op_at(i)) != NULL; i++) {
    if (op->flags & SD_OP_HIDDEN) continue;
    Function *f = lua_newuserdatauv(L, sizeof *f, 0);
    f->op = op;
    read_params(f);
    lua_pushcclosure(L, call, 1);
    lua_setfield(L, -3, op->name);
    describe(L, op);
    lua_setfield(L, -2, op->name);
  }
  lua_setfield(L, -3, "about");
  lua_setfield(L, -2, "ops");
}
