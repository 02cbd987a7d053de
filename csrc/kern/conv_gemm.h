/* conv_gemm.h: convolution as matrix products; the algorithm that takes every
 * shape.  Same contract as the functions of conv.h, which calls these. */
#ifndef LM_CONV_GEMM_H
#define LM_CONV_GEMM_H

#include "kern/conv.h"

int64_t lm_conv_gemm_scratch(const lm_conv2d *p, lm_conv_pass pass);
bool lm_conv_gemm_fwd(const lm_conv2d *p, const float *x, const float *w, const float *b,
                      void *scratch, float *y);
bool lm_conv_gemm_bwd_x(const lm_conv2d *p, const float *dy, const float *w, void *scratch,
                        float *dx);
bool lm_conv_gemm_bwd_w(const lm_conv2d *p, const float *x, const float *dy, void *scratch,
                        float *dw);

/* y[i][0..k) = act(y + b) for `pixels` rows of stride k; b may be NULL. */
void lm_conv_epilogue(float *y, int64_t pixels, int64_t k, const float *b, bool relu);

#endif
