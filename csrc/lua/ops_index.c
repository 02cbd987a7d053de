/* ops_index.c: views: indexing, slicing, assignment, and new geometry on the
 * same memory.  Everything is 1-based here, inclusive at both ends, negative
 * from the end, as in string.sub. */
#include <string.h>

#include "core/pool.h"
#include "lua/operand.h"

/* ---- x[i], x[{...}] ---- */

/* The integer on top of the stack; raises otherwise. */
static int64_t top_integer(lua_State *L, int arg, const char *what) {
  int exact;
  const lua_Integer v = lua_tointegerx(L, -1, &exact);
  if (!exact || lua_type(L, -1) != LUA_TNUMBER)
    luma_argerror(L, arg, "%s must be a whole number, got %s", what, luaL_tolstring(L, -1, NULL));
  return v;
}

static int64_t checked_place(lua_State *L, int arg, int64_t i, int64_t n, int dim) {
  if (i == 0 || i > n || i < -n)
    luma_argerror(L, arg, "index %lld is not in 1..%lld or -%lld..-1 of dimension %d", (long long)i,
                  (long long)n, (long long)n, dim + 1);
  return i > 0 ? i - 1 : i + n;
}

/* {first, last [, step]} on top of the stack, {} = all; narrows v in place. */
static void apply_range(lua_State *L, int arg, lm_tensor *v, int d, int shown) {
  const lua_Unsigned n = lua_rawlen(L, -1);
  const int64_t size = v->shape.size[d];
  int64_t part[3] = {1, size, 1};
  if (n == 0) return;
  if (n == 1 || n > 3)
    luma_argerror(
        L, arg, "a range is {first, last} or {first, last, step}, got %d numbers for dimension %d",
        (int)n, shown + 1);
  for (int k = 0; k < (int)n; k++) {
    lua_rawgeti(L, -1, k + 1);
    part[k] = top_integer(L, arg, "a range's bound");
    lua_pop(L, 1);
  }
  const int64_t first = part[0] < 0 ? part[0] + size + 1 : part[0];
  const int64_t last = part[1] < 0 ? part[1] + size + 1 : part[1];
  if (part[2] < 1)
    luma_argerror(L, arg, "step %lld of dimension %d must be at least 1 (x:flip reverses)",
                  (long long)part[2], shown + 1);
  if (first < 1 || last > size || last < first - 1)
    luma_argerror(L, arg, "range %lld..%lld does not lie in 1..%lld of dimension %d",
                  (long long)part[0], (long long)part[1], (long long)size, shown + 1);
  lm_tensor_narrow(v, d, first - 1, last - first + 1, v);
  lm_tensor_step(v, d, lm_min64(part[2], lm_max64(1, size)), v);
}

/* The view that the index at arg selects from x. */
static lm_tensor sliced(lua_State *L, int arg, const lm_tensor *x) {
  lm_tensor v = *x;
  if (!lua_istable(L, arg)) {
    if (lua_type(L, arg) != LUA_TNUMBER)
      luma_argerror(L, arg, "integer or table of ranges expected, got %s", luaL_typename(L, arg));
    if (v.shape.rank == 0) luma_argerror(L, arg, "a scalar has no dimension to index");
    lua_pushvalue(L, arg);
    const int64_t i = top_integer(L, arg, "index");
    lua_pop(L, 1);
    lm_tensor_select(&v, 0, checked_place(L, arg, i, v.shape.size[0], 0), &v);
    return v;
  }
  const lua_Unsigned n = lua_rawlen(L, arg);
  char text[LM_SHAPE_TEXT];
  if (n > (lua_Unsigned)x->shape.rank)
    luma_argerror(L, arg, "%d indices for %s", (int)lm_min64((int64_t)n, INT32_MAX),
                  lm_shape_text(&x->shape, text));
  for (int k = 0, d = 0; k < (int)n; k++) {
    if (lua_rawgeti(L, arg, k + 1) == LUA_TTABLE) {
      apply_range(L, arg, &v, d++, k);
    } else {
      const int64_t i = top_integer(L, arg, "an index");
      lm_tensor_select(&v, d, checked_place(L, arg, i, v.shape.size[d], k), &v);
    }
    lua_pop(L, 1);
  }
  return v;
}

