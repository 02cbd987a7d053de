/* shape.c: counting, comparing, broadcasting and printing shapes. */
#include "core/shape.h"

#include <stdio.h>

bool lm_shape_count(const lm_shape *s, int64_t *count) {
  int64_t n = 1;
  for (int d = 0; d < s->rank; d++)
    if (s->size[d] == 0) {
      *count = 0;
      return true;
    }
  for (int d = 0; d < s->rank; d++)
    if (!lm_mul(n, s->size[d], &n)) return false;
  *count = n;
  return true;
}

bool lm_shape_equal(const lm_shape *a, const lm_shape *b) {
  if (a->rank != b->rank) return false;
  for (int d = 0; d < a->rank; d++)
    if (a->size[d] != b->size[d]) return false;
  return true;
}

bool lm_shape_broadcast(const lm_shape *a, const lm_shape *b, lm_shape *out, lm_err *e) {
  const int rank = a->rank > b->rank ? a->rank : b->rank;
  lm_shape r = {.rank = rank};
  for (int i = 0; i < rank; i++) {
    const int da = a->rank - rank + i, db = b->rank - rank + i;
    const int64_t na = da < 0 ? 1 : a->size[da], nb = db < 0 ? 1 : b->size[db];
    if (na != nb && na != 1 && nb != 1) {
      char ta[LM_SHAPE_TEXT], tb[LM_SHAPE_TEXT];
      return lm_fail_arg(e, 2, LM_E_SHAPE, "shapes %s and %s do not broadcast",
                         lm_shape_text(a, ta), lm_shape_text(b, tb));
    }
    r.size[i] = na == 1 ? nb : na;
  }
  *out = r;
  return true;
}

char *lm_shape_text(const lm_shape *s, char buf[LM_SHAPE_TEXT]) {
  char *p = buf;
  *p++ = '[';
  for (int d = 0; d < s->rank; d++)
    p += snprintf(p, 22, "%s%lld", d > 0 ? "x" : "", (long long)s->size[d]);
  *p++ = ']';
  *p = '\0';
  return buf;
}
