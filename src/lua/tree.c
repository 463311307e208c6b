/*
** Trees: nested tables whose leaves are tensors.  Keys are walked in sorted
** order, numbers first; values that are neither tables nor tensors stay
** where they are.
*/
#include "lua/tensor.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 100 };

/* ---- sorted keys -------------------------------------------------------- */

static int key_less(lua_State *L, int a, int b) {
  int ta = lua_type(L, a), tb = lua_type(L, b);
  if (ta != tb) return ta == LUA_TNUMBER;
  return lua_compare(L, a, b, LUA_OPLT);
}

/* Pushes a list of the sorted keys of the table at i; returns their count.
** Keys that are no numbers or strings have no order and are left out. */
static lua_Integer push_keys(lua_State *L, int i) {
  lua_Integer n = 0;
  luaL_checkstack(L, 6, "tree");
  lua_newtable(L);
  int keys = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, i)) {
    lua_pop(L, 1);
    int t = lua_type(L, -1);
    if (t != LUA_TNUMBER && t != LUA_TSTRING) continue;
    lua_Integer at = ++n;
    for (; at > 1; at--) { /* insertion sort: parameter trees are small */
      lua_rawgeti(L, keys, at - 1);
      int less = key_less(L, keys + 1, lua_gettop(L));
      if (!less) {
        lua_pop(L, 1);
        break;
      }
      lua_rawseti(L, keys, at);
    }
    lua_pushvalue(L, keys + 1);
    lua_rawseti(L, keys, at);
  }
  return n;
}

/*
** The keys of a table in order.  Plain lists and tables of a few names, which
** trees of parameters are made of, need no memory for it.
*/
enum { FEW = 12 };
typedef struct Keys {
  enum { LIST, NAMES, SORTED } kind;
  lua_Integer n;
  int place; /* of the table of sorted keys, else of a nil */
  const char *names[FEW];
} Keys;

static void sort_names(Keys *k) {
  for (int i = 1; i < (int)k->n; i++) {
    const char *name = k->names[i];
    int at = i;
    for (; at > 0 && strcmp(k->names[at - 1], name) > 0; at--)
      k->names[at] = k->names[at - 1];
    k->names[at] = name;
  }
}

/* Notes the key on the top if it is a name without zeros. */
static int add_name(lua_State *L, Keys *k, int count) {
  size_t length;
  if (lua_type(L, -1) != LUA_TSTRING || count >= FEW) return 0;
  const char *name = lua_tolstring(L, -1, &length);
  k->names[count] = name;
  return strlen(name) == length;
}

/* Pushes one value, for keys_push to look at. */
static void keys_open(lua_State *L, int i, Keys *k) {
  int count = 0, integers = 0, names = 0;
  luaL_checkstack(L, 10, "tree");
  lua_pushnil(L);
  while (lua_next(L, i)) {
    lua_pop(L, 1);
    integers += lua_isinteger(L, -1);
    names += add_name(L, k, count++);
  }
  k->n = count;
  k->kind = integers == count && (lua_Integer)lua_rawlen(L, i) == count
                ? LIST : names == count ? NAMES : SORTED;
  if (k->kind == NAMES) sort_names(k);
  if (k->kind == SORTED) k->n = push_keys(L, i);
  else lua_pushnil(L);
  k->place = lua_gettop(L);
}

/* Pushes the j-th key. */
static void keys_push(lua_State *L, const Keys *k, lua_Integer j) {
  if (k->kind == LIST) lua_pushinteger(L, j);
  else if (k->kind == NAMES) lua_pushstring(L, k->names[j - 1]);
  else lua_rawgeti(L, k->place, j);
}

/* ---- leaves ------------------------------------------------------------- */

typedef struct Walk {
  lua_State *L;
  int list, paths; /* stack places; paths may be 0 */
  lua_Integer n;
  int depth;
} Walk;

static void add_leaf(Walk *w, int i, const char *path) {
  lua_pushvalue(w->L, i);
  lua_rawseti(w->L, w->list, ++w->n);
  if (!w->paths) return;
  lua_pushstring(w->L, path);
  lua_rawseti(w->L, w->paths, w->n);
}

static void collect(Walk *w, int i, const char *path);

