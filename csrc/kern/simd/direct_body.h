/* direct_body.h: the functions of lm_direct_kernels for the instruction set at
 * hand, and their table.  Included once by each of
 * simd/direct_{avx512,avx2,plain}.c, which sets PIXELS and MOST_TAPS.  Forward,
 * PIXELS x 2 accumulators stay in registers; every input is loaded to all lanes
 * and meets two vectors of output channels.  The weight gradient holds taps x 2
 * sums over the pixels of a row in the same way. */
#include "kern/simd/direct.h"
#include "kern/simd/vec.h"

#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

INLINE void tile_of(const float *strip, int64_t rs, int64_t ps, int64_t rows, int64_t run,
                    const float *w, const float *b, float floor, float *y, int64_t ys) {
  vec sum[PIXELS][2];
  UNROLL for (int p = 0; p < PIXELS; p++) {
    sum[p][0] = vec_set(0);
    sum[p][1] = vec_set(0);
  }
  for (int64_t i = 0; i < rows; i++, strip += rs)
    for (int64_t t = 0; t < run; t++, w += 2 * LANES) {
      const vec w0 = vec_load(w), w1 = vec_load(w + LANES);
      const float *at = strip + t;
      /* gcc would carry inputs over to the next pixel's taps, and spill them:
       * loading them again is free beside the products. */
      __asm__("" : "+r"(at));
      UNROLL for (int p = 0; p < PIXELS; p++) {
        const vec x = vec_set(at[p * ps]);
        sum[p][0] = vec_fma(x, w0, sum[p][0]);
        sum[p][1] = vec_fma(x, w1, sum[p][1]);
      }
    }
  const vec least = vec_set(floor), b0 = vec_load(b), b1 = vec_load(b + LANES);
  UNROLL for (int p = 0; p < PIXELS; p++) { /* this order keeps a NaN */
    vec_store(y + p * ys, vec_max(least, sum[p][0] + b0));
    vec_store(y + p * ys + LANES, vec_max(least, sum[p][1] + b1));
  }
}

/* One and three channels, stride 1, have their own copy: constant offsets. */
static void tile(const float *strip, int64_t rs, int64_t ps, int64_t rows, int64_t run,
                 const float *w, const float *b, float floor, float *y, int64_t ys) {
  if (ps == 3)
    tile_of(strip, rs, 3, rows, run, w, b, floor, y, ys);
  else if (ps == 1)
    tile_of(strip, rs, 1, rows, run, w, b, floor, y, ys);
  else
    tile_of(strip, rs, ps, rows, run, w, b, floor, y, ys);
}

INLINE void taps_of(const int taps, const float *strip, int64_t ps, int64_t pixels, const float *dy,
                    int64_t ys, float *sum, int64_t ss) {
  vec a[LM_DIRECT_MAXTAPS][2];
  UNROLL for (int t = 0; t < taps; t++) {
    a[t][0] = vec_load(sum + t * ss);
    a[t][1] = vec_load(sum + t * ss + LANES);
  }
  for (int64_t p = 0; p < pixels; p++, strip += ps, dy += ys) {
    const vec d0 = vec_load(dy), d1 = vec_load(dy + LANES);
    __asm__("" : "+r"(strip)); /* as above */
    UNROLL for (int t = 0; t < taps; t++) {
      const vec x = vec_set(strip[t]);
      a[t][0] = vec_fma(x, d0, a[t][0]);
      a[t][1] = vec_fma(x, d1, a[t][1]);
    }
  }
  UNROLL for (int t = 0; t < taps; t++) {
    vec_store(sum + t * ss, a[t][0]);
    vec_store(sum + t * ss + LANES, a[t][1]);
  }
}

#define TAPS(n)                                                                                    \
  static void taps##n(const float *strip, int64_t ps, int64_t pixels, const float *dy, int64_t ys, \
                      float *sum, int64_t ss) {                                                    \
    taps_of(n, strip, ps, pixels, dy, ys, sum, ss);                                                \
  }
TAPS(1)
TAPS(2)
TAPS(3)
TAPS(4)
TAPS(5)
#if MOST_TAPS == 9
TAPS(6)
TAPS(7)
TAPS(8)
TAPS(9)
#define MORE_TAPS , taps6, taps7, taps8, taps9
#else
#define MORE_TAPS
#endif

#define TABLE                                        \
  {                                                  \
    PIXELS, 2 * LANES, tile, MOST_TAPS, {            \
      0, taps1, taps2, taps3, taps4, taps5 MORE_TAPS \
    }                                                \
  }
