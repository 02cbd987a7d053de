/* layers_test.c: the chain of trust of the layers.  Central differences in
 * double check the reference gradients (ref/layers.c) to 1e-6; the references
 * check the f32 kernels on awkward sizes; kernels give the same bits on 1 and 2
 * threads.  Prints failures only. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/pool.h"
#include "core/rng.h"
#include "kern/activation.h"
#include "kern/dense.h"
#include "kern/dropout.h"
#include "kern/loss.h"
#include "kern/norm.h"
#include "kern/pooling.h"
#include "kern/softmax.h"
#include "kern/step.h"
#include "ref/layers.h"

enum { MOST = 1 << 16 };

static int failures;
static lm_rng rng = {.seed = 41};

static void fail(const char *what, int64_t a, int64_t b, int64_t c, double off) {
  fprintf(stderr, "layers_test: %s (%lld, %lld, %lld) is off by %.3g\n", what, (long long)a,
          (long long)b, (long long)c, off);
  failures++;
}

static double random_value(void) {
  return lm_rng_uniform(&rng) * 4.0 - 2.0;
}

/* The same random values in double and in float, exactly. */
static void fill(int64_t n, double *d, float *f) {
  for (int64_t i = 0; i < n; i++) {
    f[i] = (float)random_value();
    d[i] = (double)f[i];
  }
}

/* Distinct values, so that no step of the differences changes a maximum. */
static void fill_distinct(int64_t n, double *d, float *f) {
  static int32_t order[MOST];
  lm_rng_permutation(&rng, order, n);
  for (int64_t i = 0; i < n; i++) {
    f[i] = (float)order[i] * 0.125f - (float)n * 0.0625f;
    d[i] = (double)f[i];
  }
}

static double worst(int64_t n, const double *want, const float *got) {
  double off = 0.0, size = 1.0;
  for (int64_t i = 0; i < n; i++) {
    const double d = fabs(want[i] - (double)got[i]);
    off = d > off || isnan(d) ? d : off;
    size = fmax(size, fabs(want[i]));
  }
  return off / size;
}

static double xd[MOST], yd[MOST], dyd[MOST], dxd[MOST], other[MOST];
static float xf[MOST], yf[MOST], dyf[MOST], dxf[MOST], again[MOST];
static char scratch[1 << 20];

/* Central differences of sum(forward(x) * dy) along every tenth coordinate or
 * so, against the reference gradient in dxd. */
static void differences(const char *what, void (*forward)(const void *, const double *, double *),
                        const void *context, int64_t nx, int64_t ny, int64_t a, int64_t b) {
  const double h = 1e-5;
  for (int64_t i = 0; i < nx; i += lm_max64(1, nx / 10)) {
    const double was = xd[i];
    double sum = 0.0;
    xd[i] = was + h;
    forward(context, xd, other);
    for (int64_t j = 0; j < ny; j++) sum += other[j] * dyd[j];
    xd[i] = was - h;
    forward(context, xd, other);
    for (int64_t j = 0; j < ny; j++) sum -= other[j] * dyd[j];
    xd[i] = was;
    const double off = fabs(sum / (2.0 * h) - dxd[i]);
    if (!(off < 1e-6 * fmax(1.0, fabs(dxd[i])))) fail(what, a, b, i, off);
  }
}

/* Runs `code`, which writes `out`, on 1 and on 2 threads and compares. */
#define SAME_BITS(what, out, n, code)                                                         \
  do {                                                                                        \
    lm_pool_set_threads(1);                                                                   \
    code;                                                                                     \
    memcpy(again, out, (size_t)(n) * sizeof *again);                                          \
    lm_pool_set_threads(2);                                                                   \
    code;                                                                                     \
    if (memcmp(again, out, (size_t)(n) * sizeof *again) != 0) fail(what " bits", n, 0, 0, 0); \
  } while (0)

/* ---- pooling ---- */

typedef struct {
  lm_ref_pool ref;
  lm_pool2d p;
} pool_case;

static void ref_max(const void *context, const double *x, double *y) {
  lm_ref_max_pool_fwd(&((const pool_case *)context)->ref, x, y);
}
static void ref_avg(const void *context, const double *x, double *y) {
  lm_ref_avg_pool_fwd(&((const pool_case *)context)->ref, x, y);
}

