/* ops_reduce.c: sums, extremes, moments, over all or some dimensions. */
#include "core/pool.h"
#include "kern/elem.h"
#include "kern/reduce.h"
#include "lua/operand.h"

/* fn(x [, dim | {dims}] [, keepdim]); with_correction: a table of options last. */
static int reduce(lua_State *L, lm_reduce_op op) {
  static const char *const keys[] = {"correction", "keepdim", NULL};
  static const char *const plain_keys[] = {"keepdim", NULL};
  const lm_tensor *x = luma_checktensor(L, 1);
  const unsigned dims = luma_checkdims(L, 2, x->shape.rank);
  bool keep = false;
  double correction = 0.0;
  if (lua_istable(L, 3)) {
    const bool moments = op == LM_VAR || op == LM_STD;
    luma_checkkeys(L, 3, moments ? keys : plain_keys);
    keep = luma_optboolean(L, 3, "keepdim", false);
    if (moments) correction = luma_optnumber(L, 3, "correction", 0.0, 0.0, 1e15);
  } else if (!lua_isnoneornil(L, 3)) {
    if (!lua_isboolean(L, 3))
      luma_argerror(L, 3, "keepdim must be true or false, got %s", luaL_typename(L, 3));
    keep = lua_toboolean(L, 3);
  }
  lm_reduce r;
  lm_err err;
  if (!lm_reduce_plan(&r, op, x, dims, &err)) luma_raise(L, &err);
  r.correction = correction;
  lm_tensor *y = luma_newtensor(L, r.dtype, keep ? &r.keep : &r.out);
  void *scratch = r.scratch > 0 ? luma_newscratch(L, r.scratch) : NULL;
  luma_checkrun(L, lm_reduce_run(&r, scratch, y));
  if (scratch != NULL) {
    luma_freescratch(L, -1);
    lua_pop(L, 1);
  }
  if (op == LM_ARGMIN || op == LM_ARGMAX) { /* 1-based */
    luma_operand one = {.number = true, .whole = true, .value = 1.0};
    luma_operand_as(L, 1, &one, LM_I32);
    lm_tensor_expand(&one.t, &y->shape, &one.t);
    luma_checkrun(L, lm_binary(LM_ADD, y, &one.t, y));
  }
  return 1;
}

static int l_sum(lua_State *L) {
  return reduce(L, LM_SUM);
}
static int l_mean(lua_State *L) {
  return reduce(L, LM_MEAN);
}
static int l_prod(lua_State *L) {
  return reduce(L, LM_PROD);
}
static int l_min(lua_State *L) {
  return reduce(L, LM_MIN);
}
static int l_max(lua_State *L) {
  return reduce(L, LM_MAX);
}
static int l_argmin(lua_State *L) {
  return reduce(L, LM_ARGMIN);
}
static int l_argmax(lua_State *L) {
  return reduce(L, LM_ARGMAX);
}
static int l_var(lua_State *L) {
  return reduce(L, LM_VAR);
}
static int l_std(lua_State *L) {
  return reduce(L, LM_STD);
}
static int l_norm(lua_State *L) {
  return reduce(L, LM_NORM);
}
static int l_any(lua_State *L) {
  return reduce(L, LM_ANY);
}
static int l_all(lua_State *L) {
  return reduce(L, LM_ALL);
}

static int l_cumsum(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  if (x->shape.rank == 0) luma_argerror(L, 1, "a scalar has no dimension to sum along");
  const int dim = luma_optdim(L, 2, x->shape.rank, 0);
  lm_tensor *y = luma_newtensor(L, lm_dtypes[x->dtype].is_float ? x->dtype : LM_F64, &x->shape);
  luma_checkrun(L, lm_cumsum(x, dim, y));
  return 1;
}

#define DIMS \
  " dims: one dimension or a table of them, all unless told; keepdim leaves them with size 1."

const luma_op luma_ops_reduce[];
const luma_op luma_ops_reduce[] = {
    {"sum", "(x [, dims] [, keepdim]) -> y",
     "The sum, accumulated in double; u8 and i32 give f64 (exact to 2^53). NaN if any element "
     "is." DIMS,
     l_sum, LUMA_METHOD},
    {"mean", "(x [, dims] [, keepdim]) -> y",
     "The mean, accumulated in double; NaN of nothing; u8 and i32 give f32." DIMS, l_mean,
     LUMA_METHOD},
    {"prod", "(x [, dims] [, keepdim]) -> y", "The product, in double; u8 and i32 give f64." DIMS,
     l_prod, LUMA_METHOD},
    {"min", "(x [, dims] [, keepdim]) -> y",
     "The smallest element; NaN if any is; an error of nothing." DIMS, l_min, LUMA_METHOD},
    {"max", "(x [, dims] [, keepdim]) -> y",
     "The largest element; NaN if any is; an error of nothing." DIMS, l_max, LUMA_METHOD},
    {"argmin", "(x [, dims] [, keepdim]) -> place",
     "The 1-based place (i32) of the first smallest element, or of the first NaN; counted in C "
     "order "
     "over the dimensions given." DIMS,
     l_argmin, LUMA_METHOD},
    {"argmax", "(x [, dims] [, keepdim]) -> place",
     "The 1-based place (i32) of the first largest element, or of the first NaN; counted in C "
     "order "
     "over the dimensions given." DIMS,
     l_argmax, LUMA_METHOD},
    {"var", "(x [, dims] [, keepdim | {keepdim=false, correction=0}]) -> y",
     "The variance: squared deviations divided by n - correction." DIMS, l_var, LUMA_METHOD},
    {"std", "(x [, dims] [, keepdim | {keepdim=false, correction=0}]) -> y",
     "The standard deviation: the root of var." DIMS, l_std, LUMA_METHOD},
    {"norm", "(x [, dims] [, keepdim]) -> y",
     "The root of the sum of squares; f64 overflows from 1e154 on." DIMS, l_norm, LUMA_METHOD},
    {"any", "(x [, dims] [, keepdim]) -> mask", "Gives 1 (u8) if any element is not 0." DIMS, l_any,
     LUMA_METHOD},
    {"all", "(x [, dims] [, keepdim]) -> mask",
     "Gives 1 (u8) if every element is not 0, or there is none." DIMS, l_all, LUMA_METHOD},
    {"cumsum", "(x [, dim=1]) -> y", "Running sums along one dimension; u8 and i32 give f64.",
     l_cumsum, LUMA_METHOD},
    {NULL, NULL, NULL, NULL, 0}};
