/* phantom.c: the first step of a phantom: the anatomy, on a canvas of its own
 * (x and y from -SPAN to SPAN, y down, the chest about -1..1): how much each
 * point weakens the rays, as a sum of soft shapes.  The values are film-like: 0
 * is black (air), 1 white (bone).  phantom_film.c makes the picture. */
#include <math.h>

#include "image/phantom_canvas.h"

/* ---- soft shapes ---- */

static float clamp01(float v) {
  return v < 0 ? 0 : (v > 1 ? 1 : v);
}

/* 0 below -w, 1 above w, smooth between. */
static float soft(float d, float w) {
  const float t = clamp01(0.5f + 0.5f * d / w);
  return t * t * (3 - 2 * t);
}

static float bell(float d) { /* 1 at 0, much like exp(-0.8 d^2), zero from 2.4 on */
  const float q = d * d;
  if (q > 5.8f) return 0;
  const float t = 1 - q * (1 / 5.8f), u = t * t;
  return u * u * t * (1 + 0.18f * q * t);
}

/* Value noise: random numbers on a lattice, smoothly joined; about -1..1. */
static float lattice(uint32_t key, int32_t i, int32_t j) {
  const uint32_t h = mix(key ^ mix((uint32_t)i * 0x9e3779b1u ^ mix((uint32_t)j + 0x85ebca6bu)));
  return (float)(h >> 8) * 0x1p-23f - 1;
}

static float value_noise(uint32_t key, float x, float y) {
  const float fx = floorf(x), fy = floorf(y);
  const int32_t i = (int32_t)fx, j = (int32_t)fy;
  float u = x - fx, v = y - fy;
  u = u * u * (3 - 2 * u);
  v = v * v * (3 - 2 * v);
  const float a = lattice(key, i, j), b = lattice(key, i + 1, j);
  const float c = lattice(key, i, j + 1), d = lattice(key, i + 1, j + 1);
  return a + u * (b - a) + v * (c - a + u * (a - b - c + d));
}

/* The same along one canvas row, into out[SIDE]: the lattice points of a row
 * are few, so they are drawn once. */
static void noise_row(uint32_t key, float fx, float y, float weight, float *out) {
  enum { MOST = 128 };
  float node[MOST];
  const int32_t first = (int32_t)floorf(at(0) * fx), j = (int32_t)floorf(y);
  const int count = (int)floorf(at(SIDE - 1) * fx) - first + 2;
  float v = y - (float)j;
  v = v * v * (3 - 2 * v);
  for (int k = 0; k < count && k < MOST; k++) {
    const float a = lattice(key, first + k, j), c = lattice(key, first + k, j + 1);
    node[k] = weight * (a + v * (c - a));
  }
  for (int i = 0; i < SIDE; i++) {
    const float x = at(i) * fx - (float)first;
    const int k = (int)x;
    float u = x - (float)k;
    u = u * u * (3 - 2 * u);
    out[i] += node[k] + u * (node[k + 1] - node[k]);
  }
}

/* ---- the patient ---- */

typedef struct {
  float width;         /* of the chest */
  float apex, base[2]; /* top of the lungs; dome of the diaphragm, left and right in the image */
  float inner[2];      /* where the lungs begin beside the middle */
  float heart_x, heart_y, heart_w, heart_h, heart_tilt;
  float rib_top, rib_gap, rib_half, rib_drop, rib_weight;
  float fat;    /* soft tissue over everything */
  float breast; /* 0: none */
  float lung;   /* how dark the lungs are */
  float spine;  /* how much the spine shows */
  float knob;   /* of the aorta */
  float clavicle, clavicle_slope;
  float vessels; /* strength of the markings */
  uint32_t key;  /* for textures that belong to the patient */
} build;

