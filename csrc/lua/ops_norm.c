/* ops_norm.c: batch normalisation and zero padding. */
#include <math.h>

#include "kern/norm.h"
#include "lua/luma.h"

/* An f32 vector of c elements at arg, or NULL when it may be absent.  What is only
 * read may be strided: its stack slot gets a plain copy. */
static lm_tensor *check_channel(lua_State *L, int arg, int64_t c, bool needed, const char *what) {
  if (!needed && lua_isnoneornil(L, arg)) return NULL;
  lm_tensor *t = needed ? luma_checktensor(L, arg) : luma_checkplain(L, arg, LM_F32);
  if (t->dtype != LM_F32 || t->shape.rank != 1 || t->shape.size[0] != c || !lm_tensor_contiguous(t))
    luma_argerror(L, arg, "%s must be %s f32 tensor of %lld elements, one per channel", what,
                  needed ? "a contiguous" : "an", (long long)c);
  return t;
}

typedef struct {
  int64_t rows, c;
  double eps;
  bool training;
} norm;

static norm check_norm(lua_State *L, const lm_tensor *x) {
  if (x->shape.rank < 2)
    luma_argerror(L, 1, "rank 2 or more expected (channels last), got rank %d", x->shape.rank);
  const int64_t c = x->shape.size[x->shape.rank - 1];
  return (norm){.c = c, .rows = c > 0 ? lm_tensor_count(x) / c : 0};
}

static void fill_inv(const lm_tensor *var, double eps, int64_t c, float *inv) {
  for (int64_t i = 0; i < c; i++) inv[i] = (float)(1.0 / sqrt((double)lm_f32(var)[i] + eps));
}

/* batch_norm(x, gamma, beta, mean, var, options) -> y [, batch mean, inv] */
static int l_batch_norm(lua_State *L) {
  static const char *const keys[] = {"eps", "momentum", "training", "update", NULL};
  lua_settop(L, 6);
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  norm p = check_norm(L, x);
  const lm_tensor *gamma = check_channel(L, 2, p.c, false, "gamma");
  const lm_tensor *beta = check_channel(L, 3, p.c, false, "beta");
  lm_tensor *mean = check_channel(L, 4, p.c, true, "running mean");
  lm_tensor *var = check_channel(L, 5, p.c, true, "running variance");
  luma_checkkeys(L, 6, keys);
  p.eps = luma_optnumber(L, 6, "eps", 1e-3, 0.0, 1.0);
  const double momentum = luma_optnumber(L, 6, "momentum", 0.99, 0.0, 1.0);
  p.training = luma_optboolean(L, 6, "training", luma_taping(L)) && p.rows > 0;
  const bool update = luma_optboolean(L, 6, "update", true);
  const lm_shape channels = {.rank = 1, .size = {p.c}};
  lm_tensor *y = luma_newtensor(L, LM_F32, &x->shape);
  lm_tensor *used = luma_newtensor(L, LM_F32, &channels);
  lm_tensor *inv = luma_newtensor(L, LM_F32, &channels);
  if (p.training) {
    void *scratch = luma_newscratch(L, lm_norm_scratch(p.rows, p.c));
    const bool ok = lm_norm_stats(p.rows, p.c, lm_f32(x), scratch, lm_f32(used), lm_f32(inv));
    luma_freescratch(L, -1);
    lua_pop(L, 1);
    luma_checkrun(L, ok);
    const double unbiased = p.rows > 1 ? (double)p.rows / (double)(p.rows - 1) : 1.0;
    for (int64_t i = 0; update && i < p.c; i++) {
      float *m = lm_f32(mean) + i, *v = lm_f32(var) + i;
      *m = (float)(momentum * (double)*m + (1.0 - momentum) * (double)lm_f32(used)[i]);
      *v = (float)(momentum * (double)*v + (1.0 - momentum) * (double)lm_f32(inv)[i] * unbiased);
    }
    if (update) luma_touch(mean), luma_touch(var);
    fill_inv(inv, p.eps, p.c, lm_f32(inv));
  } else {
    lm_tensor_copy(mean, used);
    fill_inv(var, p.eps, p.c, lm_f32(inv));
  }
  luma_checkrun(L, lm_norm_fwd(p.rows, p.c, lm_f32(x), lm_f32(used), lm_f32(inv),
                               gamma != NULL ? lm_f32(gamma) : NULL,
                               beta != NULL ? lm_f32(beta) : NULL, lm_f32(y)));
  lua_pushboolean(L, !p.training);
  return 4; /* y; saved: the mean and inverse deviation in use, frozen or not */
}

