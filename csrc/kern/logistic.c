/* logistic.c: loss, gradient and L-BFGS of logistic regression. */
#include "kern/logistic.h"

#include <math.h>
#include <string.h>

#include "core/blas.h"

enum { MEMORY = 10, LINE_STEPS = 40 };

int lm_logistic_vectors(const lm_logistic *p) {
  return p->classes == 2 ? 1 : p->classes;
}

static int64_t parameters(const lm_logistic *p) {
  return lm_logistic_vectors(p) * (p->d + 1);
}

bool lm_logistic_scratch(const lm_logistic *p, int64_t *count) {
  int64_t vectors, scores;
  return lm_mul(p->d + 1, (int64_t)lm_logistic_vectors(p) * (2 * MEMORY + 4), &vectors) &&
         lm_mul(p->n, lm_logistic_vectors(p), &scores) && lm_add(vectors, scores, count);
}

static double dot(const double *a, const double *b, int64_t n) {
  double s = 0.0;
  for (int64_t i = 0; i < n; i++) s += a[i] * b[i];
  return s;
}

static double largest(const double *a, int64_t n) {
  double m = 0.0;
  for (int64_t i = 0; i < n; i++)
    if (fabs(a[i]) > m || isnan(a[i])) m = fabs(a[i]);
  return m;
}

