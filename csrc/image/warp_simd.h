/* warp_simd.h: the two inner loops of the warp, one set per instruction set,
 * all giving the same bits.  Private to warp*.c. */
#ifndef LM_IMAGE_WARP_SIMD_H
#define LM_IMAGE_WARP_SIMD_H

#include <stdbool.h>
#include <stdint.h>

enum { LM_WARP_BLOCK = 128, LM_WARP_FAR = 1 << 30 };

/* A block of output pixels: where each looks in the input. */
typedef struct {
  double r[LM_WARP_BLOCK], c[LM_WARP_BLOCK];  /* the input point, within +-LM_WARP_FAR */
  int64_t at[LM_WARP_BLOCK];                  /* first pixel of the clamped point's four */
  float fr[LM_WARP_BLOCK], fc[LM_WARP_BLOCK]; /* fractions towards the next row and column */
} lm_warp_points;

/* A stretch of one output row: pixel k looks at row (r0 + rj * (j + step * k)) + rt,
 * column (c0 + cj * (j + step * k)) + ct of an h x w image. */
typedef struct {
  double r0, rj, rt, c0, cj, ct, j, step;
  int64_t h, w;
} lm_warp_line;

/* Fills b for n pixels (n <= LM_WARP_BLOCK; entries up to the next multiple of
 * 8 are valid too). */
typedef void (*lm_warp_find)(const lm_warp_line *line, int n, lm_warp_points *b);

/* Mixes the four pixels of three channels around each of n points of an h x w
 * image (w > 1), u8 or f32 in and out.  Never reads outside the image nor
 * writes outside n pixels of out. */
typedef void (*lm_warp_mix)(const void *src, int64_t h, int64_t w, bool in8, bool out8,
                            const lm_warp_points *b, int n, void *out);

void lm_warp_find_plain(const lm_warp_line *line, int n, lm_warp_points *b);
void lm_warp_mix_plain(const void *src, int64_t h, int64_t w, bool in8, bool out8,
                       const lm_warp_points *b, int n, void *out);
void lm_warp_find_avx2(const lm_warp_line *line, int n, lm_warp_points *b);
void lm_warp_find_avx512(const lm_warp_line *line, int n, lm_warp_points *b);
void lm_warp_mix_avx2(const void *src, int64_t h, int64_t w, bool in8, bool out8,
                      const lm_warp_points *b, int n, void *out);
void lm_warp_mix_avx512(const void *src, int64_t h, int64_t w, bool in8, bool out8,
                        const lm_warp_points *b, int n, void *out);

#endif
