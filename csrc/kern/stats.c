/* stats.c: one pass over plain memory in blocks of 64 K elements. */
#include "kern/stats.h"

#include <math.h>

#include "core/pool.h"

enum { BLOCK = 1 << 16 };

bool lm_stats_of(const lm_tensor *x, lm_stats *s) {
  const int64_t n = lm_tensor_count(x);
  int64_t finite = 0;
  double mean = 0.0, squares = 0.0;
  *s = (lm_stats){.count = n, .min = INFINITY, .max = -INFINITY};
  for (int64_t from = 0; from < n; from += BLOCK) {
    if (lm_interrupted()) return false;
    const int64_t to = lm_min64(n, from + BLOCK);
    for (int64_t i = from; i < to; i++) {
      const double v = x->dtype == LM_F32 ? (double)lm_f32(x)[i] : lm_tensor_get(x, i);
      if (!isfinite(v)) {
        if (isnan(v))
          s->nan++;
        else
          s->inf++;
        continue;
      }
      if (v < s->min) s->min = v;
      if (v > s->max) s->max = v;
      const double d = v - mean;
      mean += d / (double)++finite;
      squares += d * (v - mean);
    }
  }
  const double none = (double)NAN;
  if (finite == 0) s->min = s->max = none;
  s->mean = finite > 0 ? mean : none;
  s->std = finite > 0 ? sqrt(squares / (double)finite) : none;
  return true;
}

static bool close_enough(double a, double b, double rtol, double atol, bool nan_equal) {
  if (a == b) return true; /* infinities too */
  if (isnan(a) && isnan(b)) return nan_equal;
  return isfinite(a) && isfinite(b) && fabs(a - b) <= atol + rtol * fabs(b);
}

bool lm_allclose(const lm_tensor *a, const lm_tensor *b, double rtol, double atol, bool nan_equal,
                 int64_t *far) {
  const int64_t n = lm_tensor_count(a);
  *far = -1;
  for (int64_t i = 0; i < n && *far < 0; i++) {
    if (i % BLOCK == 0 && lm_interrupted()) return false;
    const double va = a->dtype == LM_F32 ? (double)lm_f32(a)[i] : lm_tensor_get(a, i);
    const double vb = b->dtype == LM_F32 ? (double)lm_f32(b)[i] : lm_tensor_get(b, i);
    if (!close_enough(va, vb, rtol, atol, nan_equal)) *far = i;
  }
  return true;
}
