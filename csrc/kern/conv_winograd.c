/* conv_winograd.c: Winograd convolution run block by block, so that what is
 * between its three steps stays in the second-level cache.
 *
 * The output is cut into m x m tiles, each made from an n x n input tile
 * (n = m + 2).  Per tile the input transform gives n*n "frequencies" of C
 * channels, V; per frequency V times the transformed weights U gives K
 * channels, M; the output transform turns M into the tile (arithmetic:
 * simd/winograd_tiles.h).  Done pass by pass over the whole image, V and M would go through
 * memory; instead
 *
 *   wide layers (many tiles): a chunk is some tens of tiles.  It transforms
 *     them (V stays in L2), then for one panel of output channels after the
 *     other: for every frequency the products, then the output transform of
 *     that panel.  M is a panel wide and never leaves L2; U is read as one
 *     sequential stream, fetched ahead while the part before it is in use.
 *   deep layers (many channels, heavy weights): reading all of U once per
 *     tens of tiles would be bound by memory.  Here the threads share V and M of up
 *     to DEEP_GROUPS * 6 tiles and go frequency by frequency, so that each
 *     frequency's V stays in L2 and U is read once.
 *
 * NHWC is left as it is: a vector is 16 neighbouring channels of one pixel.
 * Tiles that hang over an edge, and channels that do not fill a vector, are
 * copied to a small patch with zeros first.
 *
 *   V  [frequency][tile group][channel block][6 tiles][lanes]
 *   U  [panel][frequency][channel][panel's lanes]
 *   M  [frequency][tile][panel's lanes], deep: [frequency][panel][tile][panel's lanes]
 */
#include "kern/conv_winograd.h"

#include <math.h>
#include <string.h>

#include "core/cpu.h"
#include "core/pool.h"
#include "kern/winograd_gather.h"

enum {
  ROWS = LM_WINOGRAD_ROWS,
  WIDE_GROUPS = 4,        /* groups of ROWS tiles a chunk of a wide layer: V and M fit L2 */
  DEEP_WEIGHTS = 3 << 20, /* floats of U beyond which a layer is deep: 12 MiB */
  DEEP_GROUPS = 48,       /* groups in hand at once */
  DEEP_BLOCKS = 8,        /* channel blocks an input chunk */
  DEEP_SHARES = 8,        /* product chunks a thread, at least */
  DEEP_OUTPUTS = 42,      /* tiles an output chunk */
  FEW_CHUNKS = 4,         /* a wide layer with fewer chunks than this goes the deep way */
  PATCH = 8 * 8 * LM_WINOGRAD_MAXLANES
};

const lm_winograd_kernels *lm_winograd_kernels_here(void) {
#if defined(__x86_64__)
  if (lm_cpu_isa() == LM_ISA_AVX512) return &lm_winograd_avx512;
  if (lm_cpu_isa() == LM_ISA_AVX2) return &lm_winograd_avx2;
#endif
  return &lm_winograd_plain;
}

