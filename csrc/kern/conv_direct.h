/* conv_direct.h: convolution without any rearrangement, for depthwise kernels
 * (every channel its own group): too little work a byte for matrix products. */
#ifndef LM_CONV_DIRECT_H
#define LM_CONV_DIRECT_H

#include "kern/conv.h"

/* Whether p is depthwise with as many channels out as in. */
bool lm_conv_direct_applies(const lm_conv2d *p);

/* The forward pass; no scratch.  False when interrupted. */
bool lm_conv_direct_fwd(const lm_conv2d *p, const float *x, const float *w, const float *b,
                        float *y);

#endif
