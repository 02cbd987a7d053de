/* ops_elem.c: arithmetic, comparisons, functions and selection, elementwise. */
#include <math.h>
#include <string.h>

#include "core/pool.h"
#include "kern/elem.h"
#include "lua/operand.h"

/* Names of the types a kernel exists for: "f32, f64, i32". */
static const char *type_list(char text[32], lm_binary_op op) {
  text[0] = '\0';
  for (int d = 0; d < LM_NDTYPE; d++)
    if (lm_binary_has(op, (lm_dtype)d)) {
      if (text[0] != '\0') strcat(text, ", ");
      strcat(text, lm_dtypes[d].name);
    }
  return text;
}

/* ---- two operands ---- */

static void check_divisor(lua_State *L, lm_binary_op op, const lm_tensor *b) {
  if ((op == LM_IDIV || op == LM_MOD) && b->dtype == LM_I32 && lm_has_zero(b))
    luma_argerror(L, 2, "integer division by zero");
}

/* Broadcasts a and b to one shape. */
static lm_shape broadcast(lua_State *L, luma_operand *a, luma_operand *b) {
  lm_shape s;
  lm_err err;
  if (!lm_shape_broadcast(&a->t.shape, &b->t.shape, &s, &err)) luma_raise(L, &err);
  lm_tensor_expand(&a->t, &s, &a->t);
  lm_tensor_expand(&b->t, &s, &b->t);
  return s;
}

static int binary(lua_State *L, lm_binary_op op) {
  luma_operand a, b;
  lua_settop(L, 2);
  luma_operand_get(L, 1, &a);
  luma_operand_get(L, 2, &b);
  lm_dtype d = luma_operand_type(L, &a, &b);
  if ((op == LM_MINIMUM || op == LM_MAXIMUM) && d == LM_I32 && !a.number && !b.number &&
      a.t.dtype == LM_U8 && b.t.dtype == LM_U8)
    d = LM_U8;                           /* cannot overflow */
  if (!lm_binary_has(op, d)) d = LM_F32; /* / and ^ of integers */
  luma_operand_as(L, 1, &a, d);
  luma_operand_as(L, 2, &b, d);
  check_divisor(L, op, &b.t);
  const bool square = op == LM_POW && b.number && b.value == 2.0;
  const lm_shape s = broadcast(L, &a, &b);
  lm_tensor *y = luma_newtensor(L, d, &s);
  luma_checkrun(L, square ? lm_binary(LM_MUL, &a.t, &a.t, y) : lm_binary(op, &a.t, &b.t, y));
  return 1;
}

static int l_add(lua_State *L) {
  return binary(L, LM_ADD);
}
static int l_sub(lua_State *L) {
  return binary(L, LM_SUB);
}
static int l_mul(lua_State *L) {
  return binary(L, LM_MUL);
}
static int l_div(lua_State *L) {
  return binary(L, LM_DIV);
}
static int l_pow(lua_State *L) {
  return binary(L, LM_POW);
}
static int l_idiv(lua_State *L) {
  return binary(L, LM_IDIV);
}
static int l_mod(lua_State *L) {
  return binary(L, LM_MOD);
}
static int l_minimum(lua_State *L) {
  return binary(L, LM_MINIMUM);
}
static int l_maximum(lua_State *L) {
  return binary(L, LM_MAXIMUM);
}

static int compare(lua_State *L, lm_compare_op op) {
  luma_operand a, b;
  lua_settop(L, 2);
  luma_operand_get(L, 1, &a);
  luma_operand_get(L, 2, &b);
  const lm_dtype d = luma_operand_compare_type(L, &a, &b);
  luma_operand_as(L, 1, &a, d);
  luma_operand_as(L, 2, &b, d);
  const lm_shape s = broadcast(L, &a, &b);
  lm_tensor *y = luma_newtensor(L, LM_U8, &s);
  luma_checkrun(L, lm_compare(op, &a.t, &b.t, y));
  return 1;
}

static int l_eq(lua_State *L) {
  return compare(L, LM_EQ);
}
static int l_ne(lua_State *L) {
  return compare(L, LM_NE);
}
static int l_lt(lua_State *L) {
  return compare(L, LM_LT);
}
static int l_le(lua_State *L) {
  return compare(L, LM_LE);
}
static int l_gt(lua_State *L) {
  return compare(L, LM_GT);
}
static int l_ge(lua_State *L) {
  return compare(L, LM_GE);
}

/* ---- in place ---- */

/* x op= y.  y is converted to x's type, which must hold it; when both touch
 * the same memory other than element for element, y is copied first. */
