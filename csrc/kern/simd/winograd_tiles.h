/* winograd_tiles.h: the three transforms of Winograd's convolution and the
 * product kernel between them, on whatever vec is.  The text is one for all
 * instruction sets; simd/winograd_{avx512,avx2,plain}.c compile it.
 *
 * One dimension first.  F(m,3) makes m outputs of a 3-tap filter out of m+2
 * inputs d with m+2 products instead of 3m:
 *     y = A' [ (G g) * (B' d) ]          (* is elementwise)
 * Think of d as samples that B' turns into a polynomial product evaluated at
 * m+1 points and at infinity; A' interpolates back.  The points decide how much
 * rounding is amplified:
 *     F(4,3): 0, +-sqrt(1/2), +-sqrt(2), infinity
 *     F(6,3): 0, +-1, +-2, +-1/2, infinity
 * Rows for +p and -p share their even and odd parts, which is all the cleverness in
 * the functions below.  Two dimensions: the same on columns, then on rows. */
#ifndef LM_WINOGRAD_TILES_H
#define LM_WINOGRAD_TILES_H

#include "kern/simd/vec.h"

#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define ROOT_HALF 0.70710678118654752440f
#define ROOT_TWO 1.41421356237309504880f

typedef void transform(const vec *in, vec *out);

/* ---- F(4,3): 6 inputs, 3 taps, 4 outputs ---- */

INLINE void input4(const vec *d, vec *o) { /* B' d */
  const vec even1 = vec_fma(vec_set(-2), d[2], d[4]), odd1 = vec_fma(vec_set(-2), d[1], d[3]);
  const vec even2 = vec_fma(vec_set(-0.5f), d[2], d[4]), odd2 = vec_fma(vec_set(-0.5f), d[1], d[3]);
  o[0] = vec_fma(vec_set(-2.5f), d[2], d[0] + d[4]);
  o[1] = vec_fma(vec_set(ROOT_HALF), odd1, even1);
  o[2] = vec_fma(vec_set(-ROOT_HALF), odd1, even1);
  o[3] = vec_fma(vec_set(ROOT_TWO), odd2, even2);
  o[4] = vec_fma(vec_set(-ROOT_TWO), odd2, even2);
  o[5] = vec_fma(vec_set(-2.5f), d[3], d[1] + d[5]);
}

INLINE void weight4(const vec *g, vec *o) { /* G g */
  const vec third = vec_set(1.0f / 3), even1 = vec_fma(g[0], vec_set(-2.0f / 3), -third * g[2]),
            even2 = vec_fma(g[0], vec_set(1.0f / 6), third * g[2]);
  o[0] = g[0];
  o[1] = vec_fma(vec_set(-2.0f / 3 * ROOT_HALF), g[1], even1);
  o[2] = vec_fma(vec_set(2.0f / 3 * ROOT_HALF), g[1], even1);
  o[3] = vec_fma(vec_set(ROOT_TWO / 6), g[1], even2);
  o[4] = vec_fma(vec_set(-ROOT_TWO / 6), g[1], even2);
  o[5] = g[2];
}

INLINE void output4(const vec *m, vec *o) { /* A' m */
  const vec sum1 = m[1] + m[2], dif1 = m[1] - m[2], sum2 = m[3] + m[4], dif2 = m[3] - m[4];
  o[0] = m[0] + sum1 + sum2;
  o[1] = vec_fma(vec_set(ROOT_TWO), dif2, vec_set(ROOT_HALF) * dif1);
  o[2] = vec_fma(vec_set(2), sum2, vec_set(0.5f) * sum1);
  o[3] = vec_fma(vec_set(2 * ROOT_TWO), dif2, vec_fma(vec_set(ROOT_HALF / 2), dif1, m[5]));
}

/* The two transposes that the weight gradient needs. */
INLINE void spread4(const vec *y, vec *o) { /* A y: 4 output gradients to 6 */
  const vec even1 = vec_fma(vec_set(0.5f), y[2], y[0]),
            odd1 = vec_fma(vec_set(ROOT_HALF / 2), y[3], vec_set(ROOT_HALF) * y[1]);
  const vec even2 = vec_fma(vec_set(2), y[2], y[0]),
            odd2 = vec_fma(vec_set(2 * ROOT_TWO), y[3], vec_set(ROOT_TWO) * y[1]);
  o[0] = y[0];
  o[1] = even1 + odd1;
  o[2] = even1 - odd1;
  o[3] = even2 + odd2;
  o[4] = even2 - odd2;
  o[5] = y[3];
}