static build patient_build(const lm_phantom *p) {
  lm_rng r = stream(p, BUILD), q = stream(p, POSTURE);
  const float breath = around(&q, 0, 0.03f); /* how deep this breath was */
  build b = {0};
  b.width = around(&r, 0.80f, 0.035f);
  b.apex = around(&r, -0.76f, 0.03f);
  b.base[0] = around(&r, 0.47f, 0.04f) + breath; /* the liver's side lies higher */
  b.base[1] = b.base[0] + around(&r, 0.05f, 0.02f);
  b.inner[0] = around(&r, 0.15f, 0.015f);
  b.inner[1] = around(&r, 0.15f, 0.015f);
  b.heart_x = around(&r, 0.13f, 0.02f);
  b.heart_w = around(&r, 0.31f, 0.025f) * (1 + 0.55f * (float)p->cardiomegaly);
  b.heart_h = around(&r, 0.30f, 0.02f) * (1 + 0.20f * (float)p->cardiomegaly);
  b.heart_tilt = around(&r, 0.45f, 0.08f);
  b.rib_top = around(&r, -0.74f, 0.02f);
  b.rib_gap = around(&r, 0.142f, 0.006f);
  b.rib_half = around(&r, 0.026f, 0.003f);
  b.rib_drop = around(&r, 0.14f, 0.03f);
  b.rib_weight = around(&r, 0.085f, 0.016f);
  b.fat = around(&r, 0, 0.035f);
  b.breast = p->female ? fmaxf(0.02f, around(&r, 0.09f, 0.03f)) : 0;
  b.lung = around(&r, 0.46f, 0.035f);
  b.spine = around(&r, 0.10f, 0.02f);
  b.knob = around(&r, 0.10f, 0.012f);
  b.clavicle = around(&r, -0.66f, 0.025f);
  b.clavicle_slope = around(&r, 0.14f, 0.04f);
  b.vessels = around(&r, 0.10f, 0.02f);
  b.key = (uint32_t)lm_rng_next(&r);
  if (p->anteroposterior) { /* lying: the heart is nearer the tube, the breath shallower */
    b.heart_w *= 1.12f;
    b.base[0] -= 0.07f;
    b.base[1] -= 0.07f;
    b.clavicle -= 0.06f;
  }
  b.heart_y = b.base[1] - 0.17f;
  return b;
}

/* Diaphragm of side s at distance a from the middle. */
static float diaphragm(const build *b, int s, float a) {
  const float t = (a - 0.36f) / 0.42f;
  return b->base[s] + 0.17f * t * t + (t > 0 ? 0.10f * t * t * t : 0);
}

/* Inside the lung of side s (0 left in the image, 1 right) is positive, about
 * in units of length.  a = |x|. */
static float lung_distance(const build *b, int s, float a, float y) {
  const float t = clamp01((y - b->apex) / 1.25f);
  /* The chest wall: rounded at the apex, widest low. */
  const float wall = b->width * (0.42f + 0.58f * sqrtf(t * (2 - t))) - 0.03f;
  const float inner = b->inner[s] + 0.05f * (1 - t) * (1 - t);
  const float centre = 0.36f, q = (a - centre) / 0.30f;
  const float top = y - b->apex - 0.10f * q * q;
  const float low = 0.8f * (diaphragm(b, s, a) - y);
  float d = wall - a < a - inner ? wall - a : a - inner;
  d = d < top ? d : top;
  return d < low ? d : low;
}

/* ---- the canvas ---- */