static void test_pool(int64_t n, int64_t h, int64_t w, int64_t c, int64_t kernel, int64_t stride,
                      int64_t pad, bool same, bool count_pad) {
  pool_case k = {.p = {.window = {.kernel = {kernel, kernel},
                                  .stride = {stride, stride},
                                  .dilation = {1, 1},
                                  .pad = {pad, pad, pad, pad},
                                  .same = same},
                       .count_pad = count_pad}};
  const lm_shape s = {.rank = 4, .size = {n, h, w, c}};
  lm_err err;
  if (!lm_pool2d_plan(&s, &k.p, &err)) {
    fprintf(stderr, "layers_test: pool plan: %s\n", err.msg);
    failures++;
    return;
  }
  k.ref = (lm_ref_pool){n,
                        h,
                        w,
                        c,
                        kernel,
                        kernel,
                        stride,
                        stride,
                        k.p.window.pad[0],
                        k.p.window.pad[1],
                        k.p.oh,
                        k.p.ow,
                        count_pad};
  const int64_t nx = n * h * w * c, ny = n * k.p.oh * k.p.ow * c;
  fill_distinct(nx, xd, xf);
  fill(ny, dyd, dyf);
  double off;
  lm_ref_max_pool_fwd(&k.ref, xd, yd);
  SAME_BITS("max pool", yf, ny, lm_max_pool2d_fwd(&k.p, xf, yf));
  if ((off = worst(ny, yd, yf)) > 0.0) fail("max pool", h, c, kernel, off);
  lm_ref_max_pool_bwd(&k.ref, dyd, xd, dxd);
  differences("max pool reference", ref_max, &k, nx, ny, h, c);
  SAME_BITS("max pool gradient", dxf, nx, lm_max_pool2d_bwd(&k.p, dyf, xf, yf, dxf));
  if ((off = worst(nx, dxd, dxf)) > 1e-6) fail("max pool gradient", h, c, kernel, off);
  lm_ref_avg_pool_fwd(&k.ref, xd, yd);
  SAME_BITS("average pool", yf, ny, lm_avg_pool2d_fwd(&k.p, xf, yf));
  if ((off = worst(ny, yd, yf)) > 1e-6) fail("average pool", h, c, kernel, off);
  lm_ref_avg_pool_bwd(&k.ref, dyd, dxd);
  differences("average pool reference", ref_avg, &k, nx, ny, h, c);
  SAME_BITS("average pool gradient", dxf, nx, lm_avg_pool2d_bwd(&k.p, dyf, dxf));
  if ((off = worst(nx, dxd, dxf)) > 1e-6) fail("average pool gradient", h, c, kernel, off);
  /* Equal values: each dy still arrives exactly once. */
  for (int64_t i = 0; i < nx; i++) xf[i] = xd[i] = 1.0;
  lm_ref_max_pool_bwd(&k.ref, dyd, xd, dxd);
  lm_max_pool2d_fwd(&k.p, xf, yf);
  lm_max_pool2d_bwd(&k.p, dyf, xf, yf, dxf);
  if ((off = worst(nx, dxd, dxf)) > 1e-6) fail("max pool ties", h, c, kernel, off);
}

/* ---- batch-norm ---- */

typedef struct {
  int64_t rows, c;
} norm_case;
static double gamma_d[64], beta_d[64], dgamma_d[64], dbeta_d[64];

static void ref_norm(const void *context, const double *x, double *y) {
  const norm_case *k = context;
  lm_ref_norm_fwd(k->rows, k->c, 1e-3, x, gamma_d, beta_d, y);
}

static void test_norm(int64_t rows, int64_t c) {
  static float gamma[64], beta[64], mean[64], var[64], dgamma[64], dbeta[64];
  const norm_case k = {rows, c};
  const int64_t n = rows * c;
  double off;
  fill(n, xd, xf);
  fill(n, dyd, dyf);
  fill(c, gamma_d, gamma);
  fill(c, beta_d, beta);
  lm_ref_norm_fwd(rows, c, 1e-3, xd, gamma_d, beta_d, yd);
  lm_norm_stats(rows, c, xf, scratch, mean, var);
  for (int64_t i = 0; i < c; i++) var[i] = (float)(1.0 / sqrt((double)var[i] + 1e-3));
  SAME_BITS("norm", yf, n, lm_norm_fwd(rows, c, xf, mean, var, gamma, beta, yf));
  if ((off = worst(n, yd, yf)) > 1e-5) fail("norm", rows, c, 0, off);
  lm_ref_norm_bwd(rows, c, 1e-3, dyd, xd, gamma_d, dxd, dgamma_d, dbeta_d);
  differences("norm reference", ref_norm, &k, n, n, rows, c);
  SAME_BITS("norm gradient", dxf, n,
            lm_norm_bwd(false, rows, c, dyf, xf, mean, var, gamma, scratch, dxf, dgamma, dbeta));
  if ((off = worst(n, dxd, dxf)) > 1e-4) fail("norm gradient", rows, c, 0, off);
  if ((off = worst(c, dgamma_d, dgamma)) > 1e-5) fail("norm dgamma", rows, c, 0, off);
  if ((off = worst(c, dbeta_d, dbeta)) > 1e-5) fail("norm dbeta", rows, c, 0, off);
}

/* ---- cross-entropy, softmax ---- */

