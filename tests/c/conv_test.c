/* conv_test.c: every convolution algorithm and both gradients against the
 * double loops of ref/, on awkward shapes; the same bits for 1 and 2 threads.
 * Runs itself again with each lower instruction set (LUMA_ISA). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cpu.h"
#include "core/mem.h"
#include "core/pool.h"
#include "core/rng.h"
#include "kern/conv.h"
#include "kern/dense.h"
#include "ref/conv.h"

static int failures;

typedef struct {
  int n, h, w, c, k, kh, kw, stride, dilation, groups;
  int pad[4];
  bool same;
} shape_case;

static const shape_case cases[] = {
    /* n  h   w   c   k  kh kw s  d  g  pad */
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, {0}, false},
    {1, 1, 1, 16, 16, 3, 3, 1, 1, 1, {1, 1, 1, 1}, false},
    {2, 7, 7, 16, 32, 3, 3, 1, 1, 1, {1, 1, 1, 1}, false},
    {1, 7, 5, 17, 33, 3, 3, 1, 1, 1, {0}, true},
    {3, 14, 14, 32, 48, 3, 3, 1, 1, 1, {0}, true},
    {1, 13, 29, 40, 20, 3, 3, 1, 1, 1, {0}, true},
    {2, 6, 6, 16, 16, 3, 3, 1, 1, 1, {0, 0, 0, 0}, false},
    {1, 9, 11, 24, 16, 3, 3, 1, 1, 1, {2, 0, 1, 2}, false},
    {1, 12, 12, 64, 64, 3, 3, 1, 1, 1, {0}, true},
    {5, 6, 6, 16, 96, 3, 3, 1, 1, 1, {0}, true},
    {17, 4, 4, 8, 8, 3, 3, 1, 1, 1, {0}, true},
    {2, 9, 9, 3, 64, 3, 3, 1, 1, 1, {0}, true},
    {1, 15, 17, 3, 32, 3, 3, 1, 1, 1, {1, 1, 1, 1}, false},
    /* few input channels: widths about whole tiles, channels about whole panels,
     * every edge padded differently, strides that step over columns, rows of padding only */
    {2, 5, 14, 3, 32, 3, 3, 1, 1, 1, {0}, true},
    {1, 4, 29, 3, 33, 3, 3, 1, 1, 1, {2, 0, 1, 3}, false},
    {1, 3, 3, 3, 8, 3, 3, 1, 1, 1, {4, 5, 6, 7}, false},
    {3, 7, 13, 1, 65, 3, 3, 1, 1, 1, {0}, true},
    {1, 6, 15, 2, 31, 2, 5, 1, 1, 1, {0}, true},
    {1, 19, 27, 4, 40, 11, 11, 4, 1, 1, {2, 2, 2, 2}, false},
    {1, 9, 8, 16, 20, 3, 3, 2, 1, 1, {0, 1, 1, 0}, false},
    {1, 2, 1, 3, 64, 1, 1, 1, 1, 1, {0}, false},
    {2, 21, 19, 3, 64, 7, 7, 2, 1, 1, {3, 3, 3, 3}, false},
    {1, 10, 10, 1, 16, 5, 5, 1, 1, 1, {0}, true},
    {1, 10, 9, 4, 7, 3, 2, 2, 1, 1, {0}, true},
    {2, 11, 12, 6, 8, 3, 3, 1, 2, 1, {2, 2, 2, 2}, false},
    {2, 12, 11, 6, 8, 3, 3, 3, 2, 2, {1, 0, 2, 1}, false},
    {2, 8, 8, 12, 12, 3, 3, 1, 1, 12, {0}, true},
    {1, 9, 7, 5, 10, 3, 3, 2, 1, 5, {0}, true},
    {2, 8, 9, 32, 16, 1, 1, 1, 1, 1, {0}, false},
    {2, 8, 9, 16, 24, 1, 1, 2, 1, 1, {0}, false},
    {1, 6, 6, 8, 8, 1, 1, 1, 1, 4, {0}, false},
    {1, 8, 8, 4, 4, 8, 8, 1, 1, 1, {0}, false},
    {0, 8, 8, 16, 16, 3, 3, 1, 1, 1, {0}, true},
    {3, 30, 30, 16, 16, 3, 3, 1, 1, 1, {0}, true},
};

