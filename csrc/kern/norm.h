/* norm.h: batch normalisation over the last axis.  x, y, dy, dx are (rows, c);
 * gamma, beta, mean, inv, dgamma, dbeta have c elements; contiguous f32.
 * inv is 1 / sqrt(variance + eps).  All return false when interrupted. */
#ifndef LM_NORM_H
#define LM_NORM_H

#include "core/base.h"

/* Bytes of scratch for lm_norm_stats and lm_norm_bwd. */
int64_t lm_norm_scratch(int64_t rows, int64_t c);

/* Mean and (biased) variance of each channel, by two passes; sums of bands in
 * f32, merged in double in index order.  No rows: mean 0, variance 0. */
bool lm_norm_stats(int64_t rows, int64_t c, const float *x, void *scratch, float *mean, float *var);

/* y = (x - mean) * inv * gamma + beta; gamma or beta NULL: 1 or 0. */
bool lm_norm_fwd(int64_t rows, int64_t c, const float *x, const float *mean, const float *inv,
                 const float *gamma, const float *beta, float *y);

/* With h = (x - mean) * inv:  dbeta = sum dy, dgamma = sum dy h, and
 *   trained on its own batch:  dx = gamma inv (dy - (dbeta + h dgamma) / rows)
 *   frozen:                    dx = gamma inv dy
 * dx may be NULL. */
bool lm_norm_bwd(bool frozen, int64_t rows, int64_t c, const float *dy, const float *x,
                 const float *mean, const float *inv, const float *gamma, void *scratch, float *dx,
                 float *dgamma, float *dbeta);

#endif
