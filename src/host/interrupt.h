/*
** Ctrl-C. The first one raises an error "interrupted" in whatever Lua code
** runs, also in a coroutine and through pcall; kernels notice a flag. The
** second one ends the process.
*/
#ifndef SD_HOST_INTERRUPT_H
#define SD_HOST_INTERRUPT_H

#include <lua.h>

/* Installs the handler, and versions of coroutine.resume and .wrap that
** tell it which thread runs. */
void host_interrupt_install(lua_State *L);

/* Back at the prompt, or at the script's end: errors stop. Returns whether
** there was an interrupt. */
int host_interrupt_reset(lua_State *L);

#endif
