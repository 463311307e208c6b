/* What --info, -v and the REPL's first line say about this machine. */
#ifndef SD_HOST_INFO_H
#define SD_HOST_INFO_H

#include <lua.h>

/* "Saddle 0.1.0  (Lua 5.4, OpenBLAS SkylakeX, 2 threads)", no newline */
void sd_info_print_line(lua_State *L);

/* A line for each part, and a warning for each that will be slow. */
void sd_info_print(lua_State *L);

#endif
