/* phantom_canvas.h: what the two steps of a phantom share: the canvas between
 * them, and the streams of random numbers.  For phantom.c and phantom_film.c. */
#ifndef LM_IMAGE_PHANTOM_CANVAS_H
#define LM_IMAGE_PHANTOM_CANVAS_H

#include "core/rng.h"
#include "image/phantom.h"

enum { SIDE = 512 }; /* canvas pixels a side */
#define SPAN 1.2f    /* canvas covers -SPAN..SPAN */
#define STEP (2 * SPAN / SIDE)

static inline float at(int i) {
  return -SPAN + ((float)i + 0.5f) * STEP;
}

static inline int index_of(float x) { /* clamped */
  const float i = (x + SPAN) / STEP;
  return i <= 0 ? 0 : (i >= SIDE ? SIDE : (int)i);
}

/* ---- random numbers: one stream a purpose ---- */

enum { BUILD = 1, POSTURE = 2, FINDING = 3, TEXTURE = 4 };

static inline lm_rng stream(const lm_phantom *p, uint64_t purpose) {
  const uint64_t who = purpose == BUILD ? p->patient : p->image;
  return (lm_rng){.seed = p->seed, .stream = (who << 3) | purpose};
}

static inline float between(lm_rng *r, float lo, float hi) {
  return lo + (hi - lo) * (float)lm_rng_uniform(r);
}

/* Bell-shaped, within +-3 spreads. */
static inline float around(lm_rng *r, float mean, float spread) {
  float sum = 0;
  for (int i = 0; i < 6; i++) sum += (float)lm_rng_uniform(r);
  return mean + (sum - 3.0f) * spread * 1.414f;
}

/* A hash of 32 bits. */
static inline uint32_t mix(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ (x >> 16);
}

/* Photographs the canvas (SIDE, SIDE) into out (size, size); scratch:
 * lm_phantom_film_scratch() bytes, 64-byte aligned. */
void lm_phantom_expose(const lm_phantom *p, const float *canvas, uint8_t *out, void *scratch);
int64_t lm_phantom_film_scratch(void);

#endif
