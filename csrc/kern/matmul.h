/* matmul.h: products of matrices and of batches of them, f32 and f64.
 *
 * Shapes as in NumPy: (.., m, k) x (.., k, n) -> (.., m, n), leading dimensions
 * broadcast; a vector on the left is a row, on the right a column, and its
 * dimension is left out of the result. */
#ifndef LM_MATMUL_H
#define LM_MATMUL_H

#include "core/tensor.h"

typedef struct {
  lm_shape out;        /* of the result as the caller sees it */
  lm_tensor a, b;      /* [batch..., m, k] and [batch..., k, n], batch broadcast */
  bool ta, tb;         /* stored transposed: handed to BLAS as such */
  bool copy_a, copy_b; /* neither way round: the caller passes plain copies */
  int64_t m, n, k, batch;
} lm_matmul;

/* LM_E_SHAPE naming both shapes; sizes of one matrix must fit 32 bits. */
bool lm_matmul_plan(lm_matmul *p, const lm_tensor *a, const lm_tensor *b, lm_err *e);

/* y: contiguous, p->out.  False: interrupted. */
bool lm_matmul_run(const lm_matmul *p, lm_tensor *y /* [out] */);

#endif