static int64_t round_up(int64_t n, int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

/* Distance between frequencies: whole cache lines, and not a multiple of 4 KiB
 * (else all frequencies of a tile compete for the same cache sets). */
static int64_t spread(int64_t floats) {
  const int64_t n = round_up(floats, 16);
  return n % 1024 == 0 ? n + 80 : n;
}

/* ---- the plan of one call ---- */

typedef struct { /* tiles first .. first+count-1 */
  int64_t first, count;
} span;

typedef struct {
  lm_winograd g;
  const lm_winograd_kernels *f;
  const float *x, *u, *b;
  float *y, *scratch;
  int64_t freqs;               /* n * n */
  int64_t across, down, tiles; /* tiles of an image; of the batch */
  int64_t blocks, panels;      /* of input channels; of output channels */
  int64_t groups, chunks;      /* of ROWS tiles; wide: of the groups */
  int64_t v_step, m_step;      /* floats from one frequency to the next */
  int64_t v_floats, m_floats;
  bool deep;
  int64_t panel_step; /* deep: floats of m from one panel to the next */
  int64_t parts;      /* deep: that the panels of a frequency are cut into */
  span at;            /* deep: the tiles in hand */
} work;

/* The tiles of part i of `parts`; whole groups but for the very last tiles. */
static span part_of(const work *s, int64_t i, int64_t parts) {
  const int64_t first = s->groups * i / parts * ROWS;
  return (span){first, lm_min64(s->tiles, s->groups * (i + 1) / parts * ROWS) - first};
}

/* Floats a full panel; vectors and floats of this one. */
static int64_t panel_floats(const lm_winograd_kernels *f) {
  return f->vectors * f->lanes;
}
static int64_t vectors_of(const lm_winograd_kernels *f, int64_t k, int64_t panel) {
  return lm_min64(f->vectors, lm_ceil_div(k, f->lanes) - panel * f->vectors);
}

static work setup(const lm_winograd *g, void *scratch) {
  work s = {.g = *g, .f = lm_winograd_kernels_here(), .scratch = scratch};
  s.freqs = (g->m + 2) * (g->m + 2);
  s.down = lm_ceil_div(g->oh, g->m);
  s.across = lm_ceil_div(g->ow, g->m);
  s.tiles = g->n * s.down * s.across;
  s.blocks = lm_ceil_div(g->c, s.f->lanes);
  s.panels = lm_ceil_div(g->k, panel_floats(s.f));
  s.groups = lm_ceil_div(s.tiles, ROWS);
  s.chunks = lm_ceil_div(s.groups, WIDE_GROUPS);
  s.deep = s.freqs * g->c * g->k > DEEP_WEIGHTS || s.chunks < FEW_CHUNKS;
  /* An equal share each.  Tiles are independent: the cut does not show in the result. */
  s.chunks = lm_min64(s.groups, round_up(s.chunks, lm_pool_threads()));
  const int64_t places = ROWS * lm_min64(s.groups, s.deep ? DEEP_GROUPS : WIDE_GROUPS);
  const int64_t depth = s.blocks * s.f->lanes;
  s.panel_step = places * panel_floats(s.f);
  /* One part, so that V is read once, unless that leaves the threads too few chunks to share. */
  s.parts = lm_min64(s.panels, lm_ceil_div(DEEP_SHARES * lm_pool_threads(), s.freqs));
  s.v_step = spread(places * depth);
  s.m_step = spread(s.panel_step * (s.deep ? s.panels : 1));
  s.v_floats = round_up(s.freqs * s.v_step, 16);
  s.m_floats = round_up(s.freqs * s.m_step, 16);
  return s;
}

static int64_t scratch_floats(const work *s) {
  const int64_t each = s->v_floats + s->m_floats;
  return s->deep ? each : lm_pool_threads() * each;
}

int64_t lm_winograd_scratch(const lm_winograd *g) {
  const work s = setup(g, NULL);
  int64_t floats = scratch_floats(&s);
  if (!s.deep) { /* smaller batches may take the deep way: enough for the largest of them */
    lm_winograd few = *g;
    few.n = lm_min64(g->n, (FEW_CHUNKS - 1) * WIDE_GROUPS * ROWS / (s.down * s.across));
    const work t = setup(&few, NULL);
    floats = lm_max64(floats, scratch_floats(&t));
  }
  return floats * (int64_t)sizeof(float);
}

/* ---- weights ---- */

int64_t lm_winograd_weight_floats(int m, int64_t c, int64_t k) {
  const lm_winograd_kernels *f = lm_winograd_kernels_here();
  return round_up(k, f->lanes) * round_up(c, f->lanes) * (m + 2) * (m + 2);
}

typedef struct {
  const lm_winograd_kernels *f;
  int m;
  int64_t c, k;
  const float *w;
  float *u;
} weight_work;

static void weight_chunk(void *context, int64_t panel, int worker) {
  (void)worker;
  const weight_work *s = context;
  const int64_t lanes = s->f->lanes, vectors = vectors_of(s->f, s->k, panel);
  const int64_t freqs = (s->m + 2) * (s->m + 2), padded = round_up(s->c, lanes);
  const int64_t wide = vectors * lanes, step = padded * wide; /* from one frequency to the next */
  float *u = s->u + panel * panel_floats(s->f) * freqs * padded;
  float taps[9 * LM_WINOGRAD_MAXLANES];
  for (int64_t c = 0; c < padded; c++)
    for (int64_t j = 0; j < vectors; j++, u += lanes) {
      const int64_t k0 = panel * panel_floats(s->f) + j * lanes, have = lm_min64(lanes, s->k - k0);
      if (c < s->c && have == lanes) { /* the common case: straight from w */
        s->f->weight[s->m / 2 - 2](s->w + c * s->k + k0, s->c * s->k, u, step);
        continue;
      }
      for (int64_t t = 0; t < 9; t++)
        for (int64_t k = 0; k < lanes; k++)
          taps[t * lanes + k] = c < s->c && k < have ? s->w[(t * s->c + c) * s->k + k0 + k] : 0;
      s->f->weight[s->m / 2 - 2](taps, lanes, u, step);
    }
}

bool lm_winograd_weights(int m, int64_t c, int64_t k, const float *w, float *u) {
  weight_work s = {.f = lm_winograd_kernels_here(), .m = m, .c = c, .k = k, .w = w, .u = u};
  return lm_parallel(lm_ceil_div(k, panel_floats(s.f)), weight_chunk, &s);
}

typedef struct {
  int64_t c, k;
  const float *w;
  float *wt;
} turn_work;

static void turn_chunk(void *context, int64_t tap, int worker) {
  (void)worker;
  enum { TILE = 16 };
  const turn_work *s = context;
  const float *from = s->w + (8 - tap) * s->c * s->k;
  float *to = s->wt + tap * s->c * s->k;
  for (int64_t c0 = 0; c0 < s->c; c0 += TILE)
    for (int64_t k0 = 0; k0 < s->k; k0 += TILE)
      for (int64_t k = k0; k < lm_min64(s->k, k0 + TILE); k++)
        for (int64_t c = c0; c < lm_min64(s->c, c0 + TILE); c++)
          to[k * s->c + c] = from[c * s->k + k];
}

bool lm_winograd_turn(int64_t c, int64_t k, const float *w, float *wt) {
  turn_work s = {c, k, w, wt};
  return lm_parallel(9, turn_chunk, &s);
}

/* ---- the three steps, for tiles first .. first+count-1 ---- */

typedef struct {
  int64_t image, y, x; /* of the tile's first output */
} corner;
static corner corner_of(const work *s, int64_t tile) {
  const int64_t area = s->across * s->down, r = tile % area;
  return (corner){tile / area, r / s->across * s->g.m, r % s->across * s->g.m};
}

/* Copies `have` channels of the tile at (y, x), which may hang over the image's
 * edge, to a patch of n x n pixels of `lanes` channels. */
static void fill_patch(const lm_winograd_source *s, int64_t image, int64_t y, int64_t x,
                       int64_t channel, int64_t have, float *patch) {
  const int64_t n = s->n;
  memset(patch, 0, (size_t)(n * n * s->lanes) * sizeof(float));
  const int64_t x0 = lm_max64(0, -x), x1 = lm_min64(n, s->w - x);
  for (int64_t i = lm_max64(0, -y); i < lm_min64(n, s->h - y); i++) {
    const float *row = s->x + (image * s->h + y + i) * s->w * s->c + channel;
    for (int64_t j = x0; j < x1; j++)
      memcpy(patch + (i * n + j) * s->lanes, row + (x + j) * s->c, (size_t)have * sizeof(float));
  }
}

void lm_winograd_gather(const lm_winograd_source *s, int64_t image, int64_t y, int64_t x,
                        int64_t b0, int64_t b1, float *v, int64_t bs, int64_t fs) {
  const int64_t full = lm_min64(b1, s->c / s->lanes); /* blocks whose channels all exist */
  int64_t b = b0;
  if (y >= 0 && x >= 0 && y + s->n <= s->h && x + s->n <= s->w && b < full) {
    s->transform(s->x + ((image * s->h + y) * s->w + x) * s->c + b * s->lanes, s->w * s->c, s->c,
                 full - b, v, bs, fs);
    b = full;
  }
  for (; b < b1; b++) {
    float patch[PATCH];
    const int64_t have = lm_max64(0, lm_min64(s->lanes, s->c - b * s->lanes));
    fill_patch(s, image, y, x, b * s->lanes, have, patch);
    s->transform(patch, s->n * s->lanes, s->lanes, 1, v + (b - b0) * bs, bs, fs);
  }
}

/* Channel blocks b0 .. b1-1 of the tiles, into v. */
static void transform_input(const work *s, int64_t first, int64_t count, int64_t b0, int64_t b1,
                            float *v) {
  const lm_winograd_source source = {
      s->x, s->g.h, s->g.w, s->g.c, s->g.m + 2, s->f->lanes, s->f->input[s->g.m / 2 - 2]};
  const int64_t block_step = ROWS * s->f->lanes;
  for (int64_t t = 0; t < count; t++) {
    const corner at = corner_of(s, first + t);
    lm_winograd_gather(&source, at.image, at.y - s->g.top, at.x - s->g.left, b0, b1,
                       v + (t / ROWS * s->blocks + b0) * block_step + t % ROWS * s->f->lanes,
                       block_step, s->v_step);
  }
}

static const float *weights_of(const work *s, int64_t panel, int64_t freq) {
  const int64_t wide = vectors_of(s->f, s->g.k, panel) * s->f->lanes;
  return s->u + (panel * panel_floats(s->f) * s->freqs + freq * wide) * s->blocks * s->f->lanes;
}

/* The products of one frequency and one panel, into m.  The weights wanted
 * next are fetched meanwhile, an equal part with every group of tiles. */
static void multiply(const work *s, int64_t count, int64_t panel, int64_t freq, const float *v,
                     const float *next, float *m) {
  const int64_t depth = s->blocks * s->f->lanes, vectors = vectors_of(s->f, s->g.k, panel),
                wide = vectors * s->f->lanes;
  const int64_t pace = lm_min64(LM_WINOGRAD_LINE, lm_ceil_div(wide, lm_ceil_div(count, ROWS)));
  const float *u = weights_of(s, panel, freq);
  for (int64_t t = 0; t < count; t += ROWS, next += pace * depth)
    s->f->product[lm_min64(ROWS, count - t)][vectors](s->blocks, v + t * depth, u, m + t * wide,
                                                      next, pace);
}

/* The outputs of one panel, tile by tile: a pixel's channels lie together. */
static void transform_output(const work *s, int64_t first, int64_t count, int64_t panel,
                             const float *m) {
  const int64_t lanes = s->f->lanes, vectors = vectors_of(s->f, s->g.k, panel),
                shrink = s->g.pool ? 2 : 1, side = s->g.m / shrink;
  const int64_t oh = s->g.oh / shrink, ow = s->g.ow / shrink, k = s->g.k;
  const int64_t channel = panel * panel_floats(s->f), have = lm_min64(vectors * lanes, k - channel);
  const float floor = s->g.relu ? 0 : -INFINITY;
  lm_winograd_output *transform = (s->g.pool ? s->f->output_pool : s->f->output)[s->g.m / 2 - 2];
  float bias[LM_WINOGRAD_MAXVECTORS * LM_WINOGRAD_MAXLANES] = {0}, patch[PATCH];
  if (s->b != NULL) memcpy(bias, s->b + channel, (size_t)have * sizeof(float));
  for (int64_t t = 0; t < count; t++) {
    const corner at = corner_of(s, first + t);
    const int rows = (int)lm_min64(s->g.m, s->g.oh - at.y),
              cols = (int)lm_min64(s->g.m, s->g.ow - at.x);
    float *to = s->y + ((at.image * oh + at.y / shrink) * ow + at.x / shrink) * k + channel;
    for (int64_t i = 0; i < rows && !s->g.pool; i++) /* what the next tile will write */
      for (int64_t j = 0; j < cols; j++)
        for (int64_t c = 0; c < have; c += LM_WINOGRAD_LINE)
          __builtin_prefetch(to + (i * ow + s->g.m + j) * k + c, 1);
    for (int64_t c = 0; c < have; c += lanes) {
      const float *from = m + t * vectors * lanes + c;
      if (have - c >= lanes) {
        transform(from, s->m_step, bias + c, floor, to + c, ow * k, k, rows, cols);
        continue;
      }
      /* the last channels: through a patch */
      transform(from, s->m_step, bias + c, floor, patch, side * lanes, lanes, rows, cols);
      for (int64_t i = 0; i < rows / shrink; i++)
        for (int64_t j = 0; j < cols / shrink; j++)
          memcpy(to + (i * ow + j) * k + c, patch + (i * side + j) * lanes,
                 (size_t)(have - c) * sizeof(float));
    }
  }
}

/* ---- the two ways of cutting the work ---- */

static void wide_chunk(void *context, int64_t chunk, int worker) {
  const work *s = context;
  const span at = part_of(s, chunk, s->chunks);
  float *v = s->scratch + worker * (s->v_floats + s->m_floats), *m = v + s->v_floats;
  transform_input(s, at.first, at.count, 0, s->blocks, v);
  for (int64_t panel = 0; panel < s->panels; panel++) {
    for (int64_t q = 0; q < s->freqs; q++)
      multiply(s, at.count, panel, q, v + q * s->v_step, weights_of(s, panel, q + 1),
               m + q * s->m_step);
    transform_output(s, at.first, at.count, panel, m);
  }
}

/* Deep: three passes over the tiles in hand, cut into small chunks. */

static void deep_input_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *s = context;
  const int64_t parts = lm_ceil_div(s->blocks, DEEP_BLOCKS), part = chunk % parts;
  const int64_t t = chunk / parts * ROWS, b = part * DEEP_BLOCKS;
  transform_input(s, s->at.first + t, lm_min64(ROWS, s->at.count - t), b,
                  lm_min64(s->blocks, b + DEEP_BLOCKS), s->scratch + t * s->blocks * s->f->lanes);
}

