/* conv_gemm.c: convolution as matrix products.
 *
 * The output pixels of each image are one long list, cut into blocks (never
 * across images: an image's bits do not depend on its neighbours).  A chunk
 * copies the inputs under its block into a matrix `col` [pixels][kh*kw*c] (im2col) and
 * multiplies it by the kernel, which HWIO order already stores as a matrix
 * [kh*kw*c][k].  A 1x1 kernel of stride 1 needs no copy: x itself is col.
 *
 * Gradients: dcol = dy * w' added back to where col was copied from (one chunk
 * an image, so no two chunks write one element); dw = col' * dy, summed over
 * fixed slots of blocks that are merged in index order. */
#include "kern/conv_gemm.h"

#include <string.h>

#include "core/blas.h"
#include "core/pool.h"

enum {
  COL_FLOATS = 1 << 17, /* a col block: half a megabyte, stays in L2 */
  MAX_SLOTS = 16        /* partial sums of dw */
};

typedef struct {
  const lm_conv2d *p;
  const float *x, *w, *b, *dy;
  float *y, *dx, *dw, *scratch;
  int64_t cg, kg;       /* channels in and out of one group */
  int64_t depth;        /* kh*kw*cg: columns of col */
  int64_t area, step;   /* output pixels of an image; of a block */
  int64_t cuts, blocks; /* blocks of an image; of the batch */
  int64_t slots;
  bool plain; /* col is x itself */
} work;

static work setup(const lm_conv2d *p, void *scratch) {
  work s = {.p = p, .scratch = scratch, .cg = p->c / p->groups, .kg = p->k / p->groups};
  s.depth = p->window.kernel[0] * p->window.kernel[1] * s.cg;
  s.area = p->oh * p->ow;
  s.step = lm_max64(16, lm_min64(1024, COL_FLOATS / lm_max64(1, s.depth)));
  s.cuts = lm_ceil_div(s.area, s.step);
  s.blocks = p->n * s.cuts;
  s.slots = lm_max64(1, lm_min64(MAX_SLOTS, s.blocks / 4));
  s.plain = p->window.kernel[0] == 1 && p->window.kernel[1] == 1 && p->window.stride[0] == 1 &&
            p->window.stride[1] == 1 &&
            p->window.pad[0] + p->window.pad[1] + p->window.pad[2] + p->window.pad[3] == 0;
  return s;
}

/* First output pixel of a block, counted over the batch, and its length. */
static int64_t first_pixel(const work *s, int64_t block) {
  return block / s->cuts * s->area + s->area * (block % s->cuts) / s->cuts;
}
static int64_t length(const work *s, int64_t block) {
  return s->area * (block % s->cuts + 1) / s->cuts - s->area * (block % s->cuts) / s->cuts;
}

static int64_t round_up(int64_t n) {
  return (n + 15) / 16 * 16;
}
static int64_t col_floats(const work *s) {
  return s->plain ? 0 : round_up(s->step * s->depth);
}
static int64_t dw_floats(const work *s) {
  return round_up(s->depth * s->p->k);
}

int64_t lm_conv_gemm_scratch(const lm_conv2d *p, lm_conv_pass pass) {
  const work s = setup(p, NULL);
  int64_t floats = lm_pool_threads() * (s.plain ? 0 : round_up(s.step * s.depth));
  if (pass == LM_CONV_GRAD_WEIGHT) floats += s.slots * dw_floats(&s);
  return floats * (int64_t)sizeof(float);
}

/* Where output pixel q looks: its image and the input row and column under
 * the kernel's first element (may lie outside). */
typedef struct {
  int64_t n, y, x;
} place;
static place place_of(const lm_conv2d *p, int64_t q) {
  const int64_t area = p->oh * p->ow, r = q % area;
  return (place){q / area, r / p->ow * p->window.stride[0] - p->window.pad[0],
                 r % p->ow * p->window.stride[1] - p->window.pad[1]};
}

/* col[pixel][kh][kw][cg] for output pixels q0 .. q0+count-1 of one group. */
static void im2col(const work *s, int64_t group, int64_t q0, int64_t count, float *col) {
  const lm_conv2d *p = s->p;
  const size_t cell = (size_t)s->cg * sizeof(float);
  for (int64_t q = q0; q < q0 + count; q++) {
    const place at = place_of(p, q);
    for (int64_t i = 0; i < p->window.kernel[0]; i++) {
      const int64_t y = at.y + i * p->window.dilation[0];
      const float *row = s->x + (at.n * p->h + y) * p->w * p->c + group * s->cg;
      const bool inside = y >= 0 && y < p->h;
      if (inside && p->groups == 1 && p->window.dilation[1] == 1 && at.x >= 0 &&
          at.x + p->window.kernel[1] <= p->w) {
        memcpy(col, row + at.x * p->c, (size_t)p->window.kernel[1] * cell); /* one contiguous run */
        col += p->window.kernel[1] * s->cg;
        continue;
      }
      for (int64_t j = 0; j < p->window.kernel[1]; j++, col += s->cg) {
        const int64_t x = at.x + j * p->window.dilation[1];
        if (inside && x >= 0 && x < p->w)
          memcpy(col, row + x * p->c, cell);
        else
          memset(col, 0, cell);
      }
    }
  }
}

/* The way back: dx at col's sources += dcol. */
static void col2im_add(const work *s, int64_t group, int64_t q0, int64_t count, const float *col) {
  const lm_conv2d *p = s->p;
  for (int64_t q = q0; q < q0 + count; q++) {
    const place at = place_of(p, q);
    for (int64_t i = 0; i < p->window.kernel[0]; i++) {
      const int64_t y = at.y + i * p->window.dilation[0];
      for (int64_t j = 0; j < p->window.kernel[1]; j++, col += s->cg) {
        const int64_t x = at.x + j * p->window.dilation[1];
        if (y < 0 || y >= p->h || x < 0 || x >= p->w) continue;
        float *to = s->dx + ((at.n * p->h + y) * p->w + x) * p->c + group * s->cg;
        for (int64_t c = 0; c < s->cg; c++) to[c] += col[c];
      }
    }
  }
}

