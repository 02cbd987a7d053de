/* conv_winograd_grad.c: the weight gradient in the Winograd domain.
 *
 * Forward is y = A' [(G w G') * (B' x B)] A over 4x4 tiles; turning that chain
 * round gives
 *     dw = G' [ sum over tiles of (B' x B) * (A dy A') ] G
 * so per frequency the sum over tiles is a matrix product, [c x tiles] times
 * [tiles x k], and one inverse transform at the end makes the 3x3 kernels.
 *
 * The tiles pass through in rounds that stay in the cache: both transforms, cut
 * by tile; then the products, cut by frequency and channel, which add to their
 * own part of the sum.  So every sum runs over the tiles in order, whatever the
 * number of threads, and nothing is merged.
 *
 *   V  [frequency][channel block][tile][lanes]      of x
 *   W  [frequency][panel][tile][2 lanes]            of dy, after V of its frequency
 *   S  [frequency][channel][k rounded up]           the sum
 *
 * A product does few operations a byte, so the next frequency's V and W are
 * fetched while this one's are multiplied.
 */
#include "kern/conv_winograd_grad.h"

#include <string.h>

#include "core/pool.h"
#include "kern/winograd_gather.h"

enum {
  FREQUENCIES = 36,
  ROUND_BYTES = 6 << 20, /* V and W of a round */
  STRETCH = 224,         /* tiles a product: a panel of W stays in L1 */
  TILE_CHUNK = 14,       /* tiles a transform chunk */
  BLOCKS_CHUNK = 4,      /* channel blocks a product chunk */
  FREQUENCIES_CHUNK = 3  /* frequencies, one after the other, a product chunk */
};

typedef struct {
  const lm_winograd_kernels *f;
  lm_winograd_source x, dy;
  int64_t across, down, tiles, top, left, c, k;
  int64_t blocks, panels, wide; /* of c; of k; floats a panel */
  int64_t round, at, count;     /* tiles a round; of the round in hand */
  int64_t step, s_step;         /* floats from one frequency to the next: of v and w; of s */
  float *v, *w, *s, *dw;
} work;

static int64_t round_up(int64_t n, int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

static work setup(const lm_winograd *g, void *scratch) {
  work s = {.f = lm_winograd_kernels_here(), .c = g->c, .k = g->k, .top = g->top, .left = g->left};
  s.across = lm_ceil_div(g->ow, 4);
  s.down = lm_ceil_div(g->oh, 4);
  s.tiles = g->n * s.across * s.down;
  s.wide = 2 * s.f->lanes;
  s.blocks = lm_ceil_div(g->c, s.f->lanes);
  s.panels = lm_ceil_div(g->k, s.wide);
  const int64_t floats = s.blocks * s.f->lanes + s.panels * s.wide; /* of a tile's frequency */
  const int64_t fit = ROUND_BYTES / (FREQUENCIES * floats * (int64_t)sizeof(float));
  s.round = lm_max64(1, lm_min64(s.tiles, STRETCH * lm_max64(2, lm_min64(8, fit / STRETCH))));
  /* + 16: frequencies must not lie a multiple of 4 KiB apart */
  s.step = s.round * floats + 16;
  s.s_step = round_up(g->c, s.f->grad_rows) * s.panels * s.wide + 16;
  s.v = scratch;
  s.w = s.v + s.blocks * s.f->lanes * s.round;
  s.s = s.v + FREQUENCIES * s.step;
  return s;
}

int64_t lm_winograd_grad_scratch(const lm_winograd *g) {
  const work s = setup(g, NULL);
  return FREQUENCIES * (s.step + s.s_step) * (int64_t)sizeof(float);
}

static void transform_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *s = context;
  const int64_t area = s->across * s->down, lanes = s->f->lanes;
  for (int64_t t = chunk * TILE_CHUNK; t < lm_min64(s->count, (chunk + 1) * TILE_CHUNK); t++) {
    const int64_t image = (s->at + t) / area, r = (s->at + t) % area;
    const int64_t y = r / s->across * 4, x = r % s->across * 4;
    lm_winograd_gather(&s->x, image, y - s->top, x - s->left, 0, s->blocks, s->v + t * lanes,
                       s->round * lanes, s->step);
    for (int64_t panel = 0; panel < s->panels; panel++)
      lm_winograd_gather(&s->dy, image, y, x, 2 * panel, 2 * panel + 2,
                         s->w + (panel * s->round + t) * s->wide, lanes, s->step);
  }
}

