/* conv_direct.c: the two direct convolutions; a chunk is one output row, in the
 * gradient some rows.
 *
 * Depthwise: for each tap y[pixel][channel] += x[pixel under the tap][channel] *
 * w[tap][channel], which the compiler makes vectors of.
 *
 * Few input channels: the input rows under the output row are copied into a
 * strip with their padding, so that no pixel is at an edge any more and the
 * kw*c inputs of a kernel row lie side by side; some pixels times two vectors
 * of output channels are then summed in registers (simd/direct_body.h), with
 * bias and ReLU on the way out.  The weights are first copied to panels
 * [panel][kh*kw*c][2 vectors], filled up with zeros.  The weight gradient sums
 * products of the same strip with the row of dy, a chunk of rows for itself; the
 * chunks' sums are added up in order. */
#include "kern/conv_direct.h"

#include <math.h>
#include <string.h>

#include "core/cpu.h"
#include "core/pool.h"
#include "kern/conv_gemm.h"
#include "kern/simd/direct.h"

bool lm_conv_direct_depthwise(const lm_conv2d *p) {
  return p->groups == p->c && p->k == p->c && p->c > 1;
}

/* Bounds that keep a strip not much larger than the input rows it holds. */
bool lm_conv_direct_shallow(const lm_conv2d *p) {
  return p->groups == 1 && p->c <= 16 && p->window.kernel[0] <= 11 && p->window.kernel[1] <= 11 &&
         p->window.stride[0] <= 4 && p->window.stride[1] <= 4 && p->window.dilation[0] == 1 &&
         p->window.dilation[1] == 1;
}

/* ---- depthwise ---- */

typedef struct {
  const lm_conv2d *p;
  const float *x, *w, *b;
  float *y;
} depthwise_work;

static void depthwise_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const depthwise_work *s = context;
  const lm_conv2d *p = s->p;
  const int64_t image = chunk / p->oh, oy = chunk % p->oh, c = p->c;
  float *row = s->y + chunk * p->ow * c;
  memset(row, 0, (size_t)(p->ow * c) * sizeof(float));
  for (int64_t i = 0; i < p->window.kernel[0]; i++) {
    const int64_t y = oy * p->window.stride[0] + i * p->window.dilation[0] - p->window.pad[0];
    if (y < 0 || y >= p->h) continue;
    for (int64_t ox = 0; ox < p->ow; ox++)
      for (int64_t j = 0; j < p->window.kernel[1]; j++) {
        const int64_t x = ox * p->window.stride[1] + j * p->window.dilation[1] - p->window.pad[1];
        if (x < 0 || x >= p->w) continue;
        const float *from = s->x + ((image * p->h + y) * p->w + x) * c,
                    *w = s->w + (i * p->window.kernel[1] + j) * c;
        float *to = row + ox * c;
        for (int64_t q = 0; q < c; q++) to[q] += from[q] * w[q];
      }
  }
  lm_conv_epilogue(row, p->ow, c, s->b, p->relu);
}

/* ---- few input channels ---- */

static const lm_direct_kernels *kernels_here(void) {
#if defined(__x86_64__)
  if (lm_cpu_isa() == LM_ISA_AVX512) return &lm_direct_avx512;
  if (lm_cpu_isa() == LM_ISA_AVX2) return &lm_direct_avx2;
#endif
  return &lm_direct_plain;
}

static int64_t line(int64_t floats) {
  return (floats + 15) / 16 * 16;
}

typedef struct {
  const lm_conv2d *p;
  const lm_direct_kernels *f;
  const float *x, *b;
  float *y, *panels_w, *strips;
  int64_t taps;                 /* kh*kw*c */
  int64_t panels, panel_step;   /* panel_step: floats of weights a panel */
  int64_t strip_row, strip_all; /* floats of one row of a strip; of a strip */
} shallow_work;

static shallow_work shallow(const lm_conv2d *p, void *scratch) {
  shallow_work s = {
      .p = p, .f = kernels_here(), .taps = p->window.kernel[0] * p->window.kernel[1] * p->c};
  s.panels = lm_ceil_div(p->k, s.f->panel);
  s.panel_step = s.taps * s.f->panel;
  const int64_t pixels = lm_ceil_div(p->ow, s.f->pixels) * s.f->pixels; /* whole tiles */
  s.strip_row = ((pixels - 1) * p->window.stride[1] + p->window.kernel[1]) * p->c;
  s.strip_all = line(p->window.kernel[0] * s.strip_row);
  s.panels_w = scratch;
  if (scratch != NULL) s.strips = s.panels_w + line(s.panels * s.panel_step);
  return s;
}