enum { POISON = 1 << 20, HELD = 64 };
static lm_buffer *held[HELD];
static int held_count;

/* Memory until drop_all; NaNs at its start show what is never written. */
static void *take(int64_t bytes) {
  lm_buffer *b = lm_buffer_new(bytes + 64, NULL);
  if (b == NULL || held_count == HELD) exit(2);
  memset(b->data, 0xff, (size_t)lm_min64(bytes + 64, POISON));
  held[held_count++] = b;
  return b->data;
}
static void drop_all(int keep) {
  while (held_count > keep) lm_buffer_release(held[--held_count]);
}

static void draw(float *x, double *xd, int64_t n, uint64_t stream) {
  for (int64_t i = 0; i < n; i++) {
    uint64_t z = (uint64_t)i * 0x9e3779b97f4a7c15u + stream * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    x[i] = (float)((double)((z ^ (z >> 31)) >> 40) / 8388608.0 - 1);
    xd[i] = (double)x[i];
  }
}

static void compare(const char *what, const shape_case *s, const float *got, const double *want,
                    int64_t n, double limit) {
  double norm = 0, error = 0;
  for (int64_t i = 0; i < n; i++) {
    const double d = (double)got[i] - want[i];
    norm += want[i] * want[i];
    error += d * d;
  }
  if (n == 0 || error <= limit * limit * norm) return; /* NaN fails */
  printf("%s %s: n=%d %dx%dx%d -> %d, %dx%d s%d d%d g%d: relative error %.3g\n",
         lm_isa_name(lm_cpu_isa()), what, s->n, s->h, s->w, s->c, s->k, s->kh, s->kw, s->stride,
         s->dilation, s->groups, sqrt(error / norm));
  failures++;
}

static void same_bits(const char *what, const shape_case *s, const float *a, const float *b,
                      int64_t n) {
  if (n == 0 || memcmp(a, b, (size_t)n * sizeof *a) == 0) return;
  printf("%s: 1 and 2 threads differ (n=%d %dx%dx%d -> %d)\n", what, s->n, s->h, s->w, s->c, s->k);
  failures++;
}

typedef struct { /* one case: inputs and what the reference makes of them */
  float *x, *w, *b, *dy;
  double *y, *relu, *dx, *dw, *db;
  int64_t nx, nw, ny;
} material;

static material prepare(const lm_conv2d *p) {
  const lm_ref_conv r = {.n = p->n,
                         .h = p->h,
                         .w = p->w,
                         .c = p->c,
                         .kh = p->window.kernel[0],
                         .kw = p->window.kernel[1],
                         .k = p->k,
                         .oh = p->oh,
                         .ow = p->ow,
                         .stride = {p->window.stride[0], p->window.stride[1]},
                         .dilation = {p->window.dilation[0], p->window.dilation[1]},
                         .pad = {p->window.pad[0], p->window.pad[1]},
                         .groups = p->groups};
  material m = {.nx = p->n * p->h * p->w * p->c,
                .nw = p->window.kernel[0] * p->window.kernel[1] * (p->c / p->groups) * p->k,
                .ny = p->n * p->oh * p->ow * p->k};
  m.x = take(m.nx * 4), m.w = take(m.nw * 4), m.b = take(p->k * 4), m.dy = take(m.ny * 4);
  m.y = take(m.ny * 8), m.relu = take(m.ny * 8), m.dx = take(m.nx * 8), m.dw = take(m.nw * 8);
  m.db = take(p->k * 8);
  double *xd = take(m.nx * 8), *wd = take(m.nw * 8), *bd = take(p->k * 8), *gd = take(m.ny * 8);
  draw(m.x, xd, m.nx, 1);
  draw(m.w, wd, m.nw, 2);
  draw(m.b, bd, p->k, 3);
  draw(m.dy, gd, m.ny, 4);
  lm_ref_conv_fwd(&r, xd, wd, NULL, m.y);
  for (int64_t i = 0; i < m.ny; i++) m.relu[i] = m.y[i] > 0 ? m.y[i] : 0;
  for (int64_t i = 0; i < m.ny; i++) m.y[i] += bd[i % p->k];
  lm_ref_conv_bwd_x(&r, gd, wd, m.dx);
  lm_ref_conv_bwd_w(&r, xd, gd, m.dw);
  memset(m.db, 0, (size_t)p->k * 8);
  for (int64_t i = 0; i < m.ny; i++) m.db[i % p->k] += gd[i];
  return m;
}

