/* ops_loss.c: losses, each beside the op that computes its gradient.  All give
 * the mean over the batch as a scalar f32 tensor, or the sum, or one value a
 * row ({reduction = "mean" | "sum" | "none"}).  The mean over no rows is 0. */
#include <math.h>

#include "kern/loss.h"
#include "lua/luma.h"

typedef enum { MEAN, SUM, NONE } reduction;

static reduction opt_reduction(lua_State *L, int arg) {
  static const char *const names[] = {"mean", "sum", "none", NULL};
  return (reduction)luma_optenum(L, arg, "reduction", MEAN, names);
}

/* Reduces rows[0..n-1] (in index order) into a new tensor on the stack. */
static void push_loss(lua_State *L, reduction how, int64_t n, const double *rows, double total) {
  const lm_shape s = {.rank = how == NONE ? 1 : 0, .size = {n}};
  lm_tensor *y = luma_newtensor(L, LM_F32, &s);
  double sum = 0.0;
  for (int64_t i = 0; i < n; i++) {
    if (how == NONE) lm_f32(y)[i] = (float)rows[i];
    sum += rows[i];
  }
  if (how == MEAN) sum = total != 0.0 ? sum / total : 0.0;
  if (how != NONE) lm_f32(y)[0] = (float)sum;
}

/* What row i's gradient is multiplied with, from dy (a scalar, or (n)). */
static void fill_scale(lua_State *L, const lm_tensor *dy, reduction how, int64_t n, double total,
                       double *scale) {
  if (lm_tensor_count(dy) != (how == NONE ? n : 1))
    luma_argerror(L, 1, "dy must have one element%s", how == NONE ? " a row" : "");
  const double by = how != MEAN ? 1.0 : total != 0.0 ? 1.0 / total : 0.0;
  for (int64_t i = 0; i < n; i++) scale[i] = (double)lm_f32(dy)[how == NONE ? i : 0] * by;
}

/* ---- cross-entropy from logits ---- */

typedef struct {
  int64_t n, k;
  const lm_tensor *x;      /* (n, k) */
  const int32_t *labels;   /* 0-based, scratch */
  const float *weights;    /* (k) or NULL */
  double smoothing, total; /* total: what the mean divides by */
  reduction how;
} entropy;

/* Logits at arg, labels (1-based i32) at arg + 1, options at arg + 2.  Leaves
 * the labels' scratch on the stack and its index in *scratch. */
static void check_entropy(lua_State *L, int arg, entropy *e, int *scratch) {
  static const char *const keys[] = {"weights", "smoothing", "reduction", NULL};
  const lm_tensor *x = luma_checkplain(L, arg, LM_F32);
  luma_checkrank(L, arg, x, 2, "(batch, classes)");
  const lm_tensor *y = luma_checkplain(L, arg + 1, LM_I32);
  const int64_t n = x->shape.size[0], k = x->shape.size[1];
  if (y->shape.rank != 1 || y->shape.size[0] != n) {
    char text[LM_SHAPE_TEXT];
    luma_argerror(L, arg + 1, "%lld labels expected, one a row of the logits, got shape %s",
                  (long long)n, lm_shape_text(&y->shape, text));
  }
  if (k == 0)
    luma_argerror(L, arg, "at least one class expected, got %lld rows of none", (long long)n);
  luma_checkkeys(L, arg + 2, keys);
  *e = (entropy){.n = n, .k = k, .x = x, .how = opt_reduction(L, arg + 2)};
  e->smoothing = luma_optnumber(L, arg + 2, "smoothing", 0.0, 0.0, 1.0);
  if (lua_istable(L, arg + 2) && lua_getfield(L, arg + 2, "weights") != LUA_TNIL) {
    const lm_tensor *w = luma_totensor(L, -1);
    if (w == NULL || w->buffer == NULL || w->dtype != LM_F32 || !lm_tensor_contiguous(w) ||
        w->shape.rank != 1 || w->shape.size[0] != k)
      luma_argerror(L, arg + 2,
                    "option weights must be a plain f32 tensor of %lld elements, one a "
                    "class",
                    (long long)k);
    e->weights = lm_f32(w);
    for (int64_t j = 0; j < k; j++)
      if (!(e->weights[j] >= 0.0f && isfinite(e->weights[j])))
        luma_argerror(L, arg + 2,
                      "option weights: weight %g of class %lld is not a finite number "
                      ">= 0",
                      (double)e->weights[j], (long long)j + 1);
  }
  int32_t *labels = luma_newscratch(L, n * (int64_t)sizeof *labels);
  *scratch = lua_gettop(L);
  for (int64_t i = 0; i < n; i++) {
    const int32_t id = lm_i32(y)[i];
    if (id < 1 || id > k)
      luma_argerror(L, arg + 1, "label %d at position %lld is not in 1..%lld", id, (long long)i + 1,
                    (long long)k);
    labels[i] = id - 1;
    e->total += e->weights != NULL ? (double)e->weights[id - 1] : 1.0;
  }
  e->labels = labels;
}

