/* conv_winograd_grad.h: the weight gradient of a 3x3, stride 1 convolution
 * with a quarter of the multiplications.  How: conv_winograd_grad.c. */
#ifndef LM_CONV_WINOGRAD_GRAD_H
#define LM_CONV_WINOGRAD_GRAD_H

#include "kern/conv_winograd.h"

/* Bytes of scratch; g as for the forward pass (m, relu and pool are not read). */
int64_t lm_winograd_grad_scratch(const lm_winograd *g);

/* dw (3,3,c,k) from x (n,h,w,c) and dy (n,oh,ow,k).  False when interrupted. */
bool lm_winograd_grad(const lm_winograd *g, const float *x, const float *dy,
                      void *scratch, /* [scratch] */
                      float *dw);    /* [out] */

#endif
