/* color.h: changing what the channels say.  Sources and results may be the
 * same memory unless a function says otherwise.  Pure functions on plain
 * memory, safe on any thread.  n counts pixels.  f32 values have any range
 * where nothing is said; u8 results round and clamp, NaN becomes 0. */
#ifndef LM_IMAGE_COLOR_H
#define LM_IMAGE_COLOR_H

#include "core/base.h"

/* ---- light ---- */

/* tf.image.adjust_contrast (article row A1): per channel (x - mean) * factor +
 * mean, the mean over the image's n pixels; not clipped. */
void lm_contrast_f32(const float *x, int64_t n, int64_t channels, double factor, float *y);

/* x + delta, not clipped. */
void lm_brightness_f32(const float *x, int64_t count, double delta, float *y);

/* The u8 forms work in [0,1] as TensorFlow does: v / 255, the change, then
 * floor(v * 255.5) clamped to 0..255. */
void lm_contrast_u8(const uint8_t *x, int64_t n, int64_t channels, double factor, uint8_t *y);
void lm_brightness_u8(const uint8_t *x, int64_t count, double delta, uint8_t *y);

/* ---- colour; pixels of three channels R, G, B ---- */

/* tf.image.adjust_saturation (row A2): to hue, saturation, value; saturation *
 * factor clamped to [0,1]; back. */
void lm_saturation_f32(const float *x, int64_t n, double factor, float *y);
void lm_saturation_u8(const uint8_t *x, int64_t n, double factor, uint8_t *y);

/* Hue, saturation and (for inputs in [0,1]) value in [0,1], and back. */
void lm_rgb_to_hsv(const float *x, int64_t n, float *y);
void lm_hsv_to_rgb(const float *x, int64_t n, float *y);

/* 0.299 R + 0.587 G + 0.114 B; u8 in OpenCV's fixed point.  y has one channel;
 * in place is fine. */
void lm_gray_f32(const float *x, int64_t n, float *y);
void lm_gray_u8(const uint8_t *x, int64_t n, uint8_t *y);

/* R and B change places; element is the bytes of one value (1 or 4). */
void lm_swap_red_blue(const void *x, int64_t n, int64_t channels, int64_t element, void *y);

/* ---- what networks want to be fed (row M7) ---- */

typedef enum {
  LM_SCALE_UNIT,  /* x / 255 */
  LM_SCALE_CAFFE, /* B - 103.939, G - 116.779, R - 123.68, in this order: RGB becomes BGR */
  LM_SCALE_TF,    /* x / 127.5 - 1 */
  LM_SCALE_TORCH, /* (x / 255 - mean) / deviation of ImageNet per channel, RGB */
  LM_SCALE_RAW,   /* x */
  LM_NSCALE
} lm_scale;

/* "unit", "caffe", "tf", "torch", "raw"; NULL-ended. */
extern const char *const lm_scale_names[LM_NSCALE + 1];

/* Scales n pixels of 0..255 with `channels` channels (1, 3; 4 drops the
 * fourth) into y with `out` channels (1 or 3; one in, three out repeats it).
 * caffe and torch need out = 3.  x and y do not overlap for u8, nor when
 * channels != out. */
void lm_scale_u8(lm_scale scale, const uint8_t *x, int64_t n, int64_t channels, float *y,
                 int64_t out);
void lm_scale_f32(lm_scale scale, const float *x, int64_t n, int64_t channels, float *y,
                  int64_t out);

#endif
