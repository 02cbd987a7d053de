/* ops_conv.c: convolution, its gradients, and the reference versions. */
#include "kern/conv.h"
#include "kern/dense.h"
#include "lua/luma.h"
#include "lua/window.h"
#include "ref/conv.h"

/* ---- options ---- */

/* The window and groups of the options at arg. */
static lm_conv2d geometry(lua_State *L, int arg) {
  lm_conv2d p = lm_conv2d_default();
  luma_optwindow(L, arg, &p.window);
  p.groups = luma_optint(L, arg, "groups", 1, 1, INT32_MAX);
  return p;
}

/* conv2d(x, w, opts) is conv2d(x, w, nil, opts): where the options are, so that
 * a fault in them is told by the caller's own count. */
static int options_place(lua_State *L) {
  lua_settop(L, 4);
  return lua_istable(L, 3) && lua_isnil(L, 4) ? 3 : 4;
}

static const char *const forward_keys[] = {"stride", "pad", "dilation", "groups", "relu", NULL};

static void plan(lua_State *L, lm_conv2d *p, const lm_shape *x, const lm_shape *w,
                 const lm_shape *b) {
  lm_err err;
  if (!lm_conv2d_plan(p, x, w, b, &err)) luma_raise(L, &err);
}

/* ---- conv2d and its gradients ---- */

static int l_conv2d(lua_State *L) {
  const int opts = options_place(L);
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32), *w = luma_checkplain(L, 2, LM_F32),
                  *b = opts == 3 ? NULL : luma_optplain(L, 3, LM_F32);
  luma_checkkeys(L, opts, forward_keys);
  lm_conv2d p = geometry(L, opts);
  p.relu = luma_optboolean(L, opts, "relu", false);
  plan(L, &p, &x->shape, &w->shape, b != NULL ? &b->shape : NULL);
  const lm_shape shape = lm_conv2d_shape_y(&p);
  void *scratch = luma_newscratch(L, lm_conv2d_scratch(&p, LM_CONV_FORWARD));
  lm_tensor *y = luma_newtensor(L, LM_F32, &shape);
  const bool ok =
      lm_conv2d_fwd(&p, lm_f32(x), lm_f32(w), b != NULL ? lm_f32(b) : NULL, scratch, lm_f32(y));
  luma_freescratch(L, -2);
  luma_checkrun(L, ok);
  return 1;
}

static int l_grad_input(lua_State *L) {
  static const char *const keys[] = {"stride", "pad",   "dilation", "groups",
                                     "height", "width", NULL};
  lua_settop(L, 3);
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *w = luma_checkplain(L, 2, LM_F32);
  luma_checkkeys(L, 3, keys);
  luma_checkrank(L, 1, dy, 4, "(n, oh, ow, k)");
  luma_checkrank(L, 2, w, 4, "(kh, kw, c, k)");
  lm_conv2d p = geometry(L, 3);
  int64_t channels;
  const int64_t height = luma_optint(L, 3, "height", 0, 1, INT32_MAX),
                width = luma_optint(L, 3, "width", 0, 1, INT32_MAX);
  if (height == 0 || width == 0)
    return luma_argerror(L, 3, "options height and width of the input are required");
  if (!lm_mul(w->shape.size[2], p.groups, &channels)) channels = 0;
  const lm_shape x = {4, {dy->shape.size[0], height, width, channels}};
  plan(L, &p, &x, &w->shape, NULL);
  const lm_shape want = lm_conv2d_shape_y(&p);
  char a[LM_SHAPE_TEXT], c[LM_SHAPE_TEXT];
  if (!lm_shape_equal(&want, &dy->shape))
    return luma_argerror(L, 1, "gradient must have the output's shape %s, got %s",
                         lm_shape_text(&want, a), lm_shape_text(&dy->shape, c));
  void *scratch = luma_newscratch(L, lm_conv2d_scratch(&p, LM_CONV_GRAD_INPUT));
  lm_tensor *dx = luma_newtensor(L, LM_F32, &x);
  const bool ok = lm_conv2d_bwd_x(&p, lm_f32(dy), lm_f32(w), scratch, lm_f32(dx));
  luma_freescratch(L, -2);
  luma_checkrun(L, ok);
  return 1;
}