static void draw_soft_tissue(const build *b, const lm_phantom *p, float *canvas, float *lungs) {
  lm_rng r = stream(p, POSTURE);
  (void)lm_rng_next(&r);
  const float bubble_x = around(&r, 0.36f, 0.04f), bubble_w = around(&r, 0.10f, 0.03f);
  const float bubble = between(&r, 0, 0.14f), bubble_y = b->base[1] + 0.12f;
  const float ct = cosf(b->heart_tilt), st = sinf(b->heart_tilt);
  const float reach = 1.15f * fmaxf(b->heart_w, b->heart_h);
  for (int j = 0; j < SIDE; j++) {
    const float y = at(j);
    /* Shoulders: the outline narrows towards the neck above them. */
    const float neck = soft(-0.93f - y, 0.24f);
    const float outline =
        1.15f * b->width / 0.80f * (1 - 0.36f * neck) + 0.10f * soft(y - 0.5f, 0.5f);
    const float muscle = 0.07f * soft(-0.2f - y, 0.3f);
    const float bony = (b->spine + 0.025f * cosf(40 * y)) * soft(y + 0.95f, 0.1f);
    const float broad = 0.05f * soft(y + 0.5f, 0.3f), pipe = 0.10f * soft(-0.27f - y, 0.08f);
    const float root = 0.55f * b->vessels * bell((y - 0.02f) / 0.17f);
    const float ky = (y + 0.20f) / (1.3f * b->knob), hy = y - b->heart_y;
    const float by = (y - 0.32f) / 0.36f, gy = (y - bubble_y) / 0.063f;
    for (int i = 0; i < SIDE; i++) {
      const float x = at(i), a = fabsf(x);
      const int s = x >= 0;
      const float air = lung_distance(b, s, a, y);
      const float lung = soft(air, 0.022f);
      float v = 0.60f + b->fat + muscle * soft(a - 0.72f, 0.2f);
      v += 0.13f * soft(y - b->base[s] - 0.02f, 0.22f); /* belly */
      /* The middle: spine, vessels and windpipe, before and behind the lungs. */
      if (a < 0.5f) {
        v += bony * soft(0.085f - a, 0.03f) + broad * bell(x / 0.20f);
        v -= pipe * bell((x + 0.01f) / 0.045f);
        v += root * bell((a - 0.23f) / 0.10f) * lung;
      }
      float heart = 0;
      const float hx = x - b->heart_x, kx = (x - 0.115f) / b->knob;
      if (fabsf(hx) < reach && fabsf(hy) < reach) {
        const float e1 = (ct * hx + st * hy) / b->heart_w, e2 = (ct * hy - st * hx) / b->heart_h;
        heart = soft(1 - sqrtf(e1 * e1 + e2 * e2), 0.07f);
      }
      if (kx * kx + ky * ky < 1.5f)
        heart = fmaxf(heart, 0.8f * soft(1 - sqrtf(kx * kx + ky * ky), 0.2f));
      v += 0.08f * heart;
      if (b->breast > 0) {
        const float bx = (a - 0.42f) / 0.36f, q = bx * bx + by * by;
        if (q < 1.25f) v += b->breast * soft(1 - sqrtf(q), 0.10f);
      }
      const float gx = (x - bubble_x) / bubble_w, gas = gx * gx + gy * gy;
      if (gas < 1.7f) v -= bubble * soft(1 - sqrtf(gas), 0.3f); /* in the stomach */
      /* The lungs let most through in their middle, less where they are thin. */
      const float thick = 0.72f + 0.28f * soft(air - 0.06f, 0.12f);
      v -= b->lung * lung * thick * (1 - 0.80f * heart);
      canvas[j * SIDE + i] = soft(outline - a, 0.05f) * v;
      lungs[j * SIDE + i] = lung * (1 - 0.75f * heart);
    }
  }
}

/* A band of half-width `half` along y = curve(x) of one column. */
static void add_band(float *canvas, int i, float centre, float half, float weight, float edge) {
  const int j0 = index_of(centre - 1.6f * half), j1 = index_of(centre + 1.6f * half);
  for (int j = j0; j < j1; j++) {
    const float d = fabsf(at(j) - centre) / half;
    const float inside = soft(1 - d, 0.35f), rim = bell((d - 0.85f) / 0.22f);
    float *v = &canvas[j * SIDE + i];
    *v += weight * (0.75f * inside + edge * rim) * clamp01(6 * *v); /* none in the air outside */
  }
}

