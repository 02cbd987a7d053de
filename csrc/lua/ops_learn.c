/* ops_learn.c: classical learners on feature tables: logistic regression and
 * the random forest. */
#include <math.h>
#include <string.h>

#include "core/pool.h"
#include "kern/forest.h"
#include "kern/logistic.h"
#include "lua/luma.h"

/* The first lm_forest fields travel with the model as an i32 header tensor. */
enum { HEADER_N, HEADER_D, HEADER_CLASSES, HEADER_TREES, HEADER_LEN };

static void check_features(lua_State *L, int arg, const lm_tensor *x) {
  luma_checkrank(L, arg, x, 2, "(rows, features)");
  const float *v = lm_f32(x);
  const int64_t n = lm_tensor_count(x), d = lm_max64(1, x->shape.size[1]);
  for (int64_t i = 0; i < n; i++)
    if (!isfinite(v[i]))
      luma_argerror(L, arg,
                    "value at row %lld, feature %lld is not finite; fill missing values first",
                    (long long)(i / d + 1), (long long)(i % d + 1));
}

/* Pushes the 1-based labels at arg as 0-based scratch, checked on the way. */
static const lm_tensor *push_labels(lua_State *L, int arg, const lm_tensor *y, int classes) {
  lm_tensor *y0 = luma_newtensor(L, LM_I32, &y->shape);
  for (int64_t i = 0; i < y->shape.size[0]; i++) {
    const int32_t c = lm_i32(y)[i];
    if (c < 1 || c > classes)
      luma_argerror(L, arg, "label %d at position %lld is not in 1..%d", c, (long long)(i + 1),
                    classes);
    lm_i32(y0)[i] = c - 1;
  }
  return y0;
}

/* Features in double: the solver's precision. */
static const lm_tensor *push_f64(lua_State *L, const lm_tensor *x) {
  lm_tensor *wide = luma_newtensor(L, LM_F64, &x->shape);
  lm_tensor_copy(x, wide);
  return wide;
}

/* The option weights, one for each class, or NULL; pushes the tensor, or nil. */
static const float *push_class_weights(lua_State *L, int arg, int classes) {
  if (!lua_istable(L, arg)) {
    lua_pushnil(L);
    return NULL;
  }
  if (lua_getfield(L, arg, "weights") == LUA_TNIL) return NULL;
  const lm_tensor *w = luma_totensor(L, -1);
  if (w == NULL || w->dtype != LM_F32 || w->shape.rank != 1 || w->shape.size[0] != classes ||
      w->buffer == NULL || !lm_tensor_contiguous(w))
    luma_argerror(L, arg,
                  "option weights must be a plain f32 tensor of %d elements, one for each class",
                  classes);
  for (int j = 0; j < classes; j++)
    if (!(lm_f32(w)[j] >= 0.0f && isfinite(lm_f32(w)[j])))
      luma_argerror(L, arg,
                    "option weights: weight %g of class %d is not a finite number from 0 on",
                    (double)lm_f32(w)[j], j + 1);
  return lm_f32(w);
}

static int l_logistic_fit(lua_State *L) {
  static const char *const keys[] = {"classes", "c", "iterations", "tolerance", "weights", NULL};
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  const lm_tensor *y = luma_checkplain(L, 2, LM_I32);
  check_features(L, 1, x);
  luma_checkrank(L, 2, y, 1, "(rows)");
  luma_checkkeys(L, 3, keys);
  lm_logistic p = {.n = x->shape.size[0], .d = x->shape.size[1]};
  if (p.n < 1 || p.d < 1)
    luma_argerror(L, 1, "needs a row and a feature, got %lld x %lld", (long long)p.n,
                  (long long)p.d);
  if (y->shape.size[0] != p.n)
    luma_argerror(L, 2, "%lld labels for %lld rows", (long long)y->shape.size[0], (long long)p.n);
  p.classes = (int)luma_optint(L, 3, "classes", 2, 2, 1000);
  p.c = luma_optnumber(L, 3, "c", 1.0, 1e-12, 1e12);
  p.iterations = (int)luma_optint(L, 3, "iterations", 1000, 1, 1000000);
  p.tolerance = luma_optnumber(L, 3, "tolerance", 1e-6, 0.0, 1.0);
  p.weights = push_class_weights(L, 3, p.classes);
  int64_t doubles, bytes = 0;
  if (!lm_logistic_scratch(&p, &doubles) || !lm_mul(doubles, 8, &bytes))
    luma_argerror(L, 1, "too many features: %lld", (long long)p.d);
  const lm_tensor *y0 = push_labels(L, 2, y, p.classes);
  const lm_tensor *wide = push_f64(L, x);
  double *scratch = luma_newscratch(L, bytes);
  const int scratch_at = lua_gettop(L);
  const lm_shape shape = {.rank = 2, .size = {lm_logistic_vectors(&p), p.d + 1}};
  lm_tensor *theta = luma_newzeros(L, LM_F64, &shape);
  int used = 0;
  double gradient = 0.0;
  const bool whole =
      lm_logistic_fit(&p, lm_f64(wide), lm_i32(y0), lm_f64(theta), &used, &gradient, scratch);
  luma_freescratch(L, scratch_at);
  luma_freescratch(L, scratch_at - 1);
  luma_checkrun(L, whole);
  lua_pushinteger(L, used);
  lua_pushnumber(L, gradient);
  return 3;
}

