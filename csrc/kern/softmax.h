/* softmax.h: softmax and log-softmax along one axis.  Arrays are seen as
 * (outer, n, inner) with n the axis; contiguous f32.  The largest value is
 * subtracted first, so nothing overflows; sums are taken in double.  A row
 * that is all -inf or holds a NaN gives NaN.  False when interrupted. */
#ifndef LM_SOFTMAX_H
#define LM_SOFTMAX_H

#include "core/base.h"

/* y = exp(x - max) / sum;  log: y = x - max - log(sum). */
bool lm_softmax_fwd(bool log, int64_t outer, int64_t n, int64_t inner, const float *x, float *y);

/* From the output y:  dx = y * (dy - sum(dy * y));
 * log: dx = dy - exp(y) * sum(dy). */
bool lm_softmax_bwd(bool log, int64_t outer, int64_t n, int64_t inner, const float *dy,
                    const float *y, float *dx);

#endif
