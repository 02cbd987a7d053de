/* walk.c: planning and running a walk over several views. */
#include "core/walk.h"

#include <stdlib.h>
#include <string.h>

#include "core/pool.h"

enum { SHORT_ROW = 8 };

static void swap64(int64_t *a, int64_t *b) {
  const int64_t t = *a;
  *a = *b;
  *b = t;
}

static void swap_dims(lm_walk *w, int a, int b) {
  swap64(&w->size[a], &w->size[b]);
  for (int k = 0; k < w->operands; k++) swap64(&w->stride[k][a], &w->stride[k][b]);
}

/* Dimension d continues the one before it in every operand. */
static bool mergeable(const lm_walk *w, int before, const lm_tensor *const views[], int d) {
  for (int k = 0; k < w->operands; k++)
    if (w->stride[k][before] != views[k]->stride[d] * views[k]->shape.size[d]) return false;
  return true;
}

void lm_walk_plan(lm_walk *w, int operands, const lm_tensor *const views[]) {
  const lm_shape *s = &views[0]->shape;
  *w = (lm_walk){.operands = operands, .count = lm_tensor_count(views[0])};
  for (int k = 0; k < operands; k++) {
    w->width[k] = lm_dtypes[views[k]->dtype].size;
    w->base[k] = lm_tensor_data(views[k]);
  }
  for (int d = 0; d < s->rank; d++) {
    if (s->size[d] == 1) continue;
    const bool merge = w->rank > 0 && mergeable(w, w->rank - 1, views, d);
    const int at = merge ? w->rank - 1 : w->rank++;
    w->size[at] = merge ? w->size[at] * s->size[d] : s->size[d];
    for (int k = 0; k < operands; k++) w->stride[k][at] = views[k]->stride[d];
  }
  if (w->rank == 0) {
    w->rank = 1;
    w->size[0] = 1;
  }
  /* A very short last row (three channels) would cost more in bookkeeping than
   * in work: let the longest dimension be the row instead. */
  const int last = w->rank - 1;
  int longest = last;
  for (int d = 0; d < last; d++)
    if (w->size[d] > w->size[longest]) longest = d;
  if (w->size[last] < SHORT_ROW && w->size[longest] >= 4 * w->size[last])
    swap_dims(w, last, longest);
}

typedef struct {
  const lm_walk *w;
  lm_walk_row row;
  const void *context;
  int64_t grain;
} walk_work;

static void walk_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const walk_work *work = context;
  const lm_walk *w = work->w;
  const int last = w->rank - 1;
  int64_t at = chunk * work->grain;
  const int64_t end = lm_min64(w->count, at + work->grain);
  int64_t index[LM_MAXRANK], stride[LM_WALK_MAX] = {0}, rest = at;
  char *p[LM_WALK_MAX] = {0};
  for (int k = 0; k < w->operands; k++) {
    p[k] = w->base[k];
    stride[k] = w->stride[k][last];
  }
  for (int d = last; d >= 0; d--) {
    index[d] = rest % w->size[d];
    rest /= w->size[d];
    for (int k = 0; k < w->operands; k++) p[k] += index[d] * w->stride[k][d] * w->width[k];
  }
  while (at < end) {
    const int64_t n = lm_min64(w->size[last] - index[last], end - at);
    work->row(work->context, p, stride, n);
    at += n;
    if (at >= end) break;
    /* The row is finished: go back to its start, and on to the next one. */
    for (int k = 0; k < w->operands; k++) p[k] -= index[last] * stride[k] * w->width[k];
    index[last] = 0;
    for (int d = last - 1; d >= 0; d--) {
      for (int k = 0; k < w->operands; k++) p[k] += w->stride[k][d] * w->width[k];
      if (++index[d] < w->size[d]) break;
      for (int k = 0; k < w->operands; k++) p[k] -= w->size[d] * w->stride[k][d] * w->width[k];
      index[d] = 0;
    }
  }
}

/* LUMA_TORTURE=1: chunks of 64 elements, so that small tests cross their edges.
 * Racing threads store the same value. */
static bool torture(void) {
  static int known = -1;
  if (__atomic_load_n(&known, __ATOMIC_RELAXED) < 0) {
    const char *wish = getenv("LUMA_TORTURE");
    __atomic_store_n(&known, wish != NULL && strcmp(wish, "1") == 0, __ATOMIC_RELAXED);
  }
  return __atomic_load_n(&known, __ATOMIC_RELAXED) > 0;
}

bool lm_walk_run(const lm_walk *w, int64_t grain, lm_walk_row row, const void *context) {
  if (torture()) grain = 64;
  walk_work work = {.w = w, .row = row, .context = context, .grain = grain};
  return lm_parallel(lm_ceil_div(w->count, grain), walk_chunk, &work);
}
