/* ops_create.c: tensors from nothing, from Lua tables and from bytes, and back;
 * what a tensor is (shape, type); copies and conversions. */
#include <math.h>
#include <string.h>

#include "core/pool.h"
#include "lua/operand.h"
#include "lua/print.h"

/* ---- from nothing ---- */

static int filled(lua_State *L, double value) {
  lm_dtype d = LM_F32;
  const lm_shape s = luma_checksizes(L, 1, &d);
  lm_tensor *t = luma_newtensor(L, d, &s);
  lm_tensor_fill(t, value);
  luma_checkrun(L, !lm_interrupted());
  return 1;
}
static int l_zeros(lua_State *L) {
  return filled(L, 0.0);
}
static int l_ones(lua_State *L) {
  return filled(L, 1.0);
}

static int l_full(lua_State *L) {
  luma_operand v;
  lm_dtype d = LM_F32;
  luma_operand_get(L, 2, &v);
  if (!v.number) luma_argerror(L, 2, "number expected, got a tensor");
  if (!lua_istable(L, 1))
    luma_argerror(L, 1, "table of sizes expected, got %s", luaL_typename(L, 1));
  d = luma_optdtype(L, 3, LM_F32);
  luma_operand_as(L, 2, &v, d);
  lua_settop(L, 1);
  const lm_shape s = luma_checkshape(L, 1);
  lm_tensor *t = luma_newtensor(L, d, &s);
  lm_tensor_fill(t, v.value);
  luma_checkrun(L, !lm_interrupted());
  return 1;
}

static int l_empty(lua_State *L) {
  lm_dtype d = LM_F32;
  const lm_shape s = luma_checksizes(L, 1, &d);
  luma_newtensor(L, d, &s);
  return 1;
}

/* One value of a range, which an integer type must hold exactly. */
static void set_exact(lua_State *L, lm_tensor *t, int64_t i, double v) {
  const lm_dtype d = t->dtype;
  if (!lm_dtypes[d].is_float && !(v == rint(v) && v >= (d == LM_U8 ? 0.0 : (double)INT32_MIN) &&
                                  v <= (d == LM_U8 ? 255.0 : (double)INT32_MAX)))
    luma_error(L, "element %lld, %.14g, does not fit %s (make it f32 and convert with x:to)",
               (long long)i + 1, v, lm_dtypes[d].name);
  lm_tensor_set(t, i, v);
}

static double number_at(lua_State *L, int arg, const char *what) {
  return luma_checkfinite(L, arg, what);
}

static int l_arange(lua_State *L) {
  lm_dtype d = LM_F32;
  if (lua_type(L, -1) == LUA_TSTRING) {
    d = luma_checkdtype(L, lua_gettop(L));
    lua_pop(L, 1);
  }
  const double first = number_at(L, 1, "first"), last = number_at(L, 2, "last");
  const double step = lua_isnoneornil(L, 3) ? 1.0 : number_at(L, 3, "step");
  if (step == 0.0) luma_argerror(L, 3, "step must not be 0");
  const double n = floor((last - first) / step * (1.0 + 1e-12)) + 1.0;
  if (!(n < 9e15)) luma_argerror(L, 2, "%g elements are too many", n);
  const lm_shape s = {.rank = 1, .size = {n > 0.0 ? (int64_t)n : 0}};
  lm_tensor *t = luma_newtensor(L, d, &s);
  for (int64_t i = 0; i < s.size[0]; i++) set_exact(L, t, i, first + (double)i * step);
  return 1;
}

static int l_linspace(lua_State *L) {
  const double first = number_at(L, 1, "first"), last = number_at(L, 2, "last");
  const int64_t n = luma_checkint(L, 3, 0, INT64_MAX, "count");
  const lm_dtype d = luma_optdtype(L, 4, LM_F32);
  const lm_shape s = {.rank = 1, .size = {n}};
  lm_tensor *t = luma_newtensor(L, d, &s);
  for (int64_t i = 0; i < n; i++) { /* both ends exact */
    const double f = n > 1 ? (double)i / (double)(n - 1) : 0.0;
    set_exact(L, t, i, i == n - 1 && n > 1 ? last : first + f * (last - first));
  }
  return 1;
}

