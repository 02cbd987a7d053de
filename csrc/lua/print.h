/* print.h: a tensor as text. */
#ifndef LUMA_PRINT_H
#define LUMA_PRINT_H

#include "lua/luma.h"

/* Pushes "Tensor f32 [2x3]" and, up to 1000 elements, the numbers as rows. */
void luma_pushtext(lua_State *L, const lm_tensor *t);

#endif
