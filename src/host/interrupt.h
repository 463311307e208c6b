/*
** Ctrl-C.  The first one raises the error "interrupted" where the script
** stands, in whatever coroutine runs.  A script may catch that and has a
** tenth of a second to clean up; from then on every instruction raises, so
** that no loop of protected calls goes on.  A second Ctrl-C after that time
** ends the process.
*/
#ifndef SD_HOST_INTERRUPT_H
#define SD_HOST_INTERRUPT_H

#include <lua.h>

/* Handles SIGINT from here on, unless the process was started with it
** ignored.  L is the main thread; replaces coroutine.resume, coroutine.wrap
** and os.execute by versions that take part. */
void sd_ctrlc_open(lua_State *L);

/* Whether Ctrl-C was pressed since sd_ctrlc_open or sd_ctrlc_forget. */
int sd_ctrlc_pressed(void);

/* Forgets a Ctrl-C: the prompt is reached. */
void sd_ctrlc_forget(void);

/* Ctrl-C ends the process again; call it before the state is closed. */
void sd_ctrlc_close(void);

#endif
