/*
** Replays: a function of Lua turned into plans, one for each signature of
** its arguments.  A call goes from Lua to the plan and back in C, without
** running Lua.  A replay may carry tensors of its own from each call to the
** next (an optimizer's state), which take no part in the arguments.
*/
#include "lua/tensor.h"

#include "base/memory.h"

#include <string.h>

#define REPLAY "saddle.replay"

/* One plan.  Its inputs are the arguments' tensors, then the carried ones;
** its outputs the results' tensors, then what is carried on. */
typedef struct Entry {
  char *key;
  size_t length;
  int made;     /* complete; until then found by nobody */
  int form;     /* of the carried tree that the plan takes */
  int next;     /* of the one it leaves */
  int nx, ny;   /* inputs and outputs in all */
  int nresults; /* outputs that go to the caller */
  int values;   /* Lua values returned */
  int watches;  /* captures to be checked at each call */
  SdPlan *plan; /* owned by the Lua object */
  SdArray *arrays;    /* inputs, then outputs, of the call under way */
  SdNode ***handles;  /* of the results of the call under way */
} Entry;

typedef struct Replay {
  Entry **entries; /* each stays where it is when others are made */
  size_t count, capacity;
  SdSignature signature; /* of the call under way */
  SdArray *carried;
  int ncarried, form;
  unsigned calls; /* begun */
} Replay;

/* Places in the user value, a list: the three functions, then of each entry
** the plan, the results as a template, and the captures. */
enum { MAKE = 1, PLAIN, CHECK, FIRST, EACH = 3 };

static Replay *check_replay(lua_State *L, int i) {
  return luaL_checkudata(L, i, REPLAY);
}

static size_t array_bytes(const Entry *e) {
  return (size_t)(e->nx + e->ny) * sizeof *e->arrays;
}

static void free_entry(Entry *e) {
  sd_memory_free(e->key, e->length);
  sd_memory_free(e->arrays, array_bytes(e));
  sd_memory_free(e->handles, (size_t)e->nresults * sizeof *e->handles);
  sd_memory_free(e, sizeof *e);
}

static void drop_carried(Replay *r) {
  for (int k = 0; k < r->ncarried; k++) sd_array_release(&r->carried[k]);
  sd_memory_free(r->carried, (size_t)r->ncarried * sizeof *r->carried);
  r->carried = NULL;
  r->ncarried = 0;
}

static int replay_gc(lua_State *L) {
  Replay *r = lua_touserdata(L, 1);
  for (size_t i = 0; i < r->count; i++) free_entry(r->entries[i]);
  sd_memory_free(r->entries, r->capacity * sizeof *r->entries);
  sd_lua_signature_free(&r->signature);
  drop_carried(r);
  memset(r, 0, sizeof *r);
  return 0;
}

/* ---- entries ------------------------------------------------------------ */

static int find(const Replay *r) {
  const SdSignature *s = &r->signature;
  for (size_t i = 0; i < r->count; i++) {
    const Entry *e = r->entries[i];
    if (e->made && e->form == r->form && e->length == s->length &&
        !memcmp(e->key, s->text, s->length))
      return (int)i;
  }
  return -1;
}

static void sign(lua_State *L, Replay *r, int first, int last) {
  r->signature.length = r->signature.count = 0;
  r->signature.traced = 0;
  sd_lua_sign(L, first, last, &r->signature);
}

static void push_place(lua_State *L, int i, void *to) {
  SdNode ****next = to;
  (void)i;
  lua_pushlightuserdata(L, (*next)++);
}

/* The table at i, a part of a template, becomes a list that is quicker to go
** through: how many of its fields are a list's, and all keys and values. */
static void unroll(lua_State *L, int i) {
  lua_Integer n = 1;
  luaL_checkstack(L, 8, "jit");
  lua_newtable(L);
  lua_pushinteger(L, (lua_Integer)lua_rawlen(L, i));
  lua_rawseti(L, -2, n++);
  lua_pushnil(L);
  while (lua_next(L, i)) {
    if (lua_istable(L, -1)) unroll(L, lua_gettop(L));
    lua_pushvalue(L, -2);
    lua_rawseti(L, i + 1, n++);
    lua_rawseti(L, i + 1, n++);
  }
  lua_replace(L, i);
}

