/* ops_gather.c: elements by place: index_select, gather, scatter_add, one_hot,
 * masks, sorting.  Places are i32 tensors or Lua lists, 1-based; the border
 * checks them and hands 0-based copies to the kernels. */
#include <string.h>

#include "core/pool.h"
#include "kern/elem.h"
#include "kern/gather.h"
#include "kern/sort.h"
#include "lua/operand.h"

/* A contiguous 0-based i32 copy of the places at arg, pushed on the stack;
 * every one checked against 1..n.  A Lua list gives rank 1. */
static lm_tensor *push_places(lua_State *L, int arg, int64_t n) {
  lm_tensor *ids;
  if (lua_istable(L, arg)) {
    const lm_shape s = {.rank = 1, .size = {(int64_t)lua_rawlen(L, arg)}};
    ids = luma_newtensor(L, LM_I32, &s);
    for (int64_t i = 0; i < s.size[0]; i++) {
      int exact;
      lua_rawgeti(L, arg, i + 1);
      const lua_Integer v = lua_tointegerx(L, -1, &exact);
      if (!exact || lua_type(L, -1) != LUA_TNUMBER || v < INT32_MIN || v > INT32_MAX)
        luma_argerror(L, arg, "place %lld must be a whole number, got %s", (long long)i + 1,
                      luaL_tolstring(L, -1, NULL));
      lm_i32(ids)[i] = (int32_t)v;
      lua_pop(L, 1);
    }
  } else {
    const lm_tensor *given = luma_checktensor(L, arg);
    if (lm_dtypes[given->dtype].is_float)
      luma_argerror(L, arg,
                    "i32 or u8 tensor of places expected, got %s (convert with x:to('i32'))",
                    lm_dtypes[given->dtype].name);
    ids = luma_newtensor(L, LM_I32, &given->shape);
    lm_tensor_copy(given, ids);
    luma_checkrun(L, !lm_interrupted());
  }
  const int64_t count = lm_tensor_count(ids);
  int32_t *p = lm_i32(ids);
  for (int64_t i = 0; i < count; i++) {
    if (p[i] < 1 || p[i] > n)
      luma_argerror(L, arg, "place %d at position %lld is not in 1..%lld", p[i], (long long)i + 1,
                    (long long)n);
    p[i]--;
  }
  return ids;
}

/* x itself, or a plain copy of it pushed on the stack. */
static lm_tensor plain(lua_State *L, const lm_tensor *x) {
  lm_tensor p;
  luma_plain(L, x, &p);
  luma_checkrun(L, !lm_interrupted());
  return p;
}

static const lm_tensor *check_ranked(lua_State *L, int arg) {
  const lm_tensor *x = luma_checktensor(L, arg);
  if (x->shape.rank == 0) luma_argerror(L, arg, "a scalar has no dimensions");
  return x;
}

static void check_addable(lua_State *L, const lm_tensor *x) {
  if (x->dtype == LM_U8) luma_argerror(L, 1, "u8 not supported (f32, f64, i32)");
}

static int l_index_select(lua_State *L) {
  const lm_tensor *x = check_ranked(L, 1);
  const int dim = luma_checkdim(L, 2, x->shape.rank);
  lua_settop(L, 3);
  const lm_tensor *ids = push_places(L, 3, x->shape.size[dim]);
  if (ids->shape.rank != 1) luma_checkrank(L, 3, ids, 1, "(places)");
  const lm_tensor from = plain(L, x);
  lm_shape s = x->shape;
  s.size[dim] = ids->shape.size[0];
  lm_tensor *y = luma_newtensor(L, x->dtype, &s);
  luma_checkrun(L, lm_index_select(&from, dim, lm_i32(ids), ids->shape.size[0], y));
  return 1;
}

/* A fresh copy of x on the stack. */
static lm_tensor *push_clone(lua_State *L, const lm_tensor *x) {
  lm_tensor *y = luma_newtensor(L, x->dtype, &x->shape);
  lm_tensor_copy(x, y);
  luma_checkrun(L, !lm_interrupted());
  return y;
}

/* The tensor at arg, of x's type, contiguous. */
static lm_tensor same_type(lua_State *L, int arg, const lm_tensor *x) {
  const lm_tensor *s = luma_checktensor(L, arg);
  if (s->dtype != x->dtype)
    luma_argerror(L, arg, "%s expected as in x, got %s", lm_dtypes[x->dtype].name,
                  lm_dtypes[s->dtype].name);
  return plain(L, s);
}

