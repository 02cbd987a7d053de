/* resize_avx2.c: the horizontal pass of the bilinear u8 resize.
 *
 * Gray: eight pixels at a time, each with its right neighbour as one 16-bit
 * load (gather instructions are slower here).  Colour: one pixel and its right neighbour in one
 * 8-byte load, their channels interleaved by a shuffle.  A multiply-add of 16-bit pairs then is the
 * whole mix. */
#include "image/resize_simd.h"

#if defined(__AVX2__)
#include <immintrin.h>
#include <string.h>

/* Output pixel j's two source pixels as 16 bits. */
static inline int two(const uint8_t *src, const int32_t *index, int64_t j) {
  uint16_t v;
  memcpy(&v, src + index[j], sizeof v);
  return v;
}

static int64_t gray(const uint8_t *src, const int32_t *index, const uint32_t *pair, int64_t n,
                    int16_t *out) {
  const int64_t end = n & ~(int64_t)7;
  for (int64_t j = 0; j < end; j += 8) {
    __m128i v = _mm_cvtsi32_si128(two(src, index, j));
    v = _mm_insert_epi16(v, two(src, index, j + 1), 1);
    v = _mm_insert_epi16(v, two(src, index, j + 2), 2);
    v = _mm_insert_epi16(v, two(src, index, j + 3), 3);
    v = _mm_insert_epi16(v, two(src, index, j + 4), 4);
    v = _mm_insert_epi16(v, two(src, index, j + 5), 5);
    v = _mm_insert_epi16(v, two(src, index, j + 6), 6);
    v = _mm_insert_epi16(v, two(src, index, j + 7), 7);
    const __m256i weights = _mm256_loadu_si256((const __m256i *)(pair + j));
    const __m256i sum = _mm256_srli_epi32(_mm256_madd_epi16(_mm256_cvtepu8_epi16(v), weights), 4);
    _mm_storeu_si128((__m128i *)(out + j), _mm_packs_epi32(_mm256_castsi256_si128(sum),
                                                           _mm256_extracti128_si256(sum, 1)));
  }
  return end;
}

/* How many of the n output pixels may be read with loads of `reach` bytes from
 * their first: index ascends, so all before the first that may not. */
static int64_t safe(const int32_t *index, int64_t n, int64_t width, int64_t channels,
                    int64_t reach) {
  while (n > 0 && (index[n - 1] * channels + reach > width * channels)) n--;
  return n;
}

static int64_t colour(const uint8_t *src, int64_t width, int64_t channels, const int32_t *index,
                      const uint32_t *pair, int64_t n, int16_t *out) {
  const int64_t end = safe(index, n, width, channels, 8);
  const __m128i spread =
      channels == 3 ? _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1)
                    : _mm_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1);
  for (int64_t j = 0; j < end; j++) {
    const __m128i eight = _mm_loadl_epi64((const __m128i *)(src + index[j] * channels));
    const __m128i weights = _mm_set1_epi32((int32_t)pair[j]);
    const __m128i sum = _mm_srli_epi32(_mm_madd_epi16(_mm_shuffle_epi8(eight, spread), weights), 4);
    _mm_storel_epi64((__m128i *)(out + j * channels), _mm_packs_epi32(sum, sum));
  }
  return end;
}

void lm_resize_row_avx2(const uint8_t *src, int64_t width, int64_t channels, const int32_t *index,
                        const uint32_t *pair, int64_t n, int16_t *out) {
  int64_t done = 0;
  if (width > 1 && channels == 1)
    done = gray(src, index, pair, n, out);
  else if (width > 1 && (channels == 3 || channels == 4))
    done = colour(src, width, channels, index, pair, n, out);
  lm_resize_row_plain(src, width, channels, index + done, pair + done, n - done,
                      out + done * channels);
}
#else
typedef int lm_resize_avx2_empty;
#endif