static int l_grad_weight(lua_State *L) {
  static const char *const keys[] = {"stride", "pad", "dilation", "groups", "kernel", NULL};
  lua_settop(L, 3);
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32), *dy = luma_checkplain(L, 2, LM_F32);
  luma_checkkeys(L, 3, keys);
  luma_checkrank(L, 1, x, 4, "(n, h, w, c)");
  luma_checkrank(L, 2, dy, 4, "(n, oh, ow, k)");
  lm_conv2d p = geometry(L, 3);
  lua_pushliteral(L, "kernel");
  if (lua_isnil(L, 3) || lua_rawget(L, 3) == LUA_TNIL)
    return luma_argerror(L, 3, "option kernel is required");
  lua_settop(L, 3);
  const int64_t *kernel = p.window.kernel;
  const lm_shape w = {4, {kernel[0], kernel[1], x->shape.size[3] / p.groups, dy->shape.size[3]}};
  plan(L, &p, &x->shape, &w, NULL);
  const lm_shape want = lm_conv2d_shape_y(&p);
  char a[LM_SHAPE_TEXT], c[LM_SHAPE_TEXT];
  if (!lm_shape_equal(&want, &dy->shape))
    return luma_argerror(L, 2, "gradient must have the output's shape %s, got %s",
                         lm_shape_text(&want, a), lm_shape_text(&dy->shape, c));
  void *scratch = luma_newscratch(L, lm_conv2d_scratch(&p, LM_CONV_GRAD_WEIGHT));
  lm_tensor *dw = luma_newtensor(L, LM_F32, &w);
  const bool ok = lm_conv2d_bwd_w(&p, lm_f32(x), lm_f32(dy), scratch, lm_f32(dw));
  luma_freescratch(L, -2);
  luma_checkrun(L, ok);
  return 1;
}

static int l_grad_bias(lua_State *L) {
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32);
  luma_checkrank(L, 1, dy, 4, "(n, oh, ow, k)");
  const int64_t k = dy->shape.size[3];
  const int64_t rows = dy->shape.size[0] * dy->shape.size[1] * dy->shape.size[2];
  const lm_shape shape = {1, {k}};
  void *scratch = luma_newscratch(L, lm_column_sum_scratch(rows, k));
  lm_tensor *db = luma_newtensor(L, LM_F32, &shape);
  const bool ok = lm_column_sum(rows, k, lm_f32(dy), scratch, lm_f32(db));
  luma_freescratch(L, -2);
  luma_checkrun(L, ok);
  return 1;
}

static int l_conv_info(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; lm_conv_rules[i].when != NULL; i++) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, lm_conv_rules[i].when);
    lua_setfield(L, -2, "when");
    lua_pushstring(L, lm_conv_algo_name(lm_conv_rules[i].algo));
    lua_setfield(L, -2, "algorithm");
    lua_pushstring(L, lm_conv_rules[i].why);
    lua_setfield(L, -2, "why");
    lua_seti(L, -2, i + 1);
  }
  lua_pushstring(L, lm_conv_forced());
  lua_setfield(L, -2, "forced");
  return 1;
}

/* ---- the reference: f32 or f64 in, f64 out ---- */

/* A contiguous f64 copy of the tensor at arg, pushed; its data. */
static double *push_double(lua_State *L, int arg) {
  const lm_tensor *t = luma_checktensor(L, arg);
  lm_tensor *copy = luma_newtensor(L, LM_F64, &t->shape);
  lm_tensor_copy(t, copy);
  return lm_f64(copy);
}

