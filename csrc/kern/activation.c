/* activation.c: one parallel walk over a flat array, one small loop a function. */
#include "kern/activation.h"

#include <math.h>

#include "core/pool.h"
#include "core/wide.h"

enum { CHUNK = 1 << 16 }; /* elements a chunk: tens of microseconds of work */

typedef struct {
  void (*loop)(const float *a, const float *b, float p, int64_t n, float *out);
  const float *a, *b; /* b may be NULL */
  float p, *out;
  int64_t n;
} walk;

static void walk_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const walk *w = context;
  const int64_t first = chunk * CHUNK, n = lm_min64(CHUNK, w->n - first);
  w->loop(w->a + first, w->b != NULL ? w->b + first : NULL, w->p, n, w->out + first);
}

static bool run(void (*loop)(const float *, const float *, float, int64_t, float *), const float *a,
                const float *b, float p, int64_t n, float *out) {
  walk w = {.loop = loop, .a = a, .b = b, .p = p, .n = n, .out = out};
  return lm_parallel(lm_ceil_div(n, CHUNK), walk_chunk, &w);
}

static void relu_fwd(const float *x, const float *unused, float p, int64_t n, float *y) {
  (void)unused, (void)p;
  LM_IVDEP
  for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

static void relu_bwd(const float *dy, const float *y, float p, int64_t n, float *dx) {
  (void)p;
  LM_IVDEP
  for (int64_t i = 0; i < n; i++) {
    const float g = dy[i]; /* read whatever the sign, so that the loop has no branch */
    dx[i] = y[i] > 0.0f ? g : 0.0f;
  }
}

static void leaky_fwd(const float *x, const float *unused, float slope, int64_t n, float *y) {
  (void)unused;
  LM_IVDEP
  for (int64_t i = 0; i < n; i++) y[i] = x[i] > 0.0f ? x[i] : slope * x[i];
}

static void leaky_bwd(const float *dy, const float *x, float slope, int64_t n, float *dx) {
  LM_IVDEP
  for (int64_t i = 0; i < n; i++) dx[i] = x[i] > 0.0f ? dy[i] : slope * dy[i];
}

#define SQRT_HALF 0.70710678118654752f /* sqrt(1/2) */
#define PHI_0 0.39894228040143268f     /* normal density at 0: 1 / sqrt(2 pi) */
#define SQRT_2_PI 0.79788456080286536f /* sqrt(2/pi) */
#define CUBIC 0.044715f

/* Phi(v).  Not (1 + erf) / 2, which cancels in the lower tail. */
static inline float normal_cdf(float v) {
  return 0.5f * erfcf(-v * SQRT_HALF);
}

/* (1 + tanh u) / 2, for the same reason. */
static inline float half_tanh(float u) {
  return 1.0f / (1.0f + expf(-2.0f * u));
}

static void gelu_fwd(const float *x, const float *unused, float p, int64_t n, float *y) {
  (void)unused, (void)p;
  for (int64_t i = 0; i < n; i++) y[i] = x[i] * normal_cdf(x[i]);
}

/* d/dx x Phi(x) = Phi(x) + x phi(x) */
static void gelu_bwd(const float *dy, const float *x, float p, int64_t n, float *dx) {
  (void)p;
  for (int64_t i = 0; i < n; i++) {
    const float v = x[i];
    const float d = normal_cdf(v) + v * PHI_0 * expf(-0.5f * v * v);
    dx[i] = dy[i] * d;
  }
}

static void gelu_tanh_fwd(const float *x, const float *unused, float p, int64_t n, float *y) {
  (void)unused, (void)p;
  for (int64_t i = 0; i < n; i++) {
    const float v = x[i];
    y[i] = v * half_tanh(SQRT_2_PI * (v + CUBIC * v * v * v));
  }
}

static void gelu_tanh_bwd(const float *dy, const float *x, float p, int64_t n, float *dx) {
  (void)p;
  for (int64_t i = 0; i < n; i++) {
    const float v = x[i], s = half_tanh(SQRT_2_PI * (v + CUBIC * v * v * v));
    const float inner = SQRT_2_PI * (1.0f + 3.0f * CUBIC * v * v);
    dx[i] = dy[i] * (s + 2.0f * v * s * (1.0f - s) * inner);
  }
}

static void sigmoid_bwd(const float *dy, const float *y, float p, int64_t n, float *dx) {
  (void)p;
  for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * y[i] * (1.0f - y[i]);
}

static void tanh_bwd(const float *dy, const float *y, float p, int64_t n, float *dx) {
  (void)p;
  for (int64_t i = 0; i < n; i++) dx[i] = dy[i] * (1.0f - y[i] * y[i]);
}

bool lm_relu_fwd(const float *x, int64_t n, float *y) {
  return run(relu_fwd, x, NULL, 0, n, y);
}
bool lm_relu_bwd(const float *dy, const float *y, int64_t n, float *dx) {
  return run(relu_bwd, dy, y, 0, n, dx);
}
bool lm_leaky_relu_fwd(float slope, const float *x, int64_t n, float *y) {
  return run(leaky_fwd, x, NULL, slope, n, y);
}
bool lm_leaky_relu_bwd(float slope, const float *dy, const float *x, int64_t n, float *dx) {
  return run(leaky_bwd, dy, x, slope, n, dx);
}
bool lm_gelu_fwd(bool tanh_form, const float *x, int64_t n, float *y) {
  return run(tanh_form ? gelu_tanh_fwd : gelu_fwd, x, NULL, 0, n, y);
}
bool lm_gelu_bwd(bool tanh_form, const float *dy, const float *x, int64_t n, float *dx) {
  return run(tanh_form ? gelu_tanh_bwd : gelu_bwd, dy, x, 0, n, dx);
}
bool lm_sigmoid_bwd(const float *dy, const float *y, int64_t n, float *dx) {
  return run(sigmoid_bwd, dy, y, 0, n, dx);
}
bool lm_tanh_bwd(const float *dy, const float *y, int64_t n, float *dx) {
  return run(tanh_bwd, dy, y, 0, n, dx);
}