static int in_place(lua_State *L, lm_binary_op op) {
  luma_operand b;
  lua_settop(L, 2);
  lm_tensor *x = luma_checktensor(L, 1);
  luma_operand_get(L, 2, &b);
  if (!lm_binary_has(op, x->dtype)) {
    char text[32];
    luma_argerror(L, 1, "%s not supported (%s)", lm_dtypes[x->dtype].name, type_list(text, op));
  }
  if (!lm_dtypes[x->dtype].is_float && !b.number && lm_dtypes[b.t.dtype].is_float)
    luma_argerror(L, 2, "%s does not go into %s in place", lm_dtypes[b.t.dtype].name,
                  lm_dtypes[x->dtype].name);
  luma_operand_as(L, 2, &b, x->dtype);
  check_divisor(L, op, &b.t);
  lm_shape s;
  char tx[LM_SHAPE_TEXT], tb[LM_SHAPE_TEXT];
  if (!lm_shape_broadcast(&x->shape, &b.t.shape, &s, NULL) || !lm_shape_equal(&s, &x->shape))
    luma_argerror(L, 2, "shape %s does not go into %s", lm_shape_text(&b.t.shape, tb),
                  lm_shape_text(&x->shape, tx));
  if (lm_tensor_overlap(x, &b.t) && !lm_tensor_same_view(x, &b.t)) {
    lm_tensor *copy = luma_newtensor(L, b.t.dtype, &b.t.shape);
    lm_tensor_copy(&b.t, copy);
    b.t = *copy;
  }
  lm_tensor_expand(&b.t, &s, &b.t);
  luma_touch(x);
  luma_checkrun(L, lm_binary(op, x, &b.t, x));
  lua_settop(L, 1);
  return 1;
}

static int l_add_(lua_State *L) {
  return in_place(L, LM_ADD);
}
static int l_sub_(lua_State *L) {
  return in_place(L, LM_SUB);
}
static int l_mul_(lua_State *L) {
  return in_place(L, LM_MUL);
}
static int l_div_(lua_State *L) {
  return in_place(L, LM_DIV);
}

/* ---- one operand ---- */

/* Integers become f32 where the function has no integer kernel. */
static int unary_p(lua_State *L, lm_unary_op op, const double *p) {
  luma_operand a = {.t = *luma_checktensor(L, 1)};
  if (!lm_unary_has(op, a.t.dtype)) {
    const lm_dtype d = a.t.dtype == LM_U8 && lm_unary_has(op, LM_I32) ? LM_I32 : LM_F32;
    luma_operand_as(L, 1, &a, d);
  }
  lm_tensor *y = luma_newtensor(L, a.t.dtype, &a.t.shape);
  luma_checkrun(L, lm_unary(op, &a.t, p, y));
  return 1;
}
static int unary(lua_State *L, lm_unary_op op) {
  lua_settop(L, 1); /* __unm passes its operand twice */
  return unary_p(L, op, NULL);
}

static int l_neg(lua_State *L) {
  return unary(L, LM_NEG);
}
static int l_abs(lua_State *L) {
  return unary(L, LM_ABS);
}
static int l_sign(lua_State *L) {
  return unary(L, LM_SIGN);
}
static int l_square(lua_State *L) {
  return unary(L, LM_SQUARE);
}
static int l_sqrt(lua_State *L) {
  return unary(L, LM_SQRT);
}
static int l_reciprocal(lua_State *L) {
  return unary(L, LM_RECIPROCAL);
}
static int l_exp(lua_State *L) {
  return unary(L, LM_EXP);
}
static int l_expm1(lua_State *L) {
  return unary(L, LM_EXPM1);
}
static int l_log(lua_State *L) {
  return unary(L, LM_LOG);
}
static int l_log1p(lua_State *L) {
  return unary(L, LM_LOG1P);
}
static int l_sin(lua_State *L) {
  return unary(L, LM_SIN);
}
static int l_cos(lua_State *L) {
  return unary(L, LM_COS);
}
static int l_tanh(lua_State *L) {
  return unary(L, LM_TANH);
}
static int l_sigmoid(lua_State *L) {
  return unary(L, LM_SIGMOID);
}

/* Integers are whole already. */
static int rounding(lua_State *L, lm_unary_op op) {
  const lm_tensor *x = luma_checktensor(L, 1);
  if (lm_dtypes[x->dtype].is_float) return unary(L, op);
  lm_tensor *y = luma_newtensor(L, x->dtype, &x->shape);
  lm_tensor_copy(x, y);
  luma_checkrun(L, !lm_interrupted());
  return 1;
}
static int l_floor_op(lua_State *L) {
  return rounding(L, LM_FLOOR);
}
static int l_ceil(lua_State *L) {
  return rounding(L, LM_CEIL);
}
static int l_round(lua_State *L) {
  return rounding(L, LM_ROUND);
}

