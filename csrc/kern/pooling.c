/* pooling.c: the inner loops run over channels, which are contiguous, so the
 * compiler vectorises them.  Forward is cut into bands of output rows.
 * Backward scatters, and windows may overlap, so it is cut into (image, block
 * of channels): chunks never meet.  Windows of 2x2 with stride 2 (VGG) do not
 * overlap and have loops of their own that touch each value once. */
#include "kern/pooling.h"

#include <string.h>

#include "core/pool.h"
#include "core/wide.h"

enum {
  BLOCK = 64,            /* channels a backward chunk handles */
  CHUNK_FLOATS = 1 << 16 /* values read by a forward chunk, about */
};

bool lm_pool2d_plan(const lm_shape *x, lm_pool2d *p, lm_err *e) {
  char text[LM_SHAPE_TEXT];
  lm_window *k = &p->window;
  if (x->rank != 4)
    return lm_fail_arg(e, 1, LM_E_SHAPE, "rank 4 (n, h, w, c) expected, got %s",
                       lm_shape_text(x, text));
  p->n = x->size[0], p->h = x->size[1], p->w = x->size[2], p->c = x->size[3];
  if (!k->same && (k->pad[0] >= k->kernel[0] || k->pad[2] >= k->kernel[0] ||
                   k->pad[1] >= k->kernel[1] || k->pad[3] >= k->kernel[1]))
    return lm_fail_arg(e, 2, LM_E_ARGUMENT, "pad must be smaller than the %lldx%lld kernel",
                       (long long)k->kernel[0], (long long)k->kernel[1]);
  p->oh = lm_window_out(k, 0, p->h);
  p->ow = lm_window_out(k, 1, p->w);
  if (p->oh == 0 || p->ow == 0 || p->h == 0 || p->w == 0)
    return lm_fail_arg(
        e, 1, LM_E_SHAPE, "the %lldx%lld window does not fit the input %s padded to %lldx%lld",
        (long long)k->kernel[0], (long long)k->kernel[1], lm_shape_text(x, text),
        (long long)(p->h + k->pad[0] + k->pad[2]), (long long)(p->w + k->pad[1] + k->pad[3]));
  return true;
}

typedef struct {
  int64_t top, bottom, left, right; /* real pixels: [top, bottom) x [left, right) */
} span;

static span span_at(const lm_pool2d *p, int64_t oh, int64_t ow) {
  const int64_t y0 = oh * p->window.stride[0] - p->window.pad[0],
                x0 = ow * p->window.stride[1] - p->window.pad[1];
  return (span){.top = lm_max64(0, y0),
                .bottom = lm_min64(p->h, y0 + p->window.kernel[0]),
                .left = lm_max64(0, x0),
                .right = lm_min64(p->w, x0 + p->window.kernel[1])};
}

static float span_scale(const lm_pool2d *p, const span *k) {
  return 1.0f / (float)(p->count_pad ? p->window.kernel[0] * p->window.kernel[1]
                                     : (k->bottom - k->top) * (k->right - k->left));
}

static bool is_2x2(const lm_pool2d *p) {
  return p->window.kernel[0] == 2 && p->window.kernel[1] == 2 && p->window.stride[0] == 2 &&
         p->window.stride[1] == 2 && p->window.pad[0] == 0 && p->window.pad[1] == 0 &&
         p->h >= 2 * p->oh && p->w >= 2 * p->ow;
}

typedef struct {
  const lm_pool2d *p;
  const float *x, *y, *dy; /* x (n, h, w, c); y, dy (n, oh, ow, c) */
  float *out;
  int64_t rows; /* output rows (over all images) a forward chunk handles */
} work;

/* ---- forward: bands of output rows ---- */

/* The larger of two, NaN when either is: NaN must not be lost on the way. */
static inline float larger(float a, float b) {
  return ((b > a) | (b != b)) ? b : a;
}

/* Whether v is what the window's maximum m came from. */
static inline bool is_max(float v, float m) {
  return (v == m) | ((v != v) & (m != m));
}

static void max_row_2x2(const float *restrict top, const float *restrict bottom, int64_t ow,
                        int64_t c, float *restrict y) {
  for (int64_t o = 0; o < ow; o++, top += 2 * c, bottom += 2 * c, y += c)
    for (int64_t i = 0; i < c; i++) {
      const float a = larger(top[i], top[i + c]), b = larger(bottom[i], bottom[i + c]);
      y[i] = larger(a, b);
    }
}

static void max_fwd_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const lm_pool2d *p = w->p;
  const int64_t c = p->c, end = lm_min64(p->n * p->oh, (chunk + 1) * w->rows);
  const bool quick = is_2x2(p);
  for (int64_t row = chunk * w->rows; row < end; row++) {
    const float *image = w->x + row / p->oh * p->h * p->w * c;
    const int64_t oh = row % p->oh;
    float *y = w->out + row * p->ow * c;
    if (quick) {
      const float *top = image + 2 * oh * p->w * c;
      max_row_2x2(top, top + p->w * c, p->ow, c, y);
      continue;
    }
    for (int64_t ow = 0; ow < p->ow; ow++, y += c) {
      const span k = span_at(p, oh, ow);
      memcpy(y, image + (k.top * p->w + k.left) * c, (size_t)c * sizeof *y);
      for (int64_t r = k.top; r < k.bottom; r++)
        for (int64_t s = k.left; s < k.right; s++) {
          const float *v = image + (r * p->w + s) * c;
          LM_IVDEP
          for (int64_t i = 0; i < c; i++) y[i] = larger(y[i], v[i]);
        }
    }
  }
}

