/* conv_winograd.h: 3x3, stride 1 convolution with a quarter (tiles of 4x4
 * outputs) or a fifth (6x6) of the multiplications.  How: conv_winograd.c. */
#ifndef LM_CONV_WINOGRAD_H
#define LM_CONV_WINOGRAD_H

#include "core/base.h"

typedef struct {
  int m;              /* outputs a tile side: 4 or 6 */
  int64_t n, h, w, c; /* input (n,h,w,c) */
  int64_t top, left;  /* zeros above and to the left of it */
  int64_t oh, ow, k;  /* convolution output (before pooling) */
  bool relu;          /* y = max(0, y) */
  bool pool;          /* then the largest of each 2x2: y is (n, oh/2, ow/2, k) */
} lm_winograd;

/* Transformed weights: floats, and the transform of w (3,3,c,k).  A frozen
 * layer transforms once.  u must be 64-byte aligned. */
int64_t lm_winograd_weight_floats(int m, int64_t c, int64_t k);
bool lm_winograd_weights(int m, int64_t c, int64_t k, const float *w, float *u /* [out] */);

/* The kernel of the data gradient, w turned by 180 degrees with its channels
 * swapped: wt (3,3,k,c) from w (3,3,c,k). */
bool lm_winograd_turn(int64_t c, int64_t k, const float *w, float *wt /* [out] */);

/* Bytes of scratch with the present number of threads, for g->n images and for
 * any smaller number. */
int64_t lm_winograd_scratch(const lm_winograd *g);

/* y = pool(relu(x * w + b)); b may be NULL.  False when interrupted. */
bool lm_winograd_run(const lm_winograd *g, const float *x, const float *u, const float *b,
                     void *scratch, /* [scratch] */
                     float *y);     /* [out] (n,oh,ow,k) or (n,oh/2,ow/2,k) */

#endif
