/* layers.h (reference): pooling, softmax with cross-entropy, and batch-norm as
 * plain loops in double, forward and backward.  The oracle of the tests and the
 * textbook version.  Layouts as in kern/: images (n, h, w, c), channels last. */
#ifndef LM_REF_LAYERS_H
#define LM_REF_LAYERS_H

#include "core/base.h"

typedef struct {
  int64_t n, h, w, c;        /* input */
  int64_t kh, kw, sy, sx;    /* window and stride */
  int64_t pad_top, pad_left; /* rows and columns outside the image */
  int64_t oh, ow;            /* output */
  bool count_pad;            /* average over the whole window */
} lm_ref_pool;

/* y (n,oh,ow,c): the largest, or the mean, of each window's pixels. */
void lm_ref_max_pool_fwd(const lm_ref_pool *p, const double *x, double *y);
void lm_ref_max_pool_bwd(const lm_ref_pool *p, const double *dy, const double *x, double *dx);
void lm_ref_avg_pool_fwd(const lm_ref_pool *p, const double *x, double *y);
void lm_ref_avg_pool_bwd(const lm_ref_pool *p, const double *dy, double *dx);

/* The mean of -log softmax(x)[label] over n rows of k logits (labels from 0),
 * and its gradient: (softmax(x) - onehot) / n. */
double lm_ref_cross_entropy(int64_t n, int64_t k, const double *x, const int32_t *labels);
void lm_ref_cross_entropy_bwd(int64_t n, int64_t k, const double *x, const int32_t *labels,
                              double *dx);

/* Batch-norm of x (rows, c) by its own mean and (biased) variance. */
void lm_ref_norm_fwd(int64_t rows, int64_t c, double eps, const double *x, const double *gamma,
                     const double *beta, double *y);
void lm_ref_norm_bwd(int64_t rows, int64_t c, double eps, const double *dy, const double *x,
                     const double *gamma, double *dx, double *dgamma, double *dbeta);

/* x * Phi(x), and its tanh form; dx = dy * slope. */
void lm_ref_gelu(bool tanh_form, int64_t n, const double *x, double *y);
void lm_ref_gelu_bwd(bool tanh_form, int64_t n, const double *dy, const double *x, double *dx);

#endif