/* The results, a list of e->values at i, as a template: every tensor becomes
** the place in e->handles where a call puts it.  Pushed. */
static void push_template(lua_State *L, const Entry *e, int i) {
  SdNode ***next = e->handles;
  lua_createtable(L, e->values, 0);
  for (int k = 1; k <= e->values; k++) {
    lua_rawgeti(L, i, k);
    sd_lua_map(L, lua_gettop(L), push_place, &next);
    lua_remove(L, -2);
    if (lua_istable(L, -1)) unroll(L, lua_gettop(L));
    lua_rawseti(L, -2, k);
  }
}

static int integer_field(lua_State *L, int i, const char *name) {
  lua_getfield(L, i, name);
  int v = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return v;
}

/* Fills a fresh entry from the table that the function make returned, on the
** top. */
static void fill_entry(lua_State *L, Entry *e, int functions, int at) {
  int made = lua_gettop(L);
  SdError err;
  lua_getfield(L, made, "plan");
  SdLuaPlan *p = luaL_checkudata(L, -1, SD_LUA_PLAN);
  e->plan = p->plan;
  e->nx = p->nx;
  e->ny = p->ny;
  e->next = integer_field(L, made, "next");
  e->values = integer_field(L, made, "values");
  e->nresults = integer_field(L, made, "tensors");
  e->arrays = sd_memory_alloc(array_bytes(e), &err);
  e->handles =
      sd_memory_alloc((size_t)e->nresults * sizeof *e->handles, &err);
  if (!e->arrays || !e->handles) sd_lua_raise(L, &err);
  lua_rawseti(L, functions, at);
  lua_getfield(L, made, "results");
  push_template(L, e, lua_gettop(L));
  lua_rawseti(L, functions, at + 1);
  e->watches = lua_getfield(L, made, "captures") == LUA_TTABLE;
  lua_rawseti(L, functions, at + 2);
  e->made = 1;
}

/* A new entry for the signature of the call under way. */
static SdStatus add_entry(Replay *r, SdError *err) {
  const SdSignature *s = &r->signature;
  if (sd_memory_grow(&r->entries, &r->capacity, r->count + 1,
                     sizeof *r->entries, err) != SD_OK)
    return err->code;
  Entry *e = r->entries[r->count] = sd_memory_alloc(sizeof *e, err);
  if (!e) return err->code;
  r->count++;
  *e = (Entry){.form = r->form, .length = s->length,
               .key = sd_memory_alloc(s->length, err)};
  if (!e->key) return err->code;
  memcpy(e->key, s->text, s->length);
  return SD_OK;
}

/* Runs Lua to make the entry for the arguments at 1 .. n.  These are signed
** again after it, for Lua may have called this very replay meanwhile. */
static void make(lua_State *L, Replay *r, int n, int functions) {
  SdError err;
  int top = lua_gettop(L);
  lua_rawgeti(L, functions, MAKE);
  for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
  lua_call(L, n, 1);
  sign(L, r, 1, n);
  int number = (int)r->count;
  if (add_entry(r, &err) != SD_OK) sd_lua_raise(L, &err);
  fill_entry(L, r->entries[number], functions, FIRST + EACH * number);
  lua_settop(L, top);
}

/* ---- calls -------------------------------------------------------------- */

/* The part of the results' template on the top becomes the part itself, with
** fresh handles. */
static void make_fresh(lua_State *L) {
  if (lua_islightuserdata(L, -1)) {
    SdNode ***place = lua_touserdata(L, -1);
    lua_pop(L, 1);
    *place = sd_lua_push_handle(L);
    return;
  }
  if (!lua_istable(L, -1)) return;
  luaL_checkstack(L, 8, "jit");
  int unrolled = lua_gettop(L), n = (int)lua_rawlen(L, unrolled);
  lua_rawgeti(L, unrolled, 1);
  int list = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  lua_createtable(L, list, (n - 1) / 2 - list);
  for (int k = 2; k < n; k += 2) {
    lua_rawgeti(L, unrolled, k);
    lua_rawgeti(L, unrolled, k + 1);
    make_fresh(L);
    lua_rawset(L, unrolled + 1);
  }
  lua_replace(L, unrolled);
}