static int l_cross_entropy(lua_State *L) {
  entropy e;
  int scratch;
  lua_settop(L, 3);
  check_entropy(L, 1, &e, &scratch);
  double *rows = luma_newscratch(L, e.n * (int64_t)sizeof *rows);
  lm_cross_entropy_fwd(e.n, e.k, lm_f32(e.x), e.labels, e.weights, e.smoothing, rows);
  push_loss(L, e.how, e.n, rows, e.total);
  luma_freescratch(L, -2);
  luma_freescratch(L, scratch);
  return 1;
}

static int l_cross_entropy_grad(lua_State *L) { /* (dy, logits, labels, options) */
  entropy e;
  int scratch;
  lua_settop(L, 4);
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32);
  check_entropy(L, 2, &e, &scratch);
  double *scale = luma_newscratch(L, e.n * (int64_t)sizeof *scale);
  fill_scale(L, dy, e.how, e.n, e.total, scale);
  lm_tensor *dx = luma_newtensor(L, LM_F32, &e.x->shape);
  lm_cross_entropy_bwd(e.n, e.k, lm_f32(e.x), e.labels, e.weights, e.smoothing, scale, lm_f32(dx));
  luma_freescratch(L, -2);
  luma_freescratch(L, scratch);
  return 1;
}

/* ---- categorical cross-entropy on probabilities ---- */

/* Probabilities (n, k) at arg; at arg + 1 labels (n) i32 or targets (n, k) f32.
 * Returns the targets as f32 (n, k), pushed when they came as labels. */
static const lm_tensor *check_categorical(lua_State *L, int arg, const lm_tensor **probs) {
  const lm_tensor *p = luma_checkplain(L, arg, LM_F32), *t = luma_checktensor(L, arg + 1);
  luma_checkrank(L, arg, p, 2, "(batch, classes)");
  const int64_t n = p->shape.size[0], k = p->shape.size[1];
  *probs = p;
  if (t->dtype == LM_F32) {
    char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
    t = luma_checkplain(L, arg + 1, LM_F32);
    if (!lm_shape_equal(&t->shape, &p->shape))
      luma_argerror(L, arg + 1, "targets of shape %s expected, got %s", lm_shape_text(&p->shape, a),
                    lm_shape_text(&t->shape, b));
    return t;
  }
  t = luma_checkplain(L, arg + 1, LM_I32);
  if (t->shape.rank != 1 || t->shape.size[0] != n)
    luma_argerror(L, arg + 1, "%lld labels expected, one a row of the probabilities", (long long)n);
  lm_tensor *hot = luma_newzeros(L, LM_F32, &p->shape);
  for (int64_t i = 0; i < n; i++) {
    const int32_t id = lm_i32(t)[i];
    if (id < 1 || id > k)
      luma_argerror(L, arg + 1, "label %d at position %lld is not in 1..%lld", id, (long long)i + 1,
                    (long long)k);
    lm_f32(hot)[i * k + id - 1] = 1.0f;
  }
  return hot;
}

static const char *const reduction_keys[] = {"reduction", NULL};

static int l_categorical(lua_State *L) {
  const lm_tensor *p;
  lua_settop(L, 3);
  luma_checkkeys(L, 3, reduction_keys);
  const reduction how = opt_reduction(L, 3);
  const lm_tensor *t = check_categorical(L, 1, &p);
  const int64_t n = p->shape.size[0];
  double *rows = luma_newscratch(L, n * (int64_t)sizeof *rows);
  lm_categorical_fwd(n, p->shape.size[1], lm_f32(p), lm_f32(t), rows);
  push_loss(L, how, n, rows, (double)n);
  luma_freescratch(L, -2);
  return 1;
}

static int l_categorical_grad(lua_State *L) { /* (dy, probs, targets, options) */
  const lm_tensor *p;
  lua_settop(L, 4);
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32);
  luma_checkkeys(L, 4, reduction_keys);
  const reduction how = opt_reduction(L, 4);
  const lm_tensor *t = check_categorical(L, 2, &p);
  const int64_t n = p->shape.size[0];
  double *scale = luma_newscratch(L, n * (int64_t)sizeof *scale);
  fill_scale(L, dy, how, n, (double)n, scale);
  lm_tensor *dp = luma_newtensor(L, LM_F32, &p->shape);
  lm_categorical_bwd(n, p->shape.size[1], lm_f32(p), lm_f32(t), scale, lm_f32(dp));
  luma_freescratch(L, -2);
  return 1;
}

/* ---- elementwise: binary cross-entropy and mean squared error ---- */

static lm_tensor *check_target(lua_State *L, int arg, const lm_tensor *like) {
  lm_tensor *t = luma_checkplain(L, arg, LM_F32);
  char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
  if (!lm_shape_equal(&t->shape, &like->shape))
    luma_argerror(L, arg, "target of shape %s expected, got %s", lm_shape_text(&like->shape, a),
                  lm_shape_text(&t->shape, b));
  return t;
}

