/* reduce.h: sums, extremes and moments over any set of dimensions.
 *
 * Accumulation is in double whatever the input: the mean of 16.7 million f32
 * is exact to 1e-7.  Long reductions are cut into parts by their length and
 * the parts merged in index order, so bits do not depend on the threads.
 * NaN: sum, mean, prod, var, std and norm give NaN when any element is; min
 * and max too; argmin and argmax give the first NaN's place. */
#ifndef LM_REDUCE_H
#define LM_REDUCE_H

#include "core/tensor.h"

typedef enum {
  LM_SUM,
  LM_MEAN,
  LM_PROD,
  LM_MIN,
  LM_MAX,
  LM_ARGMIN, /* y is i32, 0-based */
  LM_ARGMAX,
  LM_VAR, /* divided by n - correction */
  LM_STD,
  LM_NORM, /* Euclidean */
  LM_ANY,  /* y is u8 */
  LM_ALL,
  LM_NREDUCE
} lm_reduce_op;

typedef struct {
  lm_reduce_op op;
  double correction; /* var and std: 0 = of these numbers, 1 = estimate */
  lm_dtype dtype;    /* of the result */
  lm_shape out;      /* reduced dimensions left out */
  lm_shape keep;     /* reduced dimensions as 1 */
  int64_t scratch;   /* bytes */
  /* the rest is the plan's own */
  lm_tensor x; /* kept dimensions first, then the reduced ones */
  int kept_rank;
  int64_t kept, reduced, parts, part_len, block, blocks;
} lm_reduce;

/* dims: bit d set = reduce dimension d.  Fails (LM_E_SHAPE) for min, max and
 * their places over nothing, and for places that do not fit i32. */
bool lm_reduce_plan(lm_reduce *r, lm_reduce_op op, const lm_tensor *x, unsigned dims, lm_err *e);

/* y: contiguous, r->dtype, as many elements as r->out.  False: interrupted. */
bool lm_reduce_run(const lm_reduce *r, void *scratch /* [scratch] */, lm_tensor *y /* [out] */);

/* y = running sums of x along dim, in double; y contiguous or not, same shape. */
bool lm_cumsum(const lm_tensor *x, int dim, lm_tensor *y);

#endif
