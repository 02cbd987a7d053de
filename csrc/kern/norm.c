/* norm.c: every pass is a walk over bands of rows with channels innermost. */
#include "kern/norm.h"

#include <string.h>

#include "core/pool.h"
#include "core/wide.h"

enum { BAND = 1 << 15, BLOCK = 256 }; /* values a band; channels at a time on the stack */

typedef struct {
  int64_t rows, c, band;
  bool frozen;
  const float *x, *dy, *mean, *inv, *gamma, *beta, *dgamma, *dbeta;
  float *out, *partial; /* partial (bands, 2, c) */
} work;

static int64_t band_rows(int64_t c) {
  return lm_max64(1, BAND / lm_max64(1, c));
}

int64_t lm_norm_scratch(int64_t rows, int64_t c) {
  return lm_ceil_div(rows, band_rows(c)) * 2 * c * (int64_t)sizeof(float);
}

/* partial[band] = sum x, or with a mean sum (x - mean)^2 */
static void stats_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const int64_t c = w->c, end = lm_min64(w->rows, (chunk + 1) * w->band);
  float *restrict sum = w->partial + chunk * 2 * c;
  memset(sum, 0, (size_t)c * sizeof *sum);
  for (int64_t r = chunk * w->band; r < end; r++) {
    const float *restrict x = w->x + r * c, *restrict mean = w->mean;
    if (mean == NULL)
      for (int64_t i = 0; i < c; i++) sum[i] += x[i];
    else
      for (int64_t i = 0; i < c; i++) sum[i] += (x[i] - mean[i]) * (x[i] - mean[i]);
  }
}

/* out[i] = sum over bands of partial[band][which][i], divided by `by`. */
static void merge(const work *w, int64_t bands, int which, double by, float *out) {
  for (int64_t i = 0; i < w->c; i++) {
    double sum = 0.0;
    for (int64_t b = 0; b < bands; b++) sum += (double)w->partial[(b * 2 + which) * w->c + i];
    out[i] = (float)(sum / by);
  }
}

bool lm_norm_stats(int64_t rows, int64_t c, const float *x, void *scratch, float *mean,
                   float *var) {
  work w = {.rows = rows, .c = c, .band = band_rows(c), .x = x, .partial = scratch};
  const int64_t bands = lm_ceil_div(rows, w.band);
  const double by = (double)lm_max64(1, rows);
  if (!lm_parallel(bands, stats_chunk, &w)) return false;
  merge(&w, bands, 0, by, mean);
  w.mean = mean;
  if (!lm_parallel(bands, stats_chunk, &w)) return false;
  merge(&w, bands, 0, by, var);
  return true;
}

static void fwd_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const int64_t c = w->c, first = chunk * w->band, end = lm_min64(w->rows, first + w->band);
  for (int64_t from = 0; from < c; from += BLOCK) { /* y = x * scale + shift, channel by channel */
    const int64_t len = lm_min64(BLOCK, c - from);
    float scale[BLOCK], mean[BLOCK], shift[BLOCK];
    for (int64_t i = 0; i < len; i++) {
      scale[i] = w->inv[from + i] * (w->gamma != NULL ? w->gamma[from + i] : 1.0f);
      mean[i] = w->mean[from + i];
      shift[i] = w->beta != NULL ? w->beta[from + i] : 0.0f;
    }
    for (int64_t r = first; r < end; r++) {
      const float *restrict x = w->x + r * c + from;
      float *restrict y = w->out + r * c + from;
      for (int64_t i = 0; i < len; i++) y[i] = (x[i] - mean[i]) * scale[i] + shift[i];
    }
  }
}

bool lm_norm_fwd(int64_t rows, int64_t c, const float *x, const float *mean, const float *inv,
                 const float *gamma, const float *beta, float *y) {
  work w = {.rows = rows,
            .c = c,
            .band = band_rows(c),
            .x = x,
            .mean = mean,
            .inv = inv,
            .gamma = gamma,
            .beta = beta,
            .out = y};
  return lm_parallel(lm_ceil_div(rows, w.band), fwd_chunk, &w);
}

static void sums_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const int64_t c = w->c, end = lm_min64(w->rows, (chunk + 1) * w->band);
  float *restrict db = w->partial + chunk * 2 * c, *restrict dg = db + c;
  memset(db, 0, (size_t)(2 * c) * sizeof *db);
  for (int64_t r = chunk * w->band; r < end; r++) {
    const float *restrict x = w->x + r * c, *restrict dy = w->dy + r * c;
    for (int64_t i = 0; i < c; i++) {
      db[i] += dy[i];
      dg[i] += dy[i] * ((x[i] - w->mean[i]) * w->inv[i]);
    }
  }
}

static void bwd_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const work *w = context;
  const int64_t c = w->c, first = chunk * w->band, end = lm_min64(w->rows, first + w->band);
  const float by = w->frozen ? 0.0f : 1.0f / (float)w->rows;
  for (int64_t from = 0; from < c; from += BLOCK) { /* dx = a dy + b (x - mean) + d */
    const int64_t len = lm_min64(BLOCK, c - from);
    float a[BLOCK], b[BLOCK], d[BLOCK], mean[BLOCK];
    for (int64_t i = 0; i < len; i++) {
      const int64_t k = from + i;
      a[i] = w->inv[k] * (w->gamma != NULL ? w->gamma[k] : 1.0f);
      b[i] = -a[i] * w->inv[k] * w->dgamma[k] * by;
      d[i] = -a[i] * w->dbeta[k] * by;
      mean[i] = w->mean[k];
    }
    for (int64_t r = first; r < end; r++) {
      const float *restrict x = w->x + r * c + from, *restrict dy = w->dy + r * c + from;
      float *restrict dx = w->out + r * c + from;
      for (int64_t i = 0; i < len; i++) dx[i] = a[i] * dy[i] + b[i] * (x[i] - mean[i]) + d[i];
    }
  }
}

bool lm_norm_bwd(bool frozen, int64_t rows, int64_t c, const float *dy, const float *x,
                 const float *mean, const float *inv, const float *gamma, void *scratch, float *dx,
                 float *dgamma, float *dbeta) {
  work w = {.frozen = frozen,
            .rows = rows,
            .c = c,
            .band = band_rows(c),
            .x = x,
            .dy = dy,
            .mean = mean,
            .inv = inv,
            .gamma = gamma,
            .dgamma = dgamma,
            .dbeta = dbeta,
            .out = dx,
            .partial = scratch};
  const int64_t bands = lm_ceil_div(rows, w.band);
  if (!lm_parallel(bands, sums_chunk, &w)) return false;
  merge(&w, bands, 0, 1.0, dbeta);
  merge(&w, bands, 1, 1.0, dgamma);
  return dx == NULL || lm_parallel(bands, bwd_chunk, &w);
}
