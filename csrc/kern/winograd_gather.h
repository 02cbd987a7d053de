/* winograd_gather.h: tiles of an NHWC tensor through a transform, edges and
 * odd channels included; shared by conv_winograd.c and conv_winograd_grad.c. */
#ifndef LM_WINOGRAD_GATHER_H
#define LM_WINOGRAD_GATHER_H

#include "core/base.h"
#include "kern/simd/winograd.h"

typedef struct {
  const float *x; /* (images,h,w,c) */
  int64_t h, w, c;
  int64_t n, lanes; /* pixels a tile side; channels a block */
  lm_winograd_input *transform;
} lm_winograd_source;

/* Transforms channel blocks b0 .. b1-1 of the n x n pixels at (y, x), which
 * may lie partly or wholly outside the image (zeros there), to v + b * bs,
 * frequencies fs apart. */
void lm_winograd_gather(const lm_winograd_source *s, int64_t image, int64_t y, int64_t x,
                        int64_t b0, int64_t b1, float *v, int64_t bs, int64_t fs);

/* The kernels of this processor. */
const lm_winograd_kernels *lm_winograd_kernels_here(void);

#endif
