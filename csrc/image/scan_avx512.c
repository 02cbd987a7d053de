/* scan_avx512.c: the scanner's rows, 64 pixels at a time.
 *
 * gray: one compare gives a 64-bit mask; its population count is the row's
 * share, and a masked add counts the columns.
 * rgb: the sum of three neighbouring bytes is computed at every byte (two
 * saturating adds of the row shifted by 1 and 2 bytes; saturation keeps sums
 * >= 255 not black, limit being <= 255), compared, and PEXT keeps every third
 * bit: 192 bytes give the mask of 64 pixels. */
#include "image/scan_simd.h"

#if defined(__AVX512BW__) && defined(__BMI2__)
#include <immintrin.h>

int32_t lm_scan_gray_avx512(const uint8_t *px, int64_t w, int limit, uint8_t *col8) {
  const __m512i bound = _mm512_set1_epi8((char)limit), one = _mm512_set1_epi8(1);
  int64_t n = 0, j = 0;
  for (; j + 64 <= w; j += 64) {
    const __mmask64 black = _mm512_cmplt_epu8_mask(_mm512_loadu_si512(px + j), bound);
    const __m512i col = _mm512_loadu_si512(col8 + j);
    _mm512_storeu_si512(col8 + j, _mm512_mask_add_epi8(col, black, col, one));
    n += __builtin_popcountll(black);
  }
  return (int32_t)n + lm_scan_gray_plain(px + j, w - j, limit, col8 + j);
}

/* Bit k: the three bytes from p + k sum to less than bound. */
static inline uint64_t sums_below(const uint8_t *p, __m512i bound) {
  const __m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 1);
  const __m512i c = _mm512_loadu_si512(p + 2);
  return _mm512_cmplt_epu8_mask(_mm512_adds_epu8(_mm512_adds_epu8(a, b), c), bound);
}

int32_t lm_scan_rgb_avx512(const uint8_t *px, int64_t w, int limit, uint8_t *col8) {
  const __m512i bound = _mm512_set1_epi8((char)limit), one = _mm512_set1_epi8(1);
  int64_t n = 0, j = 0;
  /* The last load of a step ends two bytes past its 192: keep one pixel back. */
  for (; j + 64 < w; j += 64) {
    const uint8_t *p = px + 3 * j;
    uint64_t black = _pext_u64(sums_below(p, bound), 0x9249249249249249u);    /* bits 0, 3, .. 63 */
    black |= _pext_u64(sums_below(p + 64, bound), 0x4924924924924924u) << 22; /* 2, 5, .. 62 */
    black |= _pext_u64(sums_below(p + 128, bound), 0x2492492492492492u) << 43; /* 1, 4, .. 61 */
    const __m512i col = _mm512_loadu_si512(col8 + j);
    _mm512_storeu_si512(col8 + j, _mm512_mask_add_epi8(col, black, col, one));
    n += __builtin_popcountll(black);
  }
  return (int32_t)n + lm_scan_rgb_plain(px + 3 * j, w - j, limit, col8 + j);
}
#else
typedef int lm_scan_avx512_empty;
#endif
