/* dtype.c: the dtype table. */
#include "core/dtype.h"

#include <string.h>

const lm_dtype_info lm_dtypes[LM_NDTYPE] = {
    [LM_F32] = {"f32", 4, true},
    [LM_F64] = {"f64", 8, true},
    [LM_U8] = {"u8", 1, false},
    [LM_I32] = {"i32", 4, false},
};

bool lm_dtype_parse(const char *name, lm_dtype *out) {
  for (int i = 0; i < LM_NDTYPE; i++)
    if (strcmp(name, lm_dtypes[i].name) == 0) {
      *out = (lm_dtype)i;
      return true;
    }
  return false;
}

lm_dtype lm_dtype_promote(lm_dtype a, lm_dtype b) {
  static const int width[LM_NDTYPE] = {[LM_U8] = 0, [LM_I32] = 1, [LM_F32] = 2, [LM_F64] = 3};
  return width[a] >= width[b] ? a : b;
}