static int l_index_add(lua_State *L) {
  const lm_tensor *x = check_ranked(L, 1);
  const int dim = luma_checkdim(L, 2, x->shape.rank);
  lua_settop(L, 4);
  check_addable(L, x);
  const lm_tensor *ids = push_places(L, 3, x->shape.size[dim]);
  if (ids->shape.rank != 1) luma_checkrank(L, 3, ids, 1, "(places)");
  const lm_tensor src = same_type(L, 4, x);
  lm_shape want = x->shape;
  want.size[dim] = ids->shape.size[0];
  char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
  if (!lm_shape_equal(&want, &src.shape))
    luma_argerror(L, 4, "shape %s expected, got %s", lm_shape_text(&want, a),
                  lm_shape_text(&src.shape, b));
  lm_tensor *y = push_clone(L, x);
  luma_checkrun(L, lm_index_add(y, dim, lm_i32(ids), ids->shape.size[0], &src));
  return 1;
}

/* ids as large as x or smaller in every dimension but dim. */
static void check_inside(lua_State *L, const lm_tensor *x, const lm_tensor *ids, int dim) {
  char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
  bool fits = ids->shape.rank == x->shape.rank;
  for (int d = 0; fits && d < x->shape.rank; d++)
    fits = d == dim || ids->shape.size[d] <= x->shape.size[d];
  if (!fits)
    luma_argerror(L, 3, "places %s do not fit x %s (only dimension %d may be longer)",
                  lm_shape_text(&ids->shape, a), lm_shape_text(&x->shape, b), dim + 1);
}

static int l_gather(lua_State *L) {
  const lm_tensor *x = check_ranked(L, 1);
  const int dim = luma_checkdim(L, 2, x->shape.rank);
  lua_settop(L, 3);
  const lm_tensor *ids = push_places(L, 3, x->shape.size[dim]);
  check_inside(L, x, ids, dim);
  const lm_tensor from = plain(L, x);
  lm_tensor *y = luma_newtensor(L, x->dtype, &ids->shape);
  luma_checkrun(L, lm_gather(&from, dim, ids, y));
  return 1;
}

static int l_scatter_add(lua_State *L) {
  const lm_tensor *x = check_ranked(L, 1);
  const int dim = luma_checkdim(L, 2, x->shape.rank);
  lua_settop(L, 4);
  check_addable(L, x);
  const lm_tensor *ids = push_places(L, 3, x->shape.size[dim]);
  check_inside(L, x, ids, dim);
  const lm_tensor src = same_type(L, 4, x);
  char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
  if (!lm_shape_equal(&ids->shape, &src.shape))
    luma_argerror(L, 4, "shape %s expected as the places have, got %s",
                  lm_shape_text(&ids->shape, a), lm_shape_text(&src.shape, b));
  lm_tensor *y = push_clone(L, x);
  luma_checkrun(L, lm_scatter_add(y, dim, ids, &src));
  return 1;
}

static int l_one_hot(lua_State *L) {
  const int64_t k = luma_checkint(L, 2, 1, INT32_MAX, "number of classes");
  const lm_dtype d = luma_optdtype(L, 3, LM_F32);
  lua_settop(L, 3);
  const lm_tensor *ids = push_places(L, 1, k);
  lm_shape s = ids->shape;
  if (s.rank == LM_MAXRANK) luma_argerror(L, 1, "rank is %d already", LM_MAXRANK);
  s.size[s.rank++] = k;
  lm_tensor *y = luma_newzeros(L, d, &s);
  lm_one_hot(lm_i32(ids), lm_tensor_count(ids), y);
  return 1;
}

/* ---- masks ---- */

/* The u8 mask at arg, broadcast to x's shape and contiguous. */
static lm_tensor check_mask(lua_State *L, int arg, const lm_tensor *x) {
  lm_tensor m = *luma_checktensor(L, arg);
  char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
  lm_shape s;
  if (m.dtype != LM_U8) luma_argerror(L, arg, "u8 mask expected, got %s", lm_dtypes[m.dtype].name);
  if (!lm_shape_broadcast(&x->shape, &m.shape, &s, NULL) || !lm_shape_equal(&s, &x->shape))
    luma_argerror(L, arg, "mask %s does not broadcast to %s", lm_shape_text(&m.shape, a),
                  lm_shape_text(&x->shape, b));
  lm_tensor_expand(&m, &s, &m);
  return plain(L, &m);
}