INLINE void gather4(const vec *u, vec *o) { /* G' u: 6 sums to 3 taps */
  const vec sum1 = u[1] + u[2], dif1 = u[1] - u[2], sum2 = u[3] + u[4], dif2 = u[3] - u[4];
  o[0] = vec_fma(vec_set(-2.0f / 3), sum1, vec_fma(vec_set(1.0f / 6), sum2, u[0]));
  o[1] = vec_fma(vec_set(-2.0f / 3 * ROOT_HALF), dif1, vec_set(ROOT_TWO / 6) * dif2);
  o[2] = vec_fma(vec_set(1.0f / 3), sum2 - sum1, u[5]);
}

/* ---- F(6,3): 8 inputs, 3 taps, 6 outputs ---- */

INLINE void input6(const vec *d, vec *o) {
  const vec even1 = vec_fma(vec_set(-4.25f), d[4], d[2] + d[6]),
            odd1 = vec_fma(vec_set(-4.25f), d[3], d[1] + d[5]);
  const vec even2 = vec_fma(vec_set(-1.25f), d[4], vec_fma(vec_set(0.25f), d[2], d[6])),
            odd2 = vec_fma(vec_set(2), d[5], vec_fma(vec_set(-2.5f), d[3], vec_set(0.5f) * d[1]));
  const vec even3 = vec_fma(vec_set(-5), d[4], vec_fma(vec_set(4), d[2], d[6])),
            odd3 = vec_fma(vec_set(0.5f), d[5], vec_fma(vec_set(-2.5f), d[3], vec_set(2) * d[1]));
  o[0] = vec_fma(vec_set(5.25f), d[4] - d[2], d[0] - d[6]);
  o[1] = even1 + odd1;
  o[2] = even1 - odd1;
  o[3] = even2 + odd2;
  o[4] = even2 - odd2;
  o[5] = even3 + odd3;
  o[6] = even3 - odd3;
  o[7] = vec_fma(vec_set(5.25f), d[3] - d[5], d[7] - d[1]);
}

INLINE void weight6(const vec *g, vec *o) {
  const vec even1 = vec_set(-2.0f / 9) * (g[0] + g[2]), odd1 = vec_set(-2.0f / 9) * g[1];
  const vec even2 = vec_fma(vec_set(1.0f / 90), g[0], vec_set(2.0f / 45) * g[2]),
            odd2 = vec_set(1.0f / 45) * g[1];
  const vec even3 = vec_fma(vec_set(32.0f / 45), g[0], vec_set(8.0f / 45) * g[2]),
            odd3 = vec_set(16.0f / 45) * g[1];
  o[0] = g[0];
  o[1] = even1 + odd1;
  o[2] = even1 - odd1;
  o[3] = even2 + odd2;
  o[4] = even2 - odd2;
  o[5] = even3 + odd3;
  o[6] = even3 - odd3;
  o[7] = g[2];
}

INLINE void output6(const vec *m, vec *o) {
  const vec sum1 = m[1] + m[2], dif1 = m[1] - m[2], sum2 = m[3] + m[4], dif2 = m[3] - m[4],
            sum3 = m[5] + m[6], dif3 = m[5] - m[6];
  o[0] = (m[0] + sum1) + (sum2 + sum3);
  o[1] = vec_fma(vec_set(0.5f), dif3, vec_fma(vec_set(2), dif2, dif1));
  o[2] = vec_fma(vec_set(0.25f), sum3, vec_fma(vec_set(4), sum2, sum1));
  o[3] = vec_fma(vec_set(0.125f), dif3, vec_fma(vec_set(8), dif2, dif1));
  o[4] = vec_fma(vec_set(0.0625f), sum3, vec_fma(vec_set(16), sum2, sum1));
  o[5] = vec_fma(vec_set(0.03125f), dif3, vec_fma(vec_set(32), dif2, dif1)) + m[7];
}

/* ---- two dimensions: columns, then rows ---- */

/* in x in values, LANES channels wide (rows rs, columns ps floats apart), to
 * out x out (fs floats apart): the input, weight and gradient transforms. */
INLINE void transform_tile(const int in, const int out, transform *f, const float *src, int64_t rs,
                           int64_t ps, float *dst, int64_t fs) {
  vec t[8][8];
  UNROLL for (int x = 0; x < in; x++) {
    vec d[8], o[8];
    UNROLL for (int y = 0; y < in; y++) d[y] = vec_load(src + y * rs + x * ps);
    f(d, o);
    UNROLL for (int y = 0; y < out; y++) t[y][x] = o[y];
  }
  UNROLL for (int y = 0; y < out; y++) {
    vec o[8];
    f(t[y], o);
    UNROLL for (int x = 0; x < out; x++) vec_store(dst + (y * out + x) * fs, o[x]);
  }
}

/* n*n frequencies of one tile and LANES output channels to m x m outputs:
 * plus bias, at least `floor`, and with pool the largest of each 2x2.  Only
 * the outputs (or 2x2 windows) inside rows x cols are stored. */
