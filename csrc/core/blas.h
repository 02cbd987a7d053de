/* blas.h: the only door to OpenBLAS.  OpenBLAS runs single-threaded; large
 * products are cut into row blocks that do not depend on the thread count and
 * the pool runs the blocks, so the bits never change with the threads. */
#ifndef LM_BLAS_H
#define LM_BLAS_H

#include "core/base.h"

/* Called once by the border at load: openblas_set_num_threads(1). */
void lm_blas_init(void);

/* C = alpha * op(A) * op(B) + beta * C, all row-major; op(A) is m x k, op(B)
 * k x n, C m x n; lda, ldb, ldc are row strides of the stored matrices.
 * Single-threaded: for use inside a chunk. */
void lm_sgemm_serial(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                     int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);

/* The same, cut into blocks over the pool.  False when interrupted. */
bool lm_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
              int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc);
bool lm_dgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
              int64_t lda, const double *b, int64_t ldb, double beta, double *c, int64_t ldc);

/* "Haswell", "SkylakeX", ...: the kernels OpenBLAS runs; and its build line. */
const char *lm_blas_core(void);
const char *lm_blas_config(void);

#endif
