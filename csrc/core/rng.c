/* rng.c: Philox4x32-10 and what is drawn from it. */
#include "core/rng.h"

#include <math.h>

void lm_philox(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]) {
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
  uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

void lm_normal2(const uint32_t w[4], double out[2]) {
  const double u = 1.0 - lm_uniform_f64(w[0], w[1]); /* (0,1]: the log is finite */
  const double v = lm_uniform_f64(w[2], w[3]);
  const double r = sqrt(-2.0 * log(u)), angle = 6.283185307179586 * v;
  out[0] = r * cos(angle);
  out[1] = r * sin(angle);
}

uint64_t lm_rng_next(lm_rng *r) {
  uint32_t w[4];
  lm_philox(r->seed, r->stream, r->counter++, w);
  return (uint64_t)w[0] | (uint64_t)w[1] << 32;
}

double lm_rng_uniform(lm_rng *r) {
  const uint64_t x = lm_rng_next(r);
  return lm_uniform_f64((uint32_t)x, (uint32_t)(x >> 32));
}

uint64_t lm_rng_below(lm_rng *r, uint64_t n) {
  /* Reject the tail that would make small results likelier. */
  const uint64_t limit = UINT64_MAX - UINT64_MAX % n;
  uint64_t x;
  do x = lm_rng_next(r);
  while (x >= limit);
  return x % n;
}

void lm_rng_permutation(lm_rng *r, int32_t *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = (int32_t)i;
  for (int64_t i = n - 1; i > 0; i--) {
    const int64_t j = (int64_t)lm_rng_below(r, (uint64_t)i + 1);
    const int32_t t = out[i];
    out[i] = out[j];
    out[j] = t;
  }
}
