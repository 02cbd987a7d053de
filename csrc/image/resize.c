/* resize.c: bilinear, nearest and area resampling with OpenCV's arithmetic.
 *
 * Bilinear u8 is fixed point: weights are multiples of 1/2048, the horizontal
 * pass makes sums with 11 fraction bits and drops 4, the vertical pass
 * multiplies and drops 16 + 2.  The order of these roundings is the contract (row I3). */
#include "image/resize.h"

#include <math.h>
#include <string.h>

#include "core/cpu.h"
#include "image/resize_simd.h"

enum { WEIGHT_ONE = 2048, ROW_SPILL = 32 };

/* Along one axis: the first source index of each output index and the weight
 * of the second tap. */
typedef struct {
  int32_t *index; /* [n] x: clamped; y: may be -1 or last, the taps are clamped */
  float *frac;    /* [n] */
  uint32_t *pair; /* [n] both weights of 2048 as 16-bit halves, for u8 */
} taps;

static int64_t padded(int64_t bytes) {
  return (bytes + 63) & ~(int64_t)63;
}

bool lm_resize_check(const lm_resize_size *src, const lm_resize_size *dst, int64_t channels,
                     lm_err *e) {
  const int64_t sides[] = {src->height, src->width, dst->height, dst->width};
  static const char *const names[] = {"source height", "source width", "height", "width"};
  for (int i = 0; i < 4; i++)
    if (sides[i] < 1 || sides[i] > LM_RESIZE_MAX_SIDE)
      return lm_fail(e, LM_E_ARGUMENT, "%s must be in 1..%d, got %lld", names[i],
                     LM_RESIZE_MAX_SIDE, (long long)sides[i]);
  if (channels < 1 || channels > LM_RESIZE_MAX_CHANNELS)
    return lm_fail(e, LM_E_SHAPE, "channels must be in 1..%d, got %lld", LM_RESIZE_MAX_CHANNELS,
                   (long long)channels);
  return true;
}

/* One layout serves every method: x taps, y taps, two rows of up to 32-bit values,
 * and the area table, at most (source + 2 * output) entries of 12 bytes. */
int64_t lm_resize_scratch(lm_resize_method method, const lm_resize_size *src,
                          const lm_resize_size *dst, int64_t channels) {
  const int64_t row = padded(dst->width * channels * 4 + ROW_SPILL);
  int64_t bytes = 3 * padded(dst->width * 4) + 3 * padded(dst->height * 4) + 2 * row;
  if (method == LM_RESIZE_AREA) bytes += padded((src->width + 2 * dst->width) * 12);
  return bytes;
}

/* ---- where the taps are ---- */

/* OpenCV divides twice: scale = 1 / (dst / src). */
static double scale_of(int64_t src, int64_t dst) {
  return 1.0 / ((double)dst / (double)src);
}

static void find_taps(taps t, int64_t src, int64_t dst, bool area, bool clamp) {
  const double scale = scale_of(src, dst), inverse = (double)dst / (double)src;
  for (int64_t i = 0; i < dst; i++) {
    int64_t s;
    float f;
    if (area) { /* INTER_AREA on an image that grows */
      s = (int64_t)floor((double)i * scale);
      f = (float)((double)(i + 1) - (double)(s + 1) * inverse);
      f = f <= 0 ? 0.0f : f - floorf(f);
    } else {
      f = (float)(((double)i + 0.5) * scale - 0.5);
      s = (int64_t)floorf(f);
      f -= (float)s;
    }
    if (clamp && s < 0) s = 0, f = 0;
    if (clamp && s >= src - 1) s = src - 1, f = 0;
    t.index[i] = (int32_t)s;
    t.frac[i] = f;
  }
}

static int64_t clamp_index(int64_t i, int64_t n) {
  return i < 0 ? 0 : (i >= n ? n - 1 : i);
}

/* Half to even, as cvRound. */
static int32_t weight(float f) {
  return (int32_t)lrintf(f * (float)WEIGHT_ONE);
}

static uint8_t round_u8(float v) {
  const long r = lrintf(v);
  return (uint8_t)(r < 0 ? 0 : (r > 255 ? 255 : r));
}

/* ---- bilinear ---- */

/* Pairs of weights from fractions. */
static void weigh(taps t, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    t.pair[i] = (uint32_t)weight(1.0f - t.frac[i]) | (uint32_t)weight(t.frac[i]) << 16;
}

