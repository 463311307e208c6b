/*
** Lines typed by the user: through readline, with editing and a history
** kept across sessions, when it is installed and standard input is a
** terminal; plainly otherwise.  Readline is opened at run time, because its
** licence and its presence are the user's business.
*/
#ifndef SD_HOST_LINE_H
#define SD_HOST_LINE_H

#include <lua.h>

typedef enum SdLine { SD_LINE, SD_LINE_END, SD_LINE_INTERRUPTED } SdLine;

/* Looks for readline and loads the history. */
void sd_line_open(void);

/* Prompts and pushes a line, without its newline; nothing is pushed at the
** end of the input or on Ctrl-C. */
SdLine sd_line_push(lua_State *L, const char *prompt);

int sd_line_is_terminal(void);

#endif
