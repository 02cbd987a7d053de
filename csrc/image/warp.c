/* warp.c: affine maps with bilinear or nearest sampling.
 *
 * A row of output goes through in blocks.  First every pixel's input point is
 * computed in double and clamped into the image, which leaves an offset and
 * two fractions; then the four pixels around it are mixed, branch-free.  For
 * fills other than "nearest" the points that were outside are done again, one
 * by one: they are few, or cheap. */
#include "image/warp.h"

#include <math.h>
#include <string.h>

#include "core/cpu.h"
#include "image/warp_simd.h"

enum { MAX_SIDE = 1 << 24 };

const char *const lm_fill_names[LM_NFILL + 1] = {"nearest", "constant", "grid-constant", "reflect",
                                                 "mirror",  "wrap",     "grid-wrap",     NULL};

typedef float f4 __attribute__((vector_size(16)));
typedef uint8_t b4 __attribute__((vector_size(4)));

/* Pixels of either type behind one pointer; u8 is constant in every caller, so
 * each use compiles to one type. */
typedef struct {
  const void *data;
  int64_t h, w, c;
} source;

lm_warp lm_warp_identity(void) {
  return (lm_warp){.m = {1, 0, 0, 0, 1, 0}, .identity = true, .brightness = 1};
}

void lm_warp_settle(lm_warp *p) {
  const double *m = p->m;
  p->identity = m[0] == 1 && m[1] == 0 && m[2] == 0 && m[3] == 0 && m[4] == 1 && m[5] == 0;
}

bool lm_warp_check(const lm_warp *p, const lm_warp_size *from, const lm_warp_size *to, lm_err *e) {
  for (int k = 0; k < 6; k++)
    if (!isfinite(p->m[k]))
      return lm_fail(e, LM_E_ARGUMENT, "matrix entry %d must be finite, got %g", k + 1, p->m[k]);
  if (!isfinite(p->cval) || !isfinite(p->shift) || !isfinite(p->brightness))
    return lm_fail(e, LM_E_ARGUMENT, "cval, shift and brightness must be finite, got %g, %g, %g",
                   p->cval, p->shift, p->brightness);
  const int64_t sides[] = {from->height, from->width, to->height, to->width};
  static const char *const names[] = {"image height", "image width", "height", "width"};
  for (int k = 0; k < 4; k++)
    if (sides[k] < 1 || sides[k] > MAX_SIDE)
      return lm_fail(e, LM_E_SHAPE, "%s must be in 1..%d, got %lld", names[k], MAX_SIDE,
                     (long long)sides[k]);
  if (from->channels < 1 || from->channels != to->channels)
    return lm_fail(e, LM_E_SHAPE, "an image with at least one channel expected, got %lld",
                   (long long)from->channels);
  return true;
}

/* ---- input points ---- */

static inline double clamp(double v, double lo, double hi) {
  v = v > lo ? v : lo;
  return v < hi ? v : hi;
}

/* The order of operations is SciPy's, so the coordinates are its very bits. */
void lm_warp_find_plain(const lm_warp_line *l, int n, lm_warp_points *b) {
  const double last_r = (double)(l->h - 1), last_c = (double)(l->w - 1);
  const int32_t top_r = (int32_t)lm_max64(l->h - 2, 0), top_c = (int32_t)lm_max64(l->w - 2, 0);
  for (int k = 0; k < n; k++) {
    const double j = l->j + l->step * k;
    b->r[k] = clamp((l->r0 + l->rj * j) + l->rt, -LM_WARP_FAR, LM_WARP_FAR);
    b->c[k] = clamp((l->c0 + l->cj * j) + l->ct, -LM_WARP_FAR, LM_WARP_FAR);
    const double r = clamp(b->r[k], 0, last_r), c = clamp(b->c[k], 0, last_c);
    int32_t ir = (int32_t)r, ic = (int32_t)c;
    ir = ir < top_r ? ir : top_r;
    ic = ic < top_c ? ic : top_c;
    b->fr[k] = (float)(r - ir);
    b->fc[k] = (float)(c - ic);
    b->at[k] = (int64_t)ir * l->w + ic;
  }
}

