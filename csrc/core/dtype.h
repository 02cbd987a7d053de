/* dtype.h: the four element types.  f32 computes; f64 serves elementwise,
 * reductions, matmul and the reference kernels; u8 and i32 store, index and
 * convert. */
#ifndef LM_DTYPE_H
#define LM_DTYPE_H

#include "core/base.h"

typedef enum { LM_F32, LM_F64, LM_U8, LM_I32, LM_NDTYPE } lm_dtype;

typedef struct {
  const char *name; /* "f32", "f64", "u8", "i32" */
  int64_t size;     /* bytes an element */
  bool is_float;
} lm_dtype_info;

extern const lm_dtype_info lm_dtypes[LM_NDTYPE];

/* False when name is none of the four. */
bool lm_dtype_parse(const char *name, lm_dtype *out);

/* The type of a result that mixes a and b: the wider of u8 < i32 < f32 < f64. */
lm_dtype lm_dtype_promote(lm_dtype a, lm_dtype b);

_Static_assert(LM_NDTYPE == 4, "new dtype: visit every [LM_NDTYPE] table");

#endif