static void draw_bones(const build *b, const lm_phantom *p, float *canvas) {
  lm_rng r = stream(p, BUILD);
  r.counter = 1000;
  float wobble[12];
  for (int k = 0; k < 12; k++) wobble[k] = around(&r, 0, 0.006f);
  for (int i = 0; i < SIDE; i++) {
    const float x = at(i), a = fabsf(x);
    for (int k = 0; k < 10; k++) { /* ribs from behind: out from the spine, then down */
      const float start = b->rib_top + b->rib_gap * (float)k + wobble[k];
      const float reach = b->width * (0.46f + 0.54f * sqrtf(clamp01(((float)k + 0.6f) / 5.5f)));
      const float t = (a - 0.06f) / (reach - 0.06f);
      if (t < 0 || t > 1.02f) continue;
      const float y = start - 0.07f * sinf(2.4f * t) + b->rib_drop * t * t + 0.10f * t * t * t * t;
      const float fade = soft(t, 0.10f) * soft(1.02f - t, 0.06f) * soft(0.62f - y, 0.16f);
      add_band(canvas, i, y, b->rib_half * (1 - 0.15f * t), b->rib_weight * fade, 0.35f + 0.3f * t);
    }
    for (int k = 1; k < 7; k++) { /* ribs from the front: from the side down to the middle */
      const float reach = b->width * (0.46f + 0.54f * sqrtf(clamp01(((float)k + 0.6f) / 5.5f)));
      const float t = (reach - a) / (reach - 0.26f);
      if (t < 0 || t > 1) continue;
      const float side = b->rib_top + b->rib_gap * (float)k + b->rib_drop + 0.035f;
      const float y = side + 0.03f + 0.30f * t - 0.08f * t * t;
      const float fade = soft(1 - t, 0.10f) * soft(t - 0.02f, 0.08f) * soft(0.55f - y, 0.16f);
      add_band(canvas, i, y, b->rib_half * 1.15f, 0.62f * b->rib_weight * fade, 0.25f);
    }
    if (a > 0.05f && a < 0.80f) { /* collar bones: a flat S */
      const float t = (a - 0.05f) / 0.75f;
      const float y = b->clavicle - b->clavicle_slope * t + 0.035f * sinf(6.0f * t);
      const float ends = soft(t, 0.03f) * soft(1 - t, 0.10f);
      add_band(canvas, i, y, 0.032f + 0.012f * fabsf(t - 0.5f), 1.35f * b->rib_weight * ends,
               0.55f);
    }
    if (a > 0.55f) { /* shoulder blades: only their inner edge shows well */
      const float t = (a - 0.55f) / 0.3f;
      const int j0 = index_of(-0.72f), j1 = index_of(0.05f);
      for (int j = j0; j < j1; j++) {
        const float y = at(j), edge = a - (0.62f + 0.20f * (y + 0.3f) * (y + 0.3f));
        canvas[j * SIDE + i] += 0.040f * soft(edge, 0.02f) * soft(1 - t, 0.5f) *
                                soft(y + 0.70f, 0.05f) * soft(0.03f - y, 0.08f);
      }
    }
  }
}

/* A short stroke of half-width w from (x0,y0) to (x1,y1), soft across. */
static void add_stroke(float *canvas, const float *lungs, float x0, float y0, float x1, float y1,
                       float w, float weight) {
  const float dx = x1 - x0, dy = y1 - y0, len2 = dx * dx + dy * dy + 1e-9f;
  const int i0 = index_of(fminf(x0, x1) - 2.4f * w), i1 = index_of(fmaxf(x0, x1) + 2.4f * w);
  const int j0 = index_of(fminf(y0, y1) - 2.4f * w), j1 = index_of(fmaxf(y0, y1) + 2.4f * w);
  for (int j = j0; j < j1; j++) {
    for (int i = i0; i < i1; i++) {
      const float px = at(i) - x0, py = at(j) - y0, t = (px * dx + py * dy) / len2;
      if (t < 0 || t >= 1) continue; /* strokes join end to end */
      const float ex = px - t * dx, ey = py - t * dy;
      const float d = sqrtf(ex * ex + ey * ey) / w;
      canvas[j * SIDE + i] += weight * bell(d) * (0.15f + 0.85f * lungs[j * SIDE + i]);
    }
  }
}