/* Along a row the last column is moved one to the left with its weights
 * changed over, so that both taps of every column lie inside the row. */
static void keep_inside(taps x, int64_t n, int64_t src) {
  for (int64_t j = 0; j < n && src > 1; j++)
    if (x.index[j] + 1 >= src) {
      x.index[j] = (int32_t)src - 2;
      x.pair[j] = x.pair[j] >> 16 | x.pair[j] << 16;
    }
}

static inline void mix_row(const uint8_t *src, int64_t next, int64_t channels, const int32_t *index,
                           const uint32_t *pair, int64_t n, int16_t *restrict out) {
  for (int64_t j = 0; j < n; j++) {
    const int32_t a0 = (int32_t)(pair[j] & 0xFFFF), a1 = (int32_t)(pair[j] >> 16);
    const uint8_t *p = src + index[j] * channels;
    for (int64_t c = 0; c < channels; c++) *out++ = (int16_t)((p[c] * a0 + p[c + next] * a1) >> 4);
  }
}

/* The common channel counts as constants: the inner loop unrolls. */
void lm_resize_row_plain(const uint8_t *src, int64_t width, int64_t channels, const int32_t *index,
                         const uint32_t *pair, int64_t n, int16_t *out) {
  const int64_t next = width > 1 ? channels : 0;
  if (next == 1)
    mix_row(src, 1, 1, index, pair, n, out);
  else if (next == 3)
    mix_row(src, 3, 3, index, pair, n, out);
  else
    mix_row(src, next, channels, index, pair, n, out);
}

static lm_resize_row choose_row(void) {
#if defined(__x86_64__)
  if (lm_cpu_isa() >= LM_ISA_AVX2) return lm_resize_row_avx2;
#endif
  return lm_resize_row_plain;
}

static void bilinear_f32_row(const float *src, int64_t width, int64_t channels, const taps x,
                             int64_t n, float *out) {
  for (int64_t j = 0; j < n; j++) {
    const int64_t s = x.index[j];
    const float a1 = x.frac[j], a0 = 1.0f - a1;
    const float *p = src + s * channels;
    if (a1 == 0 || s + 1 >= width) /* the second tap does not count, be it NaN or outside */
      for (int64_t c = 0; c < channels; c++) *out++ = p[c];
    else
      for (int64_t c = 0; c < channels; c++) *out++ = p[c] * a0 + p[c + channels] * a1;
  }
}

/* The two source rows an output row needs are usually those of the one before:
 * keeps them by source index.  Returns the slot that holds row `want`. */
static int cached_row(int64_t have[2], int64_t want, int busy, bool *fill) {
  *fill = false;
  if (have[0] == want) return 0;
  if (have[1] == want) return 1;
  const int slot = busy == 0 ? 1 : 0;
  have[slot] = want;
  *fill = true;
  return slot;
}

static void bilinear_u8(const uint8_t *src, const lm_resize_size *from, uint8_t *dst,
                        const lm_resize_size *to, int64_t channels, taps x, taps y,
                        int16_t *rows[2]) {
  const int64_t n = to->width * channels;
  const lm_resize_row make_row = choose_row();
  int64_t have[2] = {-1, -1};
  for (int64_t i = 0; i < to->height; i++) {
    const int64_t want[2] = {clamp_index(y.index[i], from->height),
                             clamp_index((int64_t)y.index[i] + 1, from->height)};
    int slot[2], busy = have[1] == want[1] ? 1 : -1;
    if (have[0] == want[1]) busy = 0;
    for (int k = 0; k < 2; k++) {
      bool fill;
      slot[k] = cached_row(have, want[k], busy, &fill);
      if (fill)
        make_row(src + want[k] * from->stride, from->width, channels, x.index, x.pair, to->width,
                 rows[slot[k]]);
      busy = slot[k];
    }
    const int32_t b0 = (int32_t)(y.pair[i] & 0xFFFF), b1 = (int32_t)(y.pair[i] >> 16);
    const int16_t *r0 = rows[slot[0]], *r1 = rows[slot[1]];
    uint8_t *d = dst + i * to->stride;
    for (int64_t j = 0; j < n; j++)
      d[j] = (uint8_t)((((b0 * r0[j]) >> 16) + ((b1 * r1[j]) >> 16) + 2) >> 2);
  }
}

