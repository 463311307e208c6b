/*
** A Lua table { n, dtype, product (v -> A v), rows ({k, n} -> {k, n} or nil),
** fresh (whether these neither keep v nor give out what others have) } as an
** operator of the core.  The core calls it through one trampoline that
** runs protected: an error in Lua unwinds the core as a status first and is
** raised, the same object, afterwards.
*/
#ifndef SD_LUA_OPERATOR_H
#define SD_LUA_OPERATOR_H

#include "curvature/operator.h"
#include "lua/tensor.h"

typedef struct SdLuaOperator {
  lua_State *L;
  int product, rows; /* stack places of the functions; rows may be 0 */
  int error;         /* stack place for their error object */
  int failed;
  int fresh;         /* vectors and products are freed at once */
  int64_t n;
  SdDtype dtype;
  int64_t count;     /* of the products under way */
  const void *v;
  void *out;
} SdLuaOperator;

/* Reads the table at i; pushes what it needs on the stack, where it stays. */
SdOperator sd_lua_operator(lua_State *L, int i, SdLuaOperator *o);

/* Raises the error object of o when it failed, else err. */
int sd_lua_operator_raise(lua_State *L, const SdLuaOperator *o,
                          const SdError *err);

/* Pushes a tensor that holds a copy of the memory. */
void sd_lua_push_copy(lua_State *L, SdDtype d, const SdShape *s,
                      const void *data);

/* The elements of the tensor at i, which must have count of dtype d, in
** memory that Lua owns, pushed on the stack. */
void *sd_lua_elements(lua_State *L, int i, int64_t count, SdDtype d);

#endif
