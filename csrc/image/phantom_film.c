/* phantom_film.c: the second step of a phantom, from canvas to pixels: each
 * pixel looks the canvas up through a small rotation, shift and zoom, and gets a
 * gradient of light, the tone curve, grain, the letter of the side and the bars. */
#include <math.h>

#include "core/wide.h"
#include "image/phantom_canvas.h"

typedef struct {
  float m[6]; /* pixel (row, column) -> canvas (x, y) */
  float gain, lift, gamma, grain, slope_x, slope_y;
  uint32_t key;
  float mark_x, mark_y, mark; /* the letter of the side, in pixels; mark = its brightness */
} exposure;

static exposure make_exposure(const lm_phantom *p) {
  lm_rng r = stream(p, POSTURE);
  r.counter = 100;
  const int64_t h = p->size - p->top - p->bottom, w = p->size - p->left - p->right;
  const float side = (float)lm_min64(h, w), zoom = around(&r, 1.0f, 0.025f) * 2.02f / side;
  const float turn = around(&r, 0, 0.022f), c = zoom * cosf(turn), s = zoom * sinf(turn);
  const float row = (float)p->top + 0.5f * (float)h - 0.5f,
              col = (float)p->left + 0.5f * (float)w - 0.5f;
  const float dx = around(&r, 0, 0.025f), dy = around(&r, -0.03f, 0.03f);
  exposure x = {0};
  x.m[0] = s;
  x.m[1] = c;
  x.m[2] = dx - s * row - c * col;
  x.m[3] = c;
  x.m[4] = -s;
  x.m[5] = dy - c * row + s * col;
  x.gamma = around(&r, 1.12f, 0.12f);
  x.gain = around(&r, 1.02f, 0.05f);
  x.lift = around(&r, 0.045f, 0.02f);
  x.grain = between(&r, 0.006f, 0.017f);
  x.slope_x = around(&r, 0, 0.025f);
  x.slope_y = around(&r, 0, 0.03f);
  x.key = (uint32_t)lm_rng_next(&r);
  x.mark = lm_rng_uniform(&r) < 0.6 ? 0.95f : 0;
  x.mark_x = (float)(p->left + w) - side * between(&r, 0.07f, 0.13f);
  x.mark_y = (float)p->top + side * between(&r, 0.04f, 0.12f);
  return x;
}

enum { TONES = 4096, LINE = 4096 };

/* v within lo..hi; a macro, so that every clone turns it into min and max. */
#define CLAMP(v, lo, hi) ((v) < (lo) ? (lo) : ((v) > (hi) ? (hi) : (v)))

/* One row of pixels on its way through the exposure. */
typedef struct {
  float fu[LINE], fv[LINE];                         /* place between canvas pixels */
  float q00[LINE], q01[LINE], q10[LINE], q11[LINE]; /* the four around it */
  float tilt[LINE];                                 /* of the light */
  float density[LINE], light[LINE], grain[LINE];
  int32_t at[LINE], tone[LINE];
} line;

/* Arithmetic and table look-ups take turns: loops without look-ups are
 * vectorised, and gather instructions are slower than plain loads. */
static void locate(const exposure *e, int64_t row, int from, int to, line *l) {
  const float x0 = e->m[0] * (float)row + e->m[2], y0 = e->m[3] * (float)row + e->m[5];
  const float dx = e->m[1], dy = e->m[4], slope_x = e->slope_x, slope_y = e->slope_y;
  const float last = SIDE - 1.001f;
  LM_IVDEP
  for (int col = from; col < to; col++) {
    const float x = x0 + dx * (float)col, y = y0 + dy * (float)col;
    float u = (x + SPAN) * (1 / STEP) - 0.5f, v = (y + SPAN) * (1 / STEP) - 0.5f;
    u = CLAMP(u, 0.0f, last);
    v = CLAMP(v, 0.0f, last);
    const int32_t i = (int32_t)u, j = (int32_t)v;
    l->at[col] = j * SIDE + i;
    l->fu[col] = u - (float)i;
    l->fv[col] = v - (float)j;
    l->tilt[col] = 1 + slope_x * x + slope_y * y;
  }
}

