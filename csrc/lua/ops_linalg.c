/* ops_linalg.c: products of matrices and vectors. */
#include "kern/matmul.h"
#include "lua/operand.h"

/* The type both are multiplied in: integers as f32. */
static lm_dtype product_type(const lm_tensor *a, const lm_tensor *b) {
  const lm_dtype d = lm_dtype_promote(a->dtype, b->dtype);
  return lm_dtypes[d].is_float ? d : LM_F32;
}

static int l_matmul(lua_State *L) {
  luma_operand a = {.t = *luma_checktensor(L, 1)}, b = {.t = *luma_checktensor(L, 2)};
  lua_settop(L, 2);
  const lm_dtype d = product_type(&a.t, &b.t);
  luma_operand_as(L, 1, &a, d);
  luma_operand_as(L, 2, &b, d);
  lm_matmul p;
  lm_err err;
  if (!lm_matmul_plan(&p, &a.t, &b.t, &err)) luma_raise(L, &err);
  if (p.copy_a || p.copy_b) { /* strides BLAS cannot read */
    if (p.copy_a) luma_plain(L, &a.t, &a.t);
    if (p.copy_b) luma_plain(L, &b.t, &b.t);
    if (!lm_matmul_plan(&p, &a.t, &b.t, &err)) luma_raise(L, &err);
  }
  lm_tensor *y = luma_newtensor(L, d, &p.out);
  luma_checkrun(L, lm_matmul_run(&p, y));
  return 1;
}

static int l_dot(lua_State *L) {
  const lm_tensor *a = luma_checktensor(L, 1), *b = luma_checktensor(L, 2);
  luma_checkrank(L, 1, a, 1, "(n)");
  luma_checkrank(L, 2, b, 1, "(n)");
  return l_matmul(L);
}

const luma_op luma_ops_linalg[];
const luma_op luma_ops_linalg[] = {
    {"matmul", "(a, b) -> y",
     "The matrix product (.., m, k) x (.., k, n) -> (.., m, n); leading dimensions broadcast; a "
     "vector "
     "is a row on the left and a column on the right. Integers are multiplied as f32.",
     l_matmul, LUMA_METHOD},
    {"dot", "(a, b) -> y", "The inner product of two vectors, a tensor of rank 0.", l_dot,
     LUMA_METHOD},
    {NULL, NULL, NULL, NULL, 0}};
