/* window.c: the options of a window, from a Lua table to lm_window, and the ops
 * that luma.nn asks about them. */
#include "lua/window.h"

#include <string.h>

static const char PAIR[] = "a whole number >= 1 or {rows, columns} of them",
                  PAD[] = "a whole number >= 0, {top, left, bottom, right} of them or \"same\"";

/* Raises that option `key`, the value at the top, has none of its forms. */
static _Noreturn void refuse(lua_State *L, int arg, const char *key, const char *forms) {
  const char *quote = lua_type(L, -1) == LUA_TSTRING ? "'" : "";
  luma_argerror(L, arg, "option %s must be %s, got %s%.60s%s", key, forms, quote,
                luaL_tolstring(L, -1, NULL), quote);
}

/* The value at the top as a number of lo..LM_WINDOW_MOST for option `key`. */
static int64_t number_at_top(lua_State *L, int arg, const char *key, int64_t lo,
                             const char *forms) {
  int exact;
  const int64_t v = lua_tointegerx(L, -1, &exact);
  if (!exact || lua_type(L, -1) != LUA_TNUMBER || v < lo || v > LM_WINDOW_MOST)
    refuse(L, arg, key, forms);
  return v;
}

/* Option `key` as one number for all `count` of out, or a table of exactly so
 * many; out stays as it is when the option is absent.  The dispatcher has made
 * the tables plain (own.c). */
static void numbers(lua_State *L, int arg, const char *key, int64_t lo, const char *forms,
                    int64_t *out, int count) {
  lua_pushstring(L, key);
  if (lua_rawget(L, arg) == LUA_TTABLE) {
    if (lua_rawlen(L, -1) != (size_t)count)
      luma_argerror(L, arg, "option %s must be %s, got a table of %lld", key, forms,
                    (long long)lua_rawlen(L, -1));
    for (int i = 0; i < count; i++) {
      lua_rawgeti(L, -1, i + 1);
      out[i] = number_at_top(L, arg, key, lo, forms);
      lua_pop(L, 1);
    }
  } else if (!lua_isnil(L, -1)) {
    const int64_t v = number_at_top(L, arg, key, lo, forms);
    for (int i = 0; i < count; i++) out[i] = v;
  }
  lua_pop(L, 1);
}

static bool is_same(lua_State *L, int arg) {
  lua_pushliteral(L, "pad");
  const bool same = lua_rawget(L, arg) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "same") == 0;
  lua_pop(L, 1);
  return same;
}

void luma_optwindow(lua_State *L, int arg, lm_window *k) {
  if (!lua_isnoneornil(L, arg)) {
    numbers(L, arg, "kernel", 1, PAIR, k->kernel, 2);
    numbers(L, arg, "stride", 1, PAIR, k->stride, 2);
    numbers(L, arg, "dilation", 1, PAIR, k->dilation, 2);
    k->same = is_same(L, arg);
    if (!k->same) numbers(L, arg, "pad", 0, PAD, k->pad, 4);
  }
  for (int d = 0; d < 2; d++)
    if (k->stride[d] == 0) k->stride[d] = k->kernel[d];
}

/* ---- for luma.nn ---- */

static lm_window check_window(lua_State *L, int arg) {
  static const char *const keys[] = {"kernel", "stride", "dilation", "pad", NULL};
  lm_window k = {.kernel = {2, 2}, .dilation = {1, 1}};
  luma_checkkeys(L, arg, keys);
  luma_optwindow(L, arg, &k);
  return k;
}

static void set_list(lua_State *L, const char *key, const int64_t *values, int count) {
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    lua_pushinteger(L, values[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, key);
}

static int l_read(lua_State *L) {
  lua_settop(L, 1);
  const lm_window k = check_window(L, 1);
  lua_createtable(L, 0, 4);
  set_list(L, "kernel", k.kernel, 2);
  set_list(L, "stride", k.stride, 2);
  set_list(L, "dilation", k.dilation, 2);
  if (k.same) {
    lua_pushliteral(L, "same");
    lua_setfield(L, -2, "pad");
  } else {
    set_list(L, "pad", k.pad, 4);
  }
  return 1;
}

static int l_shape(lua_State *L) {
  lua_settop(L, 3);
  const int64_t height = luma_checkint(L, 1, 0, INT32_MAX, "height"),
                width = luma_checkint(L, 2, 0, INT32_MAX, "width");
  lm_window k = check_window(L, 3);
  const int64_t rows = lm_window_out(&k, 0, height), columns = lm_window_out(&k, 1, width);
  if (rows == 0 || columns == 0)
    return luma_argerror(L, 3, "the %lldx%lld window does not fit %lldx%lld pixels",
                         (long long)k.kernel[0], (long long)k.kernel[1], (long long)height,
                         (long long)width);
  lua_pushinteger(L, rows);
  lua_pushinteger(L, columns);
  return 2;
}

extern const luma_op luma_ops_window[];
const luma_op luma_ops_window[] = {
    {"window.read", "({kernel=2, stride=kernel, dilation=1, pad=0|{t,l,b,r}|\"same\"}) -> table",
     "The same options with every number written out: kernel, stride and dilation as "
     "{rows, columns}, pad as {top, left, bottom, right} or \"same\".",
     l_read, LUMA_FUNCTION},
    {"window.shape",
     "(height, width, {kernel=2, stride=kernel, dilation=1, pad=0|{t,l,b,r}|\"same\"}) -> rows, "
     "columns",
     "How many windows conv2d and the pooling ops see in an image of height x width pixels.",
     l_shape, LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
