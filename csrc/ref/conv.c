/* conv.c (reference): seven loops, in double, nothing clever. */
#include "ref/conv.h"

#include <string.h>

/* Calls BODY for every term of the sum: output element `o`, input element `i`
 * and weight element `v` (linear indices) that meet in one product. */
#define FOR_EVERY_TERM(p, BODY)                                                              \
  for (int64_t n = 0; n < (p)->n; n++)                                                       \
    for (int64_t oy = 0; oy < (p)->oh; oy++)                                                 \
      for (int64_t ox = 0; ox < (p)->ow; ox++)                                               \
        for (int64_t k = 0; k < (p)->k; k++)                                                 \
          for (int64_t ky = 0; ky < (p)->kh; ky++)                                           \
            for (int64_t kx = 0; kx < (p)->kw; kx++)                                         \
              for (int64_t c = 0; c < (p)->c / (p)->groups; c++) {                           \
                const int64_t y = oy * (p)->stride[0] + ky * (p)->dilation[0] - (p)->pad[0]; \
                const int64_t x = ox * (p)->stride[1] + kx * (p)->dilation[1] - (p)->pad[1]; \
                if (y < 0 || y >= (p)->h || x < 0 || x >= (p)->w) continue;                  \
                const int64_t cg = (p)->c / (p)->groups, group = k / ((p)->k / (p)->groups); \
                const int64_t o = ((n * (p)->oh + oy) * (p)->ow + ox) * (p)->k + k;          \
                const int64_t i = ((n * (p)->h + y) * (p)->w + x) * (p)->c + group * cg + c; \
                const int64_t v = ((ky * (p)->kw + kx) * cg + c) * (p)->k + k;               \
                BODY;                                                                        \
              }

void lm_ref_conv_fwd(const lm_ref_conv *p, const double *x_, const double *w, const double *b,
                     double *y_) {
  for (int64_t q = 0; q < p->n * p->oh * p->ow; q++)
    for (int64_t k = 0; k < p->k; k++) y_[q * p->k + k] = b != NULL ? b[k] : 0;
  FOR_EVERY_TERM(p, y_[o] += x_[i] * w[v])
}

void lm_ref_conv_bwd_x(const lm_ref_conv *p, const double *dy, const double *w, double *dx) {
  memset(dx, 0, (size_t)(p->n * p->h * p->w * p->c) * sizeof *dx);
  FOR_EVERY_TERM(p, dx[i] += dy[o] * w[v])
}

void lm_ref_conv_bwd_w(const lm_ref_conv *p, const double *x_, const double *dy, double *dw) {
  memset(dw, 0, (size_t)(p->kh * p->kw * (p->c / p->groups) * p->k) * sizeof *dw);
  FOR_EVERY_TERM(p, dw[v] += x_[i] * dy[o])
}
