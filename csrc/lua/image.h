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

extern const lm_dtype luma_pixels[];      /* u8, f32 */
extern const lm_dtype luma_bytepixels[];  /* u8 */
extern const lm_dtype luma_floatpixels[]; /* f32 */

/* The shape of a result like x: images h by w with c channels. */
lm_shape luma_imageshape(const luma_images *x, int64_t h, int64_t w, int64_t c);

/* One image's work: src and dst are its first pixels in x and y. */
typedef void (*luma_image_fn)(const void *context, const luma_images *x, const void *src,
                              const lm_tensor *y, void *dst);

/* Runs fn for every image of x, over the pool; raises on an interrupt.  y
 * holds the same number of images as x. */
void luma_eachimage(lua_State *L, const luma_images *x, const lm_tensor *y, luma_image_fn fn,
                    const void *context);

/* Reads the warp record at idx (a table, see image.warp_batch) into *p; errors
 * are about argument arg. */
void luma_towarp(lua_State *L, int arg, int idx, lm_warp *p);

#endif