static int l_eye(lua_State *L) {
  const int64_t n = luma_checkint(L, 1, 0, INT64_MAX, "rows");
  const bool square = lua_isnoneornil(L, 2) || lua_type(L, 2) == LUA_TSTRING;
  const int64_t m = square ? n : luma_checkint(L, 2, 0, INT64_MAX, "columns");
  const lm_dtype d = luma_optdtype(L, lua_type(L, 2) == LUA_TSTRING ? 2 : 3, LM_F32);
  const lm_shape s = {.rank = 2, .size = {n, m}};
  lm_tensor *t = luma_newzeros(L, d, &s);
  for (int64_t i = 0; i < lm_min64(n, m); i++) lm_tensor_set(t, i * m + i, 1.0);
  return 1;
}

/* ---- from Lua ---- */

/* The shape of nested tables, read along the first elements.  Raw access
 * throughout: no metamethod can change what is being read. */
static lm_shape table_shape(lua_State *L, int arg) {
  lm_shape s = {0};
  lua_pushvalue(L, arg);
  while (lua_istable(L, -1)) {
    if (s.rank == LM_MAXRANK) luma_argerror(L, arg, "tables are nested deeper than %d", LM_MAXRANK);
    s.size[s.rank++] = (int64_t)lua_rawlen(L, -1);
    if (s.size[s.rank - 1] == 0) break;
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
  lua_pop(L, 1);
  return s;
}

typedef struct {
  lm_tensor *t;
  int64_t at;
  int arg;
} reader;

static void read_level(lua_State *L, reader *r, int depth) {
  const lm_shape *s = &r->t->shape;
  if (depth == s->rank) {
    if (lua_type(L, -1) != LUA_TNUMBER)
      luma_argerror(L, r->arg, "element %lld: number expected, got %s", (long long)r->at + 1,
                    luma_totensor(L, -1) != NULL ? "a tensor (join tensors with luma.stack)"
                                                 : luaL_typename(L, -1));
    const double v = lua_tonumber(L, -1);
    const lm_dtype d = r->t->dtype;
    if (!lm_dtypes[d].is_float && !(v == rint(v) && v >= (d == LM_U8 ? 0.0 : (double)INT32_MIN) &&
                                    v <= (d == LM_U8 ? 255.0 : (double)INT32_MAX)))
      luma_argerror(L, r->arg, "element %lld: %.14g does not fit %s", (long long)r->at + 1, v,
                    lm_dtypes[d].name);
    lm_tensor_set(r->t, r->at++, v);
    return;
  }
  if (!lua_istable(L, -1))
    luma_argerror(L, r->arg,
                  "uneven nesting: table expected at depth %d before element %lld, got %s",
                  depth + 1, (long long)r->at + 1, luaL_typename(L, -1));
  if ((int64_t)lua_rawlen(L, -1) != s->size[depth])
    luma_argerror(
        L, r->arg, "uneven nesting: %lld entries at depth %d before element %lld, not %lld",
        (long long)lua_rawlen(L, -1), depth + 1, (long long)r->at + 1, (long long)s->size[depth]);
  for (int64_t i = 1; i <= s->size[depth]; i++) {
    lua_rawgeti(L, -1, i);
    read_level(L, r, depth + 1);
    lua_pop(L, 1);
  }
}

static int l_tensor(lua_State *L) {
  const int type = lua_type(L, 1);
  if (type != LUA_TTABLE && type != LUA_TNUMBER)
    luma_argerror(
        L, 1, "table of numbers or number expected, got %s",
        luma_totensor(L, 1) != NULL ? "a tensor (copy it with x:clone())" : luaL_typename(L, 1));
  const lm_dtype d = luma_optdtype(L, 2, LM_F32);
  luaL_checkstack(L, LM_MAXRANK + 8, "tensor");
  const lm_shape s = table_shape(L, 1);
  reader r = {.t = luma_newtensor(L, d, &s), .arg = 1};
  lua_pushvalue(L, 1);
  read_level(L, &r, 0);
  lua_pop(L, 1);
  return 1;
}

static void push_level(lua_State *L, const lm_tensor *t, int depth, int64_t *at) {
  if (depth == t->shape.rank) {
    luma_pushelement(L, t, (*at)++);
    return;
  }
  const int64_t n = t->shape.size[depth];
  lua_createtable(L, (int)lm_min64(n, INT32_MAX), 0);
  for (int64_t i = 1; i <= n; i++) {
    push_level(L, t, depth + 1, at);
    lua_rawseti(L, -2, i);
  }
}

static int l_totable(lua_State *L) {
  const lm_tensor *t = luma_checktensor(L, 1);
  int64_t at = 0;
  luaL_checkstack(L, LM_MAXRANK + 8, "totable");
  push_level(L, t, 0, &at);
  return 1;
}

static int l_item(lua_State *L) {
  const lm_tensor *t = luma_checktensor(L, 1);
  char text[LM_SHAPE_TEXT];
  if (lm_tensor_count(t) != 1)
    luma_argerror(L, 1, "one element expected, got %s", lm_shape_text(&t->shape, text));
  luma_pushelement(L, t, 0);
  return 1;
}

static int l_from_bytes(lua_State *L) {
  size_t n;
  if (lua_type(L, 1) != LUA_TSTRING)
    luma_argerror(L, 1, "string of bytes expected, got %s", luaL_typename(L, 1));
  const char *bytes = lua_tolstring(L, 1, &n);
  const lm_dtype d = luma_checkdtype(L, 2);
  lm_shape s = {.rank = 1, .size = {(int64_t)n / lm_dtypes[d].size}};
  if (!lua_isnoneornil(L, 3)) s = luma_checkshape(L, 3);
  int64_t count, want;
  char text[LM_SHAPE_TEXT];
  if (!lm_shape_count(&s, &count) || !lm_mul(count, lm_dtypes[d].size, &want) || want != (int64_t)n)
    luma_argerror(L, 1, "%s %s is not %lld bytes", lm_dtypes[d].name, lm_shape_text(&s, text),
                  (long long)n);
  lm_tensor *t = luma_newtensor(L, d, &s);
  memcpy(lm_tensor_data(t), bytes, n);
  return 1;
}

static int l_bytes(lua_State *L) {
  lm_tensor plain;
  luma_plain(L, luma_checktensor(L, 1), &plain);
  luma_checkrun(L, !lm_interrupted());
  lua_pushlstring(L, lm_tensor_data(&plain), (size_t)lm_tensor_bytes(&plain));
  return 1;
}

/* ---- copies ---- */

static int copy_as(lua_State *L, const lm_tensor *x, lm_dtype d) {
  lm_tensor *y = luma_newtensor(L, d, &x->shape);
  lm_tensor_copy(x, y);
  luma_checkrun(L, !lm_interrupted());
  return 1;
}

static int l_to(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  return copy_as(L, x, luma_checkdtype(L, 2));
}

static int l_clone(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  return copy_as(L, x, x->dtype);
}

static int l_contiguous(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  if (!lm_tensor_contiguous(x)) return copy_as(L, x, x->dtype);
  luma_pushview(L, x);
  return 1;
}

/* ---- what it is ---- */

static int l_shape(lua_State *L) {
  const lm_tensor *t = luma_checktensor(L, 1);
  for (int d = 0; d < t->shape.rank; d++) lua_pushinteger(L, t->shape.size[d]);
  return t->shape.rank;
}

static int l_size(lua_State *L) {
  const lm_tensor *t = luma_checktensor(L, 1);
  lua_pushinteger(L, t->shape.size[luma_checkdim(L, 2, t->shape.rank)]);
  return 1;
}

static int l_rank(lua_State *L) {
  lua_pushinteger(L, luma_checktensor(L, 1)->shape.rank);
  return 1;
}

static int l_count(lua_State *L) {
  lua_pushinteger(L, lm_tensor_count(luma_checktensor(L, 1)));
  return 1;
}

static int l_dtype(lua_State *L) {
  lua_pushstring(L, lm_dtypes[luma_checktensor(L, 1)->dtype].name);
  return 1;
}

static int l_is_contiguous(lua_State *L) {
  lua_pushboolean(L, lm_tensor_contiguous(luma_checktensor(L, 1)));
  return 1;
}

static int l_is_tensor(lua_State *L) {
  const lm_tensor *t = luma_totensor(L, 1);
  lua_pushboolean(L, t != NULL && t->buffer != NULL);
  return 1;
}

static int l_close(lua_State *L) {
  const lm_tensor *t = luma_totensor(L, 1);
  if (t == NULL) luma_checktensor(L, 1);
  return luma_close(L);
}

static int l_tostring(lua_State *L) {
  luma_pushtext(L, luma_checktensor(L, 1));
  return 1;
}

const luma_op luma_ops_create[];
const luma_op luma_ops_create[] = {
    {"zeros", "(n, ... [, dtype]) -> x",
     "A tensor of zeros; sizes one by one or as a table, f32 unless told.", l_zeros, LUMA_FUNCTION},
    {"ones", "(n, ... [, dtype]) -> x", "A tensor of ones; sizes as for zeros.", l_ones,
     LUMA_FUNCTION},
    {"full", "({n, ...}, value [, dtype]) -> x", "A tensor of one value.", l_full, LUMA_FUNCTION},
    {"empty", "(n, ... [, dtype]) -> x",
     "A tensor with undefined contents, for a caller who writes all of it.", l_empty,
     LUMA_FUNCTION},
    {"arange", "(first, last [, step] [, dtype]) -> x",
     "The numbers first, first + step, ... up to and including last; f32 unless told.", l_arange,
     LUMA_FUNCTION},
    {"linspace", "(first, last, count [, dtype]) -> x",
     "As many evenly spaced numbers as count says, both ends included.", l_linspace, LUMA_FUNCTION},
    {"eye", "(n [, m] [, dtype]) -> x", "An n x m matrix with ones on the diagonal.", l_eye,
     LUMA_FUNCTION},
    {"tensor", "(numbers [, dtype]) -> x",
     "A tensor from a number or from evenly nested tables of numbers; f32 unless told. Numbers "
     "that "
     "do not fit an integer type are refused.",
     l_tensor, LUMA_FUNCTION},
    {"from_bytes", "(bytes, dtype [, n, ...]) -> x",
     "A tensor from raw little-endian bytes in C order; one dimension unless sizes are given.",
     l_from_bytes, LUMA_FUNCTION},
    {"bytes", "(x) -> string", "The elements as raw little-endian bytes in C order.", l_bytes,
     LUMA_METHOD},
    {"totable", "(x) -> numbers", "Nested tables of numbers; a number for rank 0.", l_totable,
     LUMA_METHOD},
    {"item", "(x) -> number", "The one element of x.", l_item, LUMA_METHOD},
    {"to", "(x, dtype) -> y",
     "A copy converted to f32, f64, u8 or i32. Floats to integers round halves to even and are "
     "held "
     "within the type's range; NaN becomes 0.",
     l_to, LUMA_METHOD},
    {"clone", "(x) -> y", "A contiguous copy.", l_clone, LUMA_METHOD},
    {"contiguous", "(x) -> y",
     "The elements in C order: a view when it is so already, else a copy.", l_contiguous,
     LUMA_METHOD},
    {"shape", "(x) -> n, ...", "The sizes, as several values.", l_shape, LUMA_METHOD},
    {"size", "(x, dim) -> n", "The size of one dimension, 1-based, negative from the end.", l_size,
     LUMA_METHOD},
    {"rank", "(x) -> n", "The number of dimensions.", l_rank, LUMA_METHOD},
    {"count", "(x) -> n", "The number of elements.", l_count, LUMA_METHOD},
    {"dtype", "(x) -> name", "The element type: f32, f64, u8 or i32.", l_dtype, LUMA_METHOD},
    {"is_contiguous", "(x) -> boolean", "Whether the elements lie in C order without gaps.",
     l_is_contiguous, LUMA_METHOD},
    {"is_tensor", "(value) -> boolean", "Whether value is an open tensor.", l_is_tensor,
     LUMA_FUNCTION},
    {"close", "(x)", "Releases x's memory now; using x afterwards is an error.", l_close,
     LUMA_METHOD},
    {"tostring", "(x) -> string",
     "What print shows: the elements of a small tensor, one line for more than 1000 elements.",
     l_tostring, LUMA_METHOD},
    {NULL, NULL, NULL, NULL, 0}};
