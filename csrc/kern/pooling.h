/* pooling.h: max and average pooling over windows, forward and backward.
 * x and dx are (n, h, w, c), y and dy (n, oh, ow, c), contiguous f32. */
#ifndef LM_POOLING_H
#define LM_POOLING_H

#include "core/shape.h"
#include "kern/window.h"

typedef struct {
  lm_window window;   /* dilation is 1 */
  bool count_pad;     /* average: divide by the whole window, padding included */
  int64_t n, h, w, c; /* filled by the plan */
  int64_t oh, ow;
} lm_pool2d;

/* Checks x's shape against *p and fills the sizes (and the pads when `same`).
 * A window must fit the padded input and each pad must be smaller than the
 * kernel, so that every window holds at least one real pixel. */
bool lm_pool2d_plan(const lm_shape *x, lm_pool2d *p, lm_err *e);

/* y = the largest of each window; padding never wins. */
bool lm_max_pool2d_fwd(const lm_pool2d *p, const float *x, float *y);
/* dy goes to the first maximum of its window in row order. */
bool lm_max_pool2d_bwd(const lm_pool2d *p, const float *dy, const float *x, const float *y,
                       float *dx);

/* y = mean of the window's real pixels (all of it when count_pad). */
bool lm_avg_pool2d_fwd(const lm_pool2d *p, const float *x, float *y);
bool lm_avg_pool2d_bwd(const lm_pool2d *p, const float *dy, float *dx);

/* Mean over h and w: x (n, hw, c) -> y (n, c), summed in double; y is 0 when
 * hw is 0.  Backward spreads dy / hw. */
bool lm_global_avg_pool_fwd(int64_t n, int64_t hw, int64_t c, const float *x, float *y);
bool lm_global_avg_pool_bwd(int64_t n, int64_t hw, int64_t c, const float *dy, float *dx);

#endif
