/* ops_join.c: putting tensors together, cutting them up, repeating, comparing
 * them as wholes, and summing them up. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/pool.h"
#include "kern/stats.h"
#include "lua/operand.h"

/* ---- concat, stack ---- */

/* Checks the list at 1: tensors of one rank whose sizes agree (but in dim). */
static int64_t check_list(lua_State *L) {
  if (!lua_istable(L, 1))
    luma_argerror(L, 1, "table of tensors expected, got %s", luaL_typename(L, 1));
  const int64_t n = (int64_t)lua_rawlen(L, 1);
  if (n == 0) luma_argerror(L, 1, "no tensors given");
  for (int64_t i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    const lm_tensor *t = luma_totensor(L, -1);
    if (t == NULL)
      luma_argerror(L, 1, "entry %lld: tensor expected, got %s", (long long)i,
                    luaL_typename(L, -1));
    if (t->buffer == NULL) luma_error(L, "attempt to use a closed tensor");
    lua_pop(L, 1);
  }
  return n;
}

static const lm_tensor *entry(lua_State *L, int64_t i) {
  lua_rawgeti(L, 1, i);
  const lm_tensor *t = luma_totensor(L, -1);
  lua_pop(L, 1); /* the list keeps it alive */
  return t;
}

static int join(lua_State *L, bool new_dim) {
  const int64_t n = check_list(L);
  lm_shape s = entry(L, 1)->shape;
  lm_dtype d = entry(L, 1)->dtype;
  if (new_dim && s.rank == LM_MAXRANK) luma_argerror(L, 1, "rank is %d already", LM_MAXRANK);
  if (!new_dim && s.rank == 0) luma_argerror(L, 1, "scalars are joined with stack");
  const int dim = luma_optdim(L, 2, s.rank + new_dim, 0);
  int64_t total = 0;
  for (int64_t i = 1; i <= n; i++) {
    const lm_tensor *t = entry(L, i);
    lm_shape other = t->shape;
    d = lm_dtype_promote(d, t->dtype);
    if (!new_dim && other.rank == s.rank) other.size[dim] = s.size[dim];
    char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
    if (!lm_shape_equal(&other, &s))
      luma_argerror(L, 1, "entry %lld is %s, which does not fit entry 1, %s", (long long)i,
                    lm_shape_text(&t->shape, a), lm_shape_text(&s, b));
    if (!lm_add(total, new_dim ? 1 : t->shape.size[dim], &total))
      luma_argerror(L, 1, "the result is too large");
  }
  lm_shape out = s;
  if (new_dim) {
    for (int k = s.rank; k > dim; k--) out.size[k] = s.size[k - 1];
    out.rank++;
  }
  out.size[dim] = total;
  lm_tensor *y = luma_newtensor(L, d, &out);
  int64_t at = 0;
  for (int64_t i = 1; i <= n; i++) {
    const lm_tensor *t = entry(L, i);
    lm_tensor part;
    if (new_dim) {
      lm_tensor_select(y, dim, at++, &part);
    } else {
      lm_tensor_narrow(y, dim, at, t->shape.size[dim], &part);
      at += t->shape.size[dim];
    }
    lm_tensor_copy(t, &part);
  }
  luma_checkrun(L, !lm_interrupted());
  return 1;
}
static int l_concat(lua_State *L) {
  return join(L, false);
}
static int l_stack(lua_State *L) {
  return join(L, true);
}

/* ---- split, chunk: lists of views; the tape notes each piece as a step ---- */

static void push_part(lua_State *L, const lm_tensor *x, int dim, int64_t start, int64_t len,
                      int64_t place) {
  lm_tensor part;
  lm_tensor_narrow(x, dim, start, len, &part);
  luma_pushview(L, &part);
  lua_rawseti(L, -2, place);
}

