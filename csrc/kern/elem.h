/* elem.h: elementwise kernels: arithmetic, comparison, functions, selection.
 *
 * Every operand has the shape of y (expand broadcast ones: stride 0).  y may be
 * the identical view of an input (in place), never a partly overlapping one.
 * Results do not depend on the thread count, nor on the instruction set: the
 * same IEEE operations run in every clone of a loop. */
#ifndef LM_ELEM_H
#define LM_ELEM_H

#include "core/tensor.h"

typedef enum {
  LM_ADD,
  LM_SUB,
  LM_MUL,
  LM_DIV,     /* floats only */
  LM_POW,     /* floats only */
  LM_IDIV,    /* floor of the quotient; integers: b must hold no zero */
  LM_MOD,     /* Lua's: the sign of the divisor; integers: b must hold no zero */
  LM_MINIMUM, /* NaN when either is */
  LM_MAXIMUM,
  LM_NBINARY
} lm_binary_op;

/* The instruction set these loops were compiled for: "plain", "avx2", "avx512". */
const char *lm_elem_isa(void);

typedef enum { LM_EQ, LM_NE, LM_LT, LM_LE, LM_GT, LM_GE, LM_NCOMPARE } lm_compare_op;

typedef enum {
  LM_NEG,
  LM_ABS,
  LM_SIGN,
  LM_SQUARE,
  LM_SQRT,
  LM_RECIPROCAL,
  LM_EXP, /* f32: own, within 2 ulp; NaN and infinities as in C */
  LM_EXPM1,
  LM_LOG,
  LM_LOG1P,
  LM_SIN,
  LM_COS,
  LM_TANH,    /* f32: own, within 4 ulp */
  LM_SIGMOID, /* f32: own, within 4 ulp; no overflow on either side */
  LM_FLOOR,
  LM_CEIL,
  LM_ROUND, /* halves to even */
  LM_CLAMP, /* into p[0]..p[1]; NaN stays NaN */
  LM_NUNARY
} lm_unary_op;

typedef enum { LM_ISNAN, LM_ISFINITE, LM_NOT, LM_NTEST } lm_test_op;

/* Whether a kernel exists: ask before running. */
bool lm_binary_has(lm_binary_op op, lm_dtype dtype);
bool lm_unary_has(lm_unary_op op, lm_dtype dtype);

/* y = a op b; the three share one dtype.  i32 wraps.  False: interrupted. */
bool lm_binary(lm_binary_op op, const lm_tensor *a, const lm_tensor *b, /* [in] */
               lm_tensor *y /* [out] */);

/* y (u8) = 1 where a op b, else 0; a and b share any dtype. */
bool lm_compare(lm_compare_op op, const lm_tensor *a, const lm_tensor *b, lm_tensor *y);

/* y = f(a), one dtype; p holds the function's parameters, or is NULL. */
bool lm_unary(lm_unary_op op, const lm_tensor *a, const double *p, lm_tensor *y);

/* y (u8) = 1 where the test holds for a (any dtype). */
bool lm_test(lm_test_op op, const lm_tensor *a, lm_tensor *y);

/* y = a where mask (u8) is not 0, else b; a, b and y share a dtype. */
bool lm_where(const lm_tensor *mask, const lm_tensor *a, const lm_tensor *b, lm_tensor *y);

/* The functions behind LM_EXP and LM_SIGMOID in f32, for other kernels. */
float lm_expf(float x);
float lm_sigmoidf(float x);

/* Whether an i32 view holds a zero: integer division asks first. */
bool lm_has_zero(const lm_tensor *t);

#endif