/* ---- mixing four pixels ---- */

static inline float get(const void *data, int64_t k, bool u8) {
  return u8 ? (float)((const uint8_t *)data)[k] : ((const float *)data)[k];
}

static inline uint8_t to_u8(float v) { /* half to even; NaN is 0 */
  return v >= 255 ? 255 : (v > 0 ? (uint8_t)lrintf(v) : 0);
}

static inline void put(void *data, int64_t k, float v, bool u8) {
  if (u8)
    ((uint8_t *)data)[k] = to_u8(v);
  else
    ((float *)data)[k] = v;
}

static inline f4 load4(const void *data, int64_t k, bool u8) {
  if (u8) {
    b4 b;
    memcpy(&b, (const uint8_t *)data + k, sizeof b);
    return __builtin_convertvector(b, f4);
  }
  f4 v;
  memcpy(&v, (const float *)data + k, sizeof v);
  return v;
}

/* Three channels: the six values of two neighbouring pixels are read as 0..3
 * and 2..5, mixed down the rows, and the second lined up with the first.  The
 * fourth lane is spare; of all but the last pixel it is stored too and then
 * overwritten by the next. */
static inline __attribute__((always_inline)) void mix_rgb(const void *src, int64_t h, int64_t w,
                                                          bool in8, bool out8,
                                                          const lm_warp_points *b, int n,
                                                          void *out) {
  const int64_t down = h > 1 ? 3 * w : 0;
  for (int k = 0; k < n; k++) {
    const int64_t p = 3 * b->at[k];
    const f4 left0 = load4(src, p, in8), right0 = load4(src, p + 2, in8);
    const f4 left1 = load4(src, p + down, in8), right1 = load4(src, p + down + 2, in8);
    const float fr = b->fr[k], fc = b->fc[k];
    const f4 left = left0 + (left1 - left0) * fr, right = right0 + (right1 - right0) * fr;
    const f4 v = left + (__builtin_shufflevector(right, right, 1, 2, 3, 3) - left) * fc;
    if (!out8 && k + 1 < n)
      memcpy((float *)out + 3 * k, &v, sizeof v);
    else
      for (int c = 0; c < 3; c++) put(out, 3 * k + c, v[c], out8);
  }
}

void lm_warp_mix_plain(const void *src, int64_t h, int64_t w, bool in8, bool out8,
                       const lm_warp_points *b, int n, void *out) {
  if (!in8)
    mix_rgb(src, h, w, false, false, b, n, out);
  else if (out8)
    mix_rgb(src, h, w, true, true, b, n, out);
  else
    mix_rgb(src, h, w, true, false, b, n, out);
}

static inline void mix_any(const source *s, const lm_warp_points *b, int n, void *out, bool in8,
                           bool out8) {
  const int64_t nc = s->c, down = s->h > 1 ? nc * s->w : 0, right = s->w > 1 ? nc : 0;
  for (int k = 0; k < n; k++) {
    const float fr = b->fr[k], fc = b->fc[k];
    for (int64_t c = 0; c < nc; c++) {
      const int64_t p = nc * b->at[k] + c;
      const float a0 = get(s->data, p, in8), b0 = get(s->data, p + right, in8);
      const float a1 = get(s->data, p + down, in8), b1 = get(s->data, p + down + right, in8);
      const float l = a0 + (a1 - a0) * fr, r = b0 + (b1 - b0) * fr;
      put(out, nc * k + c, l + (r - l) * fc, out8);
    }
  }
}

/* ---- outside ---- */

static int64_t modulo(int64_t a, int64_t n) {
  const int64_t r = a % n;
  return r < 0 ? r + n : r;
}

/* The pixel that stands at index i of the endless axis; -1: cval. */
static int64_t extend(lm_fill fill, int64_t i, int64_t n) {
  if (i >= 0 && i < n) return i;
  switch (fill) {
    case LM_FILL_REFLECT: i = modulo(i, 2 * n); return i < n ? i : 2 * n - 1 - i;
    case LM_FILL_MIRROR:
      if (n == 1) return 0;
      i = modulo(i, 2 * n - 2);
      return i < n ? i : 2 * n - 2 - i;
    case LM_FILL_GRID_WRAP: return modulo(i, n);
    case LM_FILL_CONSTANT:
    case LM_FILL_GRID_CONSTANT: return -1;
    case LM_FILL_NEAREST:
    case LM_FILL_WRAP:
    case LM_NFILL: break;
  }
  return i < 0 ? 0 : n - 1;
}

