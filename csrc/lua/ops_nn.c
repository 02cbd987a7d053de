/* ops_nn.c: activations, pooling, softmax, dropout and the linear layer, each
 * beside the op that computes its gradient (called by lua/luma/grad.lua). */
#include <string.h>

#include "kern/activation.h"
#include "kern/dense.h"
#include "kern/dropout.h"
#include "kern/pooling.h"
#include "kern/softmax.h"
#include "lua/luma.h"
#include "lua/window.h"

/* A second tensor that must have the shape of the first. */
static lm_tensor *check_like(lua_State *L, int arg, const lm_tensor *like) {
  lm_tensor *t = luma_checkplain(L, arg, LM_F32);
  char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
  if (!lm_shape_equal(&t->shape, &like->shape))
    luma_argerror(L, arg, "shape %s expected, got %s", lm_shape_text(&like->shape, a),
                  lm_shape_text(&t->shape, b));
  return t;
}

/* ---- activations ---- */

static int l_relu(lua_State *L) {
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  lm_tensor *y = luma_newtensor(L, LM_F32, &x->shape);
  luma_checkrun(L, lm_relu_fwd(lm_f32(x), lm_tensor_count(x), lm_f32(y)));
  return 1;
}

static int l_leaky_relu(lua_State *L) {
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  const float slope = lua_isnoneornil(L, 2) ? 0.01f : (float)luma_checkfinite(L, 2, "slope");
  lm_tensor *y = luma_newtensor(L, LM_F32, &x->shape);
  luma_checkrun(L, lm_leaky_relu_fwd(slope, lm_f32(x), lm_tensor_count(x), lm_f32(y)));
  return 1;
}

static bool gelu_form(lua_State *L, int arg) {
  static const char *const keys[] = {"form", NULL}, *const forms[] = {"erf", "tanh", NULL};
  luma_checkkeys(L, arg, keys);
  return luma_optenum(L, arg, "form", 0, forms) == 1;
}

static int l_gelu(lua_State *L) {
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  const bool tanh_form = gelu_form(L, 2);
  lm_tensor *y = luma_newtensor(L, LM_F32, &x->shape);
  luma_checkrun(L, lm_gelu_fwd(tanh_form, lm_f32(x), lm_tensor_count(x), lm_f32(y)));
  return 1;
}

/* Gradients: (dy, y or x [, parameter]) -> dx. */
static int l_relu_grad(lua_State *L) {
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *y = check_like(L, 2, dy);
  lm_tensor *dx = luma_newtensor(L, LM_F32, &dy->shape);
  luma_checkrun(L, lm_relu_bwd(lm_f32(dy), lm_f32(y), lm_tensor_count(y), lm_f32(dx)));
  return 1;
}

static int l_leaky_relu_grad(lua_State *L) {
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *x = check_like(L, 2, dy);
  const float slope = lua_isnoneornil(L, 3) ? 0.01f : (float)luma_checkfinite(L, 3, "slope");
  lm_tensor *dx = luma_newtensor(L, LM_F32, &dy->shape);
  luma_checkrun(L, lm_leaky_relu_bwd(slope, lm_f32(dy), lm_f32(x), lm_tensor_count(x), lm_f32(dx)));
  return 1;
}

static int l_gelu_grad(lua_State *L) {
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *x = check_like(L, 2, dy);
  const bool tanh_form = gelu_form(L, 3);
  lm_tensor *dx = luma_newtensor(L, LM_F32, &dy->shape);
  luma_checkrun(L, lm_gelu_bwd(tanh_form, lm_f32(dy), lm_f32(x), lm_tensor_count(x), lm_f32(dx)));
  return 1;
}

static int l_sigmoid_grad(lua_State *L) {
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *y = check_like(L, 2, dy);
  lm_tensor *dx = luma_newtensor(L, LM_F32, &dy->shape);
  luma_checkrun(L, lm_sigmoid_bwd(lm_f32(dy), lm_f32(y), lm_tensor_count(y), lm_f32(dx)));
  return 1;
}

static int l_tanh_grad(lua_State *L) {
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *y = check_like(L, 2, dy);
  lm_tensor *dx = luma_newtensor(L, LM_F32, &dy->shape);
  luma_checkrun(L, lm_tanh_bwd(lm_f32(dy), lm_f32(y), lm_tensor_count(y), lm_f32(dx)));
  return 1;
}

