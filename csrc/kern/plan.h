/* plan.h: a chain of frozen convolutions and maxima, compiled: weights already
 * in the form their algorithm wants, ReLU and 2x2 maximum fused into the
 * convolution before them, two activation buffers used in turn.
 *
 * The batch is walked in groups: where a layer's activations are large only
 * few images are in hand, so that what one layer writes the next one still finds in
 * the cache; deep layers, whose weights are the heavy part, see many images
 * at once.  Results do not depend on the batch size or the threads. */
#ifndef LM_PLAN_H
#define LM_PLAN_H

#include "kern/conv.h"
#include "kern/pooling.h"

typedef struct {
  /* the caller's */
  bool is_conv;   /* else a maximum */
  lm_conv2d conv; /* stride, padding, relu, ... */
  lm_shape w;     /* (kh,kw,c/groups,k) */
  lm_pool2d pool; /* kernel, stride, padding */
  /* the plan's */
  bool pooled;           /* a convolution that takes the maximum of each 2x2 as well */
  int64_t in, out;       /* floats an image */
  int64_t group;         /* images in hand */
  int64_t weight_floats; /* of the compiled weights; 0: w is used as it is */
  /* the border's, before running */
  const float *weights, *bias; /* compiled weights; bias NULL: none */
} lm_step;

typedef struct {
  lm_step *steps;
  int count;
  int64_t batch;    /* most images in hand at once */
  lm_shape in, out; /* of one image: (1,h,w,c) */
} lm_plan;

/* Shapes, algorithms, fusion (which shortens the list: p->count falls) and
 * groups, for images of p->in.  source[i] becomes the place step i had. */
bool lm_plan_build(lm_plan *p, int *source, lm_err *e);

/* [out] u: step's compiled weights from w.  Only when weight_floats > 0. */
bool lm_plan_weights(const lm_step *step, const float *w, float *u);

/* Bytes of arena that a run on n images wants with the present threads. */
int64_t lm_plan_arena(const lm_plan *p, int64_t n);

/* y (n, out) from x (n, in); false when interrupted. */
bool lm_plan_run(const lm_plan *p, int64_t n, const float *x, void *arena, /* [scratch] */
                 float *y);                                                /* [out] */

#endif