static int64_t shallow_floats(const lm_conv2d *p) {
  const shallow_work s = shallow(p, NULL);
  return line(s.panels * s.panel_step) + lm_pool_threads() * s.strip_all;
}

static void pack_weights(const shallow_work *s, const float *w) {
  float *to = s->panels_w;
  for (int64_t k0 = 0; k0 < s->p->k; k0 += s->f->panel) {
    const int64_t have = lm_min64(s->f->panel, s->p->k - k0);
    for (int64_t t = 0; t < s->taps; t++, to += s->f->panel) {
      memset(to, 0, (size_t)s->f->panel * sizeof(float));
      memcpy(to, w + t * s->p->k + k0, (size_t)have * sizeof(float));
    }
  }
}

/* The kh input rows under output row oy of an image; zeros outside it. */
static void fill_strip(const shallow_work *s, int64_t image, int64_t oy, float *strip) {
  const lm_conv2d *p = s->p;
  const int64_t left = lm_min64(p->window.pad[1] * p->c, s->strip_row),
                have = lm_min64(p->w * p->c, s->strip_row - left),
                right = s->strip_row - left - have;
  for (int64_t i = 0; i < p->window.kernel[0]; i++, strip += s->strip_row) {
    const int64_t y = oy * p->window.stride[0] + i - p->window.pad[0];
    if (y < 0 || y >= p->h) {
      memset(strip, 0, (size_t)s->strip_row * sizeof(float));
      continue;
    }
    memset(strip, 0, (size_t)left * sizeof(float));
    memcpy(strip + left, s->x + (image * p->h + y) * p->w * p->c, (size_t)have * sizeof(float));
    memset(strip + left + have, 0, (size_t)right * sizeof(float));
  }
}

static void shallow_chunk(void *context, int64_t chunk, int worker) {
  const shallow_work *s = context;
  const lm_conv2d *p = s->p;
  const int64_t pixels = s->f->pixels, panel = s->f->panel, step = p->window.stride[1] * p->c;
  const float floor = p->relu ? 0 : -INFINITY;
  float *strip = s->strips + worker * s->strip_all, *row = s->y + chunk * p->ow * p->k;
  fill_strip(s, chunk / p->oh, chunk % p->oh, strip);
  for (int64_t ox = 0; ox < p->ow; ox += pixels) {
    for (int64_t i = 0; i < pixels * p->k; i += 16) /* what the next tile will write */
      __builtin_prefetch(row + (ox + pixels) * p->k + i, 1);
    for (int64_t q = 0; q < s->panels; q++) {
      const int64_t k0 = q * panel, have = lm_min64(panel, p->k - k0),
                    count = lm_min64(pixels, p->ow - ox);
      const float *w = s->panels_w + q * s->panel_step;
      float bias[LM_DIRECT_MAXPANEL] = {0}, patch[LM_DIRECT_MAXPIXELS * LM_DIRECT_MAXPANEL];
      if (s->b != NULL) memcpy(bias, s->b + k0, (size_t)have * sizeof(float));
      const bool whole = have == panel && count == pixels;
      float *to = row + ox * p->k + k0;
      s->f->tile(strip + ox * step, s->strip_row, step, p->window.kernel[0],
                 p->window.kernel[1] * p->c, w, bias, floor, whole ? to : patch,
                 whole ? p->k : panel);
      for (int64_t i = 0; !whole && i < count; i++)
        memcpy(to + i * p->k, patch + i * panel, (size_t)have * sizeof(float));
    }
  }
}

/* ---- the weight gradient of few input channels ---- */

enum {
  GRAD_ROWS = 16,         /* rows of dy a chunk, at least */
  GRAD_CHUNKS = 256,      /* at most, */
  GRAD_FLOATS = 16 << 20, /* and so that their sums stay within 64 MiB */
  GRAD_FEW = 16           /* but so many, for the threads */
};

typedef struct {
  shallow_work s; /* strips; y is unused */
  const float *dy;
  float *rows, *sums;               /* a worker: a row of dy filled up; a chunk: its sums */
  int64_t chunk_rows, chunks, wide; /* wide: k filled up to whole panels */
} grad_work;