static void bilinear_f32(const float *src, const lm_resize_size *from, float *dst,
                         const lm_resize_size *to, int64_t channels, taps x, taps y,
                         float *rows[2]) {
  const int64_t n = to->width * channels;
  int64_t have[2] = {-1, -1};
  for (int64_t i = 0; i < to->height; i++) {
    const int64_t want[2] = {clamp_index(y.index[i], from->height),
                             clamp_index((int64_t)y.index[i] + 1, from->height)};
    int slot[2], busy = have[1] == want[1] ? 1 : -1;
    if (have[0] == want[1]) busy = 0;
    for (int k = 0; k < 2; k++) {
      bool fill;
      slot[k] = cached_row(have, want[k], busy, &fill);
      if (fill)
        bilinear_f32_row(src + want[k] * from->stride, from->width, channels, x, to->width,
                         rows[slot[k]]);
      busy = slot[k];
    }
    const float b1 = y.frac[i], b0 = 1.0f - b1;
    const float *r0 = rows[slot[0]], *r1 = rows[slot[1]];
    float *d = dst + i * to->stride;
    if (b1 == 0 || want[0] == want[1])
      memcpy(d, r0, (size_t)n * sizeof *d);
    else
      for (int64_t j = 0; j < n; j++) d[j] = r0[j] * b0 + r1[j] * b1;
  }
}

/* ---- area ---- */

/* One source pixel's share in one output pixel. */
typedef struct {
  int32_t from, to;
  float share;
} area_tap;

/* Shares of the cell [i*scale, (i+1)*scale); slivers under 1e-3 do not count. */
static int64_t area_table(area_tap *table, int64_t src, int64_t dst, double scale) {
  int64_t k = 0;
  for (int64_t i = 0; i < dst; i++) {
    const double begin = (double)i * scale, end = begin + scale;
    const double cell = fmin(scale, (double)src - begin);
    const int64_t last = lm_min64((int64_t)floor(end), src - 1);
    const int64_t first = lm_min64((int64_t)ceil(begin), last);
    if ((double)first - begin > 1e-3)
      table[k++] =
          (area_tap){(int32_t)(first - 1), (int32_t)i, (float)(((double)first - begin) / cell)};
    for (int64_t s = first; s < last; s++)
      table[k++] = (area_tap){(int32_t)s, (int32_t)i, (float)(1.0 / cell)};
    if (end - (double)last > 1e-3)
      table[k++] = (area_tap){(int32_t)last, (int32_t)i,
                              (float)(fmin(fmin(end - (double)last, 1.0), cell) / cell)};
  }
  return k;
}

/* Adds share-weighted source row to out (width n), horizontally averaged. */
#define AREA_ROW(T)                                                                           \
  static void area_row_##T(const T *src, int64_t channels, const area_tap *x, int64_t taps_n, \
                           int64_t n, float *out) {                                           \
    memset(out, 0, (size_t)(n * channels) * sizeof *out);                                     \
    for (int64_t k = 0; k < taps_n; k++) {                                                    \
      const T *p = src + x[k].from * channels;                                                \
      float *o = out + x[k].to * channels;                                                    \
      for (int64_t c = 0; c < channels; c++) o[c] += (float)p[c] * x[k].share;                \
    }                                                                                         \
  }
AREA_ROW(uint8_t)
AREA_ROW(float)

/* True when src is a whole multiple of dst by OpenCV's test. */
static bool whole_factor(int64_t src, int64_t dst, int64_t *factor) {
  const double scale = scale_of(src, dst);
  *factor = lrint(scale);
  return fabs(scale - (double)*factor) < 2.220446049250313e-16;
}

static void area_blocks_u8(const uint8_t *src, int64_t stride, uint8_t *dst,
                           const lm_resize_size *to, int64_t channels, int64_t fy, int64_t fx) {
  const float scale = 1.0f / (float)(fy * fx);
  for (int64_t i = 0; i < to->height; i++)
    for (int64_t j = 0; j < to->width; j++)
      for (int64_t c = 0; c < channels; c++) {
        const uint8_t *p = src + i * fy * stride + j * fx * channels + c;
        int64_t sum = 0;
        for (int64_t y = 0; y < fy; y++)
          for (int64_t x = 0; x < fx; x++) sum += p[y * stride + x * channels];
        dst[i * to->stride + j * channels + c] =
            fy == 2 && fx == 2 ? (uint8_t)((sum + 2) >> 2) : round_u8((float)sum * scale);
      }
}