/* A single element is a number, except while x is being trained: a tape needs
 * the tensor (x:select and ranges always give one). */
static int l_get(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  lua_settop(L, 2);
  const lm_tensor v = sliced(L, 2, x);
  if (v.shape.rank == 0)
    luma_pushelement(L, &v, 0);
  else
    luma_pushview(L, &v);
  return 1;
}

/* dst = the value at arg: a number fills, a tensor broadcasts and converts. */
static void assign(lua_State *L, int arg, lm_tensor *dst) {
  luma_operand o;
  luma_operand_get(L, arg, &o);
  if (o.number) {
    luma_operand_as(L, arg, &o, lm_dtypes[dst->dtype].is_float ? LM_F64 : dst->dtype);
    lm_tensor_fill(dst, o.value);
  } else {
    lm_shape s;
    char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
    if (!lm_shape_broadcast(&dst->shape, &o.t.shape, &s, NULL) || !lm_shape_equal(&s, &dst->shape))
      luma_argerror(L, arg, "shape %s does not go into %s", lm_shape_text(&o.t.shape, a),
                    lm_shape_text(&dst->shape, b));
    if (lm_tensor_overlap(dst, &o.t) && !lm_tensor_same_view(dst, &o.t)) {
      lm_tensor *copy = luma_newtensor(L, o.t.dtype, &o.t.shape);
      lm_tensor_copy(&o.t, copy);
      o.t = *copy;
    }
    lm_tensor_expand(&o.t, &s, &o.t);
    lm_tensor_copy(&o.t, dst);
  }
  luma_touch(dst);
  luma_checkrun(L, !lm_interrupted());
}

static int l_set(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  lua_settop(L, 3);
  lm_tensor v = sliced(L, 2, x);
  assign(L, 3, &v);
  lua_settop(L, 1);
  return 1;
}

static int l_copy_(lua_State *L) {
  lm_tensor *x = luma_checktensor(L, 1);
  luma_checktensor(L, 2);
  assign(L, 2, x);
  lua_settop(L, 1);
  return 1;
}

static int l_fill_(lua_State *L) {
  lm_tensor *x = luma_checktensor(L, 1);
  if (lua_type(L, 2) != LUA_TNUMBER)
    luma_argerror(L, 2, "number expected, got %s", luaL_typename(L, 2));
  assign(L, 2, x);
  lua_settop(L, 1);
  return 1;
}

static int l_zero_(lua_State *L) {
  lm_tensor *x = luma_checktensor(L, 1);
  lm_tensor_fill(x, 0.0);
  luma_touch(x);
  luma_checkrun(L, !lm_interrupted());
  lua_settop(L, 1);
  return 1;
}

/* ---- new geometry ---- */

/* Sizes at arg.. where one may be -1: what is left over. */
static lm_shape shape_with_rest(lua_State *L, int arg, const lm_tensor *x) {
  const bool table = lua_istable(L, arg);
  const int64_t rank = table ? (int64_t)lua_rawlen(L, arg) : lm_max64(0, lua_gettop(L) - arg + 1);
  lm_shape s = {0};
  int rest = -1;
  char text[LM_SHAPE_TEXT];
  if (rank > LM_MAXRANK)
    luma_argerror(L, arg, "at most %d dimensions, got %lld", LM_MAXRANK, (long long)rank);
  s.rank = (int)rank;
  for (int d = 0; d < s.rank; d++) {
    if (table)
      lua_rawgeti(L, arg, d + 1);
    else
      lua_pushvalue(L, arg + d);
    const int64_t n = top_integer(L, arg, "a size");
    lua_pop(L, 1);
    if (n < -1 || (n == -1 && rest >= 0))
      luma_argerror(L, arg, "sizes are >= 0, and -1 once for what is left over, got %lld",
                    (long long)n);
    if (n == -1) rest = d;
    s.size[d] = n == -1 ? 1 : n;
  }
  int64_t known;
  if (rest >= 0) {
    const int64_t count = lm_tensor_count(x);
    if (!lm_shape_count(&s, &known) || known == 0 || count % known != 0)
      luma_argerror(L, 1, "%s does not divide into the sizes given",
                    lm_shape_text(&x->shape, text));
    s.size[rest] = count / known;
  }
  return s;
}

