/*
** Trees: nested tables whose leaves are tensors.  Keys are walked in sorted
** order, numbers first; values that are neither tables nor tensors stay
** where they are.
*/
#include "lua/tensor.h"

#include "base/memory.h"

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

static void map(lua_State *L, int i, SdLuaLeaf leaf, void *to, int depth) {
  Keys keys;
  if (sd_lua_tensor(L, i)) {
    leaf(L, i, to);
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
  keys_open(L, i, &keys);
  if (keys.kind == LIST) lua_createtable(L, (int)keys.n, 0);
  else lua_createtable(L, 0, (int)keys.n);
  int made = lua_gettop(L);
  for (lua_Integer j = 1; j <= keys.n; j++) {
    keys_push(L, &keys, j);
    lua_pushvalue(L, -1);
    lua_rawget(L, i);
    map(L, lua_gettop(L), leaf, to, depth + 1);
    lua_remove(L, -2);
    lua_rawset(L, made);
  }
  lua_remove(L, keys.place);
}

void sd_lua_map(lua_State *L, int i, SdLuaLeaf leaf, void *to) {
  map(L, i, leaf, to, 0);
}

typedef struct List {
  int place;
  lua_Integer next;
} List;

static void push_next(lua_State *L, int i, void *to) {
  List *list = to;
  (void)i;
  lua_rawgeti(L, list->place, ++list->next);
}

/* rebuild(tree, list) -> the tree with its leaves from list, in order */
static int core_rebuild(lua_State *L) {
  List list = {.place = 2};
  luaL_checktype(L, 2, LUA_TTABLE);
  sd_lua_map(L, 1, push_next, &list);
  return 1;
}

/* ---- signatures --------------------------------------------------------- */

/* Room for so many more bytes, where the next ones go. */
static char *reserve(lua_State *L, SdSignature *s, size_t bytes) {
  SdError err;
  if (s->length + bytes > s->room &&
      sd_memory_grow(&s->text, &s->room, s->length + bytes, 1, &err) != SD_OK)
    sd_lua_raise(L, &err);
  return s->text + s->length;
}

static void write(lua_State *L, SdSignature *s, const void *data,
                  size_t bytes) {
  memcpy(reserve(L, s, bytes), data, bytes);
  s->length += bytes;
}

static void write_tag(lua_State *L, SdSignature *s, char tag) {
  *reserve(L, s, 1) = tag;
  s->length++;
}

enum { NAME = 'a' + LUA_TSTRING }; /* the tag of a string */

static void sign_tensor(lua_State *L, SdSignature *s, SdNode *x) {
  SdError err;
  const SdTrace *t = x->trace;
  while (t && !t->live) t = t->outer;
  s->traced |= t != NULL;
  int n = x->shape.ndim;
  char *p = reserve(L, s, 2 + SD_MAX_DIMS * sizeof *x->shape.dims);
  *p++ = (char)x->dtype;
  *p++ = (char)n;
  for (int k = 0; k < n; k++, p += sizeof *x->shape.dims)
    memcpy(p, &x->shape.dims[k], sizeof *x->shape.dims);
  s->length += 2 + (size_t)n * sizeof *x->shape.dims;
  if (sd_memory_grow(&s->nodes, &s->capacity, s->count + 1,
                     sizeof *s->nodes, &err) != SD_OK)
    sd_lua_raise(L, &err);
  s->nodes[s->count++] = x;
}

static void sign_string(lua_State *L, SdSignature *s, const char *text,
                        size_t length) {
  char *p = reserve(L, s, 1 + sizeof length + length);
  *p++ = NAME;
  memcpy(p, &length, sizeof length);
  memcpy(p + sizeof length, text, length);
  s->length += 1 + sizeof length + length;
}

static void sign_other(lua_State *L, SdSignature *s, int i) {
  int type = lua_type(L, i);
  size_t length;
  if (type == LUA_TSTRING) {
    const char *text = lua_tolstring(L, i, &length);
    sign_string(L, s, text, length);
    return;
  }
  write_tag(L, s, (char)('a' + type + (lua_isinteger(L, i) ? 16 : 0)));
  if (lua_isinteger(L, i)) {
    write(L, s, &(lua_Integer){lua_tointeger(L, i)}, sizeof(lua_Integer));
  } else if (type == LUA_TNUMBER) {
    write(L, s, &(lua_Number){lua_tonumber(L, i)}, sizeof(lua_Number));
  } else if (type == LUA_TBOOLEAN) {
    write_tag(L, s, (char)lua_toboolean(L, i));
  } else {
    write(L, s, &(const void *){lua_topointer(L, i)}, sizeof(void *));
  }
}

static void sign(lua_State *L, SdSignature *s, int i, int depth);

static void sign_sorted(lua_State *L, SdSignature *s, int i, int depth) {
  Keys keys;
  keys_open(L, i, &keys);
  write_tag(L, s, keys.kind == LIST ? '[' : '{');
  for (lua_Integer j = 1; j <= keys.n; j++) {
    keys_push(L, &keys, j);
    if (keys.kind != LIST) sign_other(L, s, lua_gettop(L));
    lua_rawget(L, i);
    sign(L, s, lua_gettop(L), depth + 1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* A list whose keys come in order; 0, with only the keys in the way looked at,
** if it is none. */
static int sign_list(lua_State *L, SdSignature *s, int i, int depth) {
  lua_Integer n = 0;
  write_tag(L, s, '[');
  lua_pushnil(L);
  while (lua_next(L, i)) {
    if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) != ++n) {
      lua_pop(L, 2);
      return 0;
    }
    sign(L, s, lua_gettop(L), depth + 1);
    lua_pop(L, 1);
  }
  return 1;
}

/* A table of a few names, whose values are looked up once, in the walk that
** finds the names: half the time of looking each up under its sorted key. */
static int sign_names(lua_State *L, SdSignature *s, int i, int depth) {
  const char *names[FEW];
  int order[FEW], n = 0, base = lua_gettop(L);
  write_tag(L, s, '{');
  lua_pushnil(L);
  while (lua_next(L, i)) {
    size_t length;
    if (lua_type(L, -2) != LUA_TSTRING || n == FEW) return 0;
    names[n] = lua_tolstring(L, -2, &length);
    if (strlen(names[n]) != length) return 0;
    int at = n++;
    for (; at > 0 && strcmp(names[order[at - 1]], names[n - 1]) > 0; at--)
      order[at] = order[at - 1];
    order[at] = n - 1;
    lua_insert(L, -2); /* the value stays below the key */
  }
  for (int j = 0; j < n; j++) {
    sign_string(L, s, names[order[j]], strlen(names[order[j]]));
    sign(L, s, base + 1 + order[j], depth + 1);
  }
  return 1;
}

static void sign_table(lua_State *L, SdSignature *s, int i, int depth) {
  size_t length = s->length, count = s->count;
  int top = lua_gettop(L);
  if (depth > MAX_DEPTH)
    sd_lua_fail(L, "tree: nested deeper than %d tables (a cycle?)",
                MAX_DEPTH);
  luaL_checkstack(L, FEW + 12, "tree");
  int done = lua_rawlen(L, i) > 0 ? sign_list(L, s, i, depth)
                                  : sign_names(L, s, i, depth);
  lua_settop(L, top);
  if (!done) {
    s->length = length;
    s->count = count;
    sign_sorted(L, s, i, depth);
  }
  write_tag(L, s, ']');
}

static void sign(lua_State *L, SdSignature *s, int i, int depth) {
  SdNode *x = sd_lua_tensor(L, i);
  if (x) sign_tensor(L, s, x);
  else if (lua_istable(L, i)) sign_table(L, s, i, depth);
  else sign_other(L, s, i);
}

void sd_lua_sign(lua_State *L, int first, int last, SdSignature *s) {
  for (int i = first; i <= last; i++) sign(L, s, i, 1);
}

void sd_lua_signature_free(SdSignature *s) {
  sd_memory_free(s->text, s->room);
  sd_memory_free(s->nodes, s->capacity * sizeof *s->nodes);
  *s = (SdSignature){.room = 0};
}

static int signature_gc(lua_State *L) {
  sd_lua_signature_free(lua_touserdata(L, 1));
  return 0;
}

/* signature(tree) -> its form as a string */
static int core_signature(lua_State *L) {
  lua_settop(L, 1);
  SdSignature *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (SdSignature){.room = 0};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, signature_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  sd_lua_sign(L, 1, 1, s);
  lua_pushlstring(L, s->text, s->length);
  return 1;
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
                                       {"signature", core_signature},
                                       {"release", core_release},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