/* ---- softmax ---- */

typedef struct {
  int64_t outer, n, inner;
} axis;

static axis split_axis(lua_State *L, int arg, const lm_tensor *t) {
  if (t->shape.rank == 0) luma_argerror(L, 1, "softmax needs a dimension, got a scalar");
  const int dim = luma_optdim(L, arg, t->shape.rank, t->shape.rank - 1);
  axis a = {1, t->shape.size[dim], 1};
  for (int d = 0; d < dim; d++) a.outer *= t->shape.size[d];
  for (int d = dim + 1; d < t->shape.rank; d++) a.inner *= t->shape.size[d];
  return a;
}

static int softmax_any(lua_State *L, bool log) {
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  const axis a = split_axis(L, 2, x);
  lm_tensor *y = luma_newtensor(L, LM_F32, &x->shape);
  luma_checkrun(L, lm_softmax_fwd(log, a.outer, a.n, a.inner, lm_f32(x), lm_f32(y)));
  return 1;
}

static int softmax_grad_any(lua_State *L, bool log) {
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *y = check_like(L, 2, dy);
  const axis a = split_axis(L, 3, y);
  lm_tensor *dx = luma_newtensor(L, LM_F32, &y->shape);
  luma_checkrun(L, lm_softmax_bwd(log, a.outer, a.n, a.inner, lm_f32(dy), lm_f32(y), lm_f32(dx)));
  return 1;
}

static int l_softmax(lua_State *L) {
  return softmax_any(L, false);
}
static int l_log_softmax(lua_State *L) {
  return softmax_any(L, true);
}
static int l_softmax_grad(lua_State *L) {
  return softmax_grad_any(L, false);
}
static int l_log_softmax_grad(lua_State *L) {
  return softmax_grad_any(L, true);
}

/* ---- pooling ---- */

static void check_pool(lua_State *L, int arg, const lm_shape *x, lm_pool2d *p) {
  static const char *const keys[] = {"kernel", "stride", "pad", "count_pad", NULL};
  lm_err err;
  luma_checkkeys(L, arg, keys);
  *p = (lm_pool2d){.window = {.kernel = {2, 2}, .dilation = {1, 1}}};
  luma_optwindow(L, arg, &p->window);
  p->count_pad = luma_optboolean(L, arg, "count_pad", false);
  if (!lm_pool2d_plan(x, p, &err)) luma_raise(L, &err);
}

static lm_shape pooled(const lm_pool2d *p) {
  return (lm_shape){.rank = 4, .size = {p->n, p->oh, p->ow, p->c}};
}

static int l_max_pool2d(lua_State *L) {
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  lm_pool2d p;
  check_pool(L, 2, &x->shape, &p);
  const lm_shape s = pooled(&p);
  lm_tensor *y = luma_newtensor(L, LM_F32, &s);
  luma_checkrun(L, lm_max_pool2d_fwd(&p, lm_f32(x), lm_f32(y)));
  return 1;
}

static int l_avg_pool2d(lua_State *L) {
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  lm_pool2d p;
  check_pool(L, 2, &x->shape, &p);
  const lm_shape s = pooled(&p);
  lm_tensor *y = luma_newtensor(L, LM_F32, &s);
  luma_checkrun(L, lm_avg_pool2d_fwd(&p, lm_f32(x), lm_f32(y)));
  return 1;
}

static int l_max_pool2d_grad(lua_State *L) { /* (dy, y, x, options) */
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *y = check_like(L, 2, dy);
  const lm_tensor *x = luma_checkplain(L, 3, LM_F32);
  lm_pool2d p;
  check_pool(L, 4, &x->shape, &p);
  const lm_shape s = pooled(&p);
  char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
  if (!lm_shape_equal(&s, &dy->shape))
    return luma_argerror(L, 1, "shape %s expected, got %s", lm_shape_text(&s, a),
                         lm_shape_text(&dy->shape, b));
  lm_tensor *dx = luma_newtensor(L, LM_F32, &x->shape);
  luma_checkrun(L, lm_max_pool2d_bwd(&p, lm_f32(dy), lm_f32(x), lm_f32(y), lm_f32(dx)));
  return 1;
}

