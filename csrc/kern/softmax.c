/* softmax.c: one lane (a vector along the axis) at a time; chunks of lanes. */
#include "kern/softmax.h"

#include <math.h>

#include "core/pool.h"

typedef struct {
  bool log;
  int64_t lanes, n, inner, per_chunk;
  const float *x, *y; /* backward: x is dy */
  float *out;
} work;

static void fwd_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const int64_t n = w->n, step = w->inner;
  const int64_t end = lm_min64(w->lanes, (chunk + 1) * w->per_chunk);
  for (int64_t lane = chunk * w->per_chunk; lane < end; lane++) {
    const int64_t at = lane / step * n * step + lane % step;
    const float *x = w->x + at;
    float *y = w->out + at;
    float max = x[0];
    for (int64_t i = 1; i < n; i++) max = x[i * step] > max ? x[i * step] : max;
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
      const float v = x[i * step] - max;
      y[i * step] = w->log ? v : expf(v);
      sum += (double)(w->log ? expf(v) : y[i * step]);
    }
    const float shift = (float)log(sum), scale = (float)(1.0 / sum);
    for (int64_t i = 0; i < n; i++)
      y[i * step] = w->log ? y[i * step] - shift : y[i * step] * scale;
  }
}

static void bwd_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const int64_t n = w->n, step = w->inner;
  const int64_t end = lm_min64(w->lanes, (chunk + 1) * w->per_chunk);
  for (int64_t lane = chunk * w->per_chunk; lane < end; lane++) {
    const int64_t at = lane / step * n * step + lane % step;
    const float *dy = w->x + at, *y = w->y + at;
    float *dx = w->out + at;
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
      sum += w->log ? (double)dy[i * step] : (double)dy[i * step] * (double)y[i * step];
    const float s = (float)sum;
    for (int64_t i = 0; i < n; i++)
      dx[i * step] =
          w->log ? dy[i * step] - expf(y[i * step]) * s : y[i * step] * (dy[i * step] - s);
  }
}

static bool run(lm_chunk_fn fn, work *w, int64_t outer) {
  w->lanes = w->n > 0 ? outer * w->inner : 0;
  w->per_chunk = lm_max64(1, (1 << 14) / lm_max64(1, w->n));
  return lm_parallel(lm_ceil_div(w->lanes, w->per_chunk), fn, w);
}

bool lm_softmax_fwd(bool log, int64_t outer, int64_t n, int64_t inner, const float *x, float *y) {
  work w = {.log = log, .n = n, .inner = inner, .x = x, .out = y};
  return run(fwd_chunk, &w, outer);
}

bool lm_softmax_bwd(bool log, int64_t outer, int64_t n, int64_t inner, const float *dy,
                    const float *y, float *dx) {
  work w = {.log = log, .n = n, .inner = inner, .x = dy, .y = y, .out = dx};
  return run(bwd_chunk, &w, outer);
}
