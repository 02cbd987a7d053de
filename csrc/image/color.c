/* color.c: changing what the channels say. */
#include "image/color.h"

#include <math.h>
#include <string.h>

const char *const lm_scale_names[LM_NSCALE + 1] = {"unit", "caffe", "tf", "torch", "raw", NULL};

/* floor(v * 255.5) in 0..255; NaN is 0. */
static uint8_t unit_to_u8(float v) {
  const float s = v * 255.5f;
  return s >= 255 ? 255 : (s > 0 ? (uint8_t)s : 0);
}

/* ---- light ---- */

void lm_contrast_f32(const float *x, int64_t n, int64_t channels, double factor, float *y) {
  for (int64_t c = 0; c < channels && n > 0; c++) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i * channels + c];
    const double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
      y[i * channels + c] = (float)((x[i * channels + c] - mean) * factor + mean);
  }
}

void lm_contrast_u8(const uint8_t *x, int64_t n, int64_t channels, double factor, uint8_t *y) {
  for (int64_t c = 0; c < channels && n > 0; c++) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i * channels + c];
    const double mean = (double)sum / (double)n / 255;
    uint8_t table[256];
    for (int v = 0; v < 256; v++)
      table[v] = unit_to_u8((float)((v / 255.0 - mean) * factor + mean));
    for (int64_t i = 0; i < n; i++) y[i * channels + c] = table[x[i * channels + c]];
  }
}

void lm_brightness_f32(const float *x, int64_t count, double delta, float *y) {
  const float d = (float)delta;
  for (int64_t i = 0; i < count; i++) y[i] = x[i] + d;
}

void lm_brightness_u8(const uint8_t *x, int64_t count, double delta, uint8_t *y) {
  uint8_t table[256];
  for (int v = 0; v < 256; v++) table[v] = unit_to_u8((float)v / 255.0f + (float)delta);
  for (int64_t i = 0; i < count; i++) y[i] = table[x[i]];
}

/* ---- hue, saturation, value ---- */

/* Hue in [0,1): which channel is the largest, and where between the others. */
static void to_hsv(float r, float g, float b, float hsv[3]) {
  const float top = r > g ? (r > b ? r : b) : (g > b ? g : b);
  const float low = r < g ? (r < b ? r : b) : (g < b ? g : b);
  const float range = top - low;
  float hue = 0;
  if (range > 0) {
    const float norm = 1.0f / (6.0f * range);
    if (r == top)
      hue = norm * (g - b);
    else if (g == top)
      hue = norm * (b - r) + 2.0f / 6.0f;
    else
      hue = norm * (r - g) + 4.0f / 6.0f;
    if (hue < 0) hue += 1.0f;
  }
  hsv[0] = hue;
  hsv[1] = top > 0 ? range / top : 0.0f;
  hsv[2] = top;
}

/* TensorFlow's fused kernel: chroma, and the second largest channel by the
 * position within the sextant. */
static void from_hsv_sextant(const float hsv[3], float rgb[3]) {
  static const uint8_t order[6][3] = {
      /* who gets chroma (0), middle (1), nothing (2) */
      {0, 1, 2}, {1, 0, 2}, {2, 0, 1}, {2, 1, 0}, {1, 2, 0}, {0, 2, 1}};
  const float chroma = hsv[1] * hsv[2], base = hsv[2] - chroma, turn = hsv[0] * 6.0f;
  const int sextant = turn >= 0 && turn < 6 ? (int)turn : 0;
  float within = fmodf(turn, 2.0f);
  if (within <= 0) within += 2.0f;
  const float part[3] = {chroma + base, chroma * (1.0f - fabsf(within - 1.0f)) + base, base};
  for (int k = 0; k < 3; k++) rgb[k] = part[order[sextant][k]];
}

static float clamp01(float v) {
  return v > 0 ? (v < 1 ? v : 1.0f) : (v == v ? 0.0f : v);
}

static void saturate(const float in[3], float factor, float out[3]) {
  float hsv[3];
  to_hsv(in[0], in[1], in[2], hsv);
  hsv[1] = clamp01(hsv[1] * factor);
  from_hsv_sextant(hsv, out);
}

void lm_saturation_f32(const float *x, int64_t n, double factor, float *y) {
  for (int64_t i = 0; i < n; i++) saturate(x + 3 * i, (float)factor, y + 3 * i);
}

void lm_saturation_u8(const uint8_t *x, int64_t n, double factor, uint8_t *y) {
  for (int64_t i = 0; i < n; i++) {
    float v[3];
    for (int k = 0; k < 3; k++) v[k] = (float)x[3 * i + k] / 255.0f;
    saturate(v, (float)factor, v);
    for (int k = 0; k < 3; k++) y[3 * i + k] = unit_to_u8(v[k]);
  }
}

