/* dropout.h: inverted dropout with a mask that is a pure function of (seed,
 * stream, index), so it needs no storage and no order of work. */
#ifndef LM_DROPOUT_H
#define LM_DROPOUT_H

#include "core/base.h"

/* y[i] = x[i] / (1 - p) where unit i is kept, 0 elsewhere.  A unit is dropped
 * with probability p to a resolution of 2^-16; p = 1 drops all.  Backward is
 * the same call on dy.  y may be x.  False when interrupted. */
bool lm_dropout(double p, uint64_t seed, uint64_t stream, const float *x, int64_t n, float *y);

#endif