static void avg_fwd_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const lm_pool2d *p = w->p;
  const int64_t c = p->c, end = lm_min64(p->n * p->oh, (chunk + 1) * w->rows);
  for (int64_t row = chunk * w->rows; row < end; row++) {
    const float *image = w->x + row / p->oh * p->h * p->w * c;
    float *y = w->out + row * p->ow * c;
    for (int64_t ow = 0; ow < p->ow; ow++, y += c) {
      const span k = span_at(p, row % p->oh, ow);
      const float scale = span_scale(p, &k);
      memset(y, 0, (size_t)c * sizeof *y);
      for (int64_t r = k.top; r < k.bottom; r++)
        for (int64_t s = k.left; s < k.right; s++) {
          const float *v = image + (r * p->w + s) * c;
          LM_IVDEP
          for (int64_t i = 0; i < c; i++) y[i] += v[i];
        }
      for (int64_t i = 0; i < c; i++) y[i] *= scale;
    }
  }
}

static bool run_fwd(lm_chunk_fn fn, const lm_pool2d *p, const float *x, float *y) {
  const int64_t row = lm_max64(
      1, lm_min64(p->window.kernel[0], p->h) * p->w * p->c); /* values read for one output row */
  work w = {.p = p, .x = x, .out = y, .rows = lm_max64(1, CHUNK_FLOATS / row)};
  if (p->c == 0) return true;
  return lm_parallel(lm_ceil_div(p->n * p->oh, w.rows), fn, &w);
}

bool lm_max_pool2d_fwd(const lm_pool2d *p, const float *x, float *y) {
  return run_fwd(max_fwd_chunk, p, x, y);
}
bool lm_avg_pool2d_fwd(const lm_pool2d *p, const float *x, float *y) {
  return run_fwd(avg_fwd_chunk, p, x, y);
}

/* ---- backward, windows that do not overlap: bands of output rows ---- */

/* One pair of input rows.  Of equal values the first in row order takes dy. */
static void max_bwd_row_2x2(const float *restrict dy, const float *restrict y,
                            const float *restrict top, const float *restrict bottom, int64_t ow,
                            int64_t c, float *restrict dtop, float *restrict dbottom) {
  for (int64_t o = 0; o < ow; o++) {
    for (int64_t i = 0; i < c; i++) {
      const float g = dy[i], m = y[i];
      const float ta = top[i], tb = top[i + c], ba = bottom[i], bb = bottom[i + c];
      float left = g; /* what no earlier pixel of the window has taken */
      dtop[i] = is_max(ta, m) ? left : 0.0f;
      left = is_max(ta, m) ? 0.0f : left;
      dtop[i + c] = is_max(tb, m) ? left : 0.0f;
      left = is_max(tb, m) ? 0.0f : left;
      dbottom[i] = is_max(ba, m) ? left : 0.0f;
      left = is_max(ba, m) ? 0.0f : left;
      dbottom[i + c] = is_max(bb, m) ? left : 0.0f;
    }
    dy += c, y += c, top += 2 * c, bottom += 2 * c, dtop += 2 * c, dbottom += 2 * c;
  }
}

static void max_bwd_2x2_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const lm_pool2d *p = w->p;
  const int64_t c = p->c, line = p->w * c, end = lm_min64(p->n * p->oh, (chunk + 1) * w->rows);
  for (int64_t row = chunk * w->rows; row < end; row++) {
    const int64_t oh = row % p->oh, at = (row / p->oh * p->h + 2 * oh) * line;
    const int64_t used = 2 * p->ow * c, last = oh == p->oh - 1 ? p->h - 2 * oh : 2;
    float *dx = w->out + at;
    max_bwd_row_2x2(w->dy + row * p->ow * c, w->y + row * p->ow * c, w->x + at, w->x + at + line,
                    p->ow, c, dx, dx + line);
    for (int64_t r = 0; r < last; r++) { /* an odd column or row belongs to no window */
      const int64_t from = r < 2 ? used : 0;
      memset(dx + r * line + from, 0, (size_t)(line - from) * sizeof *dx);
    }
  }
}

/* ---- backward, any windows: (image, block of channels) ---- */

