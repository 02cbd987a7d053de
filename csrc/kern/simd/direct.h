/* direct.h: what one instruction set offers to conv_direct.c for convolutions
 * with few input channels. */
#ifndef LM_SIMD_DIRECT_H
#define LM_SIMD_DIRECT_H

#include <stdint.h>

enum { LM_DIRECT_MAXPIXELS = 14, LM_DIRECT_MAXPANEL = 32, LM_DIRECT_MAXTAPS = 9 };

typedef struct {
  int pixels; /* output pixels the kernel holds in registers: 14 or 6 */
  int panel;  /* output channels: two vectors */
  /* [out] y: `pixels` neighbouring outputs of one panel, ys floats apart:
   * max(floor, b + sum over i < rows, t < run of
   *                    strip[i*rs + pixel*ps + t] * w[i*run + t]).
   * strip holds the input rows under the kernel with their padding, so that the
   * run = kw*c inputs of a kernel row lie side by side; w is
   * [rows*run][panel], b [panel]. */
  void (*tile)(const float *strip, int64_t rs, int64_t ps, int64_t rows, int64_t run,
               const float *w, const float *b, float floor, float *y, int64_t ys);
  /* [taps], 1 .. most_taps.  [in out] sum: for t < taps of one kernel row
   * sum[t*ss ..+panel) += sum over pixels of strip[pixel*ps + t] * dy[pixel*ys ..+panel). */
  int most_taps;
  void (*taps[LM_DIRECT_MAXTAPS + 1])(const float *strip, int64_t ps, int64_t pixels,
                                      const float *dy, int64_t ys, float *sum, int64_t ss);
} lm_direct_kernels;

extern const lm_direct_kernels lm_direct_plain;
#if defined(__x86_64__)
extern const lm_direct_kernels lm_direct_avx2, lm_direct_avx512;
#endif

#endif
