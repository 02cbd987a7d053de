/* rng.h: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy
 * as 1, 2, 3"), a counter-based generator: number i of stream s under seed k
 * is a pure function of (k, s, i).  Masks and augmentation therefore do not
 * depend on the thread count or on the order of work. */
#ifndef LM_RNG_H
#define LM_RNG_H

#include "core/base.h"

typedef struct {
  uint64_t seed;
  uint64_t stream;  /* one a purpose, e.g. drawn anew for every op */
  uint64_t counter; /* next block of four 32-bit numbers */
} lm_rng;

/* Four 32-bit words of block `counter` of (seed, stream). */
void lm_philox(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]);

/* Uniform in [0,1) with 24 bits from one word; with 53 bits from two. */
static inline float lm_uniform_f32(uint32_t a) {
  return (float)(a >> 8) * 0x1p-24f;
}
static inline double lm_uniform_f64(uint32_t a, uint32_t b) {
  return ((double)(a >> 5) * 67108864.0 + (double)(b >> 6)) * 0x1p-53;
}

/* Two independent standard normals (Box-Muller in double) from four words. */
void lm_normal2(const uint32_t words[4], double out[2]);

/* Next 64 bits, uniform double in [0,1), and unbiased integer in [0,n) of a
 * stream; they advance r->counter. */
uint64_t lm_rng_next(lm_rng *r);
double lm_rng_uniform(lm_rng *r);
uint64_t lm_rng_below(lm_rng *r, uint64_t n);

/* Fisher-Yates over out[0..n-1] = 0..n-1. */
void lm_rng_permutation(lm_rng *r, int32_t *out, int64_t n);

#endif