static int l_clamp(lua_State *L) {
  const lm_tensor *x = luma_checktensor(L, 1);
  double p[2] = {-INFINITY, INFINITY};
  for (int i = 0; i < 2; i++) {
    if (lua_isnoneornil(L, 2 + i)) continue;
    if (lua_type(L, 2 + i) != LUA_TNUMBER || lua_tonumber(L, 2 + i) != lua_tonumber(L, 2 + i))
      luma_argerror(L, 2 + i, "number expected, got %s", luaL_tolstring(L, 2 + i, NULL));
    p[i] = lua_tonumber(L, 2 + i);
  }
  if (!(p[0] <= p[1])) luma_argerror(L, 3, "low %g is above high %g", p[0], p[1]);
  if (!lm_dtypes[x->dtype].is_float) { /* the whole numbers inside, within the type */
    const double low = x->dtype == LM_U8 ? 0.0 : INT32_MIN,
                 top = x->dtype == LM_U8 ? 255.0 : INT32_MAX;
    p[0] = fmin(fmax(ceil(p[0]), low), top);
    p[1] = fmin(fmax(floor(p[1]), low), top);
    if (p[0] > p[1])
      luma_argerror(L, 3, "no %s lies between low and high", lm_dtypes[x->dtype].name);
  }
  return unary_p(L, LM_CLAMP, p);
}

static int test(lua_State *L, lm_test_op op) {
  const lm_tensor *x = luma_checktensor(L, 1);
  lm_tensor *y = luma_newtensor(L, LM_U8, &x->shape);
  luma_checkrun(L, lm_test(op, x, y));
  return 1;
}
static int l_isnan(lua_State *L) {
  return test(L, LM_ISNAN);
}
static int l_isfinite(lua_State *L) {
  return test(L, LM_ISFINITE);
}
static int l_logical_not(lua_State *L) {
  return test(L, LM_NOT);
}

static int l_where(lua_State *L) {
  luma_operand m = {0}, a, b;
  lua_settop(L, 3);
  m.t = *luma_checktensor(L, 1);
  luma_operand_get(L, 2, &a);
  luma_operand_get(L, 3, &b);
  lm_dtype d;
  if (a.number && b.number)
    d = a.whole && b.whole && fabs(a.value) <= INT32_MAX && fabs(b.value) <= INT32_MAX ? LM_I32
                                                                                       : LM_F32;
  else if (!a.number && !b.number)
    d = lm_dtype_promote(a.t.dtype, b.t.dtype);
  else
    d = luma_operand_type(L, &a, &b);
  luma_operand_as(L, 2, &a, d);
  luma_operand_as(L, 3, &b, d);
  if (m.t.dtype != LM_U8) { /* not zero = yes; twice not, so that 0.5 counts */
    lm_tensor *no = luma_newtensor(L, LM_U8, &m.t.shape);
    luma_checkrun(L, lm_test(LM_NOT, &m.t, no) && lm_test(LM_NOT, no, no));
    m.t = *no;
  }
  lm_shape s = broadcast(L, &a, &b), all;
  lm_err err;
  if (!lm_shape_broadcast(&m.t.shape, &s, &all, &err)) luma_raise(L, &err);
  lm_tensor_expand(&m.t, &all, &m.t);
  lm_tensor_expand(&a.t, &all, &a.t);
  lm_tensor_expand(&b.t, &all, &b.t);
  lm_tensor *y = luma_newtensor(L, d, &all);
  luma_checkrun(L, lm_where(&m.t, &a.t, &b.t, y));
  return 1;
}

#define TYPES                                                                                  \
  " Two tensors give the wider of u8 < i32 < f32 < f64 (two u8 give i32); a number takes the " \
  "type of "                                                                                   \
  "a float tensor, and beside an integer tensor a Lua integer gives i32, a Lua float f32."