/* Runs the plan.  Everything that can fail comes first: a failed call leaves
** what is carried as it was. */
static SdStatus run(Replay *r, Entry *e, SdArray *carried, SdError *err) {
  const SdSignature *s = &r->signature;
  SdArray *out = e->arrays + e->nx;
  SdBuilder b;
  SdStatus status = sd_plan_eval(s->nodes, (int)s->count, err);
  if (status != SD_OK) return status;
  for (size_t k = 0; k < s->count; k++) e->arrays[k] = s->nodes[k]->value[0];
  if (r->ncarried)
    memcpy(e->arrays + s->count, r->carried,
           (size_t)r->ncarried * sizeof *r->carried);
  sd_builder_open(&b);
  for (int k = 0; k < e->nresults; k++) {
    SdNode *n = sd_node_empty(&b);
    if (n) sd_lua_fill(e->handles[k], n);
  }
  status = sd_builder_close(&b, err);
  if (status == SD_OK) status = sd_plan_run(e->plan, e->arrays, out, err);
  if (status != SD_OK) return status;
  for (int k = 0; k < e->nresults; k++) sd_node_put(*e->handles[k], &out[k]);
  memcpy(carried, out + e->nresults,
         (size_t)(e->ny - e->nresults) * sizeof *carried);
  return SD_OK;
}

/* Returns 0, having done nothing, when a finalizer came in between. */
static int run_or_raise(lua_State *L, Replay *r, Entry *e) {
  int kept = e->ny - e->nresults, tried = 0;
  size_t bytes = (size_t)kept * sizeof(SdArray);
  unsigned number = r->calls;
  SdError err;
  SdStatus s;
  do {
    if (r->calls != number) return 0;
    SdArray *carried = sd_memory_alloc(bytes, &err);
    s = carried ? run(r, e, carried, &err) : err.code;
    if (s == SD_OK) {
      drop_carried(r);
      r->carried = carried;
      r->ncarried = kept;
      r->form = e->next;
    } else {
      sd_memory_free(carried, bytes);
    }
  } while (sd_lua_retry(L, s, &tried));
  if (s != SD_OK) sd_lua_raise(L, &err);
  return 1;
}

static int call_plain(lua_State *L, int n, int functions) {
  lua_rawgeti(L, functions, PLAIN);
  lua_insert(L, 1);
  lua_settop(L, n + 1);
  lua_call(L, n, LUA_MULTRET);
  return lua_gettop(L);
}

static void check_captures(lua_State *L, int functions, int at) {
  lua_rawgeti(L, functions, CHECK);
  lua_rawgeti(L, functions, at);
  lua_call(L, 1, 0);
}

/* Pushes the results of the entry, with fresh handles; their number. */
static int push_results(lua_State *L, const Entry *e, int functions, int at) {
  int values = e->values;
  lua_rawgeti(L, functions, at + 1);
  int template = lua_gettop(L);
  luaL_checkstack(L, values + 8, "jit");
  for (int k = 1; k <= values; k++) {
    lua_rawgeti(L, template, k);
    make_fresh(L);
  }
  return values;
}

/* Whatever allocates may run a finalizer, and that may call this very replay:
** the call then begins anew. */
static int call(lua_State *L) {
  int n = lua_gettop(L), functions = n + 2, values;
  luaL_checkstack(L, n + 20, "jit");
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_getiuservalue(L, n + 1, 1);
  Replay *r = lua_touserdata(L, n + 1);
  sd_lua_charge(L);
  for (;;) {
    unsigned begun = ++r->calls;
    lua_settop(L, functions);
    sign(L, r, 1, n);
    /* Inside another trace, whose tracers the function may have captured, it
    ** is simply run. */
    if (r->signature.traced || sd_trace_current())
      return call_plain(L, n, functions);
    int number = find(r);
    if (number < 0) {
      make(L, r, n, functions);
      continue;
    }
    int at = FIRST + EACH * number;
    if (r->entries[number]->watches) check_captures(L, functions, at + 2);
    values = push_results(L, r->entries[number], functions, at);
    if (r->calls == begun && run_or_raise(L, r, r->entries[number])) break;
  }
  return values;
}