/* The child under the key at k of the table at i. */
static void collect_child(Walk *w, int i, int k, const char *path) {
  lua_State *L = w->L;
  lua_pushvalue(L, k);
  lua_rawget(L, i);
  int child = lua_gettop(L);
  if (w->paths) {
    lua_pushvalue(L, k);
    const char *key = lua_tostring(L, -1);
    lua_pushfstring(L, *path ? "%s.%s" : "%s%s", path, key);
    collect(w, child, lua_tostring(L, -1));
  } else {
    collect(w, child, "");
  }
  lua_settop(L, child - 1);
}

static void collect(Walk *w, int i, const char *path) {
  lua_State *L = w->L;
  if (sd_lua_tensor(L, i)) {
    add_leaf(w, i, path);
    return;
  }
  if (!lua_istable(L, i)) return;
  if (++w->depth > MAX_DEPTH)
    sd_lua_fail(L, "tree: nested deeper than %d tables (a cycle?)",
                MAX_DEPTH);
  Keys k;
  keys_open(L, i, &k);
  for (lua_Integer j = 1; j <= k.n; j++) {
    keys_push(L, &k, j);
    collect_child(w, i, lua_gettop(L), path);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  w->depth--;
}

/* leaves(tree) -> list of tensors, list of paths ("1.weight") */
static int core_leaves(lua_State *L) {
  lua_settop(L, 2);
  int paths = !lua_isboolean(L, 2) || lua_toboolean(L, 2);
  lua_newtable(L);
  lua_newtable(L);
  Walk w = {.L = L, .list = 3, .paths = paths ? 4 : 0};
  collect(&w, 1, "");
  return 2;
}

/* ---- rebuilding --------------------------------------------------------- */

static void rebuild(lua_State *L, int i, int list, lua_Integer *next,
                    int depth) {
  Keys keys;
  if (sd_lua_tensor(L, i)) {
    lua_rawgeti(L, list, ++*next);
    return;
  }
  if (!lua_istable(L, i)) {
    lua_pushvalue(L, i);
    return;
  }
  if (depth > MAX_DEPTH)
    sd_lua_fail(L, "tree: nested deeper than %d tables (a cycle?)",
                MAX_DEPTH);
  luaL_checkstack(L, 12, "tree");
  lua_newtable(L);
  int made = lua_gettop(L);
  keys_open(L, i, &keys);
  for (lua_Integer j = 1; j <= keys.n; j++) {
    keys_push(L, &keys, j);
    int key = lua_gettop(L);
    lua_pushvalue(L, key);
    lua_rawget(L, i);
    rebuild(L, lua_gettop(L), list, next, depth + 1);
    lua_pushvalue(L, key);
    lua_insert(L, -2);
    lua_rawset(L, made);
    lua_settop(L, keys.place);
  }
  lua_settop(L, made);
}

/* rebuild(tree, list) -> the tree with its leaves from list, in order */
static int core_rebuild(lua_State *L) {
  lua_Integer next = 0;
  luaL_checktype(L, 2, LUA_TTABLE);
  rebuild(L, 1, 2, &next, 0);
  return 1;
}

/* rebuild_all(trees, n, list) -> n trees, as rebuild, from one list */
static int core_rebuild_all(lua_State *L) {
  lua_Integer next = 0, n = luaL_checkinteger(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_checkstack(L, (int)n + 4, "tree");
  for (lua_Integer k = 1; k <= n; k++) {
    lua_rawgeti(L, 1, k);
    int at = lua_gettop(L);
    rebuild(L, at, 3, &next, 0);
    lua_replace(L, at);
    lua_settop(L, at);
  }
  return (int)n;
}

/* ---- signatures --------------------------------------------------------- */

/*
** The form of some values as a string of bytes: keys, dtypes and shapes of
** the tensors, and all other values themselves (functions and the like by
** identity).  Values of one signature can go through one plan.
*/
typedef struct Signature {
  lua_State *L;
  int list;   /* stack place of the list of leaves */
  int memory; /* of the userdata that holds the text */
  char *text;
  size_t length, room;
  lua_Integer n;
  int traced, depth;
} Signature;

static void write(Signature *s, const void *data, size_t bytes) {
  if (s->length + bytes > s->room) {
    s->room = 2 * (s->length + bytes);
    char *text = lua_newuserdatauv(s->L, s->room, 0);
    memcpy(text, s->text, s->length);
    s->text = text;
    lua_replace(s->L, s->memory);
  }
  memcpy(s->text + s->length, data, bytes);
  s->length += bytes;
}

static void write_tag(Signature *s, char tag) { write(s, &tag, 1); }

static void sign_tensor(Signature *s, int i, const SdNode *x) {
  const SdTrace *t = x->trace;
  while (t && !t->live) t = t->outer;
  s->traced |= t != NULL;
  char head[2] = {(char)x->dtype, (char)x->shape.ndim};
  write(s, head, 2);
  write(s, x->shape.dims, (size_t)x->shape.ndim * sizeof *x->shape.dims);
  lua_pushvalue(s->L, i);
  lua_rawseti(s->L, s->list, ++s->n);
}

static void sign_other(Signature *s, int i) {
  lua_State *L = s->L;
  int type = lua_type(L, i);
  size_t length;
  write_tag(s, (char)('a' + type + (lua_isinteger(L, i) ? 16 : 0)));
  if (type == LUA_TSTRING) {
    const char *text = lua_tolstring(L, i, &length);
    write(s, &length, sizeof length);
    write(s, text, length);
  } else if (lua_isinteger(L, i)) {
    write(s, &(lua_Integer){lua_tointeger(L, i)}, sizeof(lua_Integer));
  } else if (type == LUA_TNUMBER) {
    write(s, &(lua_Number){lua_tonumber(L, i)}, sizeof(lua_Number));
  } else if (type == LUA_TBOOLEAN) {
    write_tag(s, (char)lua_toboolean(L, i));
  } else {
    write(s, &(const void *){lua_topointer(L, i)}, sizeof(void *));
  }
}

static void sign(Signature *s, int i);

/* The value in the table at i under the key on the top, which is popped. */
static void sign_child(Signature *s, int i) {
  lua_rawget(s->L, i);
  sign(s, lua_gettop(s->L));
  lua_pop(s->L, 1);
}

static void sign_table(Signature *s, int i) {
  lua_State *L = s->L;
  Keys keys;
  if (++s->depth > MAX_DEPTH)
    sd_lua_fail(L, "tree: nested deeper than %d tables (a cycle?)",
                MAX_DEPTH);
  keys_open(L, i, &keys);
  write_tag(s, keys.kind == LIST ? '[' : '{');
  for (lua_Integer j = 1; j <= keys.n; j++) {
    keys_push(L, &keys, j);
    if (keys.kind != LIST) sign_other(s, lua_gettop(L));
    sign_child(s, i);
  }
  lua_pop(L, 1);
  write_tag(s, ']');
  s->depth--;
}

static void sign(Signature *s, int i) {
  const SdNode *x = sd_lua_tensor(s->L, i);
  if (x) sign_tensor(s, i, x);
  else if (lua_istable(s->L, i)) sign_table(s, i);
  else sign_other(s, i);
}

/* signature(...) -> text, the list of tensors, whether one is traced */
static int core_signature(lua_State *L) {
  int n = lua_gettop(L);
  Signature s = {.L = L, .list = n + 1, .memory = n + 2, .room = 1024};
  luaL_checkstack(L, 10, "tree");
  lua_createtable(L, 16, 0);
  s.text = lua_newuserdatauv(L, s.room, 0);
  for (int i = 1; i <= n; i++) sign(&s, i);
  lua_pushlstring(L, s.text, s.length);
  lua_pushvalue(L, s.list);
  lua_pushboolean(L, s.traced);
  return 3;
}

/* ---- letting go --------------------------------------------------------- */

static void release(lua_State *L, int i, int depth) {
  SdNode **h = luaL_testudata(L, i, SD_TENSOR);
  if (h) {
    sd_node_release(*h);
    *h = NULL;
    return;
  }
  if (!lua_istable(L, i) || depth > MAX_DEPTH) return;
  luaL_checkstack(L, 6, "tree");
  lua_pushnil(L);
  while (lua_next(L, i)) {
    release(L, lua_gettop(L), depth + 1);
    lua_pop(L, 1);
  }
}

/* release(tree): empties handles that nobody else has, ahead of the
** collector, so that their memory serves what comes next. */
static int core_release(lua_State *L) {
  lua_settop(L, 1);
  release(L, 1, 0);
  return 0;
}

void sd_lua_open_tree(lua_State *L) {
  static const luaL_Reg functions[] = {{"leaves", core_leaves},
                                       {"rebuild", core_rebuild},
                                       {"rebuild_all", core_rebuild_all},
                                       {"signature", core_signature},
                                       {"release", core_release},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
