/* dropout.c: Philox (core/rng.h) gives eight 16-bit draws a block; a draw
 * below p * 65536 drops the unit.  LANES blocks are computed side by side so
 * that the compiler vectorises the rounds; the numbers are those of lm_philox. */
#include "kern/dropout.h"

#include <math.h>
#include <string.h>

#include "core/pool.h"

enum { PER_BLOCK = 8, LANES = 16, GROUP = PER_BLOCK * LANES, CHUNK = 1 << 15 };

typedef struct {
  uint32_t threshold; /* draws below it drop: 0 .. 65536 */
  float scale;
  uint64_t seed, stream;
  const float *x;
  float *y;
  int64_t n;
} work;

/* Word k of block (counter + lane) goes to out[k][lane]. */
static void philox_lanes(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4][LANES]) {
  uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES];
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int i = 0; i < LANES; i++) {
    const uint64_t c = counter + (uint64_t)i;
    c0[i] = (uint32_t)c;
    c1[i] = (uint32_t)(c >> 32);
    c2[i] = (uint32_t)stream;
    c3[i] = (uint32_t)(stream >> 32);
  }
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < LANES; i++) {
      const uint64_t p0 = (uint64_t)0xD2511F53u * c0[i], p1 = (uint64_t)0xCD9E8D57u * c2[i];
      c0[i] = (uint32_t)(p1 >> 32) ^ c1[i] ^ k0;
      c2[i] = (uint32_t)(p0 >> 32) ^ c3[i] ^ k1;
      c1[i] = (uint32_t)p1;
      c3[i] = (uint32_t)p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int i = 0; i < LANES; i++) {
    out[0][i] = c0[i];
    out[1][i] = c1[i];
    out[2][i] = c2[i];
    out[3][i] = c3[i];
  }
}

static void dropout_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const int64_t end = lm_min64(w->n, (chunk + 1) * CHUNK);
  for (int64_t at = chunk * CHUNK; at < end; at += GROUP) {
    uint32_t words[4][LANES];
    philox_lanes(w->seed, w->stream, (uint64_t)(at / PER_BLOCK), words);
    float keep[GROUP]; /* unit at + k * 2 * LANES + {0, LANES} + lane */
    for (int k = 0; k < 4; k++)
      for (int lane = 0; lane < LANES; lane++) {
        const uint32_t v = words[k][lane];
        keep[2 * k * LANES + lane] = (v & 0xffff) < w->threshold ? 0.0f : w->scale;
        keep[(2 * k + 1) * LANES + lane] = (v >> 16) < w->threshold ? 0.0f : w->scale;
      }
    const int64_t len = lm_min64(GROUP, end - at);
    for (int64_t i = 0; i < len; i++) /* a dropped unit is 0 even where x is not finite */
      w->y[at + i] = keep[i] == 0.0f ? 0.0f : w->x[at + i] * keep[i];
  }
}

bool lm_dropout(double p, uint64_t seed, uint64_t stream, const float *x, int64_t n, float *y) {
  if (p >= 1.0) {
    memset(y, 0, (size_t)n * sizeof *y);
    return true;
  }
  work w = {.threshold = (uint32_t)lrint(p * 65536.0),
            .scale = (float)(1.0 / (1.0 - p)),
            .seed = seed,
            .stream = stream,
            .x = x,
            .y = y,
            .n = n};
  return lm_parallel(lm_ceil_div(n, CHUNK), dropout_chunk, &w);
}
