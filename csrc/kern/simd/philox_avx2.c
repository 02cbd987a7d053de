/* philox_avx2.c: four blocks a register, each 32-bit word in a 64-bit lane, so
 * that one multiplication gives the full product. */
#include "kern/simd/philox.h"

#if defined(__AVX2__)
#include <immintrin.h>

/* The low words of four 64-bit lanes, packed. */
static inline __m128i low_words(__m256i v) {
  const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
  return _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(v, order));
}

void lm_philox_lanes_avx2(uint64_t seed, uint64_t stream, uint64_t counter,
                          uint32_t out[4][LM_PHILOX_LANES]) {
  enum { SETS = LM_PHILOX_LANES / 4 };
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  const __m256i m0 = _mm256_set1_epi64x(0xD2511F53), m1 = _mm256_set1_epi64x(0xCD9E8D57);
  __m256i c0[SETS], c1[SETS], c2[SETS], c3[SETS];
  for (int s = 0; s < SETS; s++) {
    const __m256i step = _mm256_setr_epi64x(4 * s, 4 * s + 1, 4 * s + 2, 4 * s + 3);
    const __m256i c = _mm256_add_epi64(_mm256_set1_epi64x((long long)counter), step);
    c0[s] = _mm256_and_si256(c, low);
    c1[s] = _mm256_srli_epi64(c, 32);
    c2[s] = _mm256_set1_epi64x((long long)(stream & 0xffffffff));
    c3[s] = _mm256_set1_epi64x((long long)(stream >> 32));
  }
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int round = 0; round < 10; round++) {
    const __m256i x0 = _mm256_set1_epi64x(k0), x1 = _mm256_set1_epi64x(k1);
    for (int s = 0; s < SETS; s++) {
      const __m256i p0 = _mm256_mul_epu32(m0, c0[s]), p1 = _mm256_mul_epu32(m1, c2[s]);
      c0[s] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c1[s]), x0);
      c2[s] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c3[s]), x1);
      c1[s] = _mm256_and_si256(p1, low);
      c3[s] = _mm256_and_si256(p0, low);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int s = 0; s < SETS; s++) {
    _mm_storeu_si128((__m128i *)(void *)&out[0][4 * s], low_words(c0[s]));
    _mm_storeu_si128((__m128i *)(void *)&out[1][4 * s], low_words(c1[s]));
    _mm_storeu_si128((__m128i *)(void *)&out[2][4 * s], low_words(c2[s]));
    _mm_storeu_si128((__m128i *)(void *)&out[3][4 * s], low_words(c3[s]));
  }
}
#else
void lm_philox_lanes_avx2(uint64_t seed, uint64_t stream, uint64_t counter,
                          uint32_t out[4][LM_PHILOX_LANES]) {
  lm_philox_lanes_plain(seed, stream, counter, out); /* never chosen here: see cpu.h */
}
#endif
