/* activation.h: elementwise nonlinearities and their derivatives.  Flat f32
 * arrays of n elements, n may be 0.  In the backward kernels dx may be dy
 * itself (each element is read before it is written).  All return false when
 * interrupted, and then the output is incomplete. */
#ifndef LM_ACTIVATION_H
#define LM_ACTIVATION_H

#include "core/base.h"

/* y = max(x, 0); NaN stays NaN.  dx = dy where y > 0, else 0 (so 0 at 0). */
bool lm_relu_fwd(const float *x, int64_t n, float *y);
bool lm_relu_bwd(const float *dy, const float *y, int64_t n, float *dx);

/* y = x > 0 ? x : slope * x;  dx = x > 0 ? dy : slope * dy. */
bool lm_leaky_relu_fwd(float slope, const float *x, int64_t n, float *y);
bool lm_leaky_relu_bwd(float slope, const float *dy, const float *x, int64_t n, float *dx);

/* Gaussian error linear unit (Hendrycks and Gimpel 2016): x * Phi(x) with the
 * normal distribution function, or its tanh approximation
 * x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))). */
bool lm_gelu_fwd(bool tanh_form, const float *x, int64_t n, float *y);
bool lm_gelu_bwd(bool tanh_form, const float *dy, const float *x, int64_t n, float *dx);

/* From the output: dx = dy * y * (1 - y), and dy * (1 - y * y). */
bool lm_sigmoid_bwd(const float *dy, const float *y, int64_t n, float *dx);
bool lm_tanh_bwd(const float *dy, const float *y, int64_t n, float *dx);

#endif
