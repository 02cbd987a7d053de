/* crop.h: moving whole pixels: cutting boxes, deleting rows and columns,
 * flips and transposition.  A pixel is any number of bytes (channels * element
 * size), so one set of functions serves u8 and f32.  Sources and results do
 * not overlap.  Pure functions on plain memory, safe on any thread. */
#ifndef LM_IMAGE_CROP_H
#define LM_IMAGE_CROP_H

#include "core/base.h"

/* Copies the box (height x width pixels at top, left) of an image whose rows
 * are `stride` bytes apart into dst, contiguous.  The box lies inside. */
void lm_crop(const void *src, int64_t stride, int64_t pixel, int64_t top, int64_t left,
             int64_t height, int64_t width, void *dst);

/* np.delete along both axes (article row P6): copies an (h, w) image without
 * the rows and columns listed; the lists are ascending, without repetition,
 * within the image; either may be empty.  dst holds (h - n_rows, w - n_cols). */
void lm_remove(const void *src, int64_t h, int64_t w, int64_t pixel, const int32_t *rows,
               int64_t n_rows, const int32_t *cols, int64_t n_cols, void *dst);

/* dst = src with left and right, top and bottom changed, as asked. */
void lm_flip(const void *src, int64_t h, int64_t w, int64_t pixel, bool left_right, bool up_down,
             void *dst);

/* dst (w, h) = src (h, w) transposed. */
void lm_transpose(const void *src, int64_t h, int64_t w, int64_t pixel, void *dst);

#endif