static int l_logistic_predict(lua_State *L) {
  const lm_tensor *theta = luma_checkplain(L, 1, LM_F64);
  const lm_tensor *x = luma_checkplain(L, 2, LM_F32);
  luma_checkrank(L, 1, theta, 2, "(vectors, features + 1)");
  check_features(L, 2, x);
  const int64_t vectors = theta->shape.size[0];
  if (vectors < 1 || vectors > 1000)
    luma_argerror(L, 1, "1 to 1000 weight vectors expected, got %lld", (long long)vectors);
  const lm_logistic p = {.d = theta->shape.size[1] - 1, .classes = vectors == 1 ? 2 : (int)vectors};
  if (x->shape.size[1] != p.d || p.d < 1)
    luma_argerror(L, 2, "%lld features, the model was fitted on %lld", (long long)x->shape.size[1],
                  (long long)p.d);
  const lm_tensor *wide = push_f64(L, x);
  const lm_shape shape = {.rank = 2, .size = {x->shape.size[0], p.classes}};
  lm_tensor *proba = luma_newtensor(L, LM_F64, &shape);
  luma_checkrun(L,
                lm_logistic_predict(&p, lm_f64(theta), lm_f64(wide), shape.size[0], lm_f64(proba)));
  return 1;
}

static int l_forest_fit(lua_State *L) {
  static const char *const keys[] = {"classes",  "trees",     "max_depth", "min_leaf",
                                     "features", "bootstrap", "seed",      NULL};
  const lm_tensor *x = luma_checkplain(L, 1, LM_F32);
  const lm_tensor *y = luma_checkplain(L, 2, LM_I32);
  check_features(L, 1, x);
  luma_checkrank(L, 2, y, 1, "(rows)");
  luma_checkkeys(L, 3, keys);
  lm_forest p = {.n = x->shape.size[0], .d = x->shape.size[1]};
  if (p.n < 1 || p.d < 1 || p.n > 1 << 30)
    luma_argerror(L, 1, "needs 1 to 2^30 rows and a feature, got %lld x %lld", (long long)p.n,
                  (long long)p.d);
  if (y->shape.size[0] != p.n)
    luma_argerror(L, 2, "%lld labels for %lld rows", (long long)y->shape.size[0], (long long)p.n);
  p.classes = (int)luma_optint(L, 3, "classes", 2, 2, 1000);
  p.trees = luma_optint(L, 3, "trees", 100, 1, 100000);
  p.max_depth = (int)luma_optint(L, 3, "max_depth", 0, 0, 1 << 20);
  p.min_leaf = luma_optint(L, 3, "min_leaf", 1, 1, p.n);
  const int64_t root = (int64_t)sqrt((double)p.d);
  p.features = luma_optint(L, 3, "features", root < 1 ? 1 : root, 1, p.d);
  p.bootstrap = luma_optboolean(L, 3, "bootstrap", true);
  p.seed = (uint64_t)luma_optint(L, 3, "seed", 0, INT64_MIN, INT64_MAX);
  const lm_tensor *y0 = push_labels(L, 2, y, p.classes);
  const int64_t per_tree = lm_forest_nodes_per_tree(&p);
  void *scratch = luma_newscratch(L, lm_pool_threads() * lm_forest_scratch(&p));
  const int scratch_at = lua_gettop(L);
  const lm_shape header_shape = {.rank = 1, .size = {HEADER_LEN}};
  const lm_shape node_shape = {.rank = 3, .size = {p.trees, per_tree, 4}};
  const lm_shape freq_shape = {.rank = 3, .size = {p.trees, per_tree, p.classes}};
  const lm_shape gain_shape = {.rank = 2, .size = {p.trees, p.d}};
  lua_createtable(L, 0, 4);
  lm_tensor *header = luma_newtensor(L, LM_I32, &header_shape);
  lua_setfield(L, -2, "header");
  lm_tensor *nodes = luma_newtensor(L, LM_I32, &node_shape);
  lm_tensor_fill(nodes, -1); /* unused nodes read as leaves */
  lua_setfield(L, -2, "nodes");
  lm_tensor *freq = luma_newzeros(L, LM_F32, &freq_shape);
  lua_setfield(L, -2, "frequencies");
  lm_tensor *gain = luma_newtensor(L, LM_F64, &gain_shape);
  lua_setfield(L, -2, "gain");
  lm_i32(header)[HEADER_N] = (int32_t)p.n;
  lm_i32(header)[HEADER_D] = (int32_t)p.d;
  lm_i32(header)[HEADER_CLASSES] = p.classes;
  lm_i32(header)[HEADER_TREES] = (int32_t)p.trees;
  const bool whole = lm_forest_fit(&p, lm_f32(x), lm_i32(y0), lm_tensor_data(nodes), lm_f32(freq),
                                   lm_f64(gain), scratch);
  luma_freescratch(L, scratch_at);
  luma_checkrun(L, whole);
  return 1;
}

