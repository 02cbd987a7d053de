/* args.c: checked arguments and options, and the words of their errors. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lua/luma.h"

const char *luma_opname(lua_State *L) {
  /* Ops are closures over their table row (see module.c). */
  const luma_op *op = lua_touserdata(L, lua_upvalueindex(1));
  return op != NULL ? op->name : "?";
}

/* Pushes "file:line: " of the caller; of x[0], the line around the metamethod. */
static void push_where(lua_State *L) {
  lua_Debug caller;
  int level = 1;
  if (lua_getstack(L, 1, &caller) && lua_getinfo(L, "f", &caller)) {
    if (lua_tocfunction(L, -1) == luma_index) level = 2;
    lua_pop(L, 1);
  }
  luaL_where(L, level);
}

/* printf prints the sign of a NaN, which means nothing. */
static void plain_nan(char *text) {
  for (char *at = strstr(text, "-nan"); at != NULL; at = strstr(at, "-nan"))
    memmove(at, at + 1, strlen(at));
}

_Noreturn int luma_argerror(lua_State *L, int arg, const char *fmt, ...) {
  char text[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  plain_nan(text);
  push_where(L);
  lua_pushfstring(L, "bad argument #%d to '%s' (%s)", arg, luma_opname(L), text);
  lua_concat(L, 2);
  lua_error(L);
  __builtin_unreachable(); /* lua_error does not return, but is not declared so */
}

_Noreturn int luma_error(lua_State *L, const char *fmt, ...) {
  char text[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  plain_nan(text);
  push_where(L);
  lua_pushfstring(L, "%s: %s", luma_opname(L), text);
  lua_concat(L, 2);
  lua_error(L);
  __builtin_unreachable();
}

void luma_checkrun(lua_State *L, bool ok) {
  if (ok) return;
  lua_getfield(L, LUA_REGISTRYINDEX, "luma.interrupt");
  lua_error(L);
}

_Noreturn int luma_raise(lua_State *L, const lm_err *e) {
  if (e->code == LM_E_INTERRUPT) luma_checkrun(L, false);
  if (e->arg > 0) luma_argerror(L, e->arg, "%s", e->msg);
  luma_error(L, "%s", e->msg);
}

int luma_fail(lua_State *L, const lm_err *e) {
  if (e->code == LM_E_INTERRUPT) luma_checkrun(L, false);
  lua_pushnil(L);
  lua_pushstring(L, e->msg);
  lua_pushstring(L, lm_code_name(e->code));
  return 3;
}

/* ---- plain values ---- */

static const char *typename_at(lua_State *L, int idx) {
  if (luaL_getmetafield(L, idx, "__name") == LUA_TSTRING) return lua_tostring(L, -1);
  return luaL_typename(L, idx);
}

int64_t luma_checkint(lua_State *L, int arg, int64_t lo, int64_t hi, const char *what) {
  int exact;
  const lua_Integer n = lua_tointegerx(L, arg, &exact);
  if (!exact || lua_type(L, arg) != LUA_TNUMBER) {
    if (lua_type(L, arg) == LUA_TNUMBER)
      luma_argerror(L, arg, "%s must be a whole number, got %.14g", what, lua_tonumber(L, arg));
    luma_argerror(L, arg, "%s: number expected, got %s", what, typename_at(L, arg));
  }
  if (n < lo || n > hi)
    luma_argerror(L, arg, "%s must be in %lld..%lld, got %lld", what, (long long)lo, (long long)hi,
                  (long long)n);
  return n;
}

double luma_checkfinite(lua_State *L, int arg, const char *what) {
  if (lua_type(L, arg) != LUA_TNUMBER)
    luma_argerror(L, arg, "%s: number expected, got %s", what, typename_at(L, arg));
  const double v = lua_tonumber(L, arg);
  if (!isfinite(v)) luma_argerror(L, arg, "%s must be finite, got %g", what, v);
  return v;
}

int luma_checkdim(lua_State *L, int arg, int rank) {
  const int64_t d = luma_checkint(L, arg, INT64_MIN, INT64_MAX, "dimension");
  if (d == 0 || d > rank || d < -rank)
    luma_argerror(L, arg, "dimension %lld is not in 1..%d or -%d..-1", (long long)d, rank, rank);
  return (int)(d > 0 ? d - 1 : d + rank);
}

int luma_optdim(lua_State *L, int arg, int rank, int absent) {
  return lua_isnoneornil(L, arg) ? absent : luma_checkdim(L, arg, rank);
}

int64_t luma_checkindex(lua_State *L, int arg, int64_t n) {
  const int64_t i = luma_checkint(L, arg, INT64_MIN, INT64_MAX, "index");
  if (i == 0 || i > n || i < -n)
    luma_argerror(L, arg, "index %lld is not in 1..%lld or -%lld..-1", (long long)i, (long long)n,
                  (long long)n);
  return i > 0 ? i - 1 : i + n;
}

lm_shape luma_checkshape(lua_State *L, int arg) {
  lm_shape s = {0};
  const bool table = lua_istable(L, arg);
  const int64_t rank = table ? (int64_t)lua_rawlen(L, arg) : lm_max64(0, lua_gettop(L) - arg + 1);
  if (rank > LM_MAXRANK)
    luma_argerror(L, arg, "at most %d dimensions, got %lld", LM_MAXRANK, (long long)rank);
  for (int d = 0; d < rank; d++) {
    int exact;
    if (table)
      lua_rawgeti(L, arg, d + 1);
    else
      lua_pushvalue(L, arg + d);
    const lua_Integer n = lua_tointegerx(L, -1, &exact);
    if (!exact || n < 0 || lua_type(L, -1) != LUA_TNUMBER)
      luma_argerror(L, arg, "size %d of the shape must be a whole number >= 0, got %s", d + 1,
                    luaL_tolstring(L, -1, NULL));
    s.size[d] = n;
    lua_pop(L, 1);
  }
  s.rank = (int)rank;
  return s;
}

lm_dtype luma_checkdtype(lua_State *L, int arg) {
  lm_dtype d = LM_F32;
  if (lua_type(L, arg) != LUA_TSTRING || !lm_dtype_parse(lua_tostring(L, arg), &d))
    luma_argerror(L, arg, "dtype must be f32, f64, u8 or i32, got %s",
                  luaL_tolstring(L, arg, NULL));
  return d;
}

lm_dtype luma_optdtype(lua_State *L, int arg, lm_dtype absent) {
  return lua_isnoneornil(L, arg) ? absent : luma_checkdtype(L, arg);
}

/* ---- options ---- */

static bool option(lua_State *L, int arg, const char *key) {
  if (lua_isnoneornil(L, arg)) return false;
  lua_pushstring(L, key); /* raw: no metamethod runs between check and use */
  if (lua_rawget(L, arg) != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

void luma_checkkeys(lua_State *L, int arg, const char *const known[]) {
  if (lua_isnoneornil(L, arg)) return;
  if (!lua_istable(L, arg))
    luma_argerror(L, arg, "options table expected, got %s", typename_at(L, arg));
  luma_ownoptions(L, arg, known);
  lua_pushnil(L);
  while (lua_next(L, arg) != 0) {
    lua_pop(L, 1);
    const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    int i = 0;
    while (key != NULL && known[i] != NULL && strcmp(known[i], key) != 0) i++;
    if (key != NULL && known[i] != NULL) continue;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int k = 0; known[k] != NULL; k++) {
      if (k > 0) luaL_addstring(&b, ", ");
      luaL_addstring(&b, known[k]);
    }
    luaL_pushresult(&b);
    luma_argerror(L, arg, "unknown option '%.60s' (known: %.300s)",
                  key != NULL ? key : luaL_tolstring(L, -2, NULL), lua_tostring(L, -1));
  }
}

int64_t luma_optint(lua_State *L, int arg, const char *key, int64_t absent, int64_t lo,
                    int64_t hi) {
  if (!option(L, arg, key)) return absent;
  int exact;
  const lua_Integer n = lua_tointegerx(L, -1, &exact);
  if (!exact || lua_type(L, -1) != LUA_TNUMBER)
    luma_argerror(L, arg, "option %s must be a whole number, got %s", key,
                  luaL_tolstring(L, -1, NULL));
  if (n < lo || n > hi)
    luma_argerror(L, arg, "option %s must be in %lld..%lld, got %lld", key, (long long)lo,
                  (long long)hi, (long long)n);
  lua_pop(L, 1);
  return n;
}

double luma_optnumber(lua_State *L, int arg, const char *key, double absent, double lo, double hi) {
  if (!option(L, arg, key)) return absent;
  if (lua_type(L, -1) != LUA_TNUMBER)
    luma_argerror(L, arg, "option %s must be a number, got %s", key, luaL_tolstring(L, -1, NULL));
  const double v = lua_tonumber(L, -1);
  if (!(v >= lo && v <= hi)) /* also catches NaN */
    luma_argerror(L, arg, "option %s must be in %g..%g, got %g", key, lo, hi, v);
  lua_pop(L, 1);
  return v;
}

bool luma_optboolean(lua_State *L, int arg, const char *key, bool absent) {
  if (!option(L, arg, key)) return absent;
  if (!lua_isboolean(L, -1))
    luma_argerror(L, arg, "option %s must be true or false, got %s", key,
                  luaL_tolstring(L, -1, NULL));
  const bool v = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return v;
}

const char *luma_optstring(lua_State *L, int arg, const char *key, const char *absent) {
  if (!option(L, arg, key)) return absent;
  if (lua_type(L, -1) != LUA_TSTRING)
    luma_argerror(L, arg, "option %s must be a string, got %s", key, luaL_tolstring(L, -1, NULL));
  const char *s = lua_tostring(L, -1); /* stays alive in the options table */
  lua_pop(L, 1);
  return s;
}

int luma_optenum(lua_State *L, int arg, const char *key, int absent, const char *const names[]) {
  const char *s = luma_optstring(L, arg, key, NULL);
  if (s == NULL) return absent;
  for (int i = 0; names[i] != NULL; i++)
    if (strcmp(s, names[i]) == 0) return i;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 0; names[i] != NULL; i++) {
    if (i > 0) luaL_addstring(&b, ", ");
    luaL_addstring(&b, names[i]);
  }
  luaL_pushresult(&b);
  return luma_argerror(L, arg, "option %s must be one of %s, got '%.60s'", key, lua_tostring(L, -1),
                       s);
}
