/*
** Tensor handles: userdata of one pointer to a node.  A handle may be
** rebound (x[i] = v), a node never changes.
*/
#ifndef SD_LUA_TENSOR_H
#define SD_LUA_TENSOR_H

#include "graph/plan.h"
#include "lua/binding.h"

#define SD_TENSOR "saddle.tensor"

/* Pushes a handle that holds nothing yet; give it a node with sd_lua_fill,
** which retains. */
SdNode **sd_lua_push_handle(lua_State *L);
void sd_lua_fill(SdNode **handle, SdNode *n);

/* The node at index i, or NULL when that is no tensor. */
SdNode *sd_lua_tensor(lua_State *L, int i);
/* The same, raising "what: ..." when it is none. */
SdNode *sd_lua_check_tensor(lua_State *L, int i, const char *what);

/* What the value at index i is, for messages: "tensor" or Lua's word. */
const char *sd_lua_kind(lua_State *L, int i);

/* A tensor, number or boolean at index i as a node of b; NULL if it is
** nothing of the kind (no error set). */
SdNode *sd_lua_node(lua_State *L, int i, SdBuilder *b);

/* Closes b; when it failed, frees first and raises last.  Call sites that
** can run again after freeing memory use sd_lua_retry. */
void sd_lua_close(lua_State *L, SdBuilder *b);

/* True once after an out-of-memory failure, when a full collection was run
** and the operation should be tried again. */
int sd_lua_retry(lua_State *L, SdStatus s, int *tried);

/* Runs the collector when the core's memory has grown enough. */
void sd_lua_charge(lua_State *L);

/* Evaluates, raising on failure. */
void sd_lua_eval(lua_State *L, SdNode *const *roots, int n);

/* Evaluates n when its pending graph is large and no trace needs it. */
void sd_lua_settle(lua_State *L, SdNode *n);

/*
** The form of some values as a string of bytes: keys, dtypes and shapes of
** the tensors, and all other values themselves (functions and the like by
** identity).  Values of one signature can go through one plan.
*/
typedef struct SdSignature {
  char *text;
  size_t length, room;
  SdNode **nodes; /* the tensors in order, borrowed from their handles */
  size_t count, capacity;
  int traced;     /* one of them depends on a live trace */
} SdSignature;

/* Adds the values at first .. last of the stack to s, which starts as
** zeros. */
void sd_lua_sign(lua_State *L, int first, int last, SdSignature *s);
void sd_lua_signature_free(SdSignature *s);

/* Pushes a copy of the tree at i in which leaf(L, place of a tensor, to) has
** pushed what stands in that tensor's place. */
typedef void (*SdLuaLeaf)(lua_State *L, int i, void *to);
void sd_lua_map(lua_State *L, int i, SdLuaLeaf leaf, void *to);

/* A plan over nx inputs and ny outputs, as core.compile makes it. */
#define SD_LUA_PLAN "saddle.plan"
typedef struct SdLuaPlan {
  SdPlan *plan;
  int nx, ny;
} SdLuaPlan;

/* Adds to the table on the top of the stack. */
void sd_lua_open_tensor(lua_State *L);    /* the metatable, core functions */
void sd_lua_open_ops(lua_State *L);       /* one function for each op */
void sd_lua_open_tree(lua_State *L);
void sd_lua_open_transform(lua_State *L);
void sd_lua_open_replay(lua_State *L);
void sd_lua_open_bytecode(lua_State *L);
void sd_lua_open_system(lua_State *L);
void sd_lua_open_io(lua_State *L);
void sd_lua_open_curvature(lua_State *L);

/* x[k] and x[k] = v, for the metatable. */
int sd_lua_index(lua_State *L);
int sd_lua_newindex(lua_State *L);

#endif