INLINE void output_tile(const int n, transform *f, const float *m, int64_t fs, const float *bias,
                        float floor, float *dst, int64_t rs, int64_t ps, const int pool, int rows,
                        int cols) {
  const int size = n - 2;
  const vec b = vec_load(bias), low = vec_set(floor);
  vec t[6][8];
  UNROLL for (int x = 0; x < n; x++) {
    vec d[8], o[6];
    UNROLL for (int y = 0; y < n; y++) d[y] = vec_load(m + (y * n + x) * fs);
    f(d, o);
    UNROLL for (int y = 0; y < size; y++) t[y][x] = o[y];
  }
  UNROLL for (int y = 0; y < size; y += 2) {
    vec o[2][6];
    f(t[y], o[0]);
    f(t[y + 1], o[1]);
    if (pool) {
      UNROLL for (int x = 0; x < size; x += 2) {
        const vec top = vec_max(o[0][x], o[0][x + 1]), bottom = vec_max(o[1][x], o[1][x + 1]);
        if (y + 1 < rows && x + 1 < cols)
          vec_store(dst + y / 2 * rs + x / 2 * ps, vec_max(low, vec_max(top, bottom) + b));
      }
    } else {
      UNROLL for (int i = 0; i < 2; i++) {
        UNROLL for (int x = 0; x < size; x++) if (y + i < rows && x < cols)
            vec_store(dst + (y + i) * rs + x * ps, vec_max(low, o[i][x] + b));
      }
    }
  }
}

/* ---- the products ---- */

/* m[t][j] = sum over c of v[c / LANES][t][c % LANES] * u[c][j] for t < tiles and
 * vectors j < n: accumulators live in registers, every operand is base plus
 * constant.  v's groups of LANES channels hold ROWS tiles.  The sum runs over
 * c in order whatever tiles and n are, so a tile's bits do not depend on its
 * neighbours.
 *
 * 6 x 4 rather than 14 x 2, which fills the registers better: 10 loads for 24
 * products instead of 16 for 28 (95 against 86 % of the peak).  It reads
 * weights faster than they come from L3 or memory; so with every channel a line
 * of `ahead`, the weights after these, is brought to L2; `pace` floats on each time. */
INLINE void product_tiles(const int tiles, const int n, int64_t groups, const float *v,
                          const float *u, float *m, const float *ahead, int64_t pace) {
  vec a[LM_WINOGRAD_ROWS][4];
  UNROLL for (int t = 0; t < tiles; t++) {
    UNROLL for (int j = 0; j < n; j++) a[t][j] = vec_set(0);
  }
  for (int64_t g = 0; g < groups; g++, v += LM_WINOGRAD_ROWS * LANES) {
    for (int c = 0; c < LANES; c++, u += n * LANES, ahead += pace) {
      vec w[4];
      UNROLL for (int j = 0; j < n; j++) w[j] = vec_load(u + j * LANES);
      __builtin_prefetch(ahead, 0, 2);
      UNROLL for (int t = 0; t < tiles; t++) {
        const vec x = vec_set(v[t * LANES + c]);
        UNROLL for (int j = 0; j < n; j++) a[t][j] = vec_fma(x, w[j], a[t][j]);
      }
    }
  }
  UNROLL for (int t = 0; t < tiles; t++) {
    UNROLL for (int j = 0; j < n; j++) vec_store(m + (t * n + j) * LANES, a[t][j]);
  }
}

/* u[i][0 .. 2 LANES) += sum over t of v[t][i] * w[t][0 .. 2 LANES), i < rows;
 * v's tiles LANES, w's 2 LANES, u's rows us floats apart; ahead and pace as
 * above. */
INLINE void outer_tiles(const int rows, int64_t count, const float *v, const float *w, float *u,
                        int64_t us, const float *ahead, int64_t pace) {
  vec a[8][2];
  UNROLL for (int i = 0; i < rows; i++) {
    a[i][0] = vec_load(u + i * us);
    a[i][1] = vec_load(u + i * us + LANES);
    __builtin_prefetch(u + (rows + i) * us, 1);
    __builtin_prefetch(u + (rows + i) * us + LANES, 1);
  }
  for (int64_t t = 0; t < count; t++, v += LANES, w += 2 * LANES, ahead += pace) {
    const vec w0 = vec_load(w), w1 = vec_load(w + LANES);
    __builtin_prefetch(v + 16 * LANES);
    __builtin_prefetch(ahead, 0, 2);
    UNROLL for (int i = 0; i < rows; i++) {
      const vec x = vec_set(v[i]);
      a[i][0] = vec_fma(x, w0, a[i][0]);
      a[i][1] = vec_fma(x, w1, a[i][1]);
    }
  }
  UNROLL for (int i = 0; i < rows; i++) {
    vec_store(u + i * us, a[i][0]);
    vec_store(u + i * us + LANES, a[i][1]);
  }
}

#endif
