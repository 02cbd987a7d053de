/* ops_step.c: optimiser steps in place, and what training asks of gradients:
 * their norm, scaling and finiteness.  lua/luma/optim.lua holds interrupts
 * while it calls the steps. */
#include <math.h>

#include "kern/step.h"
#include "lua/luma.h"

/* A plain f32 tensor that will be written in place: never a copy. */
static lm_tensor *check_inplace(lua_State *L, int arg, int64_t count) {
  lm_tensor *t = luma_checktensor(L, arg);
  if (t->dtype != LM_F32 || !lm_tensor_contiguous(t))
    luma_argerror(L, arg, "a contiguous f32 tensor expected, since it is changed in place");
  if (count >= 0 && lm_tensor_count(t) != count)
    luma_argerror(L, arg, "%lld elements expected as in the parameter, got %lld", (long long)count,
                  (long long)lm_tensor_count(t));
  return t;
}

static const lm_tensor *check_gradient(lua_State *L, int arg, const lm_tensor *w) {
  const lm_tensor *g = luma_checkplain(L, arg, LM_F32);
  char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
  if (!lm_shape_equal(&g->shape, &w->shape))
    luma_argerror(L, arg, "gradient of shape %s expected, got %s", lm_shape_text(&w->shape, a),
                  lm_shape_text(&g->shape, b));
  return g;
}

static int l_sgd_step(lua_State *L) { /* (w, g, v|nil, options) */
  static const char *const keys[] = {"lr", "momentum", "decay", "nesterov", NULL};
  lua_settop(L, 4);
  lm_tensor *w = check_inplace(L, 1, -1);
  const lm_tensor *g = check_gradient(L, 2, w);
  luma_checkkeys(L, 4, keys);
  const lm_sgd p = {.lr = (float)luma_optnumber(L, 4, "lr", 0.01, 0.0, HUGE_VAL),
                    .momentum = (float)luma_optnumber(L, 4, "momentum", 0.0, 0.0, 1.0),
                    .decay = (float)luma_optnumber(L, 4, "decay", 0.0, 0.0, HUGE_VAL),
                    .nesterov = luma_optboolean(L, 4, "nesterov", false)};
  lm_tensor *v = p.momentum != 0.0f ? check_inplace(L, 3, lm_tensor_count(w)) : NULL;
  lm_sgd_step(&p, lm_tensor_count(w), lm_f32(g), lm_f32(w), v != NULL ? lm_f32(v) : NULL);
  luma_touch(w);
  lua_settop(L, 1);
  return 1;
}

static int l_adam_step(lua_State *L) { /* (w, g, m, v, options) */
  static const char *const keys[] = {"rate", "beta1", "beta2", "eps", "decay", "shrink", NULL};
  lm_tensor *w = check_inplace(L, 1, -1);
  const lm_tensor *g = check_gradient(L, 2, w);
  const int64_t n = lm_tensor_count(w);
  lm_tensor *m = check_inplace(L, 3, n), *v = check_inplace(L, 4, n);
  luma_checkkeys(L, 5, keys);
  const lm_adam p = {.rate = (float)luma_optnumber(L, 5, "rate", 1e-3, 0.0, HUGE_VAL),
                     .beta1 = (float)luma_optnumber(L, 5, "beta1", 0.9, 0.0, 1.0),
                     .beta2 = (float)luma_optnumber(L, 5, "beta2", 0.999, 0.0, 1.0),
                     .eps = (float)luma_optnumber(L, 5, "eps", 1e-7, 0.0, 1.0),
                     .decay = (float)luma_optnumber(L, 5, "decay", 0.0, 0.0, HUGE_VAL),
                     .shrink = (float)luma_optnumber(L, 5, "shrink", 0.0, 0.0, 1.0)};
  lm_adam_step(&p, n, lm_f32(g), lm_f32(w), lm_f32(m), lm_f32(v));
  luma_touch(w);
  luma_touch(m);
  luma_touch(v);
  lua_settop(L, 1);
  return 1;
}

static int l_scale_(lua_State *L) {
  lm_tensor *x = check_inplace(L, 1, -1);
  lm_scale((float)luma_checkfinite(L, 2, "factor"), lm_tensor_count(x), lm_f32(x));
  luma_touch(x);
  lua_settop(L, 1);
  return 1;
}

static int l_sum_squares(lua_State *L) {
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  lua_pushnumber(L, lm_sum_squares(lm_tensor_count(x), lm_f32(x)));
  return 1;
}

static int l_first_nonfinite(lua_State *L) {
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  const int64_t at = lm_first_nonfinite(lm_tensor_count(x), lm_f32(x));
  if (at < 0) return 0;
  lua_pushinteger(L, at + 1);
  lua_pushnumber(L, (double)lm_f32(x)[at]);
  return 2;
}

const luma_op luma_ops_step[];
const luma_op luma_ops_step[] = {
    {"step.sgd_", "(w, g, v|nil, {lr, momentum=0, decay=0, nesterov=false}) -> w",
     "One step of stochastic gradient descent in place; v is the momentum buffer.", l_sgd_step,
     LUMA_UNRECORDED},
    {"step.adam_", "(w, g, m, v, {rate, beta1=0.9, beta2=0.999, eps=1e-7, decay=0, shrink=0}) -> w",
     "One Adam step in place, eps outside the bias correction as in Keras; rate is "
     "lr * sqrt(1 - beta2^t) / (1 - beta1^t).  decay * w is added to g; shrink multiplies w by "
     "1 - shrink first (AdamW).",
     l_adam_step, LUMA_UNRECORDED},
    {"step.scale_", "(x, factor) -> x", "Multiplies x in place.", l_scale_, LUMA_UNRECORDED},
    {"step.sum_squares", "(x) -> number", "The sum of squares, in double.", l_sum_squares,
     LUMA_UNRECORDED},
    {"step.first_nonfinite", "(x) -> position, value | nothing",
     "Where the first NaN or infinity of x stands, counted from 1 in C order.", l_first_nonfinite,
     LUMA_UNRECORDED},
    {NULL, NULL, NULL, NULL, 0}};