/* SciPy's "wrap": the last pixel is the first of the next copy. */
static double wrap_point(double v, int64_t n) {
  if (v >= 0 && v <= (double)(n - 1)) return v;
  if (n == 1) return 0;
  const double period = (double)(n - 1);
  if (v < 0) return v + period * (floor(-v / period) + 1);
  return v - period * floor(v / period);
}

static inline float tap(const source *s, int64_t r, int64_t c, int64_t channel, float cval,
                        bool in8) {
  return r < 0 || c < 0 ? cval : get(s->data, (r * s->w + c) * s->c + channel, in8);
}

static inline bool outside(double v, int64_t n) {
  return !(v >= 0 && v <= (double)(n - 1));
}

/* Does the pixels of the block again whose point is outside the image. */
static inline void mend(const lm_warp *p, const source *s, const lm_warp_points *b, int n,
                        void *out, bool in8, bool out8) {
  const float cval = (float)p->cval;
  for (int k = 0; k < n; k++) {
    double r = b->r[k], c = b->c[k];
    if (!outside(r, s->h) && !outside(c, s->w)) continue;
    if (p->fill == LM_FILL_CONSTANT) {
      for (int64_t ch = 0; ch < s->c; ch++) put(out, s->c * k + ch, cval, out8);
      continue;
    }
    if (p->fill == LM_FILL_WRAP) r = wrap_point(r, s->h), c = wrap_point(c, s->w);
    const double fr = floor(r), fc = floor(c);
    const int64_t ir = (int64_t)fr, ic = (int64_t)fc;
    const int64_t r0 = extend(p->fill, ir, s->h), r1 = extend(p->fill, ir + 1, s->h);
    const int64_t c0 = extend(p->fill, ic, s->w), c1 = extend(p->fill, ic + 1, s->w);
    const float y = (float)(r - fr), x = (float)(c - fc);
    for (int64_t ch = 0; ch < s->c; ch++) {
      const float a0 = tap(s, r0, c0, ch, cval, in8), b0 = tap(s, r0, c1, ch, cval, in8);
      const float a1 = tap(s, r1, c0, ch, cval, in8), b1 = tap(s, r1, c1, ch, cval, in8);
      const float left = a0 + (a1 - a0) * y, right = b0 + (b1 - b0) * y;
      put(out, s->c * k + ch, left + (right - left) * x, out8);
    }
  }
}

/* ---- nearest ---- */

/* Halves go away from zero; what is a half to 1e-9 is a half. */
static int64_t round_away(double v) {
  const double a = floor(fabs(v) + (0.5 + 1e-9));
  return (int64_t)(v < 0 ? -a : a);
}

static inline void pick(const lm_warp *p, const source *s, const lm_warp_points *b, int n,
                        void *out, bool in8, bool out8) {
  const float cval = (float)p->cval;
  for (int k = 0; k < n; k++) {
    double r = b->r[k], c = b->c[k];
    const bool cut = p->fill == LM_FILL_CONSTANT && (outside(r, s->h) || outside(c, s->w));
    if (p->fill == LM_FILL_WRAP) r = wrap_point(r, s->h), c = wrap_point(c, s->w);
    const int64_t ir = cut ? -1 : extend(p->fill, round_away(r), s->h);
    const int64_t ic = cut ? -1 : extend(p->fill, round_away(c), s->w);
    for (int64_t ch = 0; ch < s->c; ch++)
      put(out, s->c * k + ch, tap(s, ir, ic, ch, cval, in8), out8);
  }
}

/* ---- light ---- */

