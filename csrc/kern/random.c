/* random.c: the fills, a block of Philox at a time. */
#include "kern/random.h"

#include "core/pool.h"
#include "core/rng.h"

enum { GRAIN = 1 << 13 }; /* elements a chunk, a multiple of four */

typedef struct {
  lm_tensor *t;
  uint64_t seed, stream;
  double a, b;
  int64_t low, range;
  int64_t count;
} fill_work;

static void span(const fill_work *w, int64_t chunk, int64_t *from, int64_t *to) {
  *from = chunk * GRAIN;
  *to = lm_min64(w->count, *from + GRAIN);
}

static void store(lm_tensor *t, int64_t i, double v) {
  switch (t->dtype) {
    case LM_F32: lm_f32(t)[i] = (float)v; break;
    case LM_F64: lm_f64(t)[i] = v; break;
    case LM_U8: lm_u8(t)[i] = (uint8_t)v; break;
    case LM_I32: lm_i32(t)[i] = (int32_t)v; break;
    case LM_NDTYPE: break;
  }
}

static void uniform_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const fill_work *w = context;
  int64_t from, to;
  uint32_t words[4];
  span(w, chunk, &from, &to);
  if (w->t->dtype == LM_F32) {
    const float low = (float)w->a, high = (float)w->b, range = (float)(w->b - w->a);
    float *y = lm_f32(w->t);
    for (int64_t i = from; i < to; i += 4) {
      lm_philox(w->seed, w->stream, (uint64_t)i / 4, words);
      for (int k = 0; k < 4 && i + k < to; k++) {
        const float v = low + range * lm_uniform_f32(words[k]);
        y[i + k] = v < high ? v : low; /* rounding must not reach high */
      }
    }
  } else {
    double *y = lm_f64(w->t);
    for (int64_t i = from; i < to; i += 2) {
      lm_philox(w->seed, w->stream, (uint64_t)i / 2, words);
      for (int k = 0; k < 2 && i + k < to; k++) {
        const double v = w->a + (w->b - w->a) * lm_uniform_f64(words[2 * k], words[2 * k + 1]);
        y[i + k] = v < w->b ? v : w->a;
      }
    }
  }
}

static void normal_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const fill_work *w = context;
  int64_t from, to;
  uint32_t words[4];
  double two[2];
  span(w, chunk, &from, &to);
  for (int64_t i = from; i < to; i += 2) {
    lm_philox(w->seed, w->stream, (uint64_t)i / 2, words);
    lm_normal2(words, two);
    for (int k = 0; k < 2 && i + k < to; k++) store(w->t, i + k, w->a + w->b * two[k]);
  }
}

static void bernoulli_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const fill_work *w = context;
  int64_t from, to;
  uint32_t words[4];
  span(w, chunk, &from, &to);
  for (int64_t i = from; i < to; i += 4) {
    lm_philox(w->seed, w->stream, (uint64_t)i / 4, words);
    for (int k = 0; k < 4 && i + k < to; k++)
      store(w->t, i + k, (double)words[k] < w->a * 4294967296.0);
  }
}

static void integer_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const fill_work *w = context;
  int64_t from, to;
  uint32_t words[4];
  span(w, chunk, &from, &to);
  for (int64_t i = from; i < to; i += 2) {
    lm_philox(w->seed, w->stream, (uint64_t)i / 2, words);
    for (int k = 0; k < 2 && i + k < to; k++) {
      /* 64 random bits against a range of at most 2^32: bias below 2^-32. */
      const uint64_t bits = (uint64_t)words[2 * k] << 32 | words[2 * k + 1];
      const uint64_t pick = (uint64_t)(((unsigned __int128)bits * (uint64_t)w->range) >> 64);
      store(w->t, i + k, (double)(w->low + (int64_t)pick));
    }
  }
}

static bool run(fill_work w, lm_chunk_fn fn) {
  w.count = lm_tensor_count(w.t);
  return lm_parallel(lm_ceil_div(w.count, GRAIN), fn, &w);
}

bool lm_random_uniform(lm_tensor *t, uint64_t seed, uint64_t stream, double low, double high) {
  return run((fill_work){.t = t, .seed = seed, .stream = stream, .a = low, .b = high},
             uniform_chunk);
}

bool lm_random_normal(lm_tensor *t, uint64_t seed, uint64_t stream, double mean, double deviation) {
  return run((fill_work){.t = t, .seed = seed, .stream = stream, .a = mean, .b = deviation},
             normal_chunk);
}

bool lm_random_bernoulli(lm_tensor *t, uint64_t seed, uint64_t stream, double p) {
  return run((fill_work){.t = t, .seed = seed, .stream = stream, .a = p}, bernoulli_chunk);
}

bool lm_random_integers(lm_tensor *t, uint64_t seed, uint64_t stream, int64_t low, int64_t high) {
  return run(
      (fill_work){.t = t, .seed = seed, .stream = stream, .low = low, .range = high - low + 1},
      integer_chunk);
}