/* log(1 + e^z) without overflow. */
static double softplus(double z) {
  return z > 0.0 ? z + log1p(exp(-z)) : log1p(exp(z));
}
static double sigmoid(double z) {
  const double e = exp(-fabs(z));
  return z >= 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

/* scores (n, vectors) = x w' + intercepts. */
static bool linear_scores(const lm_logistic *p, const double *theta, const double *x, int64_t rows,
                          double *scores) {
  const int k = lm_logistic_vectors(p);
  for (int64_t i = 0; i < rows; i++)
    for (int j = 0; j < k; j++) scores[i * k + j] = theta[j * (p->d + 1) + p->d];
  return lm_dgemm(false, true, rows, k, p->d, 1.0, x, p->d, theta, p->d + 1, 1.0, scores, k);
}

/* In place: logits of one row -> probabilities; returns log of their sum. */
static double softmax_row(double *z, int k) {
  double top = z[0], sum = 0.0;
  for (int j = 1; j < k; j++)
    if (z[j] > top) top = z[j];
  for (int j = 0; j < k; j++) sum += z[j] = exp(z[j] - top);
  for (int j = 0; j < k; j++) z[j] /= sum;
  return top + log(sum);
}

/* Loss at theta, its gradient into grad; scores (n, vectors) is scratch. */
static bool loss_gradient(const lm_logistic *p, const double *x, const int32_t *y,
                          const double *theta, double *loss, double *grad, double *scores) {
  const int k = lm_logistic_vectors(p);
  const int64_t row = p->d + 1;
  if (!linear_scores(p, theta, x, p->n, scores)) return false;
  double sum = 0.0;
  for (int64_t i = 0; i < p->n; i++) { /* scores become d loss / d score */
    double *z = scores + i * k;
    const double weight = p->weights != NULL ? (double)p->weights[y[i]] : 1.0;
    if (k == 1) {
      sum += weight * (softplus(*z) - (y[i] == 1 ? *z : 0.0));
      *z = weight * (sigmoid(*z) - (double)(y[i] == 1));
    } else {
      const double own = z[y[i]];
      sum += weight * (softmax_row(z, k) - own);
      z[y[i]] -= 1.0;
      for (int j = 0; j < k; j++) z[j] *= weight;
    }
  }
  double penalty = 0.0;
  for (int j = 0; j < k; j++) {
    memcpy(grad + j * row, theta + j * row, (size_t)p->d * sizeof *grad);
    penalty += dot(theta + j * row, theta + j * row, p->d);
    double intercept = 0.0;
    for (int64_t i = 0; i < p->n; i++) intercept += scores[i * k + j];
    grad[j * row + p->d] = p->c * intercept;
  }
  *loss = p->c * sum + 0.5 * penalty;
  return lm_dgemm(true, false, k, p->d, p->n, p->c, scores, k, x, p->d, 1.0, grad, row);
}

/* The last MEMORY steps s and gradient changes g, oldest overwritten first. */
typedef struct {
  double *s, *g;
  int count, newest;
} history;

/* direction = -H grad by the two-loop recursion. */
static void direction_of(const history *h, const double *grad, double *direction, int64_t m) {
  double alpha[MEMORY], rho[MEMORY];
  for (int64_t i = 0; i < m; i++) direction[i] = -grad[i];
  for (int t = 0; t < h->count; t++) {
    const int i = (h->newest - t + MEMORY) % MEMORY;
    const double *s = h->s + i * m, *g = h->g + i * m;
    rho[i] = 1.0 / dot(g, s, m);
    alpha[i] = rho[i] * dot(s, direction, m);
    for (int64_t q = 0; q < m; q++) direction[q] -= alpha[i] * g[q];
  }
  if (h->count > 0) {
    const double *s = h->s + h->newest * m, *g = h->g + h->newest * m;
    const double scale = dot(s, g, m) / dot(g, g, m);
    for (int64_t q = 0; q < m; q++) direction[q] *= scale;
  }
  for (int t = h->count - 1; t >= 0; t--) {
    const int i = (h->newest - t + MEMORY) % MEMORY;
    const double *s = h->s + i * m, *g = h->g + i * m;
    const double beta = rho[i] * dot(g, direction, m);
    for (int64_t q = 0; q < m; q++) direction[q] += (alpha[i] - beta) * s[q];
  }
}

bool lm_logistic_fit(const lm_logistic *p, const double *x, const int32_t *y, double *theta,
                     int *used, double *gradient, double *scratch) {
  const int64_t m = parameters(p);
  double *grad = scratch, *direction = grad + m, *next = direction + m, *next_grad = next + m;
  history h = {.s = next_grad + m, .g = next_grad + m + MEMORY * m, .newest = MEMORY - 1};
  double *scores = h.g + MEMORY * m, loss;
  if (!loss_gradient(p, x, y, theta, &loss, grad, scores)) return false;
  int it = 0;
  for (; it < p->iterations && largest(grad, m) > p->tolerance; it++) {
    direction_of(&h, grad, direction, m);
    double slope = dot(grad, direction, m);
    if (slope >= 0.0) { /* lost to rounding: steepest descent again */
      h.count = 0;
      direction_of(&h, grad, direction, m);
      slope = dot(grad, direction, m);
    }
    /* The first step has no scale yet; afterwards 1 is nearly always right. */
    double step = h.count > 0 ? 1.0 : 1.0 / fmax(1.0, sqrt(dot(grad, grad, m)));
    double next_loss = loss;
    bool better = false;
    for (int t = 0; t < LINE_STEPS && !better; t++, step *= better ? 1.0 : 0.5) {
      for (int64_t q = 0; q < m; q++) next[q] = theta[q] + step * direction[q];
      if (!loss_gradient(p, x, y, next, &next_loss, next_grad, scores)) return false;
      better = next_loss <= loss + 1e-4 * step * slope;
    }
    if (!better) break; /* the loss is flat to the last bit: as close as double gets */
    const int slot = (h.newest + 1) % MEMORY;
    double *s = h.s + slot * m, *g = h.g + slot * m;
    for (int64_t q = 0; q < m; q++) {
      s[q] = next[q] - theta[q];
      g[q] = next_grad[q] - grad[q];
    }
    if (dot(s, g, m) > 1e-300) { /* keeps the approximation positive definite */
      h.newest = slot;
      if (h.count < MEMORY) h.count++;
    }
    memcpy(theta, next, (size_t)m * sizeof *theta);
    memcpy(grad, next_grad, (size_t)m * sizeof *grad);
    loss = next_loss;
  }
  *used = it;
  *gradient = largest(grad, m);
  return true;
}

bool lm_logistic_predict(const lm_logistic *p, const double *theta, const double *x, int64_t rows,
                         double *proba) {
  const int k = lm_logistic_vectors(p);
  if (!linear_scores(p, theta, x, rows, proba)) return false;
  if (k > 1) {
    for (int64_t i = 0; i < rows; i++) softmax_row(proba + i * k, k);
    return true;
  }
  /* One logit a row, packed at the front: spread from the back. */
  for (int64_t i = rows - 1; i >= 0; i--) {
    const double q = sigmoid(proba[i]);
    proba[2 * i] = 1.0 - q;
    proba[2 * i + 1] = q;
  }
  return true;
}
