/* dense.h: the fully connected layer y = x w + b; x is (m, k), w (k, n), b
 * (n) or NULL, y (m, n); contiguous f32.  A classification head has n = 2 and
 * k = 25088: a matrix product's packing would cost more than the product, so
 * few outputs (n <= LM_DENSE_FEW) have loops of their own that stream x and w
 * once.  All return false when interrupted. */
#ifndef LM_DENSE_H
#define LM_DENSE_H

#include "core/base.h"

enum { LM_DENSE_FEW = 8 };

/* Bytes of scratch the calls below want (0 for the wide ones). */
int64_t lm_dense_scratch(int64_t k, int64_t n);

bool lm_dense_fwd(int64_t m, int64_t k, int64_t n, const float *x, const float *w, const float *b,
                  void *scratch, float *y);
/* dx (m, k) = dy w^T */
bool lm_dense_bwd_x(int64_t m, int64_t k, int64_t n, const float *dy, const float *w, void *scratch,
                    float *dx);
/* dw (k, n) = x^T dy */
bool lm_dense_bwd_w(int64_t m, int64_t k, int64_t n, const float *x, const float *dy, float *dw);

/* db (c) = sum over rows of dy (rows, c), by blocks of rows merged in order;
 * partial has lm_column_sum_scratch bytes.  Also the bias of a convolution. */
int64_t lm_column_sum_scratch(int64_t rows, int64_t c);
bool lm_column_sum(int64_t rows, int64_t c, const float *dy, void *partial, float *db);

#endif