static void area_blocks_f32(const float *src, int64_t stride, float *dst, const lm_resize_size *to,
                            int64_t channels, int64_t fy, int64_t fx) {
  const float scale = 1.0f / (float)(fy * fx);
  for (int64_t i = 0; i < to->height; i++)
    for (int64_t j = 0; j < to->width; j++)
      for (int64_t c = 0; c < channels; c++) {
        const float *p = src + i * fy * stride + j * fx * channels + c;
        float sum = 0;
        for (int64_t y = 0; y < fy; y++)
          for (int64_t x = 0; x < fx; x++) sum += p[y * stride + x * channels];
        dst[i * to->stride + j * channels + c] = sum * scale;
      }
}

/* The vertical shares need no table: they are made a row at a time. */
#define AREA(T, STORE)                                                                             \
  static void area_##T(const T *src, const lm_resize_size *from, T *dst, const lm_resize_size *to, \
                       int64_t channels, area_tap *x, float *row, float *sum) {                    \
    const int64_t taps_n =                                                                         \
        area_table(x, from->width, to->width, scale_of(from->width, to->width));                   \
    const double scale = scale_of(from->height, to->height);                                       \
    const int64_t n = to->width * channels;                                                        \
    for (int64_t i = 0; i < to->height; i++) {                                                     \
      const double begin = (double)i * scale, end = begin + scale;                                 \
      const double cell = fmin(scale, (double)from->height - begin);                               \
      const int64_t last = lm_min64((int64_t)floor(end), from->height - 1);                        \
      const int64_t first = lm_min64((int64_t)ceil(begin), last);                                  \
      bool started = false;                                                                        \
      for (int64_t s = first - 1; s <= last; s++) {                                                \
        float share = (float)(1.0 / cell);                                                         \
        if (s == first - 1) {                                                                      \
          if (!((double)first - begin > 1e-3)) continue;                                           \
          share = (float)(((double)first - begin) / cell);                                         \
        } else if (s == last) {                                                                    \
          if (!(end - (double)last > 1e-3)) continue;                                              \
          share = (float)(fmin(fmin(end - (double)last, 1.0), cell) / cell);                       \
        }                                                                                          \
        area_row_##T(src + s * from->stride, channels, x, taps_n, to->width, row);                 \
        if (started)                                                                               \
          for (int64_t j = 0; j < n; j++) sum[j] += share * row[j];                                \
        else                                                                                       \
          for (int64_t j = 0; j < n; j++) sum[j] = share * row[j];                                 \
        started = true;                                                                            \
      }                                                                                            \
      T *d = dst + i * to->stride;                                                                 \
      for (int64_t j = 0; j < n; j++) d[j] = STORE(sum[j]);                                        \
    }                                                                                              \
  }
AREA(uint8_t, round_u8)
AREA(float, (float))

/* ---- nearest ---- */

static void nearest(const char *src, const lm_resize_size *from, char *dst,
                    const lm_resize_size *to, int64_t pixel, int64_t element, taps x) {
  const double sx = scale_of(from->width, to->width), sy = scale_of(from->height, to->height);
  for (int64_t j = 0; j < to->width; j++)
    x.index[j] = (int32_t)lm_min64((int64_t)floor((double)j * sx), from->width - 1);
  for (int64_t i = 0; i < to->height; i++) {
    const int64_t s = lm_min64((int64_t)floor((double)i * sy), from->height - 1);
    const char *p = src + s * from->stride * element;
    char *d = dst + i * to->stride * element;
    if (pixel == 1)
      for (int64_t j = 0; j < to->width; j++) d[j] = p[x.index[j]];
    else
      for (int64_t j = 0; j < to->width; j++)
        memcpy(d + j * pixel, p + x.index[j] * pixel, (size_t)pixel);
  }
}

/* ---- the door ---- */

typedef struct {
  taps x, y;
  void *rows[2];
  void *area;
} plan;

static plan lay_out(const lm_resize_size *to, int64_t channels, void *scratch) {
  char *at = scratch;
  plan p;
  p.x.index = (int32_t *)at, at += padded(to->width * 4);
  p.x.frac = (float *)at, at += padded(to->width * 4);
  p.x.pair = (uint32_t *)at, at += padded(to->width * 4);
  p.y.index = (int32_t *)at, at += padded(to->height * 4);
  p.y.frac = (float *)at, at += padded(to->height * 4);
  p.y.pair = (uint32_t *)at, at += padded(to->height * 4);
  for (int k = 0; k < 2; k++) p.rows[k] = at, at += padded(to->width * channels * 4 + ROW_SPILL);
  p.area = at;
  return p;
}

