/* winograd.h: what one instruction set offers to conv_winograd.c.
 *
 * m is the output tile (4 or 6), n = m + 2 the input tile.  A "block" is
 * `lanes` channels side by side; a "panel" is 2 * lanes output channels.
 * Frequencies (the n*n products of a tile) lie fs floats apart. */
#ifndef LM_SIMD_WINOGRAD_H
#define LM_SIMD_WINOGRAD_H

#include <stdint.h>

enum { LM_WINOGRAD_MAXROWS = 14, LM_WINOGRAD_MAXLANES = 16 };

typedef struct {
  int lanes; /* floats a vector: 16, 8 or 4 */
  int rows;  /* tiles the product kernel holds in registers: 14 or 6 */

  /* [out] v: transform of one input tile of `blocks` channel blocks;
   * src rows rs, pixels ps floats apart; v blocks bs floats apart. */
  void (*input[2])(const float *src, int64_t rs, int64_t ps, int64_t blocks, float *v, int64_t bs,
                   int64_t fs);
  /* [out] u: transform of the weights of one input channel for one panel. */
  void (*weight[2])(const float *g, int64_t ts, float *u, int64_t fs);
  /* [out] dst: one tile's outputs for one block; see output_tile. */
  void (*output[2])(const float *m, int64_t fs, const float *bias, float floor, float *dst,
                    int64_t rs, int64_t ps, int rows, int cols);
  void (*output_pool[2])(const float *m, int64_t fs, const float *bias, float floor, float *dst,
                         int64_t rs, int64_t ps, int rows, int cols);
  /* [out] m: products of `tiles` (1 .. rows) tiles; see product_tiles. */
  void (*product[LM_WINOGRAD_MAXROWS + 1])(int64_t blocks, const float *v, const float *u,
                                           float *m);
} lm_winograd_kernels;

extern const lm_winograd_kernels lm_winograd_plain;
#if defined(__x86_64__)
extern const lm_winograd_kernels lm_winograd_avx2, lm_winograd_avx512;
#endif

#endif
