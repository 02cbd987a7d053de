/* ops_conv.h: the options of a convolution, shared by conv2d and the compiled
 * plans. */
#ifndef LUMA_OPS_CONV_H
#define LUMA_OPS_CONV_H

#include "kern/conv.h"
#include "lua/luma.h"

/* Reads option `key` as one whole number for all `count` values, or a table of
 * exactly `count`; leaves out[] alone when absent. */
void luma_optnumbers(lua_State *L, int arg, const char *key, int64_t lo, int64_t *out, int count);

/* stride, dilation, groups and pad of the options table at arg. */
lm_conv2d luma_optgeometry(lua_State *L, int arg);

#endif