static grad_work grad(const lm_conv2d *p, void *scratch) {
  grad_work g = {.s = shallow(p, NULL)};
  const int64_t rows = p->n * p->oh;
  g.wide = g.s.panels * g.s.f->panel;
  const int64_t fit = lm_max64(GRAD_FEW, GRAD_FLOATS / (g.s.taps * g.wide));
  g.chunk_rows = lm_max64(GRAD_ROWS, lm_ceil_div(rows, lm_min64(GRAD_CHUNKS, fit)));
  g.chunks = lm_ceil_div(rows, g.chunk_rows);
  if (scratch == NULL) return g;
  g.s.strips = scratch;
  g.rows = g.s.strips + lm_pool_threads() * g.s.strip_all;
  g.sums = g.rows + lm_pool_threads() * line(p->ow * g.wide);
  return g;
}

static void grad_chunk(void *context, int64_t chunk, int worker) {
  const grad_work *g = context;
  const shallow_work *s = &g->s;
  const lm_conv2d *p = s->p;
  const int64_t run = p->window.kernel[1] * p->c,
                last = lm_min64(p->n * p->oh, (chunk + 1) * g->chunk_rows);
  float *strip = s->strips + worker * s->strip_all,
        *filled = g->rows + worker * line(p->ow * g->wide),
        *sum = g->sums + chunk * s->taps * g->wide;
  memset(sum, 0, (size_t)(s->taps * g->wide) * sizeof(float));
  for (int64_t row = chunk * g->chunk_rows; row < last; row++) {
    const float *dy = g->dy + row * p->ow * p->k;
    for (int64_t i = 0; i < p->ow && g->wide > p->k; i++) {
      memcpy(filled + i * g->wide, dy + i * p->k, (size_t)p->k * sizeof(float));
      memset(filled + i * g->wide + p->k, 0, (size_t)(g->wide - p->k) * sizeof(float));
    }
    if (g->wide > p->k) dy = filled;
    fill_strip(s, row / p->oh, row % p->oh, strip);
    for (int64_t q = 0; q < g->wide; q += s->f->panel)
      for (int64_t i = 0; i < p->window.kernel[0]; i++)
        for (int64_t t = 0; t < run; t += s->f->most_taps)
          s->f->taps[lm_min64(s->f->most_taps, run - t)](
              strip + i * s->strip_row + t, p->window.stride[1] * p->c, p->ow, dy + q, g->wide,
              sum + (i * run + t) * g->wide + q, g->wide);
  }
}

int64_t lm_conv_direct_grad_scratch(const lm_conv2d *p) {
  const grad_work g = grad(p, NULL);
  return (lm_pool_threads() * (g.s.strip_all + line(p->ow * g.wide)) +
          g.chunks * g.s.taps * g.wide) *
         (int64_t)sizeof(float);
}

bool lm_conv_direct_bwd_w(const lm_conv2d *p, const float *x, const float *dy, void *scratch,
                          float *dw) {
  grad_work g = grad(p, scratch);
  g.s.x = x;
  g.dy = dy;
  if (!lm_parallel(g.chunks, grad_chunk, &g)) return false;
  for (int64_t t = 0; t < g.s.taps; t++)
    for (int64_t k = 0; k < p->k; k++) {
      double sum = 0;
      for (int64_t i = 0; i < g.chunks; i++) sum += (double)g.sums[(i * g.s.taps + t) * g.wide + k];
      dw[t * p->k + k] = (float)sum;
    }
  return true;
}

/* ---- the door ---- */

int64_t lm_conv_direct_scratch(const lm_conv2d *p) {
  return lm_conv_direct_depthwise(p) ? 0 : shallow_floats(p) * (int64_t)sizeof(float);
}

bool lm_conv_direct_fwd(const lm_conv2d *p, const float *x, const float *w, const float *b,
                        void *scratch, float *y) {
  if (lm_conv_direct_depthwise(p)) {
    depthwise_work s = {p, x, w, b, y};
    return lm_parallel(p->n * p->oh, depthwise_chunk, &s);
  }
  shallow_work s = shallow(p, scratch);
  s.x = x;
  s.b = b;
  s.y = y;
  pack_weights(&s, w);
  return lm_parallel(p->n * p->oh, shallow_chunk, &s);
}
