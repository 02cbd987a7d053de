/* plan.c: compiling a chain of layers and walking a batch through it. */
#include "kern/plan.h"

#include "core/denormal.h"
#include "kern/conv_winograd.h"

enum {
  CACHE_FLOATS = 4 << 20, /* a group's input and output should fit, or else */
  WEIGHT_TIMES = 8        /* weigh this many times the weights, which every group reads again */
};

static bool is_winograd(const lm_step *s) {
  return s->is_conv && (s->conv.algo[LM_CONV_FORWARD] == LM_CONV_WINOGRAD4 ||
                        s->conv.algo[LM_CONV_FORWARD] == LM_CONV_WINOGRAD6);
}

static lm_winograd winograd_of(const lm_step *s, int64_t n) {
  lm_conv2d p = s->conv;
  p.n = n;
  lm_winograd g = lm_conv2d_winograd(&p);
  g.pool = s->pooled;
  return g;
}

static bool halves(const lm_step *s) { /* the maximum that a convolution can fuse */
  const lm_window *k = &s->pool.window;
  return !s->is_conv && k->kernel[0] == 2 && k->kernel[1] == 2 && k->stride[0] == 2 &&
         k->stride[1] == 2 && !k->same && k->pad[0] + k->pad[1] + k->pad[2] + k->pad[3] == 0;
}

static int64_t plain_weights(const lm_step *s) {
  int64_t count = 0;
  return s->is_conv && lm_shape_count(&s->w, &count) ? count : 0;
}

static int64_t group_of(const lm_step *s, int64_t batch) {
  const int64_t each = s->in + s->out, weights = lm_max64(s->weight_floats, plain_weights(s)),
                most = lm_max64(CACHE_FLOATS, WEIGHT_TIMES * weights);
  int64_t g = 1;
  while (g < batch && 2 * g * each <= most) g *= 2;
  return lm_min64(g, batch);
}

bool lm_plan_build(lm_plan *p, int *source, lm_err *e) {
  lm_shape at = p->in;
  int64_t count, group = 1;
  int kept = 0;
  for (int i = 0; i < p->count; i++) {
    lm_step *s = &p->steps[kept];
    *s = p->steps[i];
    if (kept > 0 && halves(s) && is_winograd(s - 1) && !s[-1].pooled && at.size[1] > 1 &&
        at.size[2] > 1) {
      s[-1].pooled = true;
      at.size[1] /= 2;
      at.size[2] /= 2;
      if (!lm_shape_count(&at, &s[-1].out)) return lm_fail(e, LM_E_SHAPE, "image too large");
      continue;
    }
    if (!lm_shape_count(&at, &s->in)) return lm_fail(e, LM_E_SHAPE, "image too large");
    if (s->is_conv) {
      if (!lm_conv2d_plan(&s->conv, &at, &s->w, NULL, e)) return false;
      at = lm_conv2d_shape_y(&s->conv);
    } else {
      if (!lm_pool2d_plan(&at, &s->pool, e)) return false;
      at.size[1] = s->pool.oh;
      at.size[2] = s->pool.ow;
    }
    if (!lm_shape_count(&at, &s->out)) return lm_fail(e, LM_E_SHAPE, "image too large");
    if (is_winograd(s)) {
      const lm_winograd g = winograd_of(s, 1);
      s->weight_floats = lm_winograd_weight_floats(g.m, g.c, g.k);
    }
    group = lm_max64(group, group_of(s, p->batch)); /* groups only grow */
    s->group = group;
    source[kept++] = i;
  }
  p->count = kept;
  p->out = at;
  return lm_shape_count(&at, &count);
}

bool lm_plan_weights(const lm_step *step, const float *w, float *u) {
  const lm_winograd g = winograd_of(step, 1);
  return lm_winograd_weights(g.m, g.c, g.k, w, u);
}

/* ---- running ---- */

/* The arena: two buffers in turn for what passes between the steps of a stage,
 * one buffer in front of each later stage, and the steps' scratch.  A stage is
 * a run of steps with the same group size. */
