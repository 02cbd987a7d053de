/* resize.h: resampling images to another size, as OpenCV does it: the
 * article's resize is cv2.resize(INTER_LINEAR) on u8, and here it gives the
 * same bytes (article row I3).  Pure functions on plain memory with scratch
 * from the caller, safe on any thread. */
#ifndef LM_IMAGE_RESIZE_H
#define LM_IMAGE_RESIZE_H

#include "core/base.h"

typedef enum {
  LM_RESIZE_BILINEAR, /* cv2 INTER_LINEAR: two taps an axis, no antialiasing */
  LM_RESIZE_NEAREST,  /* cv2 INTER_NEAREST: source index floor(i * src / dst) */
  LM_RESIZE_AREA      /* cv2 INTER_AREA: mean over the covered source area when
                         shrinking; a bilinear variant when either axis grows */
} lm_resize_method;

/* An image in memory: (height, width, channels) elements, channels innermost. */
typedef struct {
  int64_t height, width; /* >= 1, at most LM_RESIZE_MAX_SIDE */
  int64_t stride;        /* elements from one row to the next, >= width * channels */
} lm_resize_size;

enum { LM_RESIZE_MAX_SIDE = 1 << 24, LM_RESIZE_MAX_CHANNELS = 64 };

/* True when the sizes can be resized; otherwise *e says why (a side of 0,
 * larger than LM_RESIZE_MAX_SIDE, or too many channels). */
bool lm_resize_check(const lm_resize_size *src, const lm_resize_size *dst, int64_t channels,
                     lm_err *e);

/* Bytes of scratch for a resize of this geometry, u8 or f32. */
int64_t lm_resize_scratch(lm_resize_method method, const lm_resize_size *src,
                          const lm_resize_size *dst, int64_t channels);

/* Resizes src into dst; the two do not overlap.  scratch: lm_resize_scratch
 * bytes, 64-byte aligned.  The geometry must have passed lm_resize_check.
 * u8: the bytes of OpenCV 4.6 for 1, 3 and 4 channels.  f32: its values to
 * rounding (1e-6 relative); NaN and inf go where their weight is not 0. */
void lm_resize_u8(lm_resize_method method, const uint8_t *src, const lm_resize_size *from,
                  uint8_t *dst, const lm_resize_size *to, int64_t channels, void *scratch);
void lm_resize_f32(lm_resize_method method, const float *src, const lm_resize_size *from,
                   float *dst, const lm_resize_size *to, int64_t channels, void *scratch);

#endif