static int l_reshape(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const lm_shape s = shape_with_rest(L, 2, x);
  lm_tensor plain, v;
  lm_err err;
  int64_t count;
  if (!lm_shape_count(&s, &count) || count != lm_tensor_count(x)) {
    char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
    luma_argerror(L, 2, "cannot reshape %s to %s", lm_shape_text(&x->shape, a),
                  lm_shape_text(&s, b));
  }
  luma_plain(L, x, &plain);
  luma_checkrun(L, !lm_interrupted());
  if (!lm_tensor_reshape(&plain, &s, &v, &err)) luma_raise(L, &err);
  luma_pushview(L, &v);
  return 1;
}

static int l_flatten(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const int from = luma_optdim(L, 2, lm_max64(1, x->shape.rank) > 1 ? x->shape.rank : 1, 0);
  lm_shape s = {.rank = from + 1};
  for (int d = 0; d < from; d++) s.size[d] = x->shape.size[d];
  s.size[from] = 1;
  for (int d = from; d < x->shape.rank; d++) s.size[from] *= x->shape.size[d];
  lm_tensor plain, v;
  luma_plain(L, x, &plain);
  luma_checkrun(L, !lm_interrupted());
  lm_tensor_reshape(&plain, &s, &v, NULL);
  luma_pushview(L, &v);
  return 1;
}

static int l_permute(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const int rank = x->shape.rank;
  int order[LM_MAXRANK];
  unsigned seen = 0;
  const bool table = lua_istable(L, 2);
  const int64_t given = table ? (int64_t)lua_rawlen(L, 2) : lua_gettop(L) - 1;
  if (given != rank)
    luma_argerror(L, 2, "%d dimensions expected, got %lld", rank, (long long)given);
  for (int d = 0; d < rank; d++) {
    if (table)
      lua_rawgeti(L, 2, d + 1);
    else
      lua_pushvalue(L, 2 + d);
    order[d] = luma_checkdim(L, lua_gettop(L), rank);
    lua_pop(L, 1);
    if (seen >> order[d] & 1) luma_argerror(L, 2, "dimension %d is named twice", order[d] + 1);
    seen |= 1u << order[d];
  }
  lm_tensor v;
  lm_tensor_permute(x, order, &v);
  luma_pushview(L, &v);
  return 1;
}

static int swapped(lua_State *L, const lm_tensor *x, int a, int b) {
  int order[LM_MAXRANK];
  for (int d = 0; d < x->shape.rank; d++) order[d] = d;
  order[a] = b;
  order[b] = a;
  lm_tensor v;
  lm_tensor_permute(x, order, &v);
  luma_pushview(L, &v);
  return 1;
}

static int l_transpose(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const int a = luma_checkdim(L, 2, x->shape.rank), b = luma_checkdim(L, 3, x->shape.rank);
  return swapped(L, x, a, b);
}

static int l_t(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  luma_checkrank(L, 1, x, 2, "(rows, columns)");
  return swapped(L, x, 0, 1);
}

static int l_squeeze(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const int only = luma_optdim(L, 2, x->shape.rank, -1);
  lm_tensor v = *x;
  if (only >= 0 && x->shape.size[only] != 1)
    luma_argerror(L, 2, "dimension %d has size %lld, not 1", only + 1,
                  (long long)x->shape.size[only]);
  for (int d = x->shape.rank - 1; d >= 0; d--)
    if (x->shape.size[d] == 1 && (only < 0 || d == only)) lm_tensor_select(&v, d, 0, &v);
  luma_pushview(L, &v);
  return 1;
}

static int l_unsqueeze(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const int rank = x->shape.rank;
  if (rank == LM_MAXRANK) luma_argerror(L, 1, "rank is %d already", LM_MAXRANK);
  const int at = luma_checkdim(L, 2, rank + 1);
  lm_tensor v = *x;
  v.shape.rank++;
  for (int d = rank; d > at; d--) {
    v.shape.size[d] = x->shape.size[d - 1];
    v.stride[d] = x->stride[d - 1];
  }
  v.shape.size[at] = 1;
  v.stride[at] = at < rank ? x->stride[at] * x->shape.size[at] : 1;
  luma_pushview(L, &v);
  return 1;
}