static int l_split(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const int dim = luma_optdim(L, 3, x->shape.rank, 0);
  if (x->shape.rank == 0) luma_argerror(L, 1, "a scalar has no dimensions");
  const int64_t size = x->shape.size[dim];
  lua_settop(L, 3);
  if (!lua_istable(L, 2)) {
    const int64_t len = luma_checkint(L, 2, 1, INT64_MAX, "length");
    lua_newtable(L);
    for (int64_t at = 0, k = 1; at < size; at += len, k++)
      push_part(L, x, dim, at, lm_min64(len, size - at), k);
    return 1;
  }
  const int64_t n = (int64_t)lua_rawlen(L, 2);
  int64_t at = 0;
  lua_newtable(L);
  for (int64_t k = 1; k <= n; k++) {
    lua_rawgeti(L, 2, k);
    const int64_t len = luma_checkint(L, lua_gettop(L), 0, INT64_MAX, "length");
    lua_pop(L, 1);
    if (len > size - at)
      luma_argerror(L, 2, "the lengths pass the %lld of dimension %d", (long long)size, dim + 1);
    push_part(L, x, dim, at, len, k);
    at += len;
  }
  if (at != size)
    luma_argerror(L, 2, "the lengths add to %lld, dimension %d has %lld", (long long)at, dim + 1,
                  (long long)size);
  return 1;
}

static int l_chunk(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const int64_t n = luma_checkint(L, 2, 1, 1 << 20, "number of parts");
  if (x->shape.rank == 0) luma_argerror(L, 1, "a scalar has no dimensions");
  const int dim = luma_optdim(L, 3, x->shape.rank, 0);
  const int64_t size = x->shape.size[dim];
  lua_settop(L, 3);
  lua_newtable(L);
  int64_t at = 0;
  for (int64_t k = 0; k < n; k++) { /* the first size % n parts are one longer */
    const int64_t len = size / n + (k < size % n);
    push_part(L, x, dim, at, len, k + 1);
    at += len;
  }
  return 1;
}

/* ---- repeat and reverse ---- */

static int l_tile(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const lm_shape times = luma_checkshape(L, 2);
  const int rank = x->shape.rank;
  if (times.rank != rank) luma_argerror(L, 2, "%d counts expected, got %d", rank, times.rank);
  lm_shape s = x->shape;
  for (int d = 0; d < rank; d++)
    if (!lm_mul(s.size[d], times.size[d], &s.size[d]))
      luma_argerror(L, 2, "the result is too large");
  lm_tensor *y = luma_newtensor(L, x->dtype, &s);
  const int64_t count = lm_tensor_count(y);
  int64_t copies = 1, at[LM_MAXRANK];
  for (int d = 0; d < rank; d++) copies *= count > 0 ? times.size[d] : 0;
  for (int64_t c = 0; c < copies && count > 0; c++) {
    int64_t rest = c;
    lm_tensor part = *y;
    for (int d = rank - 1; d >= 0; d--) {
      at[d] = rest % times.size[d];
      rest /= times.size[d];
      lm_tensor_narrow(&part, d, at[d] * x->shape.size[d], x->shape.size[d], &part);
    }
    lm_tensor_copy(x, &part);
  }
  luma_checkrun(L, !lm_interrupted());
  return 1;
}

static int l_flip(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  if (x->shape.rank == 0) luma_argerror(L, 1, "a scalar has no dimensions");
  const int dim = luma_checkdim(L, 2, x->shape.rank);
  const int64_t n = x->shape.size[dim];
  lm_tensor *y = luma_newtensor(L, x->dtype, &x->shape);
  for (int64_t i = 0; i < n && !lm_interrupted(); i++) {
    lm_tensor from, to;
    lm_tensor_select(x, dim, n - 1 - i, &from);
    lm_tensor_select(y, dim, i, &to);
    lm_tensor_copy(&from, &to);
  }
  luma_checkrun(L, !lm_interrupted());
  return 1;
}

/* ---- wholes ---- */

static void both_plain(lua_State *L, lm_tensor *a, lm_tensor *b) {
  const lm_tensor *x = luma_checktensor(L, 1), *y = luma_checktensor(L, 2);
  luma_plain(L, x, a);
  luma_plain(L, y, b);
  luma_checkrun(L, !lm_interrupted());
}

static int l_allclose(lua_State *L) {
  static const char *const keys[] = {"rtol", "atol", "equal_nan", NULL};
  lm_tensor a, b;
  luma_checktensor(L, 1);
  luma_checktensor(L, 2);
  luma_checkkeys(L, 3, keys);
  const double rtol = luma_optnumber(L, 3, "rtol", 1e-5, 0.0, INFINITY);
  const double atol = luma_optnumber(L, 3, "atol", 1e-8, 0.0, INFINITY);
  const bool nan = luma_optboolean(L, 3, "equal_nan", false);
  both_plain(L, &a, &b);
  int64_t far = 0;
  if (lm_shape_equal(&a.shape, &b.shape))
    luma_checkrun(L, lm_allclose(&a, &b, rtol, atol, nan, &far));
  lua_pushboolean(L, lm_shape_equal(&a.shape, &b.shape) && far < 0);
  return 1;
}

