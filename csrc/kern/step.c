/* step.c: optimiser steps.  One stream over each array: bound by memory. */
#include "kern/step.h"

#include <math.h>

#include "core/pool.h"
#include "core/wide.h"

enum { CHUNK = 1 << 15 };

typedef struct {
  const void *p;
  int64_t n;
  const float *g;
  float *w, *m, *v;
} work;

static void sgd_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *k = context;
  const lm_sgd p = *(const lm_sgd *)k->p;
  const int64_t first = chunk * CHUNK, n = lm_min64(CHUNK, k->n - first);
  const float *restrict g = k->g + first;
  float *restrict w = k->w + first;
  if (p.momentum == 0.0f) {
    for (int64_t i = 0; i < n; i++) w[i] -= p.lr * (g[i] + p.decay * w[i]);
    return;
  }
  float *restrict v = k->v + first;
  for (int64_t i = 0; i < n; i++) {
    const float d = g[i] + p.decay * w[i];
    v[i] = p.momentum * v[i] + d;
    w[i] -= p.lr * (p.nesterov ? d + p.momentum * v[i] : v[i]);
  }
}

static void adam_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *k = context;
  const lm_adam p = *(const lm_adam *)k->p;
  const int64_t first = chunk * CHUNK, n = lm_min64(CHUNK, k->n - first);
  const float *restrict g = k->g + first;
  float *restrict w = k->w + first, *restrict m = k->m + first, *restrict v = k->v + first;
  const float a1 = 1.0f - p.beta1, a2 = 1.0f - p.beta2, keep = 1.0f - p.shrink;
  for (int64_t i = 0; i < n; i++) {
    const float d = g[i] + p.decay * w[i];
    m[i] = p.beta1 * m[i] + a1 * d;
    v[i] = p.beta2 * v[i] + a2 * (d * d);
    w[i] = keep * w[i] - p.rate * m[i] / (sqrtf(v[i]) + p.eps);
  }
}

static void run(lm_chunk_fn fn, work *w) {
  lm_parallel(lm_ceil_div(w->n, CHUNK), fn, w); /* interrupts are held: see step.h */
}

void lm_sgd_step(const lm_sgd *p, int64_t n, const float *g, float *w, float *v) {
  work k = {.p = p, .n = n, .g = g, .w = w, .v = v};
  run(sgd_chunk, &k);
}

void lm_adam_step(const lm_adam *p, int64_t n, const float *g, float *w, float *m, float *v) {
  work k = {.p = p, .n = n, .g = g, .w = w, .m = m, .v = v};
  run(adam_chunk, &k);
}

void lm_scale(float factor, int64_t n, float *x) {
  for (int64_t i = 0; i < n; i++) x[i] *= factor;
}

double lm_sum_squares(int64_t n, const float *x) {
  double total = 0.0;
  for (int64_t first = 0; first < n; first += CHUNK) {
    const int64_t len = lm_min64(CHUNK, n - first);
    double lane[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= len; i += 8)
      for (int j = 0; j < 8; j++) lane[j] += (double)x[first + i + j] * (double)x[first + i + j];
    for (; i < len; i++) lane[i % 8] += (double)x[first + i] * (double)x[first + i];
    for (int j = 0; j < 8; j++) total += lane[j];
  }
  return total;
}

int64_t lm_first_nonfinite(int64_t n, const float *x) {
  for (int64_t first = 0; first < n; first += CHUNK) {
    const int64_t len = lm_min64(CHUNK, n - first);
    float sum = 0.0f; /* 0 * finite = 0, 0 * inf and 0 * NaN are NaN */
    for (int64_t i = 0; i < len; i++) sum += x[first + i] * 0.0f;
    if (sum == 0.0f) continue;
    for (int64_t i = 0; i < len; i++)
      if (!isfinite(x[first + i])) return first + i;
  }
  return -1;
}
