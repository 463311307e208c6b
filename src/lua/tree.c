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

/* Whether the table at i is a plain list 1 .. n; pushes nothing. */
static int is_list(lua_State *L, int i, lua_Integer *n) {
  *n = (lua_Integer)lua_rawlen(L, i);
  lua_Integer count = 0;
  lua_pushnil(L);
  while (lua_next(L, i)) {
    lua_pop(L, 1);
    if (++count > *n || !lua_isinteger(L, -1)) {
      lua_pop(L, 1);
      return 0;
    }
  }
  return count == *n;
}

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
  lua_Integer n;
  if (sd_lua_tensor(L, i)) {
    add_leaf(w, i, path);
    return;
  }
  if (!lua_istable(L, i)) return;
  if (++w->depth > MAX_DEPTH)
    sd_lua_fail(L, "tree: nested deeper than %d tables (a cycle?)",
                MAX_DEPTH);
  luaL_checkstack(L, 10, "tree");
  if (is_list(L, i, &n)) {
    for (lua_Integer k = 1; k <= n; k++) {
      lua_pushinteger(L, k);
      collect_child(w, i, lua_gettop(L), path);
      lua_pop(L, 1);
    }
  } else {
    n = push_keys(L, i);
    int keys = lua_gettop(L);
    for (lua_Integer k = 1; k <= n; k++) {
      lua_rawgeti(L, keys, k);
      collect_child(w, i, lua_gettop(L), path);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
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
  lua_Integer n;
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
  int made = lua_gettop(L), list_like = is_list(L, i, &n);
  if (!list_like) n = push_keys(L, i);
  int keys = lua_gettop(L);
  for (lua_Integer k = 1; k <= n; k++) {
    if (list_like) lua_pushinteger(L, k);
    else lua_rawgeti(L, keys, k);
    int key = lua_gettop(L);
    lua_pushvalue(L, key);
    lua_rawget(L, i);
    rebuild(L, lua_gettop(L), list, next, depth + 1);
    lua_pushvalue(L, key);
    lua_insert(L, -2);
    lua_rawset(L, made);
    lua_settop(L, keys);
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

void sd_lua_open_tree(lua_State *L) {
  static const luaL_Reg functions[] = {{"leaves", core_leaves},
                                       {"rebuild", core_rebuild},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
