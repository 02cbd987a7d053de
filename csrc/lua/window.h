/* window.h: the options kernel, stride, dilation and pad, read in one place. */
#ifndef LUMA_WINDOW_H
#define LUMA_WINDOW_H

#include "kern/window.h"
#include "lua/luma.h"

/* Reads the options kernel, stride, dilation and pad of the table at arg into
 * *k, which holds the defaults; a default stride of 0 means as long as the
 * kernel.  The caller has checked with luma_checkkeys which of the four it
 * takes.  Raises naming the option, the forms it may have and the value. */
void luma_optwindow(lua_State *L, int arg, lm_window *k);

#endif
