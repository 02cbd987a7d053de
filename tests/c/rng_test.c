/* rng_test.c: Philox4x32-10 against the known answers published with the
 * Random123 library (Salmon, Moraes, Dror, Shaw 2011), and what is drawn. */
#include "core/rng.h"

#include <math.h>
#include <stdlib.h>

#include "check.h"

/* counter = {low, high of `counter`, low, high of `stream`}, key = seed. */
static void known_answers(void) {
  static const struct {
    uint64_t counter, stream, seed;
    uint32_t out[4];
  } rows[] = {
      {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {0xffffffffffffffff,
       0xffffffffffffffff,
       0xffffffffffffffff,
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {0x85a308d3243f6a88,
       0x0370734413198a2e,
       0x299f31d0a4093822,
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    uint32_t out[4];
    lm_philox(rows[i].seed, rows[i].stream, rows[i].counter, out);
    for (int k = 0; k < 4; k++) CHECK(out[k] == rows[i].out[k]);
  }
}

static void ranges(void) {
  CHECK(lm_uniform_f32(0) == 0.0f && lm_uniform_f32(UINT32_MAX) < 1.0f);
  CHECK(lm_uniform_f64(0, 0) == 0.0 && lm_uniform_f64(UINT32_MAX, UINT32_MAX) < 1.0);
  double two[2];
  lm_normal2((const uint32_t[4]){0, 0, 0, 0}, two);
  CHECK(isfinite(two[0]) && isfinite(two[1]));
  lm_normal2((const uint32_t[4]){UINT32_MAX, UINT32_MAX, 1, 1}, two);
  CHECK(isfinite(two[0]) && isfinite(two[1]));
}

static void unbiased(void) {
  lm_rng r = {.seed = 5};
  int64_t hits[3] = {0};
  for (int i = 0; i < 30000; i++) hits[lm_rng_below(&r, 3)]++;
  for (int k = 0; k < 3; k++) CHECK(llabs(hits[k] - 10000) < 400);
  CHECK(lm_rng_below(&r, 1) == 0);
  const uint64_t wide = lm_rng_below(&r, ((uint64_t)1 << 63) + 1);
  CHECK(wide <= (uint64_t)1 << 63);
}

static void permutes(void) {
  lm_rng a = {.seed = 1, .stream = 2}, b = a;
  int32_t p[100], q[100];
  int seen[100] = {0};
  lm_rng_permutation(&a, p, 100);
  lm_rng_permutation(&b, q, 100);
  for (int i = 0; i < 100; i++) {
    CHECK(p[i] == q[i] && p[i] >= 0 && p[i] < 100);
    CHECK(seen[p[i]]++ == 0);
  }
}

int main(void) {
  known_answers();
  ranges();
  unbiased();
  permutes();
  return failures != 0;
}