static int l_equal(lua_State *L) {
  lm_tensor a, b;
  both_plain(L, &a, &b);
  int64_t far = 0;
  const bool alike = a.dtype == b.dtype && lm_shape_equal(&a.shape, &b.shape);
  if (alike) luma_checkrun(L, lm_allclose(&a, &b, 0.0, 0.0, false, &far));
  lua_pushboolean(L, alike && far < 0);
  return 1;
}

static void set_number(lua_State *L, const char *key, double v) {
  lua_pushnumber(L, v);
  lua_setfield(L, -2, key);
}
static void set_integer(lua_State *L, const char *key, int64_t v) {
  lua_pushinteger(L, v);
  lua_setfield(L, -2, key);
}

static int stats_text(lua_State *L) {
  char text[256];
  double v[4];
  long long n[3];
  static const char *const numbers[] = {"min", "mean", "max", "std"};
  static const char *const counts[] = {"count", "nan", "inf"};
  for (int i = 0; i < 4; i++) {
    lua_getfield(L, 1, numbers[i]);
    v[i] = lua_tonumber(L, -1);
  }
  for (int i = 0; i < 3; i++) {
    lua_getfield(L, 1, counts[i]);
    n[i] = (long long)lua_tointeger(L, -1);
  }
  snprintf(text, sizeof text,
           "min %.6g  mean %.6g  max %.6g  std %.6g  (%lld elements, %lld NaN, %lld infinite)",
           v[0], v[1], v[2], v[3], n[0], n[1], n[2]);
  lua_pushstring(L, text);
  return 1;
}

static int l_stats(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  lm_tensor p;
  lm_stats s;
  luma_plain(L, x, &p);
  luma_checkrun(L, lm_stats_of(&p, &s));
  lua_createtable(L, 0, 7);
  set_number(L, "min", s.min);
  set_number(L, "mean", s.mean);
  set_number(L, "max", s.max);
  set_number(L, "std", s.std);
  set_integer(L, "count", s.count);
  set_integer(L, "nan", s.nan);
  set_integer(L, "inf", s.inf);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, stats_text);
  lua_setfield(L, -2, "__tostring");
  lua_setmetatable(L, -2);
  return 1;
}

const luma_op luma_ops_join[];
const luma_op luma_ops_join[] = {
    {"concat", "({a, b, ...} [, dim=1]) -> y",
     "Joins tensors along a dimension; the other sizes agree; mixed types give the wider.",
     l_concat, LUMA_FUNCTION},
    {"stack", "({a, b, ...} [, dim=1]) -> y", "Joins tensors of one shape along a new dimension.",
     l_stack, LUMA_FUNCTION},
    {"split", "(x, length | {lengths} [, dim=1]) -> list",
     "Views of consecutive parts: all of one length (the last may be shorter), or as listed.",
     l_split, LUMA_METHOD},
    {"chunk", "(x, n [, dim=1]) -> list", "Views of n parts as equal as can be, longer ones first.",
     l_chunk, LUMA_METHOD},
    {"tile", "(x, times, ...) -> y", "A copy repeated along each dimension.", l_tile, LUMA_METHOD},
    {"flip", "(x, dim) -> y", "A copy with one dimension reversed.", l_flip, LUMA_METHOD},
    {"allclose", "(a, b [, {rtol=1e-5, atol=1e-8, equal_nan=false}]) -> boolean",
     "Whether shapes agree and |a - b| <= atol + rtol |b| everywhere.", l_allclose, LUMA_METHOD},
    {"equal", "(a, b) -> boolean",
     "Whether types, shapes and all elements agree; NaN equals nothing.", l_equal, LUMA_METHOD},
    {"stats", "(x) -> table",
     "The min, mean, max and std of the finite elements and the counts of elements, NaN and "
     "infinities; "
     "prints as one line.",
     l_stats, LUMA_ONLY_METHOD},
    {NULL, NULL, NULL, NULL, 0}};
