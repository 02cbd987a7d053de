/* blas.c: sgemm and dgemm cut into blocks for the pool. */
#include "core/blas.h"

#include <cblas.h>

#include "core/pool.h"

void lm_blas_init(void) {
  openblas_set_num_threads(1);
}

const char *lm_blas_core(void) {
  return openblas_get_corename();
}
const char *lm_blas_config(void) {
  return openblas_get_config();
}

void lm_sgemm_serial(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
                     int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
              (blasint)m, (blasint)n, (blasint)k, alpha, a, (blasint)lda, b, (blasint)ldb, beta, c,
              (blasint)ldc);
}

/* Blocks of C: rows x cols, chosen from the sizes alone.  About 16 MFLOP a
 * block at least, so that packing is paid for. */
typedef struct {
  bool ta, tb, f64;
  int64_t m, n, k, lda, ldb, ldc, rows, cols, col_blocks;
  double alpha, beta;
  const void *a, *b;
  void *c;
} gemm_work;

static void cut(gemm_work *w) {
  const int64_t goal = lm_max64(1, 8000000 / lm_max64(1, w->k)); /* elements of C a block */
  w->rows = lm_min64(w->m, 384);
  w->cols = lm_min64(w->n, lm_max64(64, goal / lm_max64(1, w->rows)));
  w->col_blocks = lm_ceil_div(w->n, w->cols);
}

static void gemm_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const gemm_work *w = context;
  const int64_t i = chunk / w->col_blocks * w->rows, j = chunk % w->col_blocks * w->cols;
  const int64_t m = lm_min64(w->rows, w->m - i), n = lm_min64(w->cols, w->n - j);
  const int64_t at = w->ta ? i : i * w->lda, bt = w->tb ? j * w->ldb : j, ct = i * w->ldc + j;
  if (w->f64)
    cblas_dgemm(CblasRowMajor, w->ta ? CblasTrans : CblasNoTrans, w->tb ? CblasTrans : CblasNoTrans,
                (blasint)m, (blasint)n, (blasint)w->k, w->alpha, (const double *)w->a + at,
                (blasint)w->lda, (const double *)w->b + bt, (blasint)w->ldb, w->beta,
                (double *)w->c + ct, (blasint)w->ldc);
  else
    lm_sgemm_serial(w->ta, w->tb, m, n, w->k, (float)w->alpha, (const float *)w->a + at, w->lda,
                    (const float *)w->b + bt, w->ldb, (float)w->beta, (float *)w->c + ct, w->ldc);
}

static bool gemm(gemm_work *w) {
  if (w->m == 0 || w->n == 0) return true;
  cut(w);
  return lm_parallel(lm_ceil_div(w->m, w->rows) * w->col_blocks, gemm_chunk, w);
}

bool lm_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a,
              int64_t lda, const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
  gemm_work w = {.ta = ta,
                 .tb = tb,
                 .m = m,
                 .n = n,
                 .k = k,
                 .alpha = (double)alpha,
                 .beta = (double)beta,
                 .a = a,
                 .lda = lda,
                 .b = b,
                 .ldb = ldb,
                 .c = c,
                 .ldc = ldc};
  return gemm(&w);
}

bool lm_dgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double *a,
              int64_t lda, const double *b, int64_t ldb, double beta, double *c, int64_t ldc) {
  gemm_work w = {.ta = ta,
                 .tb = tb,
                 .f64 = true,
                 .m = m,
                 .n = n,
                 .k = k,
                 .alpha = alpha,
                 .beta = beta,
                 .a = a,
                 .lda = lda,
                 .b = b,
                 .ldb = ldb,
                 .c = c,
                 .ldc = ldc};
  return gemm(&w);
}