static int l_avg_pool2d_grad(lua_State *L) { /* (dy, x, options): only x's shape counts */
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *x = luma_checktensor(L, 2);
  lm_pool2d p;
  check_pool(L, 3, &x->shape, &p);
  const lm_shape s = pooled(&p);
  char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
  if (!lm_shape_equal(&s, &dy->shape))
    return luma_argerror(L, 1, "shape %s expected, got %s", lm_shape_text(&s, a),
                         lm_shape_text(&dy->shape, b));
  lm_tensor *dx = luma_newtensor(L, LM_F32, &x->shape);
  luma_checkrun(L, lm_avg_pool2d_bwd(&p, lm_f32(dy), lm_f32(dx)));
  return 1;
}

static int l_global_avg_pool2d(lua_State *L) {
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  luma_checkrank(L, 1, x, 4, "(n, h, w, c)");
  const int64_t *n = x->shape.size;
  const lm_shape s = {.rank = 2, .size = {n[0], n[3]}};
  lm_tensor *y = luma_newtensor(L, LM_F32, &s);
  luma_checkrun(L, lm_global_avg_pool_fwd(n[0], n[1] * n[2], n[3], lm_f32(x), lm_f32(y)));
  return 1;
}

static int l_global_avg_pool2d_grad(lua_State *L) { /* (dy, x) */
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *x = luma_checktensor(L, 2);
  luma_checkrank(L, 2, x, 4, "(n, h, w, c)");
  luma_checkrank(L, 1, dy, 2, "(n, c)");
  const int64_t *n = x->shape.size;
  if (dy->shape.size[0] != n[0] || dy->shape.size[1] != n[3])
    return luma_argerror(L, 1, "dy does not fit x");
  lm_tensor *dx = luma_newtensor(L, LM_F32, &x->shape);
  luma_checkrun(L, lm_global_avg_pool_bwd(n[0], n[1] * n[2], n[3], lm_f32(dy), lm_f32(dx)));
  return 1;
}

/* ---- dropout ---- */

static double check_probability(lua_State *L, int arg) {
  const double p = luma_checkfinite(L, arg, "p");
  if (p < 0.0 || p > 1.0) luma_argerror(L, arg, "p must be in 0..1, got %g", p);
  return p;
}

/* The mask of (luma.seed, stream): forward and backward are the same call. */
static int run_dropout(lua_State *L, const lm_tensor *x, double p, uint64_t seed, uint64_t stream) {
  lm_tensor *y = luma_newtensor(L, LM_F32, &x->shape);
  luma_checkrun(L, lm_dropout(p, seed, stream, lm_f32(x), lm_tensor_count(x), lm_f32(y)));
  return 1;
}

static int l_dropout(lua_State *L) {
  static const char *const keys[] = {"always", NULL};
  luma_checktensor(L, 1);
  const double p = check_probability(L, 2);
  luma_checkkeys(L, 3, keys);
  if (p == 0.0 || !(luma_taping(L) || luma_optboolean(L, 3, "always", false))) {
    lua_pushvalue(L, 1); /* identity: the tensor itself */
    return 1;
  }
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  const uint64_t seed = luma_seed(L), stream = luma_nextstream(L);
  run_dropout(L, x, p, seed, stream);
  lua_pushinteger(L, (lua_Integer)seed); /* saved for the gradient */
  lua_pushinteger(L, (lua_Integer)stream);
  return 3;
}

static int l_dropout_grad(lua_State *L) { /* (dy, p, seed, stream) */
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32);
  const double p = check_probability(L, 2);
  const uint64_t seed = (uint64_t)luma_checkint(L, 3, INT64_MIN, INT64_MAX, "seed");
  const uint64_t stream = (uint64_t)luma_checkint(L, 4, INT64_MIN, INT64_MAX, "stream");
  return run_dropout(L, dy, p, seed, stream);
}

/* ---- linear ---- */