typedef struct {
  int64_t n, k;
  const int32_t *labels;
} entropy_case;

static void ref_entropy(const void *context, const double *x, double *y) {
  const entropy_case *e = context;
  y[0] = lm_ref_cross_entropy(e->n, e->k, x, e->labels);
}

static void test_entropy(int64_t n, int64_t k) {
  static int32_t labels[64];
  static double rows[64], scale[64];
  for (int64_t i = 0; i < n; i++) labels[i] = (int32_t)lm_rng_below(&rng, (uint64_t)k);
  const entropy_case e = {n, k, labels};
  fill(n * k, xd, xf);
  dyd[0] = 1.0;
  lm_ref_cross_entropy_bwd(n, k, xd, labels, dxd);
  differences("cross-entropy reference", ref_entropy, &e, n * k, 1, n, k);
  lm_cross_entropy_fwd(n, k, xf, labels, NULL, 0.0, rows);
  double sum = 0.0, off;
  for (int64_t i = 0; i < n; i++) {
    sum += rows[i] / (double)n;
    scale[i] = 1.0 / (double)n;
  }
  off = fabs(sum - lm_ref_cross_entropy(n, k, xd, labels));
  if (off > 1e-9) fail("cross-entropy", n, k, 0, off);
  lm_cross_entropy_bwd(n, k, xf, labels, NULL, 0.0, scale, dxf);
  if ((off = worst(n * k, dxd, dxf)) > 1e-6) fail("cross-entropy gradient", n, k, 0, off);
  /* softmax from the same oracle: dx n + onehot */
  SAME_BITS("softmax", yf, n * k, lm_softmax_fwd(false, n, k, 1, xf, yf));
  for (int64_t i = 0; i < n * k; i++)
    yd[i] = dxd[i] * (double)n + (i % k == labels[i / k] ? 1.0 : 0.0);
  if ((off = worst(n * k, yd, yf)) > 1e-6) fail("softmax", n, k, 0, off);
}

/* ---- elementwise, dense, steps, dropout ---- */

static void ref_gelu(const void *context, const double *x, double *y) {
  lm_ref_gelu(*(const bool *)context, 17, x, y);
}

static void test_elementwise(int64_t n) {
  double off;
  fill(n, xd, xf);
  fill(n, dyd, dyf);
  for (int form = 0; form < 2; form++) {
    const bool tanh_form = form == 1;
    lm_ref_gelu(tanh_form, n, xd, yd);
    SAME_BITS("gelu", yf, n, lm_gelu_fwd(tanh_form, xf, n, yf));
    if ((off = worst(n, yd, yf)) > 1e-6) fail("gelu", n, form, 0, off);
    lm_ref_gelu_bwd(tanh_form, n, dyd, xd, dxd);
    if (n == 17) differences("gelu reference", ref_gelu, &tanh_form, n, n, n, form);
    SAME_BITS("gelu gradient", dxf, n, lm_gelu_bwd(tanh_form, dyf, xf, n, dxf));
    if ((off = worst(n, dxd, dxf)) > 1e-6) fail("gelu gradient", n, form, 0, off);
  }
  SAME_BITS("relu", yf, n, lm_relu_fwd(xf, n, yf));
  SAME_BITS("relu gradient", dxf, n, lm_relu_bwd(dyf, yf, n, dxf));
  for (int64_t i = 0; i < n; i++) {
    const bool up = xf[i] > 0.0f;
    if (yf[i] != (up ? xf[i] : 0.0f) || dxf[i] != (up ? dyf[i] : 0.0f)) fail("relu", n, i, 0, 1);
  }
  const float edges[3] = {0.0f, -0.0f, NAN};
  lm_relu_fwd(edges, 3, yf);
  lm_relu_bwd(dyf, yf, 3, dxf);
  if (yf[0] != 0.0f || yf[1] != 0.0f || !isnan(yf[2]) || dxf[0] != 0.0f)
    fail("relu edges", 0, 0, 0, 1);
}