static void max_bwd_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const lm_pool2d *p = w->p;
  const int64_t c = p->c, blocks = lm_ceil_div(c, BLOCK), n = chunk / blocks;
  const int64_t first = chunk % blocks * BLOCK, len = lm_min64(BLOCK, c - first);
  const float *x = w->x + n * p->h * p->w * c + first;
  float *dx = w->out + n * p->h * p->w * c + first;
  for (int64_t i = 0; i < p->h * p->w; i++) memset(dx + i * c, 0, (size_t)len * sizeof *dx);
  for (int64_t oh = 0; oh < p->oh; oh++)
    for (int64_t ow = 0; ow < p->ow; ow++) {
      const span k = span_at(p, oh, ow);
      const int64_t o = ((n * p->oh + oh) * p->ow + ow) * c + first;
      const float *m = w->y + o, *dy = w->dy + o;
      float left[BLOCK]; /* dy, or 0 once a pixel of the window has taken it */
      memcpy(left, dy, (size_t)len * sizeof *left);
      for (int64_t r = k.top; r < k.bottom; r++)
        for (int64_t s = k.left; s < k.right; s++) {
          const float *restrict v = x + (r * p->w + s) * c;
          float *restrict d = dx + (r * p->w + s) * c;
          for (int64_t i = 0; i < len; i++) {
            const bool hit = is_max(v[i], m[i]);
            const float g = left[i];
            d[i] += hit ? g : 0.0f;
            left[i] = hit ? 0.0f : g;
          }
        }
    }
}

static void avg_bwd_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const lm_pool2d *p = w->p;
  const int64_t c = p->c, blocks = lm_ceil_div(c, BLOCK), n = chunk / blocks;
  const int64_t first = chunk % blocks * BLOCK, len = lm_min64(BLOCK, c - first);
  float *dx = w->out + n * p->h * p->w * c + first;
  for (int64_t i = 0; i < p->h * p->w; i++) memset(dx + i * c, 0, (size_t)len * sizeof *dx);
  for (int64_t oh = 0; oh < p->oh; oh++)
    for (int64_t ow = 0; ow < p->ow; ow++) {
      const span k = span_at(p, oh, ow);
      const float scale = span_scale(p, &k);
      const float *dy = w->dy + ((n * p->oh + oh) * p->ow + ow) * c + first;
      for (int64_t r = k.top; r < k.bottom; r++)
        for (int64_t s = k.left; s < k.right; s++) {
          float *d = dx + (r * p->w + s) * c;
          LM_IVDEP
          for (int64_t i = 0; i < len; i++) d[i] += dy[i] * scale;
        }
    }
}

bool lm_max_pool2d_bwd(const lm_pool2d *p, const float *dy, const float *x, const float *y,
                       float *dx) {
  work w = {.p = p, .x = x, .y = y, .dy = dy, .out = dx};
  if (p->c == 0) return true;
  if (!is_2x2(p)) return lm_parallel(p->n * lm_ceil_div(p->c, BLOCK), max_bwd_chunk, &w);
  w.rows = lm_max64(1, CHUNK_FLOATS / (4 * p->w * p->c));
  return lm_parallel(lm_ceil_div(p->n * p->oh, w.rows), max_bwd_2x2_chunk, &w);
}

bool lm_avg_pool2d_bwd(const lm_pool2d *p, const float *dy, float *dx) {
  work w = {.p = p, .dy = dy, .out = dx};
  return lm_parallel(p->n * lm_ceil_div(p->c, BLOCK), avg_bwd_chunk, &w);
}

/* ---- global average ---- */

typedef struct {
  int64_t n, hw, c;
  const float *in;
  float *out;
} global_work;

static void global_fwd_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const global_work *g = context;
  const int64_t blocks = lm_ceil_div(g->c, BLOCK), n = chunk / blocks;
  const int64_t first = chunk % blocks * BLOCK, len = lm_min64(BLOCK, g->c - first);
  double sum[BLOCK] = {0};
  const float *x = g->in + n * g->hw * g->c + first;
  for (int64_t r = 0; r < g->hw; r++, x += g->c)
    for (int64_t i = 0; i < len; i++) sum[i] += (double)x[i];
  for (int64_t i = 0; i < len; i++)
    g->out[n * g->c + first + i] = g->hw > 0 ? (float)(sum[i] / (double)g->hw) : 0.0f;
}

static void global_bwd_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const global_work *g = context;
  const float *dy = g->in + chunk * g->c, scale = 1.0f / (float)g->hw;
  float *dx = g->out + chunk * g->hw * g->c;
  for (int64_t r = 0; r < g->hw; r++, dx += g->c)
    for (int64_t i = 0; i < g->c; i++) dx[i] = dy[i] * scale;
}

bool lm_global_avg_pool_fwd(int64_t n, int64_t hw, int64_t c, const float *x, float *y) {
  global_work g = {.n = n, .hw = hw, .c = c, .in = x, .out = y};
  return lm_parallel(n * lm_ceil_div(c, BLOCK), global_fwd_chunk, &g);
}

bool lm_global_avg_pool_bwd(int64_t n, int64_t hw, int64_t c, const float *dy, float *dx) {
  global_work g = {.n = n, .hw = hw, .c = c, .in = dy, .out = dx};
  return lm_parallel(hw > 0 ? n : 0, global_bwd_chunk, &g);
}
