/* loss.h: losses and their gradients, a value a row; f32 in, double inside.
 * Every forward kernel fills rows[0..n-1] with the loss of each row (for the
 * elementwise ones: of each element), already multiplied by its weight; the
 * caller sums in index order and divides.  Every backward kernel multiplies
 * row i's gradient by scale[i].  Small work: a class axis is short, so these
 * run on the calling thread. */
#ifndef LM_LOSS_H
#define LM_LOSS_H

#include "core/base.h"

/* Softmax cross-entropy from logits x (n, k).  labels[i] in 0..k-1;
 * weights (k) or NULL; smoothing s in [0,1]:
 *   (1-s) w_y (-log p_y) + s/k sum_c w_c (-log p_c)
 * A class whose share is 0 adds nothing, even where its log p is -inf. */
void lm_cross_entropy_fwd(int64_t n, int64_t k, const float *x, const int32_t *labels,
                          const float *weights, double smoothing, double *rows);
void lm_cross_entropy_bwd(int64_t n, int64_t k, const float *x, const int32_t *labels,
                          const float *weights, double smoothing, const double *scale, float *dx);

/* Keras's categorical cross-entropy on probabilities p (n, k) against targets
 * t (n, k): each row is divided by its sum, then clipped to [1e-7, 1 - 1e-7]
 * (article row M5), then -sum t log p.  A clipped entry passes no gradient. */
void lm_categorical_fwd(int64_t n, int64_t k, const float *p, const float *t, double *rows);
void lm_categorical_bwd(int64_t n, int64_t k, const float *p, const float *t, const double *scale,
                        float *dp);

/* Binary cross-entropy against t in [0,1], from logits (stable form) or from
 * probabilities clipped to [1e-7, 1 - 1e-7].  scale is one factor for all. */
void lm_binary_fwd(bool logits, int64_t n, const float *x, const float *t, double *rows);
void lm_binary_bwd(bool logits, int64_t n, const float *x, const float *t, double scale, float *dx);

/* sum (x - t)^2 in double, in index order; dx = scale * (x - t). */
double lm_squared_error(int64_t n, const float *x, const float *t);
void lm_squared_error_bwd(int64_t n, const float *x, const float *t, double scale, float *dx);

#endif