/* col of a block and its row stride: x itself when nothing has to move. */
static const float *columns(const work *s, int64_t group, int64_t q0, int64_t count, int worker,
                            int64_t *stride) {
  if (s->plain) {
    *stride = s->p->c;
    return s->x + q0 * s->p->c + group * s->cg;
  }
  float *col = s->scratch + worker * col_floats(s);
  im2col(s, group, q0, count, col);
  *stride = s->depth;
  return col;
}

void lm_conv_epilogue(float *y, int64_t pixels, int64_t k, const float *b, bool relu) {
  if (b == NULL && !relu) return;
  for (int64_t i = 0; i < pixels; i++, y += k) {
    if (b != NULL)
      for (int64_t j = 0; j < k; j++) y[j] += b[j];
    if (relu)
      for (int64_t j = 0; j < k; j++) y[j] = y[j] < 0 ? 0 : y[j]; /* keeps NaN */
  }
}

static void fwd_chunk(void *context, int64_t chunk, int worker) {
  const work *s = context;
  const lm_conv2d *p = s->p;
  const int64_t q0 = first_pixel(s, chunk), count = length(s, chunk);
  float *y = s->y + q0 * p->k;
  for (int64_t g = 0; g < p->groups; g++) {
    int64_t stride;
    const float *col = columns(s, g, q0, count, worker, &stride);
    lm_sgemm_serial(false, false, count, s->kg, s->depth, 1, col, stride, s->w + g * s->kg, p->k, 0,
                    y + g * s->kg, p->k);
  }
  lm_conv_epilogue(y, count, p->k, s->b, p->relu);
}

bool lm_conv_gemm_fwd(const lm_conv2d *p, const float *x, const float *w, const float *b,
                      void *scratch, float *y) {
  work s = setup(p, scratch);
  s.x = x;
  s.w = w;
  s.b = b;
  s.y = y;
  return lm_parallel(s.blocks, fwd_chunk, &s);
}

static void bwd_x_chunk(void *context, int64_t image, int worker) {
  const work *s = context;
  const lm_conv2d *p = s->p;
  const int64_t area = p->oh * p->ow, first = image * area;
  float *col = s->scratch + worker * col_floats(s);
  memset(s->dx + image * p->h * p->w * p->c, 0, (size_t)(p->h * p->w * p->c) * sizeof(float));
  for (int64_t q = first; q < first + area; q += s->step) {
    const int64_t count = lm_min64(s->step, first + area - q);
    for (int64_t g = 0; g < p->groups; g++) {
      lm_sgemm_serial(false, true, count, s->depth, s->kg, 1, s->dy + q * p->k + g * s->kg, p->k,
                      s->w + g * s->kg, p->k, 0, col, s->depth);
      col2im_add(s, g, q, count, col);
    }
  }
}

static void bwd_x_plain_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *s = context;
  const lm_conv2d *p = s->p;
  const int64_t q0 = first_pixel(s, chunk), count = length(s, chunk);
  for (int64_t g = 0; g < p->groups; g++)
    lm_sgemm_serial(false, true, count, s->depth, s->kg, 1, s->dy + q0 * p->k + g * s->kg, p->k,
                    s->w + g * s->kg, p->k, 0, s->dx + q0 * p->c + g * s->cg, p->c);
}

bool lm_conv_gemm_bwd_x(const lm_conv2d *p, const float *dy, const float *w, void *scratch,
                        float *dx) {
  work s = setup(p, scratch);
  s.dy = dy;
  s.w = w;
  s.dx = dx;
  if (s.plain) return lm_parallel(s.blocks, bwd_x_plain_chunk, &s);
  return lm_parallel(p->n, bwd_x_chunk, &s);
}

static void bwd_w_chunk(void *context, int64_t slot, int worker) {
  const work *s = context;
  const lm_conv2d *p = s->p;
  const int64_t first = s->blocks * slot / s->slots, last = s->blocks * (slot + 1) / s->slots;
  float *sum = s->scratch + lm_pool_threads() * col_floats(s) + slot * dw_floats(s);
  memset(sum, 0, (size_t)(s->depth * p->k) * sizeof(float));
  for (int64_t block = first; block < last; block++) {
    const int64_t q0 = first_pixel(s, block), count = length(s, block);
    for (int64_t g = 0; g < p->groups; g++) {
      int64_t stride;
      const float *col = columns(s, g, q0, count, worker, &stride);
      lm_sgemm_serial(true, false, s->depth, s->kg, count, 1, col, stride,
                      s->dy + q0 * p->k + g * s->kg, p->k, 1, sum + g * s->kg, p->k);
    }
  }
}

bool lm_conv_gemm_bwd_w(const lm_conv2d *p, const float *x, const float *dy, void *scratch,
                        float *dw) {
  work s = setup(p, scratch);
  s.x = x;
  s.dy = dy;
  if (!lm_parallel(s.slots, bwd_w_chunk, &s)) return false;
  const float *sums = s.scratch + lm_pool_threads() * col_floats(&s);
  const int64_t count = s.depth * p->k;
  memcpy(dw, sums, (size_t)count * sizeof(float));
  for (int64_t slot = 1; slot < s.slots; slot++)
    for (int64_t i = 0; i < count; i++) dw[i] += sums[slot * dw_floats(&s) + i];
  return true;
}