static bool opt_logits(lua_State *L, int arg) {
  static const char *const keys[] = {"logits", NULL};
  luma_checkkeys(L, arg, keys);
  return luma_optboolean(L, arg, "logits", false);
}

static void check_unit_interval(lua_State *L, int arg, const lm_tensor *t) {
  const float *v = lm_f32(t);
  for (int64_t i = 0, n = lm_tensor_count(t); i < n; i++)
    if (!(v[i] >= 0.0f && v[i] <= 1.0f))
      luma_argerror(L, arg, "target %g at position %lld is not in 0..1", (double)v[i],
                    (long long)i + 1);
}

static int l_binary(lua_State *L) {
  lua_settop(L, 3);
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32), *t = check_target(L, 2, x);
  const bool logits = opt_logits(L, 3);
  check_unit_interval(L, 2, t);
  const int64_t n = lm_tensor_count(x);
  double *rows = luma_newscratch(L, n * (int64_t)sizeof *rows);
  lm_binary_fwd(logits, n, lm_f32(x), lm_f32(t), rows);
  push_loss(L, MEAN, n, rows, (double)n);
  luma_freescratch(L, -2);
  return 1;
}

static int l_binary_grad(lua_State *L) { /* (dy, x, target, options) */
  lua_settop(L, 4);
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *x = luma_checkplain(L, 2, LM_F32);
  const lm_tensor *t = check_target(L, 3, x);
  const bool logits = opt_logits(L, 4);
  const int64_t n = lm_tensor_count(x);
  lm_tensor *dx = luma_newtensor(L, LM_F32, &x->shape);
  lm_binary_bwd(logits, n, lm_f32(x), lm_f32(t), (double)lm_f32(dy)[0] / (double)lm_max64(1, n),
                lm_f32(dx));
  return 1;
}

static int l_mse(lua_State *L) {
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32), *t = check_target(L, 2, x);
  const int64_t n = lm_tensor_count(x);
  const lm_shape s = {0};
  lm_tensor *y = luma_newtensor(L, LM_F32, &s);
  lm_f32(y)[0] = (float)(lm_squared_error(n, lm_f32(x), lm_f32(t)) / (double)lm_max64(1, n));
  return 1;
}

static int l_mse_grad(lua_State *L) { /* (dy, x, target) -> dx; the target's is -dx */
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *x = luma_checkplain(L, 2, LM_F32);
  const lm_tensor *t = check_target(L, 3, x);
  const int64_t n = lm_tensor_count(x);
  lm_tensor *dx = luma_newtensor(L, LM_F32, &x->shape);
  lm_squared_error_bwd(n, lm_f32(x), lm_f32(t),
                       2.0 * (double)lm_f32(dy)[0] / (double)lm_max64(1, n), lm_f32(dx));
  return 1;
}

const luma_op luma_ops_loss[];
const luma_op luma_ops_loss[] = {
    {"cross_entropy",
     "(logits, labels [, {weights, smoothing=0, reduction=\"mean\"|\"sum\"|\"none\"}]) -> loss",
     "Softmax cross-entropy from logits (batch, classes) and 1-based i32 labels, fused and stable. "
     "weights: one a class, the mean then divides by the sum of the labels' weights; smoothing "
     "moves that share of each target evenly over the classes.",
     l_cross_entropy, LUMA_METHOD},
    {"cross_entropy_grad", "(dy, logits, labels [, options]) -> dx", "Gradient of cross_entropy.",
     l_cross_entropy_grad, 0},
    {"categorical_cross_entropy", "(probs, targets [, {reduction}]) -> loss",
     "Cross-entropy on probabilities (batch, classes), as Keras has it: rows divided by their sum, "
     "clipped to [1e-7, 1 - 1e-7].  Targets: 1-based i32 labels, or f32 of the same shape.",
     l_categorical, LUMA_METHOD},
    {"categorical_cross_entropy_grad", "(dy, probs, targets [, options]) -> dp",
     "Gradient of categorical_cross_entropy.", l_categorical_grad, 0},
    {"binary_cross_entropy", "(x, target [, {logits=false}]) -> loss",
     "Mean binary cross-entropy of probabilities clipped to [1e-7, 1 - 1e-7], or of logits, "
     "against f32 targets in 0..1.",
     l_binary, LUMA_METHOD},
    {"binary_cross_entropy_grad", "(dy, x, target [, options]) -> dx",
     "Gradient of binary_cross_entropy.", l_binary_grad, 0},
    {"mse", "(x, target) -> loss", "The mean of (x - target)^2.", l_mse, LUMA_METHOD},
    {"mse_grad", "(dy, x, target) -> dx", "Gradient of mse for x.", l_mse_grad, 0},
    {NULL, NULL, NULL, NULL, 0}};