static void test_dense(int64_t m, int64_t k, int64_t n) {
  static double w[MOST], b[64];
  static float wf[MOST], bf[64];
  double off;
  fill(m * k, xd, xf);
  fill(k * n, w, wf);
  fill(n, b, bf);
  fill(m * n, dyd, dyf);
  for (int64_t r = 0; r < m; r++)
    for (int64_t j = 0; j < n; j++) {
      double sum = b[j];
      for (int64_t i = 0; i < k; i++) sum += xd[r * k + i] * w[i * n + j];
      yd[r * n + j] = sum;
    }
  SAME_BITS("dense", yf, m * n, lm_dense_fwd(m, k, n, xf, wf, bf, scratch, yf));
  if ((off = worst(m * n, yd, yf)) > 1e-5) fail("dense", m, k, n, off);
  for (int64_t r = 0; r < m; r++)
    for (int64_t i = 0; i < k; i++) {
      double sum = 0.0;
      for (int64_t j = 0; j < n; j++) sum += dyd[r * n + j] * w[i * n + j];
      dxd[r * k + i] = sum;
    }
  SAME_BITS("dense dx", dxf, m * k, lm_dense_bwd_x(m, k, n, dyf, wf, scratch, dxf));
  if ((off = worst(m * k, dxd, dxf)) > 1e-5) fail("dense dx", m, k, n, off);
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j < n; j++) {
      double sum = 0.0;
      for (int64_t r = 0; r < m; r++) sum += xd[r * k + i] * dyd[r * n + j];
      dxd[i * n + j] = sum;
    }
  SAME_BITS("dense dw", dxf, k * n, lm_dense_bwd_w(m, k, n, xf, dyf, dxf));
  if ((off = worst(k * n, dxd, dxf)) > 1e-5) fail("dense dw", m, k, n, off);
  for (int64_t j = 0; j < n; j++) {
    yd[j] = 0.0;
    for (int64_t r = 0; r < m; r++) yd[j] += dyd[r * n + j];
  }
  SAME_BITS("column sum", yf, n, lm_column_sum(m, n, dyf, scratch, yf));
  if ((off = worst(n, yd, yf)) > 1e-6) fail("column sum", m, n, 0, off);
}

/* Five steps of Adam beside the formula in double (article row M6). */
static void test_adam(int64_t n) {
  static double m[64], v[64];
  static float mf[64], vf[64];
  memset(m, 0, sizeof m), memset(v, 0, sizeof v), memset(mf, 0, sizeof mf),
      memset(vf, 0, sizeof vf);
  fill(n, xd, xf);
  for (int t = 1; t <= 5; t++) {
    fill(n, dyd, dyf);
    const double rate = 1e-3 * sqrt(1.0 - pow(0.999, t)) / (1.0 - pow(0.9, t));
    for (int64_t i = 0; i < n; i++) {
      m[i] = 0.9 * m[i] + 0.1 * dyd[i];
      v[i] = 0.999 * v[i] + 0.001 * dyd[i] * dyd[i];
      xd[i] -= rate * m[i] / (sqrt(v[i]) + 1e-7);
    }
    const lm_adam p = {.rate = (float)rate, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-7f};
    lm_adam_step(&p, n, dyf, xf, mf, vf);
  }
  const double off = worst(n, xd, xf);
  if (off > 1e-6) fail("adam after five steps", n, 0, 0, off);
}

static void test_dropout(double p) {
  const int64_t n = 50001;
  for (int64_t i = 0; i < n; i++) xf[i] = 1.0f;
  SAME_BITS("dropout", yf, n, lm_dropout(p, 7, 3, xf, n, yf));
  int64_t zeros = 0;
  for (int64_t i = 0; i < n; i++) {
    zeros += yf[i] == 0.0f;
    if (yf[i] != 0.0f && yf[i] != (float)(1.0 / (1.0 - p)))
      fail("dropout value", i, 0, 0, (double)yf[i]);
  }
  const double off = fabs((double)zeros / (double)n - p);
  if (off > 4.0 * sqrt(0.25 / (double)n)) fail("dropout share", 0, 0, 0, off);
  lm_dropout(p, 7, 4, xf, n, again);
  if (p > 0.0 && p < 1.0 && memcmp(again, yf, (size_t)n * sizeof *yf) == 0)
    fail("dropout stream", 0, 0, 0, 0);
}

int main(void) {
  static const int64_t sizes[] = {1, 2, 3, 7, 16, 17};
  for (int a = 0; a < 6; a++)
    for (int b = 0; b < 6; b++) {
      const int64_t s = sizes[a], c = sizes[b];
      test_pool(2, s, s + 1, c, 1, 1, 0, false, false);
      if (s > 1) test_pool(a == 0 ? 1 : 2, s, s, c, 2, 2, 0, false, false);
      test_pool(1, s, s, c, 3, 2, 1, false, b % 2 == 0);
      test_pool(2, s, 18 - s, c, 3, 1 + b % 3, 0, true, false);
      test_norm(s, c);
      test_norm(s * s + 300, c);
      test_entropy(s, c);
      test_dense(s, 5 * s, c);
      test_dense(c, 1000, s);
    }
  for (int a = 0; a < 6; a++) {
    test_elementwise(sizes[a]);
    test_adam(sizes[a]);
  }
  test_elementwise(MOST - 3);
  test_pool(1, 9, 9, 130, 2, 2, 0, false, false);
  test_pool(1, 9, 9, 130, 3, 2, 1, false, false);
  for (int i = 0; i <= 8; i++) test_dropout((double)i / 8.0);
  test_dropout(0.1);
  return failures > 0;
}
