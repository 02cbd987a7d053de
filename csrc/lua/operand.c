/* operand.c: tensor-or-number arguments, sizes with a dtype, sets of dimensions. */
#include "lua/operand.h"

#include <math.h>

void luma_operand_get(lua_State *L, int arg, luma_operand *o) {
  *o = (luma_operand){.number = lua_type(L, arg) == LUA_TNUMBER};
  if (o->number) {
    o->whole = lua_isinteger(L, arg);
    o->value = lua_tonumber(L, arg);
    return;
  }
  if (luma_totensor(L, arg) == NULL)
    luma_argerror(L, arg, "tensor or number expected, got %s", luaL_typename(L, arg));
  o->t = *luma_checktensor(L, arg);
}

/* A number beside an integer tensor: exact as i32 when it is a Lua integer. */
static lm_dtype type_with(const lm_tensor *t, const luma_operand *number) {
  if (lm_dtypes[t->dtype].is_float) return t->dtype;
  return number->whole ? LM_I32 : LM_F32;
}

lm_dtype luma_operand_type(lua_State *L, const luma_operand *a, const luma_operand *b) {
  if (a->number && b->number) luma_argerror(L, 1, "at least one tensor expected, got two numbers");
  if (a->number) return type_with(&b->t, a);
  if (b->number) return type_with(&a->t, b);
  const lm_dtype d = lm_dtype_promote(a->t.dtype, b->t.dtype);
  return d == LM_U8 ? LM_I32 : d;
}

lm_dtype luma_operand_compare_type(lua_State *L, const luma_operand *a, const luma_operand *b) {
  if (a->number && b->number) luma_argerror(L, 1, "at least one tensor expected, got two numbers");
  if (a->number || b->number) {
    const luma_operand *n = a->number ? a : b;
    const lm_dtype d = (a->number ? b : a)->t.dtype;
    if (lm_dtypes[d].is_float) return d;
    return n->value == rint(n->value) && fabs(n->value) <= INT32_MAX ? LM_I32 : LM_F64;
  }
  const lm_dtype da = a->t.dtype, db = b->t.dtype, d = lm_dtype_promote(da, db);
  /* i32 does not fit f32. */
  return d == LM_F32 && (da == LM_I32 || db == LM_I32) ? LM_F64 : d;
}

void luma_operand_as(lua_State *L, int arg, luma_operand *o, lm_dtype dtype) {
  if (!o->number) {
    if (o->t.dtype == dtype) return;
    lm_tensor *copy = luma_newtensor(L, dtype, &o->t.shape);
    lm_tensor_copy(&o->t, copy);
    o->t = *copy;
    lua_replace(L, arg);
    return;
  }
  const double top = dtype == LM_U8 ? 255.0 : 2147483647.0;
  const double low = dtype == LM_U8 ? 0.0 : -2147483648.0;
  if (!lm_dtypes[dtype].is_float &&
      !(o->value >= low && o->value <= top && o->value == rint(o->value)))
    luma_argerror(L, arg, "%.14g does not fit %s", o->value, lm_dtypes[dtype].name);
  switch (dtype) {
    case LM_F32: o->cell.f32 = (float)o->value; break;
    case LM_F64: o->cell.f64 = o->value; break;
    case LM_U8: o->cell.u8 = (uint8_t)o->value; break;
    case LM_I32: o->cell.i32 = (int32_t)o->value; break;
    case LM_NDTYPE: break;
  }
  o->one = (lm_buffer){.data = &o->cell, .bytes = sizeof o->cell, .refs = 1};
  o->t = (lm_tensor){.buffer = &o->one, .dtype = dtype};
}

lm_shape luma_checksizes(lua_State *L, int arg, lm_dtype *dtype) {
  const int top = lua_gettop(L);
  if (top >= arg && lua_type(L, top) == LUA_TSTRING) {
    *dtype = luma_checkdtype(L, top);
    lua_settop(L, top - 1);
  }
  if (lua_istable(L, arg) && lua_gettop(L) > arg)
    luma_argerror(L, arg + 1, "a dtype is all that may follow a table of sizes, got %s",
                  luaL_typename(L, arg + 1));
  return luma_checkshape(L, arg);
}

unsigned luma_checkdims(lua_State *L, int arg, int rank) {
  if (lua_isnoneornil(L, arg)) return (1u << rank) - 1;
  if (!lua_istable(L, arg)) return 1u << luma_checkdim(L, arg, rank);
  unsigned set = 0;
  const lua_Unsigned n = lua_rawlen(L, arg);
  for (lua_Unsigned i = 1; i <= n; i++) {
    int exact;
    lua_rawgeti(L, arg, (lua_Integer)i);
    const lua_Integer d = lua_tointegerx(L, -1, &exact);
    if (!exact || d == 0 || d > rank || d < -rank)
      luma_argerror(L, arg, "dimension %s is not in 1..%d or -%d..-1", luaL_tolstring(L, -1, NULL),
                    rank, rank);
    const unsigned bit = 1u << (d > 0 ? d - 1 : d + rank);
    if (set & bit) luma_argerror(L, arg, "dimension %d is named twice", (int)d);
    set |= bit;
    lua_pop(L, 1);
  }
  return set;
}

void luma_pushelement(lua_State *L, const lm_tensor *t, int64_t linear) {
  const double v = lm_tensor_get(t, linear);
  if (lm_dtypes[t->dtype].is_float)
    lua_pushnumber(L, v == v ? v : (double)NAN); /* without a sign, which Lua would print */
  else
    lua_pushinteger(L, (lua_Integer)v);
}

bool luma_plain(lua_State *L, const lm_tensor *t, lm_tensor *plain) {
  *plain = *t;
  if (lm_tensor_contiguous(t)) return false;
  lm_tensor *copy = luma_newtensor(L, t->dtype, &t->shape);
  lm_tensor_copy(t, copy);
  *plain = *copy;
  return true;
}