static int l_linear(lua_State *L) {
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32), *w = luma_checkplain(L, 2, LM_F32);
  const lm_tensor *b = luma_optplain(L, 3, LM_F32);
  luma_checkrank(L, 1, x, 2, "(batch, inputs)");
  luma_checkrank(L, 2, w, 2, "(inputs, outputs)");
  const int64_t m = x->shape.size[0], k = x->shape.size[1], n = w->shape.size[1];
  if (w->shape.size[0] != k)
    return luma_argerror(L, 2, "weight expects %lld inputs, x has %lld",
                         (long long)w->shape.size[0], (long long)k);
  if (b != NULL && (b->shape.rank != 1 || b->shape.size[0] != n))
    return luma_argerror(L, 3, "bias must have %lld elements, one an output", (long long)n);
  const lm_shape s = {.rank = 2, .size = {m, n}};
  lm_tensor *y = luma_newtensor(L, LM_F32, &s);
  void *scratch = luma_newscratch(L, lm_dense_scratch(k, n));
  luma_checkrun(L, lm_dense_fwd(m, k, n, lm_f32(x), lm_f32(w), b != NULL ? lm_f32(b) : NULL,
                                scratch, lm_f32(y)));
  luma_freescratch(L, -1);
  lua_pop(L, 1);
  return 1;
}

static int l_linear_grad_input(lua_State *L) { /* (dy, w) */
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *w = luma_checkplain(L, 2, LM_F32);
  luma_checkrank(L, 1, dy, 2, "(batch, outputs)");
  luma_checkrank(L, 2, w, 2, "(inputs, outputs)");
  const int64_t m = dy->shape.size[0], k = w->shape.size[0], n = w->shape.size[1];
  if (dy->shape.size[1] != n)
    return luma_argerror(L, 1, "dy has %lld outputs, weight %lld", (long long)dy->shape.size[1],
                         (long long)n);
  const lm_shape s = {.rank = 2, .size = {m, k}};
  lm_tensor *dx = luma_newtensor(L, LM_F32, &s);
  void *scratch = luma_newscratch(L, lm_dense_scratch(k, n));
  luma_checkrun(L, lm_dense_bwd_x(m, k, n, lm_f32(dy), lm_f32(w), scratch, lm_f32(dx)));
  luma_freescratch(L, -1);
  lua_pop(L, 1);
  return 1;
}

static int l_linear_grad_weight(lua_State *L) { /* (x, dy) */
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32), *dy = luma_checkplain(L, 2, LM_F32);
  luma_checkrank(L, 1, x, 2, "(batch, inputs)");
  luma_checkrank(L, 2, dy, 2, "(batch, outputs)");
  const int64_t m = x->shape.size[0], k = x->shape.size[1], n = dy->shape.size[1];
  if (dy->shape.size[0] != m)
    return luma_argerror(L, 2, "dy has %lld rows, x %lld", (long long)dy->shape.size[0],
                         (long long)m);
  const lm_shape s = {.rank = 2, .size = {k, n}};
  lm_tensor *dw = luma_newtensor(L, LM_F32, &s);
  luma_checkrun(L, lm_dense_bwd_w(m, k, n, lm_f32(x), lm_f32(dy), lm_f32(dw)));
  return 1;
}

static int l_column_sum(lua_State *L) { /* over all dimensions but the last */
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  if (x->shape.rank < 1) return luma_argerror(L, 1, "rank 1 or more expected, got a scalar");
  const int64_t c = x->shape.size[x->shape.rank - 1], rows = c > 0 ? lm_tensor_count(x) / c : 0;
  const lm_shape s = {.rank = 1, .size = {c}};
  lm_tensor *y = luma_newtensor(L, LM_F32, &s);
  void *scratch = luma_newscratch(L, lm_column_sum_scratch(rows, c));
  luma_checkrun(L, lm_column_sum(rows, c, lm_f32(x), scratch, lm_f32(y)));
  luma_freescratch(L, -1);
  lua_pop(L, 1);
  return 1;
}

