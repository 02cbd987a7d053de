/* dense.c: wide layers go to sgemm; narrow ones stream.  In the narrow loops
 * w is laid out (n, k) first (scratch), so every inner loop is contiguous. */
#include "kern/dense.h"

#include <string.h>

#include "core/blas.h"
#include "core/denormal.h"
#include "core/pool.h"
#include "core/wide.h"

enum {
  LANES = 16,     /* partial sums of a dot product, added up in order */
  SPAN = 2048,    /* columns of k a weight-gradient chunk owns */
  ROWS = 4,       /* rows of x a forward chunk handles */
  BAND = 1 << 15, /* values in one band of a column sum */
};

int64_t lm_dense_scratch(int64_t k, int64_t n) {
  return n <= LM_DENSE_FEW ? k * n * (int64_t)sizeof(float) : 0;
}

typedef struct {
  int64_t m, k, n;
  const float *x, *wt, *b, *dy; /* x (m, k), wt (n, k), b (n), dy (m, n) */
  float *out;
} work;

static void transpose(int64_t k, int64_t n, const float *w, float *wt) {
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j < n; j++) wt[j * k + i] = w[i * n + j];
}

static float dot(const float *restrict a, const float *restrict b, int64_t k) {
  float lane[LANES] = {0};
  int64_t i = 0;
  for (; i + LANES <= k; i += LANES)
    for (int j = 0; j < LANES; j++) lane[j] += a[i + j] * b[i + j];
  for (; i < k; i++) lane[i % LANES] += a[i] * b[i];
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int j = 0; j < half; j++) lane[j] += lane[j + half];
  return lane[0];
}

static void fwd_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const int64_t end = lm_min64(w->m, (chunk + 1) * ROWS);
  for (int64_t r = chunk * ROWS; r < end; r++)
    for (int64_t j = 0; j < w->n; j++)
      w->out[r * w->n + j] =
          dot(w->x + r * w->k, w->wt + j * w->k, w->k) + (w->b != NULL ? w->b[j] : 0.0f);
}

static void bwd_x_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const int64_t end = lm_min64(w->m, (chunk + 1) * ROWS), k = w->k;
  for (int64_t r = chunk * ROWS; r < end; r++) {
    float *restrict dx = w->out + r * k;
    for (int64_t j = 0; j < w->n; j++) {
      const float g = w->dy[r * w->n + j], *restrict wt = w->wt + j * k;
      if (j == 0)
        for (int64_t i = 0; i < k; i++) dx[i] = g * wt[i];
      else
        for (int64_t i = 0; i < k; i++) dx[i] += g * wt[i];
    }
  }
}

static void bwd_w_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const int64_t first = chunk * SPAN, len = lm_min64(SPAN, w->k - first), n = w->n;
  float sum[LM_DENSE_FEW][SPAN];
  for (int64_t j = 0; j < n; j++) memset(sum[j], 0, (size_t)len * sizeof(float));
  for (int64_t r = 0; r < w->m; r++) {
    const float *restrict x = w->x + r * w->k + first;
    for (int64_t j = 0; j < n; j++) {
      const float g = w->dy[r * n + j];
      float *restrict s = sum[j];
      for (int64_t i = 0; i < len; i++) s[i] += g * x[i];
    }
  }
  for (int64_t i = 0; i < len; i++)
    for (int64_t j = 0; j < n; j++) w->out[(first + i) * n + j] = sum[j][i];
}

bool lm_dense_fwd(int64_t m, int64_t k, int64_t n, const float *x, const float *w, const float *b,
                  void *scratch, float *y) {
  LM_FLUSH_DENORMALS;
  if (n <= LM_DENSE_FEW) {
    transpose(k, n, w, scratch);
    work s = {.m = m, .k = k, .n = n, .x = x, .wt = scratch, .b = b, .out = y};
    return lm_parallel(lm_ceil_div(m, ROWS), fwd_chunk, &s);
  }
  for (int64_t r = 0; r < m; r++) /* sgemm adds to the bias */
    if (b != NULL)
      memcpy(y + r * n, b, (size_t)n * sizeof *y);
    else
      memset(y + r * n, 0, (size_t)n * sizeof *y);
  return m == 0 || k == 0 || lm_sgemm(false, false, m, n, k, 1.0f, x, k, w, n, 1.0f, y, n);
}

bool lm_dense_bwd_x(int64_t m, int64_t k, int64_t n, const float *dy, const float *w, void *scratch,
                    float *dx) {
  LM_FLUSH_DENORMALS;
  if (m == 0 || k == 0) return true;
  if (n == 0) {
    memset(dx, 0, (size_t)(m * k) * sizeof *dx);
    return true;
  }
  if (n > LM_DENSE_FEW) return lm_sgemm(false, true, m, k, n, 1.0f, dy, n, w, n, 0.0f, dx, k);
  transpose(k, n, w, scratch);
  work s = {.m = m, .k = k, .n = n, .dy = dy, .wt = scratch, .out = dx};
  return lm_parallel(lm_ceil_div(m, ROWS), bwd_x_chunk, &s);
}

bool lm_dense_bwd_w(int64_t m, int64_t k, int64_t n, const float *x, const float *dy, float *dw) {
  LM_FLUSH_DENORMALS;
  if (k == 0 || n == 0) return true;
  if (m == 0) {
    memset(dw, 0, (size_t)(k * n) * sizeof *dw);
    return true;
  }
  if (n > LM_DENSE_FEW) return lm_sgemm(true, false, k, n, m, 1.0f, x, k, dy, n, 0.0f, dw, n);
  work s = {.m = m, .k = k, .n = n, .x = x, .dy = dy, .out = dw};
  return lm_parallel(lm_ceil_div(k, SPAN), bwd_w_chunk, &s);
}

/* ---- column sums ---- */

typedef struct {
  int64_t rows, c, band;
  const float *dy;
  float *partial; /* (bands, c) */
} sum_work;

static int64_t band_rows(int64_t c) {
  return lm_max64(1, BAND / lm_max64(1, c));
}

static void sum_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const sum_work *w = context;
  const int64_t c = w->c, end = lm_min64(w->rows, (chunk + 1) * w->band);
  float *restrict sum = w->partial + chunk * c;
  memset(sum, 0, (size_t)c * sizeof *sum);
  for (int64_t r = chunk * w->band; r < end; r++) {
    const float *restrict dy = w->dy + r * c;
    for (int64_t i = 0; i < c; i++) sum[i] += dy[i];
  }
}

int64_t lm_column_sum_scratch(int64_t rows, int64_t c) {
  return lm_ceil_div(rows, band_rows(c)) * c * (int64_t)sizeof(float);
}

bool lm_column_sum(int64_t rows, int64_t c, const float *dy, void *partial, float *db) {
  sum_work w = {.rows = rows, .c = c, .band = band_rows(c), .dy = dy, .partial = partial};
  const int64_t bands = lm_ceil_div(rows, w.band);
  if (c == 0) return true;
  if (!lm_parallel(bands, sum_chunk, &w)) return false;
  for (int64_t i = 0; i < c; i++) {
    double sum = 0.0;
    for (int64_t b = 0; b < bands; b++) sum += (double)w.partial[b * c + i];
    db[i] = (float)sum;
  }
  return true;
}