static void fetch(const float *canvas, int from, int to, line *l) {
  for (int col = from; col < to; col++) {
    const float *q = canvas + l->at[col];
    l->q00[col] = q[0];
    l->q01[col] = q[1];
    l->q10[col] = q[SIDE];
    l->q11[col] = q[SIDE + 1];
  }
}

static void blend(int from, int to, line *l) {
  for (int col = from; col < to; col++) {
    const float above = l->q00[col] + l->fu[col] * (l->q01[col] - l->q00[col]);
    const float below = l->q10[col] + l->fu[col] * (l->q11[col] - l->q10[col]);
    const float f = (above + l->fv[col] * (below - above)) * l->tilt[col];
    const float t = CLAMP(f, 0.0f, 1.0f);
    l->light[col] = 0.6f + t;
    l->tone[col] = (int32_t)(t * TONES + 0.5f);
  }
}

static void develop(const float *tone, int from, int to, line *l) {
  for (int col = from; col < to; col++) l->density[col] = tone[l->tone[col]];
}

static void add_grain(float spread, int from, int to, line *l) {
  for (int col = from; col < to; col++) l->density[col] += spread * l->light[col] * l->grain[col];
}

/* Grain: the sum of the four bytes of a hash is close enough to a normal. */
static void grain_row(uint32_t key, uint32_t first, int count, float *restrict out) {
  for (int i = 0; i < count; i++) {
    const uint32_t h = mix(key + (first + (uint32_t)i) * 0x9e3779b1u);
    const uint32_t pairs = (h & 0x00ff00ffu) + (h >> 8 & 0x00ff00ffu);
    out[i] = (float)((int32_t)((pairs & 0xffffu) + (pairs >> 16)) - 510) * (1 / 147.8f);
  }
}

static void to_bytes(const float *restrict v, int count, uint8_t *restrict out) {
  for (int i = 0; i < count; i++) out[i] = (uint8_t)(int)(CLAMP(v[i], 0.0f, 255.0f) + 0.5f);
}

/* The letter L, in strokes a unit wide. */
static bool in_mark(const exposure *e, float unit, int64_t row, int64_t col) {
  const float y = ((float)row - e->mark_y) / unit, x = ((float)col - e->mark_x) / unit;
  return (x >= 0 && x < 1.1f && y >= 0 && y < 6) || (x >= 0 && x < 3.6f && y >= 5 && y < 6);
}

void lm_phantom_expose(const lm_phantom *p, const float *canvas, uint8_t *out, void *scratch) {
  float *tone = scratch;
  line *l = (line *)(tone + TONES + 16); /* still 64-byte aligned */
  const exposure e = make_exposure(p);
  for (int i = 0; i <= TONES; i++)
    tone[i] = 255 * (e.lift + e.gain * powf((float)i / TONES, e.gamma));
  const int n = (int)p->size, from = (int)p->left, to = (int)(p->size - p->right);
  const float unit = (float)n / 128;
  for (int64_t row = 0; row < n; row++) {
    grain_row(e.key, (uint32_t)(row * n), n, l->grain);
    const bool bar = row < p->top || row >= n - p->bottom;
    const int first = bar ? n : from, last = bar ? n : to; /* of the anatomy */
    locate(&e, row, first, last, l);
    fetch(canvas, first, last, l);
    blend(first, last, l);
    develop(tone, first, last, l);
    add_grain(255 * e.grain, first, last, l);
    for (int col = 0; col < first; col++) l->density[col] = 1.5f + l->grain[col];
    for (int col = last; col < n; col++) l->density[col] = 1.5f + l->grain[col];
    if (e.mark > 0 && !bar)
      for (int col = first; col < last; col++)
        if (in_mark(&e, unit, row, col)) l->density[col] = 255 * e.mark + l->grain[col];
    to_bytes(l->density, n, out + row * n);
  }
}

int64_t lm_phantom_film_scratch(void) {
  return (TONES + 16) * (int64_t)sizeof(float) + (int64_t)sizeof(line);
}
