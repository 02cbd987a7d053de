/* sort.c: bottom-up merge sort of places, one line a chunk. */
#include "kern/sort.h"

#include <string.h>

#include "core/pool.h"

typedef struct {
  const lm_tensor *x;
  int32_t *order, *scratch; /* scratch: n places for each worker */
  int64_t n;
  bool descending;
} sort_work;

int64_t lm_sort_scratch(int64_t lines, int64_t n) {
  return n * (int64_t)sizeof(int32_t) * lm_min64(lines, lm_pool_threads());
}

/* Whether b must come before a; NaN is after everything. */
static inline bool before(double b, double a, bool descending) {
  if (b != b) return false;
  if (a != a) return true;
  return descending ? b > a : b < a;
}

static inline double key(const lm_tensor *x, int64_t i) {
  switch (x->dtype) {
    case LM_F32: return (double)lm_f32(x)[i];
    case LM_F64: return lm_f64(x)[i];
    case LM_U8: return lm_u8(x)[i];
    case LM_I32: return lm_i32(x)[i];
    case LM_NDTYPE: break;
  }
  return 0.0;
}

static void sort_line(void *context, int64_t line, int worker) {
  const sort_work *w = context;
  const int64_t n = w->n, base = line * n;
  int32_t *from = w->order + base, *to = w->scratch + worker * n; /* one line: worker 0 */
  for (int64_t i = 0; i < n; i++) from[i] = (int32_t)i;
  for (int64_t run = 1; run < n; run *= 2) {
    for (int64_t lo = 0; lo < n; lo += 2 * run) {
      const int64_t mid = lm_min64(n, lo + run), hi = lm_min64(n, lo + 2 * run);
      int64_t a = lo, b = mid;
      for (int64_t k = lo; k < hi; k++) {
        const bool take_b =
            b < hi && (a >= mid ||
                       before(key(w->x, base + from[b]), key(w->x, base + from[a]), w->descending));
        to[k] = take_b ? from[b++] : from[a++];
      }
    }
    int32_t *t = from;
    from = to;
    to = t;
  }
  if (from != w->order + base && n > 0) memcpy(w->order + base, from, (size_t)n * sizeof *from);
}

bool lm_argsort(const lm_tensor *x, bool descending, void *scratch, lm_tensor *order) {
  sort_work w = {.x = x, .order = lm_i32(order), .scratch = scratch, .descending = descending};
  w.n = x->shape.size[1];
  return lm_parallel(x->shape.size[0], sort_line, &w);
}