static const lm_tensor *model_part(lua_State *L, const char *key, lm_dtype dtype, int rank) {
  lua_getfield(L, 1, key);
  const lm_tensor *t = luma_totensor(L, -1);
  if (t == NULL || t->buffer == NULL || t->dtype != dtype || t->shape.rank != rank ||
      !lm_tensor_contiguous(t))
    luma_argerror(L, 1, "not a forest of forest_fit (its '%s' is missing or changed)", key);
  return t;
}

static int l_forest_predict(lua_State *L) {
  if (!lua_istable(L, 1))
    luma_argerror(L, 1, "a forest of forest_fit expected, got %s", luaL_typename(L, 1));
  const lm_tensor *x = luma_checkplain(L, 2, LM_F32);
  check_features(L, 2, x);
  lua_settop(L, 2);
  const lm_tensor *header = model_part(L, "header", LM_I32, 1);
  const lm_tensor *nodes = model_part(L, "nodes", LM_I32, 3);
  const lm_tensor *freq = model_part(L, "frequencies", LM_F32, 3);
  if (header->shape.size[0] != HEADER_LEN) luma_argerror(L, 1, "not a forest of forest_fit");
  const int32_t *h = lm_i32(header);
  const lm_forest p = {
      .n = h[HEADER_N], .d = h[HEADER_D], .classes = h[HEADER_CLASSES], .trees = h[HEADER_TREES]};
  const int64_t per_tree = p.n > 0 ? lm_forest_nodes_per_tree(&p) : 0;
  if (p.n < 1 || p.d < 1 || p.classes < 2 || nodes->shape.size[0] != p.trees ||
      nodes->shape.size[1] != per_tree || nodes->shape.size[2] != 4 ||
      freq->shape.size[0] != p.trees || freq->shape.size[1] != per_tree ||
      freq->shape.size[2] != p.classes)
    luma_argerror(L, 1, "not a forest of forest_fit (its tensors do not fit each other)");
  /* A saved model comes from a file: every link must lead forward and inside. */
  const lm_forest_node *v = lm_tensor_data(nodes);
  for (int64_t i = 0; i < p.trees * per_tree; i++)
    if (v[i].feature >= 0 &&
        (v[i].feature >= p.d || v[i].left <= i % per_tree || v[i].left >= per_tree ||
         v[i].right <= i % per_tree || v[i].right >= per_tree))
      luma_argerror(L, 1, "node %lld of the forest is damaged", (long long)i);
  if (x->shape.size[1] != p.d)
    luma_argerror(L, 2, "%lld features, the forest was fitted on %lld", (long long)x->shape.size[1],
                  (long long)p.d);
  const lm_shape out = {.rank = 2, .size = {x->shape.size[0], p.classes}};
  lm_tensor *proba = luma_newtensor(L, LM_F32, &out);
  luma_checkrun(L, lm_forest_predict(&p, v, lm_f32(freq), lm_f32(x), out.size[0], lm_f32(proba)));
  return 1;
}

const luma_op luma_ops_learn[];
const luma_op luma_ops_learn[] = {
    {"learn.logistic_fit",
     "(x, labels [, {classes=2, c=1, iterations=1000, tolerance=1e-6, weights}]) -> theta, "
     "iterations, gradient",
     "Logistic regression with an L2 penalty on x (rows, features) and labels (1-based): minimises "
     "c * sum of losses + |w|^2 / 2, as scikit-learn's LogisticRegression(C=c). weights: f32, what "
     "a row of each class counts (scikit-learn's class_weight). theta is f64 (1 or classes, "
     "features + 1), the intercept last; gradient is the largest one left.",
     l_logistic_fit, LUMA_FUNCTION},
    {"learn.logistic_predict", "(theta, x) -> proba",
     "Class probabilities (rows, classes), f64, of a theta from learn.logistic_fit.",
     l_logistic_predict, LUMA_FUNCTION},
    {"learn.forest_fit",
     "(x, labels [, {classes=2, trees=100, max_depth=0, min_leaf=1, features=sqrt(d), "
     "bootstrap=true, seed=0}]) -> forest",
     "Grows a random forest of Gini trees on x (rows, features) and labels (1-based); max_depth 0 "
     "grows until pure. Semantics of scikit-learn's RandomForestClassifier; the same seed gives "
     "the "
     "same forest at any thread count.",
     l_forest_fit, LUMA_FUNCTION},
    {"learn.forest_predict", "(forest, x) -> proba",
     "Class probabilities (rows, classes): the mean of the trees' leaf frequencies.",
     l_forest_predict, LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
