/* dropout.c: Philox (core/rng.h) gives 128 random bits a block.  A draw has as
 * few bits as p needs: one for p = 1/2, sixteen when p is no short binary
 * fraction; a draw below p * 2^bits drops its unit.  LANES blocks are taken side
 * by side, and consecutive units take consecutive lanes, so all loops are
 * vectors. */
#include "kern/dropout.h"

#include <math.h>
#include <string.h>

#include "core/cpu.h"
#include "core/pool.h"
#include "core/wide.h"
#include "kern/simd/philox.h"

enum { LANES = LM_PHILOX_LANES, CHUNK = 1 << 15 };

typedef void (*lanes_fn)(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4][LANES]);

typedef struct {
  int bits;           /* 1, 2, 4, 8 or 16 a draw */
  uint32_t threshold; /* draws below it drop: 0 .. 2^bits */
  float scale;
  uint64_t seed, stream;
  const float *x;
  float *y;
  int64_t n;
  lanes_fn lanes;
} work;

/* keep[] for the 4 * (32 / bits) * LANES units of LANES blocks. */
static void unpack(const work *w, const uint32_t words[4][LANES], float *restrict keep) {
  const uint32_t mask = (1u << w->bits) - 1u, threshold = w->threshold;
  const float scale = w->scale;
  for (int k = 0; k < 4; k++)
    for (int shift = 0; shift < 32; shift += w->bits, keep += LANES)
      for (int lane = 0; lane < LANES; lane++)
        keep[lane] = ((words[k][lane] >> shift) & mask) < threshold ? 0.0f : scale;
}

/* A dropped unit is 0 even where x is not finite. */
static void apply(const float *x, const float *restrict keep, int64_t n, float *y) {
  LM_IVDEP
  for (int64_t i = 0; i < n; i++) {
    const float v = x[i] * keep[i];
    y[i] = keep[i] == 0.0f ? 0.0f : v;
  }
}

static void dropout_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const int64_t end = lm_min64(w->n, (chunk + 1) * CHUNK);
  const int64_t group = 4 * (32 / w->bits) * LANES; /* divides CHUNK */
  float keep[4 * 32 * LANES];
  uint32_t words[4][LANES];
  for (int64_t at = chunk * CHUNK; at < end; at += group) {
    w->lanes(w->seed, w->stream, (uint64_t)(at / group) * LANES, words);
    unpack(w, words, keep);
    apply(w->x + at, keep, lm_min64(group, end - at), w->y + at);
  }
}

bool lm_dropout(double p, uint64_t seed, uint64_t stream, const float *x, int64_t n, float *y) {
  if (p >= 1.0) {
    memset(y, 0, (size_t)n * sizeof *y);
    return true;
  }
  work w = {.bits = 1,
            .scale = (float)(1.0 / (1.0 - p)),
            .seed = seed,
            .stream = stream,
            .x = x,
            .y = y,
            .n = n};
  while (w.bits < 16 && ldexp(p, w.bits) != floor(ldexp(p, w.bits))) w.bits *= 2;
  w.threshold = (uint32_t)lrint(ldexp(p, w.bits));
  w.lanes = lm_cpu_isa() == LM_ISA_PLAIN ? lm_philox_lanes_plain : lm_philox_lanes_avx2;
  return lm_parallel(lm_ceil_div(n, CHUNK), dropout_chunk, &w);
}
