/* warp_avx2.c: the warp's inner loops, four points or two RGB pixels at a
 * time; each pixel in its own half of a register. */
#include "image/warp_simd.h"

#if defined(__AVX2__)
#include <immintrin.h>
#include <string.h>

static inline __m256d within(__m256d v, double lo, double hi) {
  return _mm256_min_pd(_mm256_max_pd(v, _mm256_set1_pd(lo)), _mm256_set1_pd(hi));
}

static inline __m128i split(__m256d v, int64_t size, __m128 *rest) {
  const __m256d clamped = within(v, 0, (double)(size - 1));
  const __m128i top = _mm_set1_epi32((int32_t)(size > 1 ? size - 2 : 0));
  const __m128i whole = _mm_min_epi32(_mm256_cvttpd_epi32(clamped), top);
  *rest = _mm256_cvtpd_ps(_mm256_sub_pd(clamped, _mm256_cvtepi32_pd(whole)));
  return whole;
}

void lm_warp_find_avx2(const lm_warp_line *l, int n, lm_warp_points *b) {
  const __m256d iota = _mm256_setr_pd(0, 1, 2, 3);
  const __m256i width = _mm256_set1_epi64x(l->w);
  for (int k = 0; k < (n + 7) / 8 * 8; k += 4) {
    const __m256d along = _mm256_add_pd(_mm256_set1_pd(k), iota);
    const __m256d j =
        _mm256_add_pd(_mm256_set1_pd(l->j), _mm256_mul_pd(_mm256_set1_pd(l->step), along));
    __m256d r = _mm256_add_pd(_mm256_set1_pd(l->r0), _mm256_mul_pd(_mm256_set1_pd(l->rj), j));
    __m256d c = _mm256_add_pd(_mm256_set1_pd(l->c0), _mm256_mul_pd(_mm256_set1_pd(l->cj), j));
    r = within(_mm256_add_pd(r, _mm256_set1_pd(l->rt)), -LM_WARP_FAR, LM_WARP_FAR);
    c = within(_mm256_add_pd(c, _mm256_set1_pd(l->ct)), -LM_WARP_FAR, LM_WARP_FAR);
    __m128 fr, fc;
    const __m128i ir = split(r, l->h, &fr), ic = split(c, l->w, &fc);
    const __m256i row = _mm256_mul_epi32(_mm256_cvtepi32_epi64(ir), width);
    _mm256_storeu_pd(b->r + k, r);
    _mm256_storeu_pd(b->c + k, c);
    _mm256_storeu_si256((__m256i *)(b->at + k), _mm256_add_epi64(row, _mm256_cvtepi32_epi64(ic)));
    _mm_storeu_ps(b->fr + k, fr);
    _mm_storeu_ps(b->fc + k, fc);
  }
}

static inline __m128 load4(const void *src, int64_t k, bool in8) {
  if (!in8) return _mm_loadu_ps((const float *)src + k);
  int32_t four;
  memcpy(&four, (const uint8_t *)src + k, sizeof four);
  return _mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four)));
}

/* Four values of each of two pixels. */
static inline __m256 load_pair(const void *src, int64_t e, int64_t f, bool in8) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(load4(src, e, in8)), load4(src, f, in8), 1);
}

static inline __m256 lerp(__m256 a, __m256 b, __m256 f) {
  return _mm256_add_ps(a, _mm256_mul_ps(_mm256_sub_ps(b, a), f));
}

static inline __m256 spread(const float *f) { /* f[0] four times, f[1] four times */
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_set1_ps(f[0])), _mm_set1_ps(f[1]), 1);
}

/* The first `values` of three; f32 may spill into a fourth when told. */
static inline void store3(void *out, int64_t k, __m128 v, bool out8, bool spill) {
  if (out8) {
    const __m128i i = _mm_cvtps_epi32(v), s = _mm_packus_epi32(i, i);
    const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(s, s));
    memcpy((uint8_t *)out + k, &bytes, 3);
  } else if (spill) {
    _mm_storeu_ps((float *)out + k, v);
  } else {
    float tmp[4];
    _mm_storeu_ps(tmp, v);
    memcpy((float *)out + k, tmp, 3 * sizeof *tmp);
  }
}

static inline __attribute__((always_inline)) void mix(const void *src, int64_t h, int64_t w,
                                                      bool in8, bool out8, const lm_warp_points *b,
                                                      int n, void *out) {
  const int64_t down = h > 1 ? 3 * w : 0;
  for (int k = 0; k < n; k += 2) {
    const int64_t e = 3 * b->at[k], f = 3 * b->at[k + 1];
    const __m256 fr = spread(b->fr + k), fc = spread(b->fc + k);
    /* Values 0..3 and 2..5 of each pair of pixels: no read beyond them. */
    const __m256 left =
        lerp(load_pair(src, e, f, in8), load_pair(src, e + down, f + down, in8), fr);
    const __m256 right = lerp(load_pair(src, e + 2, f + 2, in8),
                              load_pair(src, e + down + 2, f + down + 2, in8), fr);
    const __m256 v = lerp(left, _mm256_permute_ps(right, 0xF9), fc); /* values 3, 4, 5 */
    store3(out, 3 * k, _mm256_castps256_ps128(v), out8, k + 1 < n);
    if (k + 1 < n) store3(out, 3 * k + 3, _mm256_extractf128_ps(v, 1), out8, k + 2 < n);
  }
}

void lm_warp_mix_avx2(const void *src, int64_t h, int64_t w, bool in8, bool out8,
                      const lm_warp_points *b, int n, void *out) {
  if (!in8)
    mix(src, h, w, false, false, b, n, out);
  else if (out8)
    mix(src, h, w, true, true, b, n, out);
  else
    mix(src, h, w, true, false, b, n, out);
}
#else
typedef int lm_warp_avx2_empty;
#endif