/* batch_norm_grad(dy, x, gamma, mean, inv, frozen) -> dx, dgamma, dbeta */
static int l_batch_norm_grad(lua_State *L) {
  lua_settop(L, 6);
  const lm_tensor *dy = luma_checkplain(L, 1, LM_F32), *x = luma_checkplain(L, 2, LM_F32);
  const norm p = check_norm(L, x);
  char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
  if (!lm_shape_equal(&dy->shape, &x->shape))
    return luma_argerror(L, 1, "shape %s expected, got %s", lm_shape_text(&x->shape, a),
                         lm_shape_text(&dy->shape, b));
  const lm_tensor *gamma = check_channel(L, 3, p.c, false, "gamma");
  const lm_tensor *mean = check_channel(L, 4, p.c, true, "mean");
  const lm_tensor *inv = check_channel(L, 5, p.c, true, "inverse deviation");
  const lm_shape channels = {.rank = 1, .size = {p.c}};
  lm_tensor *dx = luma_newtensor(L, LM_F32, &x->shape);
  lm_tensor *dgamma = luma_newtensor(L, LM_F32, &channels);
  lm_tensor *dbeta = luma_newtensor(L, LM_F32, &channels);
  void *scratch = luma_newscratch(L, lm_norm_scratch(p.rows, p.c));
  const bool ok = lm_norm_bwd(lua_toboolean(L, 6), p.rows, p.c, lm_f32(dy), lm_f32(x), lm_f32(mean),
                              lm_f32(inv), gamma != NULL ? lm_f32(gamma) : NULL, scratch,
                              lm_f32(dx), lm_f32(dgamma), lm_f32(dbeta));
  luma_freescratch(L, -1);
  lua_pop(L, 1);
  luma_checkrun(L, ok);
  return 3;
}

/* ---- zero padding ---- */

static int l_pad2d(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  int64_t pad[4]; /* top, left, bottom, right */
  luma_checkrank(L, 1, x, 4, "(n, h, w, c)");
  for (int i = 0; i < 4; i++) {
    if (lua_istable(L, 2)) {
      int exact;
      lua_rawgeti(L, 2, i + 1);
      pad[i] = lua_tointegerx(L, -1, &exact);
      if (!exact || pad[i] < 0 || pad[i] > INT32_MAX)
        return luma_argerror(L, 2, "pad must be a whole number >= 0 or {top, left, bottom, right}");
      lua_pop(L, 1);
    } else {
      pad[i] = luma_checkint(L, 2, 0, INT32_MAX, "pad");
    }
  }
  lm_shape s = x->shape;
  if (!lm_add(s.size[1], pad[0] + pad[2], &s.size[1]) ||
      !lm_add(s.size[2], pad[1] + pad[3], &s.size[2]))
    return luma_argerror(L, 2, "the padded size is too large");
  lm_tensor *y = luma_newzeros(L, x->dtype, &s), inner;
  lm_tensor_narrow(y, 1, pad[0], x->shape.size[1], &inner);
  lm_tensor_narrow(&inner, 2, pad[1], x->shape.size[2], &inner);
  lm_tensor_copy(x, &inner);
  return 1;
}

const luma_op luma_ops_norm[];
const luma_op luma_ops_norm[] = {
    {"batch_norm",
     "(x, gamma|nil, beta|nil, mean, var [, {eps=1e-3, momentum=0.99, training, update=true}]) -> "
     "y",
     "Normalises each channel (the last dimension).  In training (the default while a tape "
     "records) with the batch's own mean and variance, which also move the running ones in place: "
     "running = momentum * running + (1 - momentum) * batch, the variance unbiased.  Otherwise "
     "with the running ones.",
     l_batch_norm, LUMA_METHOD | LUMA_SAVES},
    {"batch_norm_grad", "(dy, x, gamma|nil, mean, inv, frozen) -> dx, dgamma, dbeta",
     "Gradients of batch_norm from the mean and inverse deviation it used.", l_batch_norm_grad, 0},
    {"pad2d", "(x, pad | {top, left, bottom, right}) -> y",
     "Zeros around the height and width of x (n, h, w, c).", l_pad2d, LUMA_METHOD},
    {NULL, NULL, NULL, NULL, 0}};
