/* layers.c (reference): see layers.h. */
#include "ref/layers.h"

#include <math.h>
#include <string.h>

/* ---- pooling ---- */

/* Index into x of window (oh, ow)'s pixel (r, s) of image n, channel c; -1 outside. */
static int64_t pixel(const lm_ref_pool *p, int64_t n, int64_t oh, int64_t ow, int64_t r, int64_t s,
                     int64_t c) {
  const int64_t y = oh * p->sy - p->pad_top + r, x = ow * p->sx - p->pad_left + s;
  if (y < 0 || y >= p->h || x < 0 || x >= p->w) return -1;
  return ((n * p->h + y) * p->w + x) * p->c + c;
}

/* Index into x of the first largest pixel of a window. */
static int64_t largest(const lm_ref_pool *p, const double *x, int64_t n, int64_t oh, int64_t ow,
                       int64_t c) {
  int64_t best = -1;
  for (int64_t r = 0; r < p->kh; r++)
    for (int64_t s = 0; s < p->kw; s++) {
      const int64_t i = pixel(p, n, oh, ow, r, s, c);
      if (i >= 0 && (best < 0 || x[i] > x[best])) best = i;
    }
  return best;
}

/* What a window's mean divides by. */
static double members(const lm_ref_pool *p, int64_t oh, int64_t ow) {
  int64_t count = 0;
  for (int64_t r = 0; r < p->kh; r++)
    for (int64_t s = 0; s < p->kw; s++) count += p->count_pad || pixel(p, 0, oh, ow, r, s, 0) >= 0;
  return (double)count;
}

#define EACH_OUTPUT                          \
  for (int64_t n = 0; n < p->n; n++)         \
    for (int64_t oh = 0; oh < p->oh; oh++)   \
      for (int64_t ow = 0; ow < p->ow; ow++) \
        for (int64_t c = 0; c < p->c; c++)

void lm_ref_max_pool_fwd(const lm_ref_pool *p, const double *x, double *y) {
  int64_t o = 0;
  EACH_OUTPUT y[o++] = x[largest(p, x, n, oh, ow, c)];
}

void lm_ref_max_pool_bwd(const lm_ref_pool *p, const double *dy, const double *x, double *dx) {
  int64_t o = 0;
  memset(dx, 0, (size_t)(p->n * p->h * p->w * p->c) * sizeof *dx);
  EACH_OUTPUT dx[largest(p, x, n, oh, ow, c)] += dy[o++];
}

void lm_ref_avg_pool_fwd(const lm_ref_pool *p, const double *x, double *y) {
  int64_t o = 0;
  EACH_OUTPUT {
    double sum = 0.0;
    for (int64_t r = 0; r < p->kh; r++)
      for (int64_t s = 0; s < p->kw; s++) {
        const int64_t i = pixel(p, n, oh, ow, r, s, c);
        if (i >= 0) sum += x[i];
      }
    y[o++] = sum / members(p, oh, ow);
  }
}

void lm_ref_avg_pool_bwd(const lm_ref_pool *p, const double *dy, double *dx) {
  int64_t o = 0;
  memset(dx, 0, (size_t)(p->n * p->h * p->w * p->c) * sizeof *dx);
  EACH_OUTPUT {
    const double share = dy[o++] / members(p, oh, ow);
    for (int64_t r = 0; r < p->kh; r++)
      for (int64_t s = 0; s < p->kw; s++) {
        const int64_t i = pixel(p, n, oh, ow, r, s, c);
        if (i >= 0) dx[i] += share;
      }
  }
}

/* ---- softmax and cross-entropy ---- */

/* log(sum(exp(x))) of a row. */
static double log_sum_exp(const double *x, int64_t k) {
  double max = x[0], sum = 0.0;
  for (int64_t j = 1; j < k; j++) max = fmax(max, x[j]);
  for (int64_t j = 0; j < k; j++) sum += exp(x[j] - max);
  return max + log(sum);
}

double lm_ref_cross_entropy(int64_t n, int64_t k, const double *x, const int32_t *labels) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++) sum += log_sum_exp(x + i * k, k) - x[i * k + labels[i]];
  return sum / (double)n;
}

void lm_ref_cross_entropy_bwd(int64_t n, int64_t k, const double *x, const int32_t *labels,
                              double *dx) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < k; j++) {
      const double p = exp(x[i * k + j] - log_sum_exp(x + i * k, k));
      dx[i * k + j] = (p - (j == labels[i] ? 1.0 : 0.0)) / (double)n;
    }
}

/* ---- batch-norm ---- */

static void moments(int64_t rows, int64_t c, int64_t i, const double *x, double *mean,
                    double *var) {
  *mean = *var = 0.0;
  for (int64_t r = 0; r < rows; r++) *mean += x[r * c + i] / (double)rows;
  for (int64_t r = 0; r < rows; r++) *var += pow(x[r * c + i] - *mean, 2.0) / (double)rows;
}

void lm_ref_norm_fwd(int64_t rows, int64_t c, double eps, const double *x, const double *gamma,
                     const double *beta, double *y) {
  for (int64_t i = 0; i < c; i++) {
    double mean, var;
    moments(rows, c, i, x, &mean, &var);
    for (int64_t r = 0; r < rows; r++)
      y[r * c + i] = (x[r * c + i] - mean) / sqrt(var + eps) * gamma[i] + beta[i];
  }
}

void lm_ref_norm_bwd(int64_t rows, int64_t c, double eps, const double *dy, const double *x,
                     const double *gamma, double *dx, double *dgamma, double *dbeta) {
  for (int64_t i = 0; i < c; i++) {
    double mean, var;
    moments(rows, c, i, x, &mean, &var);
    const double inv = 1.0 / sqrt(var + eps);
    dgamma[i] = dbeta[i] = 0.0;
    for (int64_t r = 0; r < rows; r++) {
      dgamma[i] += dy[r * c + i] * (x[r * c + i] - mean) * inv;
      dbeta[i] += dy[r * c + i];
    }
    for (int64_t r = 0; r < rows; r++) {
      const double h = (x[r * c + i] - mean) * inv;
      dx[r * c + i] = gamma[i] * inv * (dy[r * c + i] - (dbeta[i] + h * dgamma[i]) / (double)rows);
    }
  }
}

/* ---- GELU ---- */

void lm_ref_gelu(bool tanh_form, int64_t n, const double *x, double *y) {
  for (int64_t i = 0; i < n; i++) {
    const double v = x[i], inner = sqrt(2.0 / M_PI) * (v + 0.044715 * v * v * v);
    y[i] = tanh_form ? 0.5 * v * (1.0 + tanh(inner)) : 0.5 * v * (1.0 + erf(v / sqrt(2.0)));
  }
}

void lm_ref_gelu_bwd(bool tanh_form, int64_t n, const double *dy, const double *x, double *dx) {
  for (int64_t i = 0; i < n; i++) {
    const double v = x[i], inner = sqrt(2.0 / M_PI) * (v + 0.044715 * v * v * v), t = tanh(inner);
    const double by_tanh = 0.5 * (1.0 + t) + 0.5 * v * (1.0 - t * t) * sqrt(2.0 / M_PI) *
                                                 (1.0 + 3.0 * 0.044715 * v * v);
    const double by_erf =
        0.5 * (1.0 + erf(v / sqrt(2.0))) + v * exp(-0.5 * v * v) / sqrt(2.0 * M_PI);
    dx[i] = dy[i] * (tanh_form ? by_tanh : by_erf);
  }
}
