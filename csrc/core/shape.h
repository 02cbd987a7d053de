/* shape.h: sizes and the rules that combine them.  All sizes are int64_t,
 * never negative; a size of 0 is legal everywhere. */
#ifndef LM_SHAPE_H
#define LM_SHAPE_H

#include "core/base.h"

enum { LM_MAXRANK = 8 };

typedef struct {
  int rank; /* 0 (a scalar) .. LM_MAXRANK */
  int64_t size[LM_MAXRANK];
} lm_shape;

/* Number of elements; false when the product overflows int64_t. */
bool lm_shape_count(const lm_shape *s, int64_t *count);

bool lm_shape_equal(const lm_shape *a, const lm_shape *b);

/* NumPy's rule: align at the right; sizes equal or one of them 1.
 * LM_E_SHAPE naming both shapes otherwise. */
bool lm_shape_broadcast(const lm_shape *a, const lm_shape *b, lm_shape *out, lm_err *e);

/* "[32x224x224x3]"; "[]" for a scalar.  Returns buf. */
enum { LM_SHAPE_TEXT = 8 * 21 + 3 };
char *lm_shape_text(const lm_shape *s, char buf[LM_SHAPE_TEXT]);

#endif
