/* warp.h: geometric change of an image: one affine map, flips, and the two
 * changes of light that belong to augmentation.  Pure functions on plain
 * memory, safe on any thread; the background loader calls them.
 *
 * The one convention: m maps an OUTPUT pixel to the INPUT point it shows,
 * both as (row, column), 0-based, pixel centres on whole numbers:
 *     r = m[0]*i + m[1]*j + m[2]
 *     c = m[3]*i + m[4]*j + m[5]
 * (SciPy's affine_transform(matrix, offset); OpenCV's WARP_INVERSE_MAP has the
 * same meaning with x = column first.) */
#ifndef LM_IMAGE_WARP_H
#define LM_IMAGE_WARP_H

#include "core/base.h"

/* What lies outside the input, under SciPy's names (lm_fill_names). */
typedef enum {
  LM_FILL_NEAREST,       /* the nearest edge pixel: aaaa|abcd|dddd */
  LM_FILL_CONSTANT,      /* cval wherever the point is outside, no blending */
  LM_FILL_GRID_CONSTANT, /* a plane of cval pixels goes on outside; the edge blends with it */
  LM_FILL_REFLECT,       /* mirrored about the edge of the last pixel: dcba|abcd|dcba */
  LM_FILL_MIRROR,        /* mirrored about its centre: dcb|abcd|cba */
  LM_FILL_WRAP,          /* SciPy's old "wrap" (and Keras's): period n-1, first = last pixel */
  LM_FILL_GRID_WRAP,     /* repeated: abcd|abcd|abcd */
  LM_NFILL
} lm_fill;

/* "nearest", "constant", "grid-constant", ...; NULL-ended. */
extern const char *const lm_fill_names[LM_NFILL + 1];

typedef enum {
  LM_SAMPLE_BILINEAR, /* order 1: the mean of four pixels by distance */
  LM_SAMPLE_NEAREST   /* the closest pixel, halves (to 1e-9) away from zero */
} lm_sample;

/* One image's parameters; plain numbers, so they can be drawn in Lua, kept in
 * a table and applied anywhere with the same result. */
typedef struct {
  double m[6];   /* output (row, col) -> input (row, col) */
  bool identity; /* m is the identity and sizes agree: pixels are copied */
  bool flip_h;   /* after m: left and right change places */
  bool flip_v;   /* after m: top and bottom change places */
  lm_fill fill;
  lm_sample sample;
  double cval;       /* for the two constant fills, in units of the pixels */
  double shift;      /* added, then clamped to the warped image's own range; 0 = none */
  double brightness; /* factor, applied last, f32 not clamped; 1 = none */
} lm_warp;

/* The identity: nothing moves, nothing fills, nothing is lighter. */
lm_warp lm_warp_identity(void);

/* Sets p->identity from p->m. */
void lm_warp_settle(lm_warp *p);

/* An (h, w, c) image, contiguous. */
typedef struct {
  int64_t height, width, channels;
} lm_warp_size;

/* False (with *e) when m, cval, shift or brightness is not finite, a side of
 * either size is < 1, or a side is too large (2^24). */
bool lm_warp_check(const lm_warp *p, const lm_warp_size *from, const lm_warp_size *to, lm_err *e);

/* Warps src (from) into dst (to; same channels).  They do not overlap.
 * Coordinates are computed in double for each pixel, weights in float: within
 * 1e-6 of the range of values of SciPy's double result.  A coordinate beyond
 * +-2^30 counts as outside.  u8 results round half to even and clamp;
 * u8_f32 keeps the fractions (0..255). */
void lm_warp_f32(const lm_warp *p, const float *src, const lm_warp_size *from, float *dst,
                 const lm_warp_size *to);
void lm_warp_u8(const lm_warp *p, const uint8_t *src, const lm_warp_size *from, uint8_t *dst,
                const lm_warp_size *to);
void lm_warp_u8_f32(const lm_warp *p, const uint8_t *src, const lm_warp_size *from, float *dst,
                    const lm_warp_size *to);

#endif