const luma_op luma_ops_elem[];
const luma_op luma_ops_elem[] = {
    {"add", "(a, b) -> y", "The sum a + b with broadcasting; i32 wraps." TYPES, l_add, LUMA_METHOD},
    {"sub", "(a, b) -> y", "The difference a - b with broadcasting; i32 wraps. Types as for add.",
     l_sub, LUMA_METHOD},
    {"mul", "(a, b) -> y",
     "The product a * b elementwise with broadcasting; i32 wraps. Types as for add.", l_mul,
     LUMA_METHOD},
    {"div", "(a, b) -> y", "The quotient a / b with broadcasting; integers give f32.", l_div,
     LUMA_METHOD},
    {"pow", "(a, b) -> y", "The power a ^ b with broadcasting; integers give f32.", l_pow,
     LUMA_METHOD},
    {"idiv", "(a, b) -> y",
     "The floor of a / b, as Lua's // has it; i32 stays i32 and refuses a zero divisor.", l_idiv,
     LUMA_METHOD},
    {"mod", "(a, b) -> y",
     "The remainder with the sign of b, as Lua's % has it; i32 stays i32 and refuses a zero "
     "divisor.",
     l_mod, LUMA_METHOD},
    {"minimum", "(a, b) -> y", "The smaller of both, elementwise; NaN where either is NaN.",
     l_minimum, LUMA_METHOD},
    {"maximum", "(a, b) -> y", "The larger of both, elementwise; NaN where either is NaN.",
     l_maximum, LUMA_METHOD},
    {"eq", "(a, b) -> mask",
     "Gives 1 (u8) where a equals b, else 0. Any types; NaN equals nothing.", l_eq, LUMA_METHOD},
    {"ne", "(a, b) -> mask", "Gives 1 (u8) where a differs from b, else 0.", l_ne, LUMA_METHOD},
    {"lt", "(a, b) -> mask", "Gives 1 (u8) where a < b, else 0.", l_lt, LUMA_METHOD},
    {"le", "(a, b) -> mask", "Gives 1 (u8) where a <= b, else 0.", l_le, LUMA_METHOD},
    {"gt", "(a, b) -> mask", "Gives 1 (u8) where a > b, else 0.", l_gt, LUMA_METHOD},
    {"ge", "(a, b) -> mask", "Gives 1 (u8) where a >= b, else 0.", l_ge, LUMA_METHOD},
    {"add_", "(x, y) -> x", "Sets x = x + y in place; y broadcasts to x and takes its type.",
     l_add_, LUMA_METHOD},
    {"sub_", "(x, y) -> x", "Sets x = x - y in place; y broadcasts to x and takes its type.",
     l_sub_, LUMA_METHOD},
    {"mul_", "(x, y) -> x", "Sets x = x * y in place; y broadcasts to x and takes its type.",
     l_mul_, LUMA_METHOD},
    {"div_", "(x, y) -> x",
     "Sets x = x / y in place, floats only; y broadcasts to x and takes its type.", l_div_,
     LUMA_METHOD},
    {"neg", "(x) -> y", "The negative -x.", l_neg, LUMA_METHOD},
    {"abs", "(x) -> y", "The absolute value.", l_abs, LUMA_METHOD},
    {"sign", "(x) -> y", "The sign: -1, 0 or 1; NaN stays NaN.", l_sign, LUMA_METHOD},
    {"square", "(x) -> y", "The square x * x.", l_square, LUMA_METHOD},
    {"sqrt", "(x) -> y", "The square root; NaN below zero. Integers give f32.", l_sqrt,
     LUMA_METHOD},
    {"reciprocal", "(x) -> y", "The reciprocal 1 / x. Integers give f32.", l_reciprocal,
     LUMA_METHOD},
    {"exp", "(x) -> y",
     "The exponential e ^ x, in f32 within 2 units in the last place. Integers give f32.", l_exp,
     LUMA_METHOD},
    {"expm1", "(x) -> y", "The value e ^ x - 1, accurate near 0.", l_expm1, LUMA_METHOD},
    {"log", "(x) -> y", "The natural logarithm; -inf at 0, NaN below.", l_log, LUMA_METHOD},
    {"log1p", "(x) -> y", "The value log(1 + x), accurate near 0.", l_log1p, LUMA_METHOD},
    {"sin", "(x) -> y", "The sine; x in radians.", l_sin, LUMA_METHOD},
    {"cos", "(x) -> y", "The cosine; x in radians.", l_cos, LUMA_METHOD},
    {"tanh", "(x) -> y", "The hyperbolic tangent.", l_tanh, LUMA_METHOD},
    {"sigmoid", "(x) -> y",
     "The logistic function 1 / (1 + e ^ -x), without overflow on either side.", l_sigmoid,
     LUMA_METHOD},
    {"floor", "(x) -> y", "The largest whole number not above x; the type stays.", l_floor_op,
     LUMA_METHOD},
    {"ceil", "(x) -> y", "The smallest whole number not below x; the type stays.", l_ceil,
     LUMA_METHOD},
    {"round", "(x) -> y", "The nearest whole number, halves to the even one; the type stays.",
     l_round, LUMA_METHOD},
    {"clamp", "(x [, low] [, high]) -> y",
     "Holds x within low..high; NaN stays NaN, the type stays.", l_clamp, LUMA_METHOD},
    {"isnan", "(x) -> mask", "Gives 1 (u8) where x is NaN.", l_isnan, LUMA_METHOD},
    {"isfinite", "(x) -> mask", "Gives 1 (u8) where x is neither NaN nor infinite.", l_isfinite,
     LUMA_METHOD},
    {"logical_not", "(x) -> mask", "Gives 1 (u8) where x is 0.", l_logical_not, LUMA_METHOD},
    {"where", "(mask, a, b) -> y",
     "Takes a where mask is not 0, else b; the three broadcast. Types as for add, but two u8 stay "
     "u8.",
     l_where, LUMA_METHOD},
    {NULL, NULL, NULL, NULL, 0}};
