/* winograd.h: what one instruction set offers to conv_winograd.c.
 *
 * m is the output tile (4 or 6), n = m + 2 the input tile.  A "block" is
 * `lanes` channels side by side, one vector; a "panel" is the `vectors` blocks of
 * output channels that the product kernel makes at once (the last panel: what is left).
 * Frequencies (the n*n products of a tile) lie fs floats apart. */
#ifndef LM_SIMD_WINOGRAD_H
#define LM_SIMD_WINOGRAD_H

#include <stdint.h>

enum {
  LM_WINOGRAD_ROWS = 6,
  LM_WINOGRAD_MAXVECTORS = 4,
  LM_WINOGRAD_MAXLANES = 16,
  LM_WINOGRAD_LINE = 16 /* floats a cache line */
};

/* [out] v: transform of one tile of `blocks` channel blocks; src rows rs,
 * pixels ps floats apart, v's blocks bs, its frequencies fs. */
typedef void lm_winograd_input(const float *src, int64_t rs, int64_t ps, int64_t blocks, float *v,
                               int64_t bs, int64_t fs);
/* [out] dst: one tile's outputs for one block; see output_tile. */
typedef void lm_winograd_output(const float *m, int64_t fs, const float *bias, float floor,
                                float *dst, int64_t rs, int64_t ps, int rows, int cols);

/* [out] m: the products of some tiles, v, with the weights u of one panel;
 * `pace` floats of `ahead` a channel are brought to L2 meanwhile. */
typedef void lm_winograd_product(int64_t blocks, const float *v, const float *u, float *m,
                                 const float *ahead, int64_t pace);

typedef struct {
  int lanes;     /* floats a vector: 16, 8 or 4 */
  int vectors;   /* blocks a panel: 4 or 2 */
  int grad_rows; /* channels the gradient's product kernel holds: 8 or 4 */

  /* Pairs are for m = 4 and m = 6. */
  lm_winograd_input *input[2];
  lm_winograd_output *output[2], *output_pool[2];
  /* [out] u: transform of the weights of one input channel for one block of
   * output channels; taps ts floats apart. */
  void (*weight[2])(const float *g, int64_t ts, float *u, int64_t fs);
  /* [out] m: products of 1 .. LM_WINOGRAD_ROWS tiles with 1 .. vectors blocks
   * of output channels, [tiles][vectors]; see product_tiles. */
  lm_winograd_product *product[LM_WINOGRAD_ROWS + 1][LM_WINOGRAD_MAXVECTORS + 1];

  /* The weight gradient, m = 4: 4x4 output gradients to 36 frequencies; sums
   * over tiles (see outer_tiles); 36 sums to 9 taps, `lanes` floats apart. */
  lm_winograd_input *grad_output;
  void (*grad_product)(int64_t count, const float *v, const float *w, float *u /* [in out] */,
                       int64_t us, const float *ahead, int64_t pace);
  void (*grad_weight)(const float *u, int64_t fs, float *taps /* [out] */);
} lm_winograd_kernels;

extern const lm_winograd_kernels lm_winograd_plain;
#if defined(__x86_64__)
extern const lm_winograd_kernels lm_winograd_avx2, lm_winograd_avx512;
#endif

#endif
