/* image.h: what the image ops of the border share. */
#ifndef LUMA_LUA_IMAGE_H
#define LUMA_LUA_IMAGE_H

#include "image/warp.h"
#include "lua/luma.h"

/* A tensor argument seen as images: (h, w), (h, w, c) or (n, h, w, c). */
typedef struct {
  lm_tensor *t; /* plain memory */
  int64_t n, h, w, c;
} luma_images;

/* The images at arg, u8 or f32 (types: which are allowed, LM_NDTYPE-ended);
 * the slot is replaced by a contiguous copy when needed.  Raises on other
 * ranks and types. */
luma_images luma_checkimages(lua_State *L, int arg, const lm_dtype *types);

/* The shape of a result like x, of n images h by w with c channels. */
lm_shape luma_imageshape(const luma_images *x, int64_t h, int64_t w, int64_t c);

#endif