void lm_rgb_to_hsv(const float *x, int64_t n, float *y) {
  for (int64_t i = 0; i < n; i++) {
    float hsv[3];
    to_hsv(x[3 * i], x[3 * i + 1], x[3 * i + 2], hsv);
    memcpy(y + 3 * i, hsv, sizeof hsv);
  }
}

void lm_hsv_to_rgb(const float *x, int64_t n, float *y) {
  for (int64_t i = 0; i < n; i++) {
    const float turn = x[3 * i] * 6.0f, s = x[3 * i + 1], v = x[3 * i + 2];
    const float full[3] = {clamp01(fabsf(turn - 3.0f) - 1.0f), clamp01(2.0f - fabsf(turn - 2.0f)),
                           clamp01(2.0f - fabsf(turn - 4.0f))};
    for (int k = 0; k < 3; k++) y[3 * i + k] = ((1.0f - s) + s * full[k]) * v;
  }
}

/* ---- gray, order ---- */

void lm_gray_f32(const float *x, int64_t n, float *y) {
  for (int64_t i = 0; i < n; i++)
    y[i] = 0.299f * x[3 * i] + 0.587f * x[3 * i + 1] + 0.114f * x[3 * i + 2];
}

void lm_gray_u8(const uint8_t *x, int64_t n, uint8_t *y) {
  enum { R = 9798, G = 19235, B = 3735, HALF = 1 << 14 }; /* of 2^15 */
  for (int64_t i = 0; i < n; i++)
    y[i] = (uint8_t)((R * x[3 * i] + G * x[3 * i + 1] + B * x[3 * i + 2] + HALF) >> 15);
}

void lm_swap_red_blue(const void *x, int64_t n, int64_t channels, int64_t element, void *y) {
  const char *from = x;
  char *to = y;
  const int64_t pixel = channels * element;
  for (int64_t i = 0; i < n; i++, from += pixel, to += pixel) {
    char red[4];
    memcpy(red, from, (size_t)element);
    if (from != to) memcpy(to + element, from + element, (size_t)(pixel - element));
    memmove(to, from + 2 * element, (size_t)element);
    memcpy(to + 2 * element, red, (size_t)element);
  }
}

/* ---- scaling ---- */

static const float caffe_mean[3] = {103.939f, 116.779f, 123.68f}; /* B, G, R */
static const float torch_mean[3] = {0.485f, 0.456f, 0.406f},
                   torch_dev[3] = {0.229f, 0.224f, 0.225f};

/* The value v of output channel k. */
static inline float scaled(lm_scale scale, float v, int64_t k) {
  switch (scale) {
    case LM_SCALE_UNIT: return v / 255.0f;
    case LM_SCALE_CAFFE: return v - caffe_mean[k];
    case LM_SCALE_TF: return v / 127.5f - 1.0f;
    case LM_SCALE_TORCH: return (v / 255.0f - torch_mean[k]) / torch_dev[k];
    case LM_SCALE_RAW:
    case LM_NSCALE: break;
  }
  return v;
}

/* Which input channel output channel k reads. */
static int64_t reads(lm_scale scale, int64_t k, int64_t channels) {
  if (channels < 3) return 0;
  return scale == LM_SCALE_CAFFE ? 2 - k : k;
}

void lm_scale_u8(lm_scale scale, const uint8_t *x, int64_t n, int64_t channels, float *y,
                 int64_t out) {
  float table[3][256];
  for (int64_t k = 0; k < out; k++)
    for (int v = 0; v < 256; v++) table[k][v] = scaled(scale, (float)v, k);
  if (out == 1) {
    for (int64_t i = 0; i < n; i++) y[i] = table[0][x[i * channels]];
    return;
  }
  const int64_t a = reads(scale, 0, channels), b = reads(scale, 1, channels),
                c = reads(scale, 2, channels);
  for (int64_t i = 0; i < n; i++, x += channels, y += 3) {
    y[0] = table[0][x[a]];
    y[1] = table[1][x[b]];
    y[2] = table[2][x[c]];
  }
}

void lm_scale_f32(lm_scale scale, const float *x, int64_t n, int64_t channels, float *y,
                  int64_t out) {
  if (out == 1) {
    for (int64_t i = 0; i < n; i++) y[i] = scaled(scale, x[i * channels], 0);
    return;
  }
  const int64_t a = reads(scale, 0, channels), b = reads(scale, 1, channels),
                c = reads(scale, 2, channels);
  for (int64_t i = 0; i < n; i++, x += channels, y += 3) {
    const float v[3] = {x[a], x[b], x[c]}; /* read before written: in place is fine */
    for (int64_t k = 0; k < 3; k++) y[k] = scaled(scale, v[k], k);
  }
}
