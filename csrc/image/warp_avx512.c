/* warp_avx512.c: the warp's inner loops, eight points or four RGB pixels at a
 * time.
 *
 * The six values of two neighbouring pixels are one half of a register; two
 * output pixels share a register while rows are mixed, and four while columns
 * are. */
#include "image/warp_simd.h"

#if defined(__AVX512DQ__)
#include <immintrin.h>
#include <string.h>

static inline __m512d within(__m512d v, double lo, double hi) {
  return _mm512_min_pd(_mm512_max_pd(v, _mm512_set1_pd(lo)), _mm512_set1_pd(hi));
}

/* The whole part of clamped v (at most top), and the rest. */
static inline __m256i split(__m512d v, int64_t size, __m256 *rest) {
  const __m512d clamped = within(v, 0, (double)(size - 1));
  const __m256i top = _mm256_set1_epi32((int32_t)(size > 1 ? size - 2 : 0));
  const __m256i whole = _mm256_min_epi32(_mm512_cvttpd_epi32(clamped), top);
  *rest = _mm512_cvtpd_ps(_mm512_sub_pd(clamped, _mm512_cvtepi32_pd(whole)));
  return whole;
}

void lm_warp_find_avx512(const lm_warp_line *l, int n, lm_warp_points *b) {
  const __m512d iota = _mm512_setr_pd(0, 1, 2, 3, 4, 5, 6, 7);
  const __m512i width = _mm512_set1_epi64(l->w);
  for (int k = 0; k < n; k += 8) {
    const __m512d along = _mm512_add_pd(_mm512_set1_pd(k), iota);
    const __m512d j =
        _mm512_add_pd(_mm512_set1_pd(l->j), _mm512_mul_pd(_mm512_set1_pd(l->step), along));
    __m512d r = _mm512_add_pd(_mm512_set1_pd(l->r0), _mm512_mul_pd(_mm512_set1_pd(l->rj), j));
    __m512d c = _mm512_add_pd(_mm512_set1_pd(l->c0), _mm512_mul_pd(_mm512_set1_pd(l->cj), j));
    r = within(_mm512_add_pd(r, _mm512_set1_pd(l->rt)), -LM_WARP_FAR, LM_WARP_FAR);
    c = within(_mm512_add_pd(c, _mm512_set1_pd(l->ct)), -LM_WARP_FAR, LM_WARP_FAR);
    __m256 fr, fc;
    const __m256i ir = split(r, l->h, &fr), ic = split(c, l->w, &fc);
    const __m512i row = _mm512_mul_epi32(_mm512_cvtepi32_epi64(ir), width);
    _mm512_storeu_pd(b->r + k, r);
    _mm512_storeu_pd(b->c + k, c);
    _mm512_storeu_si512(b->at + k, _mm512_add_epi64(row, _mm512_cvtepi32_epi64(ic)));
    _mm256_storeu_ps(b->fr + k, fr);
    _mm256_storeu_ps(b->fc + k, fc);
  }
}

/* Six values from element k on; total is the number of elements. */
static inline __m256 load6(const void *src, int64_t k, int64_t total, bool in8) {
  if (!in8) return _mm256_maskz_loadu_ps(0x3F, (const float *)src + k);
  uint64_t six = 0;
  if (k + 8 <= total)
    memcpy(&six, (const uint8_t *)src + k, 8);
  else
    memcpy(&six, (const uint8_t *)src + k, 6);
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((int64_t)six)));
}

static inline __m512 pair(__m256 a, __m256 b) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(a), b, 1);
}

static inline __m512 lerp(__m512 a, __m512 b, __m512 f) {
  return _mm512_add_ps(a, _mm512_mul_ps(_mm512_sub_ps(b, a), f));
}

static inline __attribute__((always_inline)) void mix(const void *src, int64_t h, int64_t w,
                                                      bool in8, bool out8, const lm_warp_points *b,
                                                      int n, void *out) {
  const int64_t down = h > 1 ? 3 * w : 0, total = 3 * h * w;
  const __m512i halves[2] = {_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1),
                             _mm512_setr_epi32(2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3)};
  const __m512i thirds = _mm512_setr_epi32(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0, 0);
  const __m512i lefts = _mm512_setr_epi32(0, 1, 2, 8, 9, 10, 16, 17, 18, 24, 25, 26, 0, 0, 0, 0);
  const __m512i rights = _mm512_setr_epi32(3, 4, 5, 11, 12, 13, 19, 20, 21, 27, 28, 29, 0, 0, 0, 0);
  for (int k = 0; k < n; k += 4) {
    const __m512 fr = _mm512_castps128_ps512(_mm_loadu_ps(b->fr + k));
    const __m512 fc = _mm512_castps128_ps512(_mm_loadu_ps(b->fc + k));
    __m512 mixed[2];
    for (int p = 0; p < 2; p++) {
      const int64_t e = 3 * b->at[k + 2 * p], f = 3 * b->at[k + 2 * p + 1];
      const __m512 upper = pair(load6(src, e, total, in8), load6(src, f, total, in8));
      const __m512 lower = pair(load6(src, e + down, total, in8), load6(src, f + down, total, in8));
      mixed[p] = lerp(upper, lower, _mm512_permutexvar_ps(halves[p], fr));
    }
    const __m512 left = _mm512_permutex2var_ps(mixed[0], lefts, mixed[1]);
    const __m512 right = _mm512_permutex2var_ps(mixed[0], rights, mixed[1]);
    const __m512 v = lerp(left, right, _mm512_permutexvar_ps(thirds, fc));
    const __mmask16 keep = n - k >= 4 ? 0xFFF : (__mmask16)((1 << 3 * (n - k)) - 1);
    if (out8)
      _mm512_mask_cvtusepi32_storeu_epi8((uint8_t *)out + 3 * k, keep, _mm512_cvtps_epi32(v));
    else
      _mm512_mask_storeu_ps((float *)out + 3 * k, keep, v);
  }
}

void lm_warp_mix_avx512(const void *src, int64_t h, int64_t w, bool in8, bool out8,
                        const lm_warp_points *b, int n, void *out) {
  if (!in8)
    mix(src, h, w, false, false, b, n, out);
  else if (out8)
    mix(src, h, w, true, true, b, n, out);
  else
    mix(src, h, w, true, false, b, n, out);
}
#else
typedef int lm_warp_avx512_empty;
#endif
