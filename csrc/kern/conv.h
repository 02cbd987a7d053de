/* conv.h: 2-D cross-correlation (what deep learning calls convolution), its
 * two gradients, and the choice of algorithm.
 *
 *   y[n,oy,ox,k] = b[k] + sum over i,j,c of
 *       x[n, oy*sy + i*dy - top, ox*sx + j*dx - left, c] * w[i,j,c,k]
 *
 * x is (n, h, w, c), w (kh, kw, c/groups, k) as Keras stores kernels, y
 * (n, oh, ow, k); all f32, contiguous.  Use: fill the caller's part of an
 * lm_conv2d, plan, allocate y and lm_conv2d_scratch() bytes, run.  The
 * algorithms:
 *   gemm      im2col blocks times the kernel matrix; 1x1 without im2col
 *   winograd  3x3, stride 1, undilated, ungrouped (conv_winograd.c)
 *   direct    depthwise, or few input channels; forward (conv_direct.c)
 * Results do not depend on the number of threads, bit for bit. */
#ifndef LM_CONV_H
#define LM_CONV_H

#include "core/shape.h"
#include "kern/conv_winograd.h"
#include "kern/window.h"

typedef enum {
  LM_CONV_GEMM,
  LM_CONV_WINOGRAD4, /* tiles of 4x4 outputs */
  LM_CONV_WINOGRAD6, /* tiles of 6x6 outputs */
  LM_CONV_DIRECT
} lm_conv_algo;
const char *lm_conv_algo_name(lm_conv_algo a); /* "gemm", "winograd4", ... */

typedef enum { LM_CONV_FORWARD, LM_CONV_GRAD_INPUT, LM_CONV_GRAD_WEIGHT } lm_conv_pass;

typedef struct {
  /* the caller's */
  lm_window window; /* stride, dilation, pad, same; the plan fills kernel */
  int64_t groups;   /* >= 1, divides c and k */
  bool relu;        /* forward: y = max(0, y) */
  /* the plan's */
  int64_t n, h, w, c, k, oh, ow;
  lm_conv_algo algo[3]; /* by lm_conv_pass */
} lm_conv2d;

/* The defaults: stride 1, no padding. */
lm_conv2d lm_conv2d_default(void);

/* Checks x (n,h,w,c), w (kh,kw,c/groups,k) and b (k) or NULL against each
 * other and fills the plan's part.  LM_E_SHAPE naming the argument otherwise
 * (x is 1, w is 2, b is 3). */
bool lm_conv2d_plan(lm_conv2d *p, const lm_shape *x, const lm_shape *w, const lm_shape *b,
                    lm_err *e);
/* Takes algorithm a for every pass of a planned p that it can do; false when it
 * can do none.  For tests and the bench. */
bool lm_conv2d_force(lm_conv2d *p, lm_conv_algo a);
lm_shape lm_conv2d_shape_x(const lm_conv2d *p);
lm_shape lm_conv2d_shape_w(const lm_conv2d *p);
lm_shape lm_conv2d_shape_y(const lm_conv2d *p);

/* The forward pass of a plan whose algorithm is one of Winograd's. */
lm_winograd lm_conv2d_winograd(const lm_conv2d *p);

/* Bytes of scratch a pass wants with the present number of threads. */
int64_t lm_conv2d_scratch(const lm_conv2d *p, lm_conv_pass pass);

/* Each returns false when interrupted (the output is then incomplete).
 * x, w, y, dy, dx, dw as above; b may be NULL; scratch 64-byte aligned.
 * Numbers below 1.2e-38 count as zero (core/denormal.h). */
bool lm_conv2d_fwd(const lm_conv2d *p, const float *x, const float *w, const float *b,
                   void *scratch, /* [scratch] */
                   float *y);     /* [out] (n,oh,ow,k) */
bool lm_conv2d_bwd_x(const lm_conv2d *p, const float *dy, const float *w,
                     void *scratch, /* [scratch] */
                     float *dx);    /* [out] (n,h,w,c) */
bool lm_conv2d_bwd_w(const lm_conv2d *p, const float *x, const float *dy,
                     void *scratch, /* [scratch] */
                     float *dw);    /* [out] (kh,kw,c/groups,k) */
/* The bias gradient, dy summed over images and pixels, is lm_column_sum (dense.h). */

/* The table the automatic choice reads, for luma.conv_info(). */
typedef struct {
  const char *when;
  lm_conv_algo algo;
  const char *why;
  bool (*fits)(const lm_conv2d *p); /* asked only where algo can do the shape */
} lm_conv_rule;
extern const lm_conv_rule lm_conv_rules[];
/* LUMA_CONV=gemm|winograd|winograd4|winograd6|direct forces an algorithm wherever it applies;
 * NULL when not set. */
const char *lm_conv_forced(void);

#endif
