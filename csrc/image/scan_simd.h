/* scan_simd.h: the inner loops of the scanner, one set per instruction set.
 * Private to scan*.c. */
#ifndef LM_IMAGE_SCAN_SIMD_H
#define LM_IMAGE_SCAN_SIMD_H

#include <stdint.h>

/* One row of w pixels: adds 1 to col8[j] for each black pixel j and returns
 * how many there are.  gray: black is px[j] < limit (limit 1..255).  rgb: black
 * is px[3j]+px[3j+1]+px[3j+2] < limit (limit 1..255). */
typedef int32_t (*lm_scan_row)(const uint8_t *px, int64_t w, int limit, uint8_t *col8);

int32_t lm_scan_gray_plain(const uint8_t *px, int64_t w, int limit, uint8_t *col8);
int32_t lm_scan_rgb_plain(const uint8_t *px, int64_t w, int limit, uint8_t *col8);
int32_t lm_scan_gray_avx2(const uint8_t *px, int64_t w, int limit, uint8_t *col8);
int32_t lm_scan_rgb_avx2(const uint8_t *px, int64_t w, int limit, uint8_t *col8);
int32_t lm_scan_gray_avx512(const uint8_t *px, int64_t w, int limit, uint8_t *col8);
int32_t lm_scan_rgb_avx512(const uint8_t *px, int64_t w, int limit, uint8_t *col8);

#endif