static inline void relight(const lm_warp *p, void *out, int64_t n, bool out8) {
  if (p->shift != 0 && n > 0) {
    float lo = INFINITY, hi = -INFINITY;
    for (int64_t k = 0; k < n; k++) {
      const float v = get(out, k, out8);
      lo = v < lo ? v : lo;
      hi = v > hi ? v : hi;
    }
    const float shift = (float)p->shift;
    for (int64_t k = 0; k < n; k++) {
      const float v = get(out, k, out8) + shift;
      put(out, k, v < lo ? lo : (v > hi ? hi : v), out8);
    }
  }
  if (p->brightness != 1) {
    const float factor = (float)p->brightness;
    for (int64_t k = 0; k < n; k++) put(out, k, get(out, k, out8) * factor, out8);
  }
}

/* ---- the doors ---- */

static void choose(lm_warp_find *find, lm_warp_mix *mix) {
  *find = lm_warp_find_plain;
  *mix = lm_warp_mix_plain;
#if defined(__x86_64__)
  const lm_isa isa = lm_cpu_isa();
  if (isa == LM_ISA_AVX512) *find = lm_warp_find_avx512, *mix = lm_warp_mix_avx512;
  if (isa == LM_ISA_AVX2) *find = lm_warp_find_avx2, *mix = lm_warp_mix_avx2;
#endif
}

static inline void copy_row(const source *s, int64_t i, bool flip, void *out, bool in8, bool out8) {
  const int64_t row = i * s->w * s->c;
  for (int64_t j = 0; j < s->w; j++) {
    const int64_t from = row + (flip ? s->w - 1 - j : j) * s->c;
    for (int64_t ch = 0; ch < s->c; ch++)
      put(out, j * s->c + ch, get(s->data, from + ch, in8), out8);
  }
}

static inline __attribute__((always_inline)) void warp(const lm_warp *p, const source *s, void *out,
                                                       const lm_warp_size *to, bool in8,
                                                       bool out8) {
  const int64_t h = to->height, w = to->width, element = out8 ? 1 : 4;
  const bool copy = p->identity && h == s->h && w == s->w;
  const double *m = p->m;
  lm_warp_find find;
  lm_warp_mix mix;
  choose(&find, &mix);
  lm_warp_points b;
  for (int64_t i = 0; i < h; i++) {
    const int64_t from = p->flip_v ? h - 1 - i : i;
    char *row = (char *)out + i * w * s->c * element;
    if (copy) {
      copy_row(s, from, p->flip_h, row, in8, out8);
      continue;
    }
    for (int64_t j = 0; j < w; j += LM_WARP_BLOCK) {
      const int n = (int)lm_min64(LM_WARP_BLOCK, w - j);
      void *at = row + j * s->c * element;
      const lm_warp_line line = {m[0] * (double)from,
                                 m[1],
                                 m[2],
                                 m[3] * (double)from,
                                 m[4],
                                 m[5],
                                 (double)(p->flip_h ? w - 1 - j : j),
                                 p->flip_h ? -1 : 1,
                                 s->h,
                                 s->w};
      find(&line, n, &b);
      if (p->sample == LM_SAMPLE_NEAREST) {
        pick(p, s, &b, n, at, in8, out8);
        continue;
      }
      if (s->c == 3 && s->w > 1)
        mix(s->data, s->h, s->w, in8, out8, &b, n, at);
      else
        mix_any(s, &b, n, at, in8, out8);
      if (p->fill != LM_FILL_NEAREST) mend(p, s, &b, n, at, in8, out8);
    }
  }
  relight(p, out, h * w * s->c, out8);
}

void lm_warp_f32(const lm_warp *p, const float *src, const lm_warp_size *from, float *dst,
                 const lm_warp_size *to) {
  const source s = {src, from->height, from->width, from->channels};
  warp(p, &s, dst, to, false, false);
}

void lm_warp_u8(const lm_warp *p, const uint8_t *src, const lm_warp_size *from, uint8_t *dst,
                const lm_warp_size *to) {
  const source s = {src, from->height, from->width, from->channels};
  warp(p, &s, dst, to, true, true);
}

void lm_warp_u8_f32(const lm_warp *p, const uint8_t *src, const lm_warp_size *from, float *dst,
                    const lm_warp_size *to) {
  const source s = {src, from->height, from->width, from->channels};
  warp(p, &s, dst, to, true, false);
}
