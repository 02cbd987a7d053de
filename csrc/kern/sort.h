/* sort.h: stable sorting of lines. */
#ifndef LM_SORT_H
#define LM_SORT_H

#include "core/tensor.h"

/* x: contiguous (lines, n), n <= INT32_MAX.  order (i32, same shape) gets the
 * 0-based places of the elements from small to large (or large to small when
 * descending); equal elements keep their order; NaN comes last either way.
 * scratch: lm_sort_scratch bytes (a line for each thread); false on overflow.
 * False: interrupted. */
bool lm_sort_scratch(int64_t lines, int64_t n, int64_t *bytes);
bool lm_argsort(const lm_tensor *x, bool descending, void *scratch, lm_tensor *order /* [out] */);

#endif