static void deep_product_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *s = context;
  const int64_t q = chunk / s->parts, part = chunk % s->parts;
  const float *v = s->scratch + q * s->v_step;
  float *m = s->scratch + s->v_floats + q * s->m_step;
  const int64_t p0 = s->panels * part / s->parts, p1 = s->panels * (part + 1) / s->parts;
  for (int64_t panel = p0; panel < p1; panel++)
    multiply(s, s->at.count, panel, q, v,
             panel + 1 < p1 ? weights_of(s, panel + 1, q) : weights_of(s, p0, q + 1),
             m + panel * s->panel_step);
}

static void deep_output_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *s = context;
  const int64_t panel = chunk % s->panels, t = chunk / s->panels * DEEP_OUTPUTS;
  const int64_t wide = vectors_of(s->f, s->g.k, panel) * s->f->lanes;
  transform_output(s, s->at.first + t, lm_min64(DEEP_OUTPUTS, s->at.count - t), panel,
                   s->scratch + s->v_floats + panel * s->panel_step + t * wide);
}

bool lm_winograd_run(const lm_winograd *g, const float *x, const float *u, const float *b,
                     void *scratch, float *y) {
  work s = setup(g, scratch);
  s.x = x;
  s.u = u;
  s.b = b;
  s.y = y;
  if (!s.deep) return lm_parallel(s.chunks, wide_chunk, &s);
  const int64_t rounds = lm_ceil_div(s.groups, DEEP_GROUPS);
  for (int64_t r = 0; r < rounds; r++) {
    s.at = part_of(&s, r, rounds);
    if (!lm_parallel(lm_ceil_div(s.at.count, ROWS) * lm_ceil_div(s.blocks, DEEP_BLOCKS),
                     deep_input_chunk, &s) ||
        !lm_parallel(s.freqs * s.parts, deep_product_chunk, &s) ||
        !lm_parallel(s.panels * lm_ceil_div(s.at.count, DEEP_OUTPUTS), deep_output_chunk, &s))
      return false;
  }
  return true;
}
