/* conv_direct.c: depthwise convolution: one chunk an output row, and for each
 * tap y[pixel][channel] += x[pixel under the tap][channel] * w[tap][channel],
 * which the compiler makes vectors of. */
#include "kern/conv_direct.h"

#include <string.h>

#include "core/pool.h"
#include "kern/conv_gemm.h"

bool lm_conv_direct_applies(const lm_conv2d *p) {
  return p->groups == p->c && p->k == p->c && p->c > 1;
}

typedef struct {
  const lm_conv2d *p;
  const float *x, *w, *b;
  float *y;
} work;

static void row_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *s = context;
  const lm_conv2d *p = s->p;
  const int64_t image = chunk / p->oh, oy = chunk % p->oh, c = p->c;
  float *row = s->y + chunk * p->ow * c;
  memset(row, 0, (size_t)(p->ow * c) * sizeof(float));
  for (int64_t i = 0; i < p->kh; i++) {
    const int64_t y = oy * p->stride[0] + i * p->dilation[0] - p->pad[0];
    if (y < 0 || y >= p->h) continue;
    for (int64_t ox = 0; ox < p->ow; ox++)
      for (int64_t j = 0; j < p->kw; j++) {
        const int64_t x = ox * p->stride[1] + j * p->dilation[1] - p->pad[1];
        if (x < 0 || x >= p->w) continue;
        const float *from = s->x + ((image * p->h + y) * p->w + x) * c,
                    *w = s->w + (i * p->kw + j) * c;
        float *to = row + ox * c;
        for (int64_t q = 0; q < c; q++) to[q] += from[q] * w[q];
      }
  }
  lm_conv_epilogue(row, p->ow, c, s->b, p->relu);
}

bool lm_conv_direct_fwd(const lm_conv2d *p, const float *x, const float *w, const float *b,
                        float *y) {
  work s = {p, x, w, b, y};
  return lm_parallel(p->n * p->oh, row_chunk, &s);
}
