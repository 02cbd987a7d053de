/* gather.c: index_select, gather, scatter_add, one_hot, masks. */
#include "kern/gather.h"

#include <string.h>

#include "core/pool.h"

enum { WORK = 1 << 15 }; /* elements a chunk at least */

/* x seen as (outer, size, inner) around dim. */
typedef struct {
  int64_t outer, size, inner;
} around;

static around split_at(const lm_shape *s, int dim) {
  around a = {1, s->size[dim], 1};
  for (int d = 0; d < dim; d++) a.outer *= s->size[d];
  for (int d = dim + 1; d < s->rank; d++) a.inner *= s->size[d];
  return a;
}

/* dst[i] += src[i] over n elements. */
static void add_run(lm_dtype dtype, char *dst, const char *src, int64_t n) {
  if (dtype == LM_F32) {
    float *d = (float *)(void *)dst;
    const float *s = (const float *)(const void *)src;
    for (int64_t i = 0; i < n; i++) d[i] += s[i];
  } else if (dtype == LM_F64) {
    double *d = (double *)(void *)dst;
    const double *s = (const double *)(const void *)src;
    for (int64_t i = 0; i < n; i++) d[i] += s[i];
  } else {
    uint32_t *d = (uint32_t *)(void *)dst; /* i32, wrapping */
    const uint32_t *s = (const uint32_t *)(const void *)src;
    for (int64_t i = 0; i < n; i++) d[i] += s[i];
  }
}

typedef struct {
  const char *x;
  char *y;
  const int32_t *ids;
  int64_t n, per_chunk, lines, width;
  around a;
  lm_dtype dtype;
} slice_work;

static void select_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const slice_work *w = context;
  const int64_t bytes = w->a.inner * w->width, end = lm_min64(w->lines, (chunk + 1) * w->per_chunk);
  for (int64_t l = chunk * w->per_chunk; l < end; l++) {
    const int64_t outer = l / w->n, i = l % w->n;
    memcpy(w->y + l * bytes, w->x + (outer * w->a.size + w->ids[i]) * bytes, (size_t)bytes);
  }
}

bool lm_index_select(const lm_tensor *x, int dim, const int32_t *ids, int64_t n, lm_tensor *y) {
  if (lm_tensor_count(y) == 0) return true;
  slice_work w = {.x = lm_tensor_data(x), .y = lm_tensor_data(y), .ids = ids, .n = n};
  w.a = split_at(&x->shape, dim);
  w.width = lm_dtypes[x->dtype].size;
  w.lines = w.a.outer * n;
  w.per_chunk = lm_max64(1, WORK / w.a.inner);
  return lm_parallel(lm_ceil_div(w.lines, w.per_chunk), select_chunk, &w);
}

/* One chunk owns whole outer slices, so that sums keep their order. */
static void add_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const slice_work *w = context;
  const int64_t bytes = w->a.inner * w->width;
  const int64_t end = lm_min64(w->a.outer, (chunk + 1) * w->per_chunk);
  for (int64_t o = chunk * w->per_chunk; o < end; o++)
    for (int64_t i = 0; i < w->n; i++)
      add_run(w->dtype, w->y + (o * w->a.size + w->ids[i]) * bytes, w->x + (o * w->n + i) * bytes,
              w->a.inner);
}

bool lm_index_add(lm_tensor *y, int dim, const int32_t *ids, int64_t n, const lm_tensor *src) {
  if (lm_tensor_count(src) == 0) return true;
  slice_work w = {.x = lm_tensor_data(src), .y = lm_tensor_data(y), .ids = ids, .n = n};
  w.a = split_at(&y->shape, dim);
  w.dtype = y->dtype;
  w.width = lm_dtypes[y->dtype].size;
  w.per_chunk = lm_max64(1, WORK / lm_max64(1, w.a.inner * n));
  return lm_parallel(lm_ceil_div(w.a.outer, w.per_chunk), add_chunk, &w);
}

/* ---- element by element ---- */

typedef struct {
  const lm_tensor *x, *ids; /* x: read by gather, src of scatter_add */
  lm_tensor *y;
  int dim;
  int64_t lines, len, per_chunk;
  bool scatter;
} line_work;

/* A line runs along dim of ids; lines are cut between chunks, never inside. */
static void line_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const line_work *w = context;
  const lm_tensor *far = w->scatter ? w->y : w->x; /* the one that places point into */
  const lm_shape *s = &w->ids->shape;
  const int64_t width = lm_dtypes[w->y->dtype].size, step = w->ids->stride[w->dim];
  const int64_t end = lm_min64(w->lines, (chunk + 1) * w->per_chunk);
  for (int64_t l = chunk * w->per_chunk; l < end; l++) {
    int64_t near_at = 0, far_at = 0, rest = l;
    for (int d = s->rank - 1; d >= 0; d--) {
      if (d == w->dim) continue;
      const int64_t i = rest % s->size[d];
      rest /= s->size[d];
      near_at += i * w->ids->stride[d];
      far_at += i * far->stride[d];
    }
    const int32_t *ids = lm_i32(w->ids) + near_at;
    char *far_data = (char *)lm_tensor_data(far) + far_at * width;
    char *near = (char *)lm_tensor_data(w->scatter ? w->x : w->y) + near_at * width;
    for (int64_t j = 0; j < w->len; j++) {
      char *p = far_data + ids[j * step] * far->stride[w->dim] * width;
      char *q = near + j * step * width;
      if (w->scatter)
        add_run(w->y->dtype, p, q, 1);
      else
        memcpy(q, p, (size_t)width);
    }
  }
}

static bool run_lines(line_work *w) {
  const int64_t count = lm_tensor_count(w->ids);
  if (count == 0) return true;
  w->len = w->ids->shape.size[w->dim];
  w->lines = count / w->len;
  w->per_chunk = lm_max64(1, WORK / w->len);
  return lm_parallel(lm_ceil_div(w->lines, w->per_chunk), line_chunk, w);
}

bool lm_gather(const lm_tensor *x, int dim, const lm_tensor *ids, lm_tensor *y) {
  return run_lines(&(line_work){.x = x, .ids = ids, .y = y, .dim = dim});
}

bool lm_scatter_add(lm_tensor *y, int dim, const lm_tensor *ids, const lm_tensor *src) {
  return run_lines(&(line_work){.x = src, .ids = ids, .y = y, .dim = dim, .scatter = true});
}

void lm_one_hot(const int32_t *ids, int64_t count, lm_tensor *y) {
  const int64_t k = y->shape.size[y->shape.rank - 1];
  for (int64_t i = 0; i < count; i++) lm_tensor_set(y, i * k + ids[i], 1.0);
}

/* ---- masks ---- */

int64_t lm_mask_count(const uint8_t *mask, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) count += mask[i] != 0;
  return count;
}

void lm_mask_select(const lm_tensor *x, const uint8_t *mask, lm_tensor *y) {
  const int64_t n = lm_tensor_count(x), width = lm_dtypes[x->dtype].size;
  const char *from = lm_tensor_data(x);
  char *to = lm_tensor_data(y);
  for (int64_t i = 0; i < n; i++)
    if (mask[i]) {
      memcpy(to, from + i * width, (size_t)width);
      to += width;
    }
}