/* replay(make, plain, check) -> function, replay.  make(...) returns a table:
** plan; results, a list of so many values with so many tensors; captures, a
** list for check to look at before each call, or nil; next, the form of what
** is carried on.  plain(...) is called inside another trace. */
static int core_replay(lua_State *L) {
  lua_settop(L, 3);
  Replay *r = lua_newuserdatauv(L, sizeof *r, 1);
  memset(r, 0, sizeof *r);
  luaL_setmetatable(L, REPLAY);
  lua_createtable(L, FIRST + EACH, 0);
  for (int i = 1; i <= 3; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, i);
  }
  lua_setiuservalue(L, 4, 1);
  lua_pushvalue(L, 4);
  lua_pushcclosure(L, call, 1);
  lua_insert(L, 4);
  return 2;
}

/* peak(function of a replay, ...) -> the bytes that its plan for these
** arguments takes at most, results and all; the plan is made, not run.
** Inside another trace, where none is made, 0. */
static int core_peak(lua_State *L) {
  int n = lua_gettop(L) - 1, functions = n + 2, number;
  double bytes = 0;
  SdError err;
  if (lua_tocfunction(L, 1) != call || !lua_getupvalue(L, 1, 1))
    return sd_lua_fail(L, "peak: expected a replay, not a %s",
                       luaL_typename(L, 1));
  luaL_checkstack(L, n + 20, "peak");
  lua_replace(L, 1);
  lua_rotate(L, 1, n); /* the arguments at 1 .. n, as make wants them */
  lua_getiuservalue(L, n + 1, 1);
  Replay *r = lua_touserdata(L, n + 1);
  for (;;) {
    ++r->calls;
    sign(L, r, 1, n);
    number = find(r);
    if (number >= 0 || r->signature.traced || sd_trace_current()) break;
    make(L, r, n, functions);
  }
  if (number >= 0 &&
      sd_plan_peak(r->entries[number]->plan, &bytes, &err) != SD_OK)
    return sd_lua_raise(L, &err);
  lua_pushnumber(L, bytes);
  return 1;
}

/* ---- what is carried ---------------------------------------------------- */

/* carry(replay, list of tensors, form) */
static int core_carry(lua_State *L) {
  Replay *r = check_replay(L, 1);
  int form = (int)luaL_checkinteger(L, 3);
  luaL_checktype(L, 2, LUA_TTABLE);
  int n = (int)lua_rawlen(L, 2);
  SdError err;
  SdNode **list = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *list, 0);
  for (int k = 0; k < n; k++) {
    lua_rawgeti(L, 2, k + 1);
    list[k] = sd_lua_check_tensor(L, -1, "carry");
    lua_pop(L, 1);
  }
  sd_lua_eval(L, list, n);
  SdArray *carried = sd_memory_alloc((size_t)n * sizeof *carried, &err);
  if (!carried) return sd_lua_raise(L, &err);
  for (int k = 0; k < n; k++) carried[k] = sd_array_retain(list[k]->value);
  drop_carried(r);
  r->carried = carried;
  r->ncarried = n;
  r->form = form;
  return 0;
}

/* carried(replay) -> list of tensors, form; they are carried no longer */
static int core_carried(lua_State *L) {
  Replay *r = check_replay(L, 1);
  SdError err;
  SdBuilder b;
  lua_createtable(L, r->ncarried, 0);
  for (int k = 0; k < r->ncarried; k++) {
    SdNode **h = sd_lua_push_handle(L);
    sd_builder_open(&b);
    SdArray value = sd_array_retain(&r->carried[k]);
    SdNode *n = sd_node_leaf(&b, &value);
    if (n) sd_lua_fill(h, n);
    if (sd_builder_close(&b, &err) != SD_OK) return sd_lua_raise(L, &err);
    lua_rawseti(L, 2, k + 1);
  }
  drop_carried(r);
  lua_pushinteger(L, r->form);
  return 2;
}

void sd_lua_open_replay(lua_State *L) {
  static const luaL_Reg functions[] = {{"replay", core_replay},
                                       {"peak", core_peak},
                                       {"carry", core_carry},
                                       {"carried", core_carried},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  luaL_newmetatable(L, REPLAY);
  lua_pushcfunction(L, replay_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
