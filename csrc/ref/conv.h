/* conv.h (reference): convolution and its gradients as plain loops in double.
 * The oracle of the tests and the textbook version; slow on purpose.
 * Geometry and layouts as in kern/conv.h. */
#ifndef LM_REF_CONV_H
#define LM_REF_CONV_H

#include "core/base.h"

typedef struct {
  int64_t n, h, w, c;                     /* input */
  int64_t kh, kw, k;                      /* kernel rows and columns, output channels */
  int64_t oh, ow;                         /* output */
  int64_t stride[2], dilation[2], pad[2]; /* rows, columns; pad: top, left */
  int64_t groups;
} lm_ref_conv;

/* y (n,oh,ow,k) = b + x * w; b may be NULL. */
void lm_ref_conv_fwd(const lm_ref_conv *p, const double *x, const double *w, const double *b,
                     double *y);
/* dx (n,h,w,c) from dy (n,oh,ow,k) and w (kh,kw,c/groups,k). */
void lm_ref_conv_bwd_x(const lm_ref_conv *p, const double *dy, const double *w, double *dx);
/* dw (kh,kw,c/groups,k) from x and dy. */
void lm_ref_conv_bwd_w(const lm_ref_conv *p, const double *x, const double *dy, double *dw);

#endif
