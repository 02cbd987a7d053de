/* resize_simd.h: the horizontal pass of the bilinear u8 resize, the loop that
 * takes the time.  Private to resize*.c. */
#ifndef LM_IMAGE_RESIZE_SIMD_H
#define LM_IMAGE_RESIZE_SIMD_H

#include <stdint.h>

/* Makes n output pixels from one source row of `width` pixels: output pixel j
 * mixes source pixels index[j] and index[j] + 1 (both inside the row; a row of
 * one pixel repeats it) with the weights in the low and high half of pair[j]
 * (of 2048).  index ascends.  out receives the
 * sums' upper bits (sum >> 4, at most 32640), n * channels of them, and may be
 * written up to 16 elements further. */
typedef void (*lm_resize_row)(const uint8_t *src, int64_t width, int64_t channels,
                              const int32_t *index, const uint32_t *pair, int64_t n, int16_t *out);

void lm_resize_row_plain(const uint8_t *src, int64_t width, int64_t channels, const int32_t *index,
                         const uint32_t *pair, int64_t n, int16_t *out);
void lm_resize_row_avx2(const uint8_t *src, int64_t width, int64_t channels, const int32_t *index,
                        const uint32_t *pair, int64_t n, int16_t *out);

#endif
