/* scan_avx2.c: the scanner's rows with 256-bit registers (gray: 32 pixels a
 * step) and 128-bit ones (rgb: 16 pixels a step, see scan_avx512.c for the
 * idea; byte shuffles take the place of PEXT). */
#include "image/scan_simd.h"

#if defined(__AVX2__)
#include <immintrin.h>

int32_t lm_scan_gray_avx2(const uint8_t *px, int64_t w, int limit, uint8_t *col8) {
  const __m256i top = _mm256_set1_epi8((char)(limit - 1)), zero = _mm256_setzero_si256();
  __m256i sum = zero;
  int64_t j = 0;
  for (; j + 32 <= w; j += 32) {
    const __m256i v = _mm256_loadu_si256((const __m256i *)(px + j));
    const __m256i black = _mm256_cmpeq_epi8(_mm256_min_epu8(v, top), v); /* 0 or -1 */
    __m256i *col = (__m256i *)(col8 + j);
    _mm256_storeu_si256(col, _mm256_sub_epi8(_mm256_loadu_si256(col), black));
    sum = _mm256_add_epi64(sum, _mm256_sad_epu8(_mm256_sub_epi8(zero, black), zero));
  }
  int64_t part[4];
  _mm256_storeu_si256((__m256i *)part, sum);
  const int64_t n = part[0] + part[1] + part[2] + part[3];
  return (int32_t)n + lm_scan_gray_plain(px + j, w - j, limit, col8 + j);
}

/* Byte k is -1 where the three bytes from p + k sum to at most top, else 0. */
static inline __m128i sums_within(const uint8_t *p, __m128i top) {
  const __m128i a = _mm_loadu_si128((const __m128i *)p);
  const __m128i b = _mm_loadu_si128((const __m128i *)(p + 1));
  const __m128i c = _mm_loadu_si128((const __m128i *)(p + 2));
  const __m128i s = _mm_adds_epu8(_mm_adds_epu8(a, b), c);
  return _mm_cmpeq_epi8(_mm_min_epu8(s, top), s);
}

int32_t lm_scan_rgb_avx2(const uint8_t *px, int64_t w, int limit, uint8_t *col8) {
  const __m128i top = _mm_set1_epi8((char)(limit - 1)), zero = _mm_setzero_si128();
  /* Pixel k starts at byte 3k: of the first 16 bytes 0, 3, .. 15, of the second
   * 2, 5, .. 14 (18 - 16 = 2), of the third 1, 4, .. 13 (33 - 32 = 1). */
  const __m128i pick0 = _mm_setr_epi8(0, 3, 6, 9, 12, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m128i pick1 = _mm_setr_epi8(-1, -1, -1, -1, -1, -1, 2, 5, 8, 11, 14, -1, -1, -1, -1, -1);
  const __m128i pick2 = _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 4, 7, 10, 13);
  __m128i sum = zero;
  int64_t j = 0;
  for (; j + 16 < w; j += 16) { /* one pixel back: loads end 2 bytes past 48 */
    const uint8_t *p = px + 3 * j;
    const __m128i black =
        _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(sums_within(p, top), pick0),
                                  _mm_shuffle_epi8(sums_within(p + 16, top), pick1)),
                     _mm_shuffle_epi8(sums_within(p + 32, top), pick2));
    __m128i *col = (__m128i *)(col8 + j);
    _mm_storeu_si128(col, _mm_sub_epi8(_mm_loadu_si128(col), black));
    sum = _mm_add_epi64(sum, _mm_sad_epu8(_mm_sub_epi8(zero, black), zero));
  }
  const int64_t n = _mm_cvtsi128_si64(sum) + _mm_extract_epi64(sum, 1);
  return (int32_t)n + lm_scan_rgb_plain(px + 3 * j, w - j, limit, col8 + j);
}
#else
typedef int lm_scan_avx2_empty;
#endif
