/* gather.h: moving elements to and from places named by an index tensor.
 *
 * Places are 0-based here and checked by the caller.  x, ids, src and y are
 * contiguous.  Sums at one place are made in index order, whatever the number
 * of threads.  All return false when interrupted. */
#ifndef LM_GATHER_H
#define LM_GATHER_H

#include "core/tensor.h"

/* y = x with dimension dim replaced by the slices ids[0..n-1]. */
bool lm_index_select(const lm_tensor *x, int dim, const int32_t *ids, int64_t n,
                     lm_tensor *y /* [out] */);

/* y[.., ids[i], ..] += src[.., i, ..] along dim: f32, f64, i32. */
bool lm_index_add(lm_tensor *y /* [in out] */, int dim, const int32_t *ids, int64_t n,
                  const lm_tensor *src);

/* y[a, j, b] = x[a, ids[a, j, b], b]: ids and y share a shape; apart from dim
 * it may be smaller than x's. */
bool lm_gather(const lm_tensor *x, int dim, const lm_tensor *ids, lm_tensor *y);

/* y[a, ids[a, j, b], b] += src[a, j, b]: f32, f64, i32. */
bool lm_scatter_add(lm_tensor *y /* [in out] */, int dim, const lm_tensor *ids,
                    const lm_tensor *src);

/* y (zeros) gets ones at y[i, ids[i]]; y is (count, k). */
void lm_one_hot(const int32_t *ids, int64_t count, lm_tensor *y /* [in out] */);

/* Number of places where mask is not 0, and the elements of x there. */
int64_t lm_mask_count(const uint8_t *mask, int64_t n);
void lm_mask_select(const lm_tensor *x, const uint8_t *mask, lm_tensor *y /* [out] */);

#endif