static int l_masked_select(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const lm_tensor m = check_mask(L, 2, x);
  const lm_tensor from = plain(L, x);
  const lm_shape s = {.rank = 1, .size = {lm_mask_count(lm_u8(&m), lm_tensor_count(x))}};
  lm_tensor *y = luma_newtensor(L, x->dtype, &s);
  lm_mask_select(&from, lm_u8(&m), y);
  return 1;
}

static int l_masked_fill(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  lm_tensor m = check_mask(L, 2, x);
  luma_operand v;
  luma_operand_get(L, 3, &v);
  if (!v.number) luma_argerror(L, 3, "number expected, got a tensor (see where)");
  luma_operand_as(L, 3, &v, x->dtype);
  lm_tensor_expand(&v.t, &x->shape, &v.t);
  lm_tensor *y = luma_newtensor(L, x->dtype, &x->shape);
  luma_checkrun(L, lm_where(&m, &v.t, x, y));
  return 1;
}

static int l_nonzero(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  const int64_t n = lm_tensor_count(x);
  const int rank = x->shape.rank;
  if (n > INT32_MAX) luma_argerror(L, 1, "places do not fit i32");
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) count += lm_tensor_get(x, i) != 0.0;
  const lm_shape s = {.rank = 2, .size = {count, rank}};
  lm_tensor *y = luma_newtensor(L, LM_I32, &s);
  int32_t *p = lm_i32(y);
  for (int64_t i = 0; i < n; i++) {
    if (lm_tensor_get(x, i) == 0.0) continue;
    int64_t rest = i;
    for (int d = rank - 1; d >= 0; d--) {
      p[d] = (int32_t)(rest % x->shape.size[d]) + 1;
      rest /= x->shape.size[d];
    }
    p += rank;
  }
  return 1;
}

/* ---- order ---- */

/* Pushes x with dim moved last, as plain lines, and their 0-based order. */
static void push_order(lua_State *L, const lm_tensor *x, int dim, bool descending, lm_tensor *lines,
                       lm_tensor *order) {
  int axes[LM_MAXRANK], at = 0;
  for (int d = 0; d < x->shape.rank; d++)
    if (d != dim) axes[at++] = d;
  axes[at] = dim;
  lm_tensor moved;
  lm_tensor_permute(x, axes, &moved);
  const lm_tensor p = plain(L, &moved);
  const int64_t n = x->shape.size[dim], count = lm_tensor_count(x);
  if (n > INT32_MAX) luma_argerror(L, 1, "places do not fit i32");
  const lm_shape flat = {.rank = 2, .size = {n > 0 ? count / n : 0, n}};
  lm_tensor_reshape(&p, &flat, lines, NULL);
  *order = *luma_newtensor(L, LM_I32, &flat);
  int64_t bytes;
  if (!lm_sort_scratch(flat.size[0], n, &bytes)) luma_argerror(L, 1, "too many elements to sort");
  void *scratch = luma_newscratch(L, bytes);
  luma_checkrun(L, lm_argsort(lines, descending, scratch, order));
  luma_freescratch(L, -1);
  lua_pop(L, 1);
}

/* Pushes lines (rows, k) with its last dimension put back to dim of x. */
static void push_moved_back(lua_State *L, const lm_tensor *x, int dim, const lm_tensor *lines) {
  lm_shape s = {.rank = x->shape.rank};
  lm_tensor v;
  int order[LM_MAXRANK], at = 0;
  for (int d = 0; d < x->shape.rank; d++)
    if (d != dim) {
      order[d] = at;
      s.size[at++] = x->shape.size[d];
    }
  order[dim] = at;
  s.size[at] = lines->shape.size[1];
  lm_tensor_reshape(lines, &s, &v, NULL);
  lm_tensor_permute(&v, order, &v);
  lm_tensor *y = luma_newtensor(L, lines->dtype, &v.shape);
  lm_tensor_copy(&v, y);
  luma_checkrun(L, !lm_interrupted());
}