/* Vessels leave the hila and branch. */
static void draw_vessels(const build *b, const lm_phantom *p, float *canvas, const float *lungs) {
  lm_rng r = stream(p, BUILD);
  r.counter = 2000;
  for (int s = 0; s < 2; s++) {
    const float side = s == 0 ? -1.0f : 1.0f;
    for (int k = 0; k < 16; k++) {
      float x = side * around(&r, 0.20f, 0.02f), y = around(&r, 0.02f, 0.06f);
      float angle = between(&r, -1.45f, 1.45f), w = between(&r, 0.007f, 0.016f);
      const float bend = around(&r, 0, 0.12f), reach = between(&r, 0.25f, 0.62f);
      const int steps = 8;
      for (int n = 0; n < steps; n++) {
        const float l = reach / (float)steps;
        const float x1 = x + side * l * cosf(angle), y1 = y + l * sinf(angle);
        const float weight = b->vessels * (1 - 0.85f * (float)n / (float)steps);
        add_stroke(canvas, lungs, x, y, x1, y1, w, weight);
        if (n == 2 || n == 4) { /* a side branch */
          const float turn = angle + (lm_rng_uniform(&r) < 0.5 ? 0.7f : -0.7f);
          add_stroke(canvas, lungs, x1, y1, x1 + side * 1.6f * l * cosf(turn),
                     y1 + 1.6f * l * sinf(turn), 0.7f * w, 0.6f * weight);
        }
        x = x1;
        y = y1;
        angle += bend + around(&r, 0, 0.08f);
        w *= 0.86f;
      }
    }
  }
}

/* Patches of ground glass: cloudy, soft, mostly low and at the outer wall. */
static void draw_opacities(const build *b, const lm_phantom *p, float *canvas, const float *lungs) {
  lm_rng r = stream(p, FINDING);
  const int patches = 3 + (int)lm_rng_below(&r, 2 + (uint64_t)(4.99 * p->opacity));
  const float strength = 0.06f + 0.22f * (float)p->opacity;
  const uint32_t key = (uint32_t)lm_rng_next(&r);
  for (int k = 0; k < patches; k++) {
    const int s = (int)lm_rng_below(&r, 2);
    const float y = between(&r, -0.25f, b->base[s] - 0.02f);
    const float t = clamp01((y - b->apex) / 1.25f);
    const float wall = b->width * (0.42f + 0.58f * sqrtf(t * (2 - t))) - 0.03f;
    const float a = wall - between(&r, 0.04f, 0.24f), x = s == 0 ? -a : a;
    const float rx = between(&r, 0.07f, 0.15f), ry = between(&r, 0.09f, 0.20f);
    const float weight = strength * between(&r, 0.6f, 1.3f);
    const int i0 = index_of(x - 2.2f * rx), i1 = index_of(x + 2.2f * rx);
    const int j0 = index_of(y - 2.2f * ry), j1 = index_of(y + 2.2f * ry);
    for (int j = j0; j < j1; j++) {
      for (int i = i0; i < i1; i++) {
        const float u = at(i), v = at(j);
        const float cloud = 0.5f + 0.5f * value_noise(key, 9 * u, 9 * v) +
                            0.35f * value_noise(key + 1, 23 * u, 23 * v);
        const float dx = (u - x) / rx, dy = (v - y) / ry;
        canvas[j * SIDE + i] += weight * bell(0.8f * sqrtf(dx * dx + dy * dy)) *
                                (0.45f + 0.75f * clamp01(cloud)) * lungs[j * SIDE + i];
      }
    }
  }
}

static void draw_effusion(const build *b, const lm_phantom *p, float *canvas, const float *lungs) {
  lm_rng r = stream(p, FINDING);
  r.counter = 500;
  const int s = (int)lm_rng_below(&r, 2);
  const float level = b->base[s] + 0.10f - 0.38f * (float)p->effusion;
  for (int j = index_of(-0.2f); j < SIDE; j++) {
    for (int i = 0; i < SIDE; i++) {
      const float x = at(i);
      if ((x >= 0) != (s == 1)) continue;
      const float rise = 0.30f * soft(fabsf(x) - 0.55f, 0.25f); /* the meniscus */
      canvas[j * SIDE + i] += 0.26f * soft(at(j) - level + rise, 0.03f) *
                              soft(fabsf(x) - 0.42f, 0.12f) * lungs[j * SIDE + i];
    }
  }
}

