#include "lua/tensor.h"

void sd_lua_open_io(lua_State *L) { (void)L; }