/* Pushes the first k of every line in order: values or 1-based places. */
static void push_picked(lua_State *L, const lm_tensor *x, int dim, int64_t k,
                        const lm_tensor *lines, const lm_tensor *order, bool places) {
  const int64_t n = lines->shape.size[1], rows = lines->shape.size[0];
  const lm_shape s = {.rank = 2, .size = {rows, k}};
  lm_tensor *out = luma_newtensor(L, places ? LM_I32 : x->dtype, &s);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t i = 0; i < k; i++) {
      const int32_t from = lm_i32(order)[r * n + i];
      if (places)
        lm_i32(out)[r * k + i] = from + 1;
      else
        lm_tensor_set(out, r * k + i, lm_tensor_get(lines, r * n + from));
    }
  push_moved_back(L, x, dim, out);
}

static bool descending_option(lua_State *L, int arg) {
  static const char *const keys[] = {"descending", NULL};
  luma_checkkeys(L, arg, keys);
  return luma_optboolean(L, arg, "descending", false);
}

static int sorted(lua_State *L, bool places) {
  const lm_tensor *x = check_ranked(L, 1);
  const int dim = luma_optdim(L, 2, x->shape.rank, x->shape.rank - 1);
  lua_settop(L, 3);
  const bool descending = descending_option(L, 3);
  lm_tensor lines, order;
  push_order(L, x, dim, descending, &lines, &order);
  push_picked(L, x, dim, x->shape.size[dim], &lines, &order, places);
  return 1;
}
static int l_sort(lua_State *L) {
  return sorted(L, false);
}
static int l_argsort(lua_State *L) {
  return sorted(L, true);
}

static int l_topk(lua_State *L) {
  static const char *const keys[] = {"largest", NULL};
  const lm_tensor *x = check_ranked(L, 1);
  const int dim = luma_optdim(L, 3, x->shape.rank, x->shape.rank - 1);
  const int64_t k = luma_checkint(L, 2, 0, x->shape.size[dim], "k");
  lua_settop(L, 4);
  luma_checkkeys(L, 4, keys);
  lm_tensor lines, order;
  push_order(L, x, dim, luma_optboolean(L, 4, "largest", true), &lines, &order);
  push_picked(L, x, dim, k, &lines, &order, false);
  const int values = lua_gettop(L);
  push_picked(L, x, dim, k, &lines, &order, true);
  lua_pushvalue(L, values);
  lua_insert(L, -2);
  return 2;
}

const luma_op luma_ops_gather[];
const luma_op luma_ops_gather[] = {
    {"index_select", "(x, dim, ids) -> y",
     "The slices of x along dim named by ids (1-based list or i32 tensor), in that order, repeats "
     "allowed.",
     l_index_select, LUMA_METHOD},
    {"index_add", "(x, dim, ids, src) -> y",
     "A copy of x with slice i of src added to slice ids[i]; the reverse of index_select.",
     l_index_add, LUMA_METHOD},
    {"gather", "(x, dim, ids) -> y",
     "One element for each place: for dim = 2, y[i][j] = x[i][ids[i][j]].", l_gather, LUMA_METHOD},
    {"scatter_add", "(x, dim, ids, src) -> y",
     "A copy of x with src added at the places ids: for dim = 2, y[i][ids[i][j]] gains src[i][j].",
     l_scatter_add, LUMA_METHOD},
    {"one_hot", "(ids, k [, dtype]) -> y",
     "A new last dimension of size k holding 1 at each (1-based) id and 0 elsewhere.", l_one_hot,
     LUMA_FUNCTION},
    {"masked_select", "(x, mask) -> y",
     "The elements where the u8 mask is not 0, as one dimension.", l_masked_select, LUMA_METHOD},
    {"masked_fill", "(x, mask, value) -> y", "A copy of x with value where the u8 mask is not 0.",
     l_masked_fill, LUMA_METHOD},
    {"nonzero", "(x) -> places",
     "The 1-based places of all elements that are not 0: (count, rank), i32.", l_nonzero,
     LUMA_METHOD},
    {"sort", "(x [, dim=-1] [, {descending=false}]) -> y",
     "Sorted along one dimension; NaN comes last.", l_sort, LUMA_METHOD},
    {"argsort", "(x [, dim=-1] [, {descending=false}]) -> places",
     "The 1-based places that sort x along one dimension; equal elements keep their order, NaN "
     "comes "
     "last.",
     l_argsort, LUMA_METHOD},
    {"topk", "(x, k [, dim=-1] [, {largest=true}]) -> values, places",
     "The k largest (or smallest) along one dimension, best first, and their 1-based places.",
     l_topk, LUMA_METHOD},
    {NULL, NULL, NULL, NULL, 0}};
