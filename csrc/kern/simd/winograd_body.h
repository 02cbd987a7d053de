/* winograd_body.h: the functions of lm_winograd_kernels for the instruction
 * set at hand.  Included once by each of simd/winograd_{avx512,avx2,plain}.c, which sets ROWS
 * and GRAD_ROWS and fills the table. */
#include "kern/simd/winograd.h"
#include "kern/simd/winograd_tiles.h"

#define INPUT(name, in, out, f)                                                                    \
  static void name(const float *src, int64_t rs, int64_t ps, int64_t blocks, float *v, int64_t bs, \
                   int64_t fs) {                                                                   \
    for (int64_t b = 0; b < blocks; b++)                                                           \
      transform_tile(in, out, f, src + b * LANES, rs, ps, v + b * bs, fs);                         \
  }
INPUT(input4_tile, 6, 6, input4)
INPUT(input6_tile, 8, 8, input6)
INPUT(spread4_tile, 4, 6, spread4)

#define WEIGHT(m)                                                                  \
  static void weight##m##_tile(const float *g, int64_t ts, float *u, int64_t fs) { \
    transform_tile(3, m + 2, weight##m, g, 3 * ts, ts, u, fs);                     \
    transform_tile(3, m + 2, weight##m, g + LANES, 3 * ts, ts, u + LANES, fs);     \
  }
WEIGHT(4)
WEIGHT(6)

static void gather4_tile(const float *u, int64_t fs, float *taps) {
  transform_tile(6, 3, gather4, u, 6 * fs, fs, taps, LANES);
}

static void outer_product(int64_t count, const float *v, const float *w, float *u, int64_t us) {
  outer_tiles(GRAD_ROWS, count, v, w, u, us);
}

/* A whole tile has its own copy, without the tests for its edge. */
#define OUTPUT(m, name, pool)                                                             \
  static void output##m##name(const float *p, int64_t fs, const float *bias, float floor, \
                              float *dst, int64_t rs, int64_t ps, int rows, int cols) {   \
    if (rows >= m && cols >= m)                                                           \
      output_tile(m + 2, output##m, p, fs, bias, floor, dst, rs, ps, pool, m, m);         \
    else                                                                                  \
      output_tile(m + 2, output##m, p, fs, bias, floor, dst, rs, ps, pool, rows, cols);   \
  }
OUTPUT(4, _tile, 0)
OUTPUT(4, _pool, 1)
OUTPUT(6, _tile, 0)
OUTPUT(6, _pool, 1)

#define PRODUCT(t)                                                                   \
  static void product##t(int64_t blocks, const float *v, const float *u, float *m) { \
    product_tiles(t, ROWS, blocks, v, u, m);                                         \
  }
PRODUCT(1)
PRODUCT(2)
PRODUCT(3)
PRODUCT(4)
PRODUCT(5)
PRODUCT(6)

#define TRANSFORMS                                                                           \
  .lanes = LANES, .rows = ROWS, .grad_rows = GRAD_ROWS, .input = {input4_tile, input6_tile}, \
  .weight = {weight4_tile, weight6_tile}, .output = {output4_tile, output6_tile},            \
  .output_pool = {output4_pool, output6_pool}, .grad_output = spread4_tile,                  \
  .grad_product = outer_product, .grad_weight = gather4_tile
