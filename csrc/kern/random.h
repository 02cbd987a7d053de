/* random.h: filling tensors with random numbers.
 *
 * Element i is a pure function of (seed, stream, i): Philox block i / 4 (f32
 * uniforms and bits) or i / 2 (normals, f64 uniforms and integers).  So the
 * numbers do not depend on the thread count.  t: contiguous.  All return false
 * when interrupted. */
#ifndef LM_RANDOM_H
#define LM_RANDOM_H

#include "core/tensor.h"

/* Uniform in [low, high): f32 or f64. */
bool lm_random_uniform(lm_tensor *t, uint64_t seed, uint64_t stream, double low, double high);
/* Normal: f32 or f64. */
bool lm_random_normal(lm_tensor *t, uint64_t seed, uint64_t stream, double mean, double deviation);
/* 1 with probability p, else 0: any type. */
bool lm_random_bernoulli(lm_tensor *t, uint64_t seed, uint64_t stream, double p);
/* Whole numbers in low..high: i32 or u8. */
bool lm_random_integers(lm_tensor *t, uint64_t seed, uint64_t stream, int64_t low, int64_t high);

#endif