static int l_expand(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const lm_shape s = luma_checkshape(L, 2);
  lm_shape both;
  int64_t count;
  char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
  if (!lm_shape_broadcast(&x->shape, &s, &both, NULL) || !lm_shape_equal(&both, &s))
    luma_argerror(L, 2, "cannot expand %s to %s", lm_shape_text(&x->shape, a),
                  lm_shape_text(&s, b));
  if (!lm_shape_count(&s, &count) || count > INT64_MAX / 16)
    luma_argerror(L, 2, "shape %s is too large", lm_shape_text(&s, b));
  lm_tensor v;
  lm_tensor_expand(x, &s, &v);
  luma_pushview(L, &v);
  return 1;
}

static int l_narrow(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const int d = luma_checkdim(L, 2, x->shape.rank);
  const int64_t n = x->shape.size[d];
  const int64_t start = luma_checkint(L, 3, 1, n + 1, "start");
  const int64_t len = luma_checkint(L, 4, 0, n - start + 1, "length");
  lm_tensor v;
  lm_tensor_narrow(x, d, start - 1, len, &v);
  luma_pushview(L, &v);
  return 1;
}

static int l_select(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const int d = luma_checkdim(L, 2, x->shape.rank);
  const int64_t i = luma_checkindex(L, 3, x->shape.size[d]);
  lm_tensor v;
  lm_tensor_select(x, d, i, &v);
  luma_pushview(L, &v);
  return 1;
}

const luma_op luma_ops_index[];
const luma_op luma_ops_index[] = {
    {"get", "(x, index) -> view | number",
     "What x[index] means. An integer selects along the first dimension; a table holds one entry a "
     "dimension: an integer, {first, last}, {first, last, step} or {} for all; bounds are "
     "inclusive, "
     "negative from the end. A single element is a number, anything else a view.",
     l_get, LUMA_METHOD},
    {"set", "(x, index, value) -> x",
     "What x[index] = value means: a number fills, a tensor broadcasts and converts.", l_set,
     LUMA_METHOD},
    {"copy_", "(x, y) -> x", "Copies y into x in place, broadcasting and converting to x's type.",
     l_copy_, LUMA_METHOD},
    {"fill_", "(x, number) -> x", "Sets every element in place.", l_fill_, LUMA_METHOD},
    {"zero_", "(x) -> x", "Sets every element to 0 in place.", l_zero_, LUMA_METHOD},
    {"reshape", "(x, n, ...) -> y",
     "The same elements in C order under new sizes; -1 once for what is left over. A view when x "
     "is "
     "contiguous, else a copy.",
     l_reshape, LUMA_METHOD},
    {"flatten", "(x [, from]) -> y",
     "Dimensions from, from + 1, ... as one (all of them unless told).", l_flatten, LUMA_METHOD},
    {"permute", "(x, d, ...) -> view", "Dimension k of the result is dimension d[k] of x.",
     l_permute, LUMA_METHOD},
    {"transpose", "(x, a, b) -> view", "Swaps two dimensions.", l_transpose, LUMA_METHOD},
    {"t", "(x) -> view", "A matrix with rows and columns swapped.", l_t, LUMA_METHOD},
    {"squeeze", "(x [, dim]) -> view", "Without its dimensions of size 1, or without one of them.",
     l_squeeze, LUMA_METHOD},
    {"unsqueeze", "(x, dim) -> view", "With a new dimension of size 1 at dim.", l_unsqueeze,
     LUMA_METHOD},
    {"expand", "(x, n, ...) -> view",
     "Dimensions of size 1 repeated to the sizes given, without a copy.", l_expand, LUMA_METHOD},
    {"narrow", "(x, dim, start, length) -> view",
     "As many elements of one dimension from start on as length says.", l_narrow, LUMA_METHOD},
    {"select", "(x, dim, index) -> view", "One index of a dimension, which is left out.", l_select,
     LUMA_METHOD},
    {NULL, NULL, NULL, NULL, 0}};