const luma_op luma_ops_nn[];
const luma_op luma_ops_nn[] = {
    {"relu", "(x) -> y", "The larger of x and 0, elementwise.  NaN stays NaN; the slope at 0 is 0.",
     l_relu, LUMA_METHOD},
    {"leaky_relu", "(x [, slope=0.01]) -> y", "Gives x where x > 0, slope * x elsewhere.",
     l_leaky_relu, LUMA_METHOD},
    {"gelu", "(x [, {form=\"erf\"|\"tanh\"}]) -> y",
     "Gaussian error linear unit x * Phi(x), exact or by the tanh approximation.", l_gelu,
     LUMA_METHOD},
    {"softmax", "(x [, dim=-1]) -> y",
     "Exponentials normalised to sum 1 along a dimension; the maximum is subtracted first, so "
     "large "
     "values do not overflow.",
     l_softmax, LUMA_METHOD},
    {"log_softmax", "(x [, dim=-1]) -> y", "The logarithm of softmax, computed without it.",
     l_log_softmax, LUMA_METHOD},
    {"max_pool2d", "(x [, {kernel=2, stride=kernel, pad=0|{t,l,b,r}|\"same\"}]) -> y",
     "The largest value of each window of x (n, h, w, c); padding never wins.", l_max_pool2d,
     LUMA_METHOD},
    {"avg_pool2d",
     "(x [, {kernel=2, stride=kernel, pad=0|{t,l,b,r}|\"same\", count_pad=false}]) -> y",
     "The mean of each window of x (n, h, w, c); padding counts only with count_pad.", l_avg_pool2d,
     LUMA_METHOD},
    {"global_avg_pool2d", "(x) -> y", "The mean over height and width: (n, h, w, c) -> (n, c).",
     l_global_avg_pool2d, LUMA_METHOD},
    {"dropout", "(x, p [, {always=false}]) -> y",
     "While a tape records (or with always): zeroes each element with probability p and divides "
     "the rest by 1 - p.  Otherwise x itself.  The mask follows luma.seed and not the number of "
     "threads; p is honoured to 1/65536.",
     l_dropout, LUMA_METHOD | LUMA_SAVES},
    {"linear", "(x, w [, b]) -> y",
     "The fully connected layer x w + b: x (batch, inputs), w (inputs, outputs), b (outputs).",
     l_linear, LUMA_METHOD},
    {"column_sum", "(x) -> y",
     "The sum over every dimension but the last, by blocks merged in order: a bias's gradient.",
     l_column_sum, LUMA_METHOD},
    {"relu_grad", "(dy, y) -> dx", "Gradient of relu from its output.", l_relu_grad, 0},
    {"leaky_relu_grad", "(dy, x [, slope]) -> dx", "Gradient of leaky_relu.", l_leaky_relu_grad, 0},
    {"gelu_grad", "(dy, x [, {form}]) -> dx", "Gradient of gelu.", l_gelu_grad, 0},
    {"sigmoid_grad", "(dy, y) -> dx", "Gradient of sigmoid from its output.", l_sigmoid_grad, 0},
    {"tanh_grad", "(dy, y) -> dx", "Gradient of tanh from its output.", l_tanh_grad, 0},
    {"softmax_grad", "(dy, y [, dim]) -> dx", "Gradient of softmax from its output.",
     l_softmax_grad, 0},
    {"log_softmax_grad", "(dy, y [, dim]) -> dx", "Gradient of log_softmax from its output.",
     l_log_softmax_grad, 0},
    {"max_pool2d_grad", "(dy, y, x [, options]) -> dx",
     "Gradient of max_pool2d: dy goes to the first maximum of each window in row order.",
     l_max_pool2d_grad, 0},
    {"avg_pool2d_grad", "(dy, x [, options]) -> dx", "Gradient of avg_pool2d (x for its shape).",
     l_avg_pool2d_grad, 0},
    {"global_avg_pool2d_grad", "(dy, x) -> dx", "Gradient of global_avg_pool2d (x for its shape).",
     l_global_avg_pool2d_grad, 0},
    {"dropout_grad", "(dy, p, seed, stream) -> dx", "Gradient of dropout: the same mask again.",
     l_dropout_grad, 0},
    {"linear_grad_input", "(dy, w) -> dx", "Gradient of linear for x: dy w^T.", l_linear_grad_input,
     0},
    {"linear_grad_weight", "(x, dy) -> dw", "Gradient of linear for w: x^T dy.",
     l_linear_grad_weight, 0},
    {NULL, NULL, NULL, NULL, 0}};