static lm_ref_conv reference(const lm_conv2d *p) {
  return (lm_ref_conv){.n = p->n,
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
}

static int l_ref_conv2d(lua_State *L) {
  const int opts = options_place(L);
  const lm_tensor *x = luma_checktensor(L, 1), *w = luma_checktensor(L, 2),
                  *b = opts == 3 ? NULL : luma_opttensor(L, 3);
  luma_checkkeys(L, opts, forward_keys);
  lm_conv2d p = geometry(L, opts);
  plan(L, &p, &x->shape, &w->shape, b != NULL ? &b->shape : NULL);
  const bool relu = luma_optboolean(L, opts, "relu", false);
  const lm_shape shape = lm_conv2d_shape_y(&p);
  const lm_ref_conv r = reference(&p);
  const double *xd = push_double(L, 1), *wd = push_double(L, 2),
               *bd = b != NULL ? push_double(L, 3) : NULL;
  lm_tensor *y = luma_newtensor(L, LM_F64, &shape);
  lm_ref_conv_fwd(&r, xd, wd, bd, lm_f64(y));
  for (int64_t i = 0; relu && i < lm_tensor_count(y); i++)
    if (lm_f64(y)[i] < 0) lm_f64(y)[i] = 0;
  return 1;
}

/* ref.conv2d_grads(x, w, dy, opts) -> dx, dw */
static int l_ref_grads(lua_State *L) {
  static const char *const keys[] = {"stride", "pad", "dilation", "groups", NULL};
  lua_settop(L, 4);
  const lm_tensor *x = luma_checktensor(L, 1), *w = luma_checktensor(L, 2),
                  *dy = luma_checktensor(L, 3);
  luma_checkkeys(L, 4, keys);
  lm_conv2d p = geometry(L, 4);
  plan(L, &p, &x->shape, &w->shape, NULL);
  const lm_shape want = lm_conv2d_shape_y(&p);
  char a[LM_SHAPE_TEXT], c[LM_SHAPE_TEXT];
  if (!lm_shape_equal(&want, &dy->shape))
    return luma_argerror(L, 3, "gradient must have the output's shape %s, got %s",
                         lm_shape_text(&want, a), lm_shape_text(&dy->shape, c));
  const lm_ref_conv r = reference(&p);
  const double *xd = push_double(L, 1), *wd = push_double(L, 2), *dyd = push_double(L, 3);
  lm_tensor *dx = luma_newtensor(L, LM_F64, &x->shape), *dw = luma_newtensor(L, LM_F64, &w->shape);
  lm_ref_conv_bwd_x(&r, dyd, wd, lm_f64(dx));
  lm_ref_conv_bwd_w(&r, xd, dyd, lm_f64(dw));
  return 2;
}

extern const luma_op luma_ops_conv[];
const luma_op luma_ops_conv[] = {
    {"conv2d", "(x, w [, b] [, {stride=1, pad=0, dilation=1, groups=1, relu=false}]) -> y",
     "Two-dimensional cross-correlation of x (n, h, w, c) with the kernel w (kh, kw, c/groups, k), "
     "plus the bias b (k). stride and dilation are a number or {rows, columns}; pad is a number, "
     "{top, left, bottom, right} or \"same\". With relu the result is clamped at 0 on the way out. "
     "All arithmetic is f32. The relative L2 distance of VGG19's features from double arithmetic "
     "is "
     "under 1e-5: Winograd tiles of 4x4 contribute about 2e-6, tiles of 6x6 about 5e-6, direct "
     "sums and products under 1e-6. Numbers below 1.2e-38 count as zero, here, in the gradients "
     "and in linear: with them processors take up to a hundred times as long.",
     l_conv2d, LUMA_METHOD},
    {"conv2d_grad_input", "(dy, w, {height=, width=, stride=1, pad=0, dilation=1, groups=1}) -> dx",
     "The gradient of conv2d with respect to its input of the given height and width.",
     l_grad_input, LUMA_FUNCTION},
    {"conv2d_grad_weight", "(x, dy, {kernel=, stride=1, pad=0, dilation=1, groups=1}) -> dw",
     "The gradient of conv2d with respect to its weight; kernel is a number or {rows, columns}. "
     "Summed in an order that does not depend on the number of threads.",
     l_grad_weight, LUMA_FUNCTION},
    {"conv2d_grad_bias", "(dy) -> db",
     "The gradient of conv2d with respect to its bias: dy (n, oh, ow, k) summed over images and "
     "pixels.",
     l_grad_bias, LUMA_FUNCTION},
    {"conv_info", "() -> table",
     "Which algorithm conv2d takes for which shape, in the order the rules are tried, and what "
     "the environment variable LUMA_CONV (gemm, winograd, winograd4, winograd6 or direct) forces "
     "wherever it can do the shape.",
     l_conv_info, LUMA_FUNCTION},
    {"ref.conv2d", "(x, w [, b] [, {stride=1, pad=0, dilation=1, groups=1, relu=false}]) -> y",
     "The same as conv2d, as plain loops in double precision: the oracle of the tests, and the "
     "version to "
     "read first. Slow on purpose; returns f64.",
     l_ref_conv2d, LUMA_FUNCTION},
    {"ref.conv2d_grads", "(x, w, dy [, {stride=1, pad=0, dilation=1, groups=1}]) -> dx, dw",
     "Both gradients of conv2d as plain loops in double precision.", l_ref_grads, LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
