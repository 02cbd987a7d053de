/* ops_create.c: tensors from nothing and from Lua tables, and back. */
#include "lua/luma.h"

static int l_zeros(lua_State *L) {
  const lm_shape s = luma_checkshape(L, 1);
  luma_newzeros(L, LM_F32, &s);
  return 1;
}

static int l_shape(lua_State *L) {
  const lm_tensor *t = luma_checktensor(L, 1);
  for (int d = 0; d < t->shape.rank; d++) lua_pushinteger(L, t->shape.size[d]);
  return t->shape.rank;
}

static int l_close(lua_State *L) {
  lm_tensor *t = luma_totensor(L, 1);
  if (t == NULL) luma_checktensor(L, 1);
  lm_tensor_close(t);
  return 0;
}

const luma_op luma_ops_create[];
const luma_op luma_ops_create[] = {
    {"zeros", "(n, ...) -> x", "An f32 tensor of zeros.", l_zeros, LUMA_FUNCTION},
    {"shape", "(x) -> n, ...", "The sizes, as several values.", l_shape, LUMA_METHOD},
    {"close", "(x)", "Releases x's memory now; using x afterwards is an error.", l_close,
     LUMA_METHOD},
    {NULL, NULL, NULL, NULL, 0}};
