/* philox.h: many Philox blocks side by side, for masks.  The numbers are those
 * of lm_philox; the AVX2 version exists on x86-64 only. */
#ifndef LM_SIMD_PHILOX_H
#define LM_SIMD_PHILOX_H

#include "core/base.h"

enum { LM_PHILOX_LANES = 16 };

/* Word k of block counter + lane goes to out[k][lane]. */
void lm_philox_lanes_plain(uint64_t seed, uint64_t stream, uint64_t counter,
                           uint32_t out[4][LM_PHILOX_LANES]);
void lm_philox_lanes_avx2(uint64_t seed, uint64_t stream, uint64_t counter,
                          uint32_t out[4][LM_PHILOX_LANES]);

#endif
