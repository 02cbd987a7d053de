/* stats.h: a look at a whole tensor: summary, equality, closeness.  Plain
 * memory only; serial, polling the interrupt flag. */
#ifndef LM_STATS_H
#define LM_STATS_H

#include "core/tensor.h"

typedef struct {
  int64_t count, nan, inf;
  double min, max, mean, std; /* of the finite elements; NaN when there is none */
} lm_stats;

bool lm_stats_of(const lm_tensor *x, lm_stats *s /* [out] */);

/* |a - b| <= atol + rtol |b| everywhere, infinities equal, NaN equal to NaN
 * when nan_equal.  *far gets the place of the first miss, or -1. */
bool lm_allclose(const lm_tensor *a, const lm_tensor *b, double rtol, double atol, bool nan_equal,
                 int64_t *far /* [out] */);

#endif