static void draw_nodule(const build *b, const lm_phantom *p, float *canvas) {
  lm_rng r = stream(p, FINDING);
  r.counter = 700;
  const int s = (int)lm_rng_below(&r, 2);
  const float a = between(&r, 0.28f, b->width - 0.22f), x = s == 0 ? -a : a;
  const float y = between(&r, -0.35f, 0.25f), size = 0.025f + 0.045f * (float)p->nodule;
  for (int j = index_of(y - 2 * size); j < index_of(y + 2 * size); j++) {
    for (int i = index_of(x - 2 * size); i < index_of(x + 2 * size); i++) {
      const float dx = at(i) - x, dy = at(j) - y;
      canvas[j * SIDE + i] += 0.13f * soft(1 - sqrtf(dx * dx + dy * dy) / size, 0.25f);
    }
  }
}

/* Grain of the tissue: coarse unevenness everywhere, fine in the lungs. */
static void draw_texture(const build *b, const lm_phantom *p, float *canvas, const float *lungs) {
  lm_rng r = stream(p, TEXTURE);
  const uint32_t own = (uint32_t)lm_rng_next(&r);
  const float uneven = between(&r, 0.012f, 0.032f);
  for (int j = 0; j < SIDE; j++) {
    const float y = at(j);
    float all[SIDE] = {0}, fine[SIDE] = {0};
    noise_row(own, 2.3f, 2.3f * y, uneven, all);
    noise_row(b->key, 11, 9 * y, 0.014f, all);
    noise_row(b->key + 1, 34, 30 * y, 0.013f, fine);
    for (int i = 0; i < SIDE; i++) {
      float *v = &canvas[j * SIDE + i];
      *v += (all[i] + fine[i] * lungs[j * SIDE + i]) * clamp01(3 * *v);
    }
  }
}

void lm_phantom_draw(const lm_phantom *p, uint8_t *out, void *scratch) {
  float *canvas = scratch, *lungs = canvas + SIDE * SIDE;
  const build b = patient_build(p);
  draw_soft_tissue(&b, p, canvas, lungs);
  draw_vessels(&b, p, canvas, lungs);
  if (p->opacity > 0) draw_opacities(&b, p, canvas, lungs);
  if (p->effusion > 0) draw_effusion(&b, p, canvas, lungs);
  if (p->nodule > 0) draw_nodule(&b, p, canvas);
  draw_bones(&b, p, canvas);
  draw_texture(&b, p, canvas, lungs);
  lm_phantom_expose(p, canvas, out, lungs + SIDE * SIDE);
}

int64_t lm_phantom_scratch(void) {
  return 2 * SIDE * SIDE * (int64_t)sizeof(float) + lm_phantom_film_scratch();
}

bool lm_phantom_check(const lm_phantom *p, lm_err *e) {
  if (p->size < 64 || p->size > 4096)
    return lm_fail(e, LM_E_ARGUMENT, "size must be in 64..4096, got %lld", (long long)p->size);
  const double findings[] = {p->opacity, p->effusion, p->cardiomegaly, p->nodule};
  for (int i = 0; i < 4; i++)
    if (!(findings[i] >= 0 && findings[i] <= 1))
      return lm_fail(e, LM_E_ARGUMENT, "a finding must be in 0..1, got %g", findings[i]);
  const int64_t bars[] = {p->top, p->left, p->bottom, p->right};
  for (int i = 0; i < 4; i++)
    if (bars[i] < 0 || bars[i] > p->size / 4)
      return lm_fail(e, LM_E_ARGUMENT, "a bar must be in 0..%lld pixels, got %lld",
                     (long long)(p->size / 4), (long long)bars[i]);
  return true;
}
