/* winograd_body.h: the functions of lm_winograd_kernels for the instruction
 * set at hand, and their table.  Included once by each of
 * simd/winograd_{avx512,avx2,plain}.c, which sets VECTORS and GRAD_ROWS. */
#include "kern/simd/winograd.h"
#include "kern/simd/winograd_tiles.h"

/* Where V lies in L3 the next block's lines are fetched for writing first.  Not
 * with the 64 lines of an 8x8 tile, which is for wide layers: V lies in L2 there. */
#define INPUT(name, in, out, f)                                                                    \
  static void name(const float *src, int64_t rs, int64_t ps, int64_t blocks, float *v, int64_t bs, \
                   int64_t fs) {                                                                   \
    for (int64_t b = 0; b < blocks; b++, src += LANES, v += bs) {                                  \
      UNROLL for (int q = 0; q < out * out && out == 6; q++)                                       \
          __builtin_prefetch(v + bs + q * fs, 1);                                                  \
      transform_tile(in, out, f, src, rs, ps, v, fs);                                              \
    }                                                                                              \
  }
INPUT(input4_tile, 6, 6, input4)
INPUT(input6_tile, 8, 8, input6)
INPUT(spread4_tile, 4, 6, spread4)

#define WEIGHT(m)                                                                  \
  static void weight##m##_tile(const float *g, int64_t ts, float *u, int64_t fs) { \
    transform_tile(3, m + 2, weight##m, g, 3 * ts, ts, u, fs);                     \
  }
WEIGHT(4)
WEIGHT(6)

static void gather4_tile(const float *u, int64_t fs, float *taps) {
  transform_tile(6, 3, gather4, u, 6 * fs, fs, taps, LANES);
}

static void outer_product(int64_t count, const float *v, const float *w, float *u, int64_t us,
                          const float *ahead, int64_t pace) {
  outer_tiles(GRAD_ROWS, count, v, w, u, us, ahead, pace);
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

#define PRODUCT(t, n)                                                                    \
  static void product##t##_##n(int64_t blocks, const float *v, const float *u, float *m, \
                               const float *ahead, int64_t pace) {                       \
    product_tiles(t, n, blocks, v, u, m, ahead, pace);                                   \
  }
#define PRODUCTS(n) \
  PRODUCT(1, n) PRODUCT(2, n) PRODUCT(3, n) PRODUCT(4, n) PRODUCT(5, n) PRODUCT(6, n)
PRODUCTS(1)
PRODUCTS(2)
#if VECTORS == 4
PRODUCTS(3)
PRODUCTS(4)
#define ROW(t) \
  { 0, product##t##_1, product##t##_2, product##t##_3, product##t##_4 }
#else
#define ROW(t) \
  { 0, product##t##_1, product##t##_2 }
#endif

#define TABLE                                                                                      \
  {                                                                                                \
    .lanes = LANES, .vectors = VECTORS, .grad_rows = GRAD_ROWS,                                    \
    .input = {input4_tile, input6_tile}, .weight = {weight4_tile, weight6_tile},                   \
    .output = {output4_tile, output6_tile}, .output_pool = {output4_pool, output6_pool},           \
    .product = {{0}, ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6)}, .grad_output = spread4_tile, \
    .grad_product = outer_product, .grad_weight = gather4_tile                                     \
  }
