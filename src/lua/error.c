/* Core errors as Lua errors that point at the script's line. */
#include "base/interrupt.h"
#include "lua/binding.h"

#include <string.h>

static int is_library(const lua_Debug *ar) {
  return strncmp(ar->source, "=saddle", 7) == 0;
}

/* Pushes "FILE:LINE: " of the innermost Lua function of the script. */
static void push_where(lua_State *L) {
  lua_Debug ar;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline > 0 && !is_library(&ar)) {
      lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
      return;
    }
  }
  lua_pushliteral(L, "");
}

int sd_lua_raise(lua_State *L, const SdError *err) {
  if (err->code == SD_EINTERRUPT) sd_interrupt_clear();
  luaL_checkstack(L, 4, "error");
  push_where(L);
  lua_pushstring(L, err->message);
  lua_concat(L, 2);
  return lua_error(L);
}

int sd_lua_fail(lua_State *L, const char *format, ...) {
  va_list args;
  luaL_checkstack(L, 4, "error");
  push_where(L);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lua_concat(L, 2);
  return lua_error(L);
}