/* Frequency q, channels c0 .. c1-1.  ahead[0 .. far) is fetched meanwhile, an
 * equal part with every call of the kernel. */
static void multiply(const work *s, int64_t q, int64_t c0, int64_t c1, const float *ahead,
                     int64_t far) {
  const int64_t lanes = s->f->lanes, rows = s->f->grad_rows, stride = s->panels * s->wide;
  const int64_t stretches = lm_ceil_div(s->count, STRETCH);
  const int64_t calls = stretches * s->panels * lm_ceil_div(c1 - c0, rows);
  const int64_t pace = lm_ceil_div(far, calls * lm_min64(STRETCH, s->count));
  float *sum = s->s + q * s->s_step;
  if (s->at == 0) memset(sum + c0 * stride, 0, (size_t)((c1 - c0) * stride) * sizeof(float));
  for (int64_t t = 0; t < s->count; t += STRETCH) {
    const int64_t count = lm_min64(STRETCH, s->count - t);
    for (int64_t panel = 0; panel < s->panels; panel++) {
      const float *w = s->w + q * s->step + (panel * s->round + t) * s->wide;
      for (int64_t c = c0; c < c1; c += rows, ahead += pace * count)
        s->f->grad_product(count,
                           s->v + q * s->step + (c / lanes * s->round + t) * lanes + c % lanes, w,
                           sum + c * stride + panel * s->wide, stride, ahead, pace);
    }
  }
}

static void product_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *s = context;
  const int64_t parts = lm_ceil_div(s->blocks, BLOCKS_CHUNK), part = chunk % parts;
  const int64_t q0 = chunk / parts * FREQUENCIES_CHUNK, lanes = s->f->lanes;
  const int64_t c0 = part * BLOCKS_CHUNK * lanes,
                c1 = lm_min64(round_up(s->c, s->f->grad_rows), c0 + BLOCKS_CHUNK * lanes);
  /* What one part reads of a frequency lies together; of several, W is the most of it. */
  const float *first = parts == 1 ? s->v : s->w;
  const int64_t far = s->v + s->step - first;
  for (int64_t q = q0; q < q0 + FREQUENCIES_CHUNK; q++)
    multiply(s, q, c0, c1, first + (q + 1) * s->step, far);
}

static void inverse_chunk(void *context, int64_t c, int worker) {
  (void)worker;
  const work *s = context;
  const int64_t lanes = s->f->lanes;
  float taps[9 * LM_WINOGRAD_MAXLANES];
  for (int64_t k = 0; k < s->k; k += lanes) {
    const int64_t have = lm_min64(lanes, s->k - k);
    s->f->grad_weight(s->s + c * s->panels * s->wide + k, s->s_step, taps);
    for (int64_t tap = 0; tap < 9; tap++)
      memcpy(s->dw + (tap * s->c + c) * s->k + k, taps + tap * lanes, (size_t)have * sizeof(float));
  }
}

bool lm_winograd_grad(const lm_winograd *g, const float *x, const float *dy, void *scratch,
                      float *dw) {
  work s = setup(g, scratch);
  s.x = (lm_winograd_source){x, g->h, g->w, g->c, 6, s.f->lanes, s.f->input[0]};
  s.dy = (lm_winograd_source){dy, g->oh, g->ow, g->k, 4, s.f->lanes, s.f->grad_output};
  s.dw = dw;
  if (s.tiles == 0) memset(dw, 0, (size_t)(9 * g->c * g->k) * sizeof(float));
  for (s.at = 0; s.at < s.tiles; s.at += s.round) {
    s.count = lm_min64(s.round, s.tiles - s.at);
    if (!lm_parallel(lm_ceil_div(s.count, TILE_CHUNK), transform_chunk, &s) ||
        !lm_parallel(FREQUENCIES / FREQUENCIES_CHUNK * lm_ceil_div(s.blocks, BLOCKS_CHUNK),
                     product_chunk, &s))
      return false;
  }
  return s.tiles == 0 || lm_parallel(g->c, inverse_chunk, &s);
}