static int64_t line(int64_t floats) {
  return (floats + 15) / 16 * 16;
}

static int64_t step_scratch(const lm_step *s, int64_t n) {
  if (is_winograd(s)) {
    const lm_winograd g = winograd_of(s, n);
    return lm_winograd_scratch(&g) / (int64_t)sizeof(float);
  }
  if (!s->is_conv) return 0;
  lm_conv2d p = s->conv;
  p.n = n;
  return lm_conv2d_scratch(&p, LM_CONV_FORWARD) / (int64_t)sizeof(float);
}

typedef struct {
  int64_t between, fronts, scratch; /* floats */
} arena_sizes;

static arena_sizes measure(const lm_plan *p, int64_t n) {
  arena_sizes a = {0};
  for (int i = 0; i < p->count; i++) {
    const lm_step *s = &p->steps[i];
    const int64_t g = lm_min64(s->group, n);
    if (i + 1 < p->count && s[1].group == s->group)
      a.between = lm_max64(a.between, line(g * s->out));
    else if (i + 1 < p->count)
      a.fronts += line(lm_min64(s[1].group, n) * s->out);
    a.scratch = lm_max64(a.scratch, line(step_scratch(s, g)));
  }
  return a;
}

int64_t lm_plan_arena(const lm_plan *p, int64_t n) {
  const arena_sizes a = measure(p, n);
  return (2 * a.between + a.fronts + a.scratch) * (int64_t)sizeof(float);
}

static bool run_step(const lm_step *s, int64_t n, const float *x, float *scratch, float *y) {
  if (is_winograd(s)) {
    const lm_winograd g = winograd_of(s, n);
    return lm_winograd_run(&g, x, s->weights, s->bias, scratch, y);
  }
  if (s->is_conv) {
    lm_conv2d p = s->conv;
    p.n = n;
    return lm_conv2d_fwd(&p, x, s->weights, s->bias, scratch, y);
  }
  lm_pool2d p = s->pool;
  p.n = n;
  return lm_max_pool2d_fwd(&p, x, y);
}

typedef struct {
  const lm_plan *p;
  int64_t n;
  const float *x;
  float *between[2], *scratch;
} walk;

/* Brings images first .. first+count-1 through steps 0 .. last, the result to
 * y; front is the free part of the buffers in front of stages. */
static bool run_stage(const walk *k, int last, int64_t first, int64_t count, float *front,
                      float *y) {
  const lm_step *steps = k->p->steps;
  int begin = last; /* this stage is steps begin .. last */
  while (begin > 0 && steps[begin - 1].group == steps[last].group) begin--;
  const float *x = k->x + first * steps[0].in;
  if (begin > 0) {
    const lm_step *feeder = &steps[begin - 1];
    float *rest = front + line(lm_min64(steps[begin].group, k->n) * feeder->out);
    for (int64_t i = 0; i < count; i += feeder->group)
      if (!run_stage(k, begin - 1, first + i, lm_min64(feeder->group, count - i), rest,
                     front + i * feeder->out))
        return false;
    x = front;
  }
  for (int i = begin; i <= last; i++) {
    float *to = i == last ? y : k->between[i % 2];
    if (!run_step(&steps[i], count, x, k->scratch, to)) return false;
    x = to;
  }
  return true;
}

bool lm_plan_run(const lm_plan *p, int64_t n, const float *x, void *arena, float *y) {
  const arena_sizes a = measure(p, n);
  float *base = arena;
  const walk k = {.p = p,
                  .n = n,
                  .x = x,
                  .between = {base, base + a.between},
                  .scratch = base + 2 * a.between + a.fronts};
  const lm_step *end = &p->steps[p->count - 1];
  LM_FLUSH_DENORMALS; /* as lm_conv2d_fwd does */
  for (int64_t i = 0; i < n; i += end->group)
    if (!run_stage(&k, p->count - 1, i, lm_min64(end->group, n - i), base + 2 * a.between,
                   y + i * end->out))
      return false;
  return true;
}
