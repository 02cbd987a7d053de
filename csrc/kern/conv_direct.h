/* conv_direct.h: convolution without im2col or transforms, for the two kinds of
 * layer that have too little work a byte for either: depthwise (every channel
 * its own group; forward) and few input channels (a network's first layer;
 * forward and weight gradient). */
#ifndef LM_CONV_DIRECT_H
#define LM_CONV_DIRECT_H

#include "kern/conv.h"

/* Every channel its own group, as many channels out as in. */
bool lm_conv_direct_depthwise(const lm_conv2d *p);
/* Ungrouped, undilated, up to 16 input channels, kernels up to 11x11, strides up to 4. */
bool lm_conv_direct_shallow(const lm_conv2d *p);

/* The forward pass of either; false when interrupted. */
int64_t lm_conv_direct_scratch(const lm_conv2d *p); /* bytes */
bool lm_conv_direct_fwd(const lm_conv2d *p, const float *x, const float *w, const float *b,
                        void *scratch, /* [scratch] */
                        float *y);     /* [out] */

/* The weight gradient of a shallow one; false when interrupted. */
int64_t lm_conv_direct_grad_scratch(const lm_conv2d *p); /* bytes */
bool lm_conv_direct_bwd_w(const lm_conv2d *p, const float *x, const float *dy,
                          void *scratch, /* [scratch] */
                          float *dw);    /* [out] */

#endif