static bool same_size(const lm_resize_size *a, const lm_resize_size *b) {
  return a->height == b->height && a->width == b->width;
}

static void copy_rows(const char *src, int64_t from_stride, char *dst, int64_t to_stride,
                      int64_t height, int64_t bytes) {
  for (int64_t i = 0; i < height; i++)
    memcpy(dst + i * to_stride, src + i * from_stride, (size_t)bytes);
}

/* What really happens: area on a growing axis is a form of bilinear, and
 * OpenCV takes the exact halving of both axes as area. */
typedef enum { COPY, NEAREST, BILINEAR, AREA_BILINEAR, AREA_BLOCKS, AREA_TABLE } way;

static way choose(lm_resize_method method, const lm_resize_size *from, const lm_resize_size *to,
                  int64_t *fy, int64_t *fx) {
  const bool whole_y = whole_factor(from->height, to->height, fy);
  const bool whole_x = whole_factor(from->width, to->width, fx);
  const bool whole = whole_y && whole_x;
  if (same_size(from, to)) return COPY;
  if (method == LM_RESIZE_NEAREST) return NEAREST;
  if (method == LM_RESIZE_BILINEAR) return whole && *fy == 2 && *fx == 2 ? AREA_BLOCKS : BILINEAR;
  if (scale_of(from->height, to->height) < 1 || scale_of(from->width, to->width) < 1)
    return AREA_BILINEAR;
  return whole ? AREA_BLOCKS : AREA_TABLE;
}

void lm_resize_u8(lm_resize_method method, const uint8_t *src, const lm_resize_size *from,
                  uint8_t *dst, const lm_resize_size *to, int64_t channels, void *scratch) {
  plan p = lay_out(to, channels, scratch);
  int64_t fy, fx;
  const way w = choose(method, from, to, &fy, &fx);
  switch (w) {
    case COPY:
      copy_rows((const char *)src, from->stride, (char *)dst, to->stride, to->height,
                to->width * channels);
      break;
    case NEAREST: nearest((const char *)src, from, (char *)dst, to, channels, 1, p.x); break;
    case BILINEAR:
    case AREA_BILINEAR:
      find_taps(p.x, from->width, to->width, w == AREA_BILINEAR, true);
      find_taps(p.y, from->height, to->height, w == AREA_BILINEAR, false);
      weigh(p.x, to->width);
      keep_inside(p.x, to->width, from->width);
      weigh(p.y, to->height);
      bilinear_u8(src, from, dst, to, channels, p.x, p.y, (int16_t **)p.rows);
      break;
    case AREA_BLOCKS: area_blocks_u8(src, from->stride, dst, to, channels, fy, fx); break;
    case AREA_TABLE:
      area_uint8_t(src, from, dst, to, channels, p.area, p.rows[0], p.rows[1]);
      break;
  }
}

void lm_resize_f32(lm_resize_method method, const float *src, const lm_resize_size *from,
                   float *dst, const lm_resize_size *to, int64_t channels, void *scratch) {
  plan p = lay_out(to, channels, scratch);
  int64_t fy, fx;
  const way w = choose(method, from, to, &fy, &fx);
  switch (w) {
    case COPY:
      copy_rows((const char *)src, from->stride * 4, (char *)dst, to->stride * 4, to->height,
                to->width * channels * 4);
      break;
    case NEAREST: nearest((const char *)src, from, (char *)dst, to, channels * 4, 4, p.x); break;
    case BILINEAR:
    case AREA_BILINEAR:
      find_taps(p.x, from->width, to->width, w == AREA_BILINEAR, true);
      find_taps(p.y, from->height, to->height, w == AREA_BILINEAR, false);
      bilinear_f32(src, from, dst, to, channels, p.x, p.y, (float **)p.rows);
      break;
    case AREA_BLOCKS: area_blocks_f32(src, from->stride, dst, to, channels, fy, fx); break;
    case AREA_TABLE: area_float(src, from, dst, to, channels, p.area, p.rows[0], p.rows[1]); break;
  }
}
