/* loss.c: losses a row at a time, in double. */
#include "kern/loss.h"

#include <math.h>

#define CLIP 1e-7 /* Keras's epsilon */

/* log(sum(exp(x))) of a row, by its maximum. */
static double log_sum_exp(const float *x, int64_t k) {
  double max = (double)x[0], sum = 0.0;
  for (int64_t j = 1; j < k; j++) max = (double)x[j] > max ? (double)x[j] : max;
  for (int64_t j = 0; j < k; j++) sum += exp((double)x[j] - max);
  return max + log(sum);
}

/* Share of class j in the target of a row with label y. */
static double share(int64_t j, int64_t y, int64_t k, const float *weights, double s) {
  const double target = (j == y ? 1.0 - s : 0.0) + s / (double)k;
  return target * (weights != NULL ? (double)weights[j] : 1.0);
}

void lm_cross_entropy_fwd(int64_t n, int64_t k, const float *x, const int32_t *labels,
                          const float *weights, double smoothing, double *rows) {
  for (int64_t i = 0; i < n; i++, x += k) {
    const double total = log_sum_exp(x, k);
    double loss = 0.0;
    for (int64_t j = 0; j < k; j++) {
      const double t = share(j, labels[i], k, weights, smoothing);
      if (t != 0.0) loss += t * (total - (double)x[j]);
    }
    rows[i] = isnan(total) ? total : loss;
  }
}

/* d/dx_j = p_j sum_c t_c - t_j */
void lm_cross_entropy_bwd(int64_t n, int64_t k, const float *x, const int32_t *labels,
                          const float *weights, double smoothing, const double *scale, float *dx) {
  for (int64_t i = 0; i < n; i++, x += k, dx += k) {
    const double total = log_sum_exp(x, k);
    double sum = 0.0;
    for (int64_t j = 0; j < k; j++) sum += share(j, labels[i], k, weights, smoothing);
    for (int64_t j = 0; j < k; j++) {
      const double p = exp((double)x[j] - total);
      dx[j] = (float)(scale[i] * (p * sum - share(j, labels[i], k, weights, smoothing)));
    }
  }
}

static double clip(double q) {
  return q < CLIP ? CLIP : q > 1.0 - CLIP ? 1.0 - CLIP : q;
}

static double row_sum(const float *p, int64_t k) {
  double sum = 0.0;
  for (int64_t j = 0; j < k; j++) sum += (double)p[j];
  return sum != 0.0 ? sum : 1.0; /* an all-zero row stays zero and is clipped */
}

void lm_categorical_fwd(int64_t n, int64_t k, const float *p, const float *t, double *rows) {
  for (int64_t i = 0; i < n; i++, p += k, t += k) {
    const double sum = row_sum(p, k);
    double loss = 0.0;
    for (int64_t j = 0; j < k; j++) loss -= (double)t[j] * log(clip((double)p[j] / sum));
    rows[i] = loss;
  }
}

/* With q = p / sum:  g_j = -t_j / q_j where not clipped, and
 * d/dp_j = (g_j - sum_c g_c q_c) / sum. */
void lm_categorical_bwd(int64_t n, int64_t k, const float *p, const float *t, const double *scale,
                        float *dp) {
  for (int64_t i = 0; i < n; i++, p += k, t += k, dp += k) {
    const double sum = row_sum(p, k);
    double inner = 0.0;
    for (int pass = 0; pass < 2; pass++)
      for (int64_t j = 0; j < k; j++) {
        const double q = (double)p[j] / sum;
        const double g = q >= CLIP && q <= 1.0 - CLIP ? -(double)t[j] / q : 0.0;
        if (pass == 0)
          inner += g * q;
        else
          dp[j] = (float)(scale[i] * (g - inner) / sum);
      }
  }
}

void lm_binary_fwd(bool logits, int64_t n, const float *x, const float *t, double *rows) {
  for (int64_t i = 0; i < n; i++) {
    const double v = (double)x[i], target = (double)t[i];
    if (logits) /* max(v,0) - v t + log(1 + exp(-|v|)) */
      rows[i] = (v > 0.0 ? v : 0.0) - v * target + log1p(exp(-fabs(v)));
    else
      rows[i] = -target * log(clip(v)) - (1.0 - target) * log(1.0 - clip(v));
  }
}

void lm_binary_bwd(bool logits, int64_t n, const float *x, const float *t, double scale,
                   float *dx) {
  for (int64_t i = 0; i < n; i++) {
    const double v = (double)x[i], target = (double)t[i];
    double g = 0.0;
    if (logits)
      g = 1.0 / (1.0 + exp(-v)) - target;
    else if (v >= CLIP && v <= 1.0 - CLIP)
      g = -target / v + (1.0 - target) / (1.0 - v);
    dx[i] = (float)(scale * g);
  }
}

double lm_squared_error(int64_t n, const float *x, const float *t) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++) {
    const double d = (double)x[i] - (double)t[i];
    sum += d * d;
  }
  return sum;
}

void lm_squared_error_bwd(int64_t n, const float *x, const float *t, double scale, float *dx) {
  for (int64_t i = 0; i < n; i++) dx[i] = (float)(scale * ((double)x[i] - (double)t[i]));
}
