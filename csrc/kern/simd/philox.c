/* philox.c: the blocks one after the other, anywhere. */
#include "kern/simd/philox.h"

#include "core/rng.h"

void lm_philox_lanes_plain(uint64_t seed, uint64_t stream, uint64_t counter,
                           uint32_t out[4][LM_PHILOX_LANES]) {
  for (int lane = 0; lane < LM_PHILOX_LANES; lane++) {
    uint32_t block[4];
    lm_philox(seed, stream, counter + (uint64_t)lane, block);
    for (int k = 0; k < 4; k++) out[k][lane] = block[k];
  }
}
