/* step.h: one optimiser step in place on one parameter; w, g and the moments
 * are contiguous f32 of n elements.  The caller holds interrupts
 * (lm_interrupt_hold) over the steps of all parameters, so that no network is
 * ever left half stepped. */
#ifndef LM_STEP_H
#define LM_STEP_H

#include "core/base.h"

/* g' = g + decay * w;  v = momentum * v + g';  w -= lr * v, or with nesterov
 * w -= lr * (g' + momentum * v).  v is not touched when momentum is 0. */
typedef struct {
  float lr, momentum, decay;
  bool nesterov;
} lm_sgd;
void lm_sgd_step(const lm_sgd *p, int64_t n, const float *g, float *w, float *v);

/* Keras's form (article row M6): m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g g;
 * w -= rate * m / (sqrt(v) + eps), where the caller folds the bias correction
 * into rate = lr * sqrt(1 - b2^t) / (1 - b1^t).  decay * w is added to g
 * first; shrink > 0 (AdamW) instead multiplies w by 1 - shrink = 1 - lr * decay. */
typedef struct {
  float rate, beta1, beta2, eps, decay, shrink;
} lm_adam;
void lm_adam_step(const lm_adam *p, int64_t n, const float *g, float *w, float *m, float *v);

/* x *= factor; sum of squares in double, by chunks merged in order. */
void lm_scale(float factor, int64_t n, float *x);
double lm_sum_squares(int64_t n, const float *x);

/* Index of the first element that is not finite, or -1. */
int64_t lm_first_nonfinite(int64_t n, const float *x);

#endif