/* F(6x6,3x3) amplifies rounding most: about a digit. */
static double limit_of(const lm_conv2d *p, lm_conv_pass pass) {
  return p->algo[pass] == LM_CONV_WINOGRAD6 ? 1e-5 : 2.5e-6;
}

static void run(const shape_case *s, lm_conv2d *p, const material *m) {
  float *y[2], *dx[2], *dw[2], *db[2];
  for (int t = 0; t < 2; t++) {
    lm_pool_set_threads(t + 1);
    y[t] = take(m->ny * 4), dx[t] = take(m->nx * 4), dw[t] = take(m->nw * 4),
    db[t] = take(p->k * 4);
    lm_conv2d_fwd(p, m->x, m->w, m->b, take(lm_conv2d_scratch(p, LM_CONV_FORWARD)), y[t]);
    lm_conv2d_bwd_x(p, m->dy, m->w, take(lm_conv2d_scratch(p, LM_CONV_GRAD_INPUT)), dx[t]);
    lm_conv2d_bwd_w(p, m->x, m->dy, take(lm_conv2d_scratch(p, LM_CONV_GRAD_WEIGHT)), dw[t]);
    lm_column_sum(p->n * p->oh * p->ow, p->k, m->dy,
                  take(lm_column_sum_scratch(p->n * p->oh * p->ow, p->k)), db[t]);
    compare("forward", s, y[t], m->y, m->ny, limit_of(p, LM_CONV_FORWARD));
    compare("input gradient", s, dx[t], m->dx, m->nx, limit_of(p, LM_CONV_GRAD_INPUT));
    compare("weight gradient", s, dw[t], m->dw, m->nw, limit_of(p, LM_CONV_GRAD_WEIGHT));
    compare("bias gradient", s, db[t], m->db, p->k, 1e-6);
  }
  same_bits("forward", s, y[0], y[1], m->ny);
  same_bits("input gradient", s, dx[0], dx[1], m->nx);
  same_bits("weight gradient", s, dw[0], dw[1], m->nw);
  same_bits("bias gradient", s, db[0], db[1], p->k);
  p->relu = true;
  lm_conv2d_fwd(p, m->x, m->w, NULL, take(lm_conv2d_scratch(p, LM_CONV_FORWARD)), y[0]);
  compare("forward, relu, no bias", s, y[0], m->relu, m->ny, limit_of(p, LM_CONV_FORWARD));
  p->relu = false;
}

static void run_case(const shape_case *s) {
  lm_conv2d p = lm_conv2d_default();
  lm_err err = {0};
  for (int i = 0; i < 4; i++) p.window.pad[i] = s->pad[i];
  p.window.stride[0] = p.window.stride[1] = s->stride;
  p.window.dilation[0] = p.window.dilation[1] = s->dilation;
  p.groups = s->groups;
  p.window.same = s->same;
  const lm_shape x = {4, {s->n, s->h, s->w, s->c}}, w = {4, {s->kh, s->kw, s->c / s->groups, s->k}},
                 b = {1, {s->k}};
  if (!lm_conv2d_plan(&p, &x, &w, &b, &err)) {
    printf("plan refused: %s\n", err.msg);
    failures++;
    return;
  }
  const material m = prepare(&p);
  const int keep = held_count;
  const lm_conv2d planned = p;
  run(s, &p, &m);
  drop_all(keep);
  for (int a = LM_CONV_GEMM; a <= LM_CONV_DIRECT; a++) {
    p = planned;
    if (lm_conv2d_force(&p, (lm_conv_algo)a)) run(s, &p, &m);
    drop_all(keep);
  }
  drop_all(0);
}

int main(int argc, char **argv) {
  (void)argc;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) run_case(&cases[i]);
  if (getenv("LUMA_ISA") != NULL) return failures > 0;
  for (int isa = LM_ISA_PLAIN; isa < (int)lm_cpu_isa(); isa++) {
    const pid_t child = fork();
    if (child == 0) {
      setenv("LUMA_ISA", lm_isa_name((lm_isa)isa), 1);
      execv("/proc/self/exe", argv);
      _exit(2);
    }
    int status = 1;
    waitpid(child, &status, 0);
    if (status != 0) failures++;
  }
  return failures > 0;
}
