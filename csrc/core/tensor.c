/* tensor.c: geometry of views, and the copy that moves and converts. */
#include "core/tensor.h"

#include <math.h>
#include <string.h>

#include "core/walk.h"
#include "core/wide.h"

enum { COPY_GRAIN = 1 << 17 }; /* elements a chunk */

bool lm_tensor_new(lm_tensor *t, lm_dtype dtype, const lm_shape *shape, lm_err *e) {
  int64_t count, bytes;
  t->buffer = NULL;
  if (!lm_shape_count(shape, &count) || !lm_mul(count, lm_dtypes[dtype].size, &bytes)) {
    char text[LM_SHAPE_TEXT];
    return lm_fail(e, LM_E_SHAPE, "shape %s is too large", lm_shape_text(shape, text));
  }
  lm_buffer *b = lm_buffer_new(bytes, e);
  if (b == NULL) return false;
  *t = (lm_tensor){.buffer = b, .dtype = dtype, .shape = *shape};
  int64_t step = 1;
  for (int d = shape->rank - 1; d >= 0; d--) {
    t->stride[d] = step;
    step *= lm_max64(1, shape->size[d]);
  }
  return true;
}

void lm_tensor_close(lm_tensor *t) {
  lm_buffer *b = t->buffer;
  t->buffer = NULL;
  lm_buffer_release(b);
}

int64_t lm_tensor_count(const lm_tensor *t) {
  int64_t n = 1;
  for (int d = 0; d < t->shape.rank; d++) n *= t->shape.size[d];
  return n;
}

int64_t lm_tensor_bytes(const lm_tensor *t) {
  return lm_tensor_count(t) * lm_dtypes[t->dtype].size;
}

bool lm_tensor_contiguous(const lm_tensor *t) {
  int64_t step = 1;
  for (int d = t->shape.rank - 1; d >= 0; d--) {
    if (t->shape.size[d] != 1 && t->stride[d] != step) return lm_tensor_count(t) == 0;
    step *= t->shape.size[d];
  }
  return true;
}

void *lm_tensor_data(const lm_tensor *t) {
  return (char *)t->buffer->data + t->offset * lm_dtypes[t->dtype].size;
}

bool lm_tensor_reshape(const lm_tensor *t, const lm_shape *s, lm_tensor *out, lm_err *e) {
  int64_t count;
  if (!lm_shape_count(s, &count) || count != lm_tensor_count(t)) {
    char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
    return lm_fail_arg(e, 2, LM_E_SHAPE, "cannot reshape %s to %s", lm_shape_text(&t->shape, a),
                       lm_shape_text(s, b));
  }
  LM_ASSERT(lm_tensor_contiguous(t));
  lm_tensor r = *t;
  r.shape = *s;
  int64_t step = 1;
  for (int d = s->rank - 1; d >= 0; d--) {
    r.stride[d] = step;
    step *= lm_max64(1, s->size[d]);
  }
  *out = r;
  return true;
}

void lm_tensor_permute(const lm_tensor *t, const int *order, lm_tensor *out) {
  lm_tensor r = *t;
  for (int d = 0; d < t->shape.rank; d++) {
    r.shape.size[d] = t->shape.size[order[d]];
    r.stride[d] = t->stride[order[d]];
  }
  *out = r;
}

void lm_tensor_narrow(const lm_tensor *t, int dim, int64_t start, int64_t len, lm_tensor *out) {
  LM_ASSERT(start >= 0 && len >= 0 && start + len <= t->shape.size[dim]);
  *out = *t;
  out->offset += start * t->stride[dim];
  out->shape.size[dim] = len;
}

void lm_tensor_step(const lm_tensor *t, int dim, int64_t step, lm_tensor *out) {
  *out = *t;
  out->shape.size[dim] = lm_ceil_div(t->shape.size[dim], step);
  out->stride[dim] *= step;
}

void lm_tensor_select(const lm_tensor *t, int dim, int64_t index, lm_tensor *out) {
  lm_tensor r = *t;
  r.offset += index * t->stride[dim];
  for (int d = dim; d + 1 < t->shape.rank; d++) {
    r.shape.size[d] = t->shape.size[d + 1];
    r.stride[d] = t->stride[d + 1];
  }
  r.shape.rank--;
  *out = r;
}

void lm_tensor_expand(const lm_tensor *t, const lm_shape *s, lm_tensor *out) {
  lm_tensor r = *t;
  r.shape = *s;
  for (int d = 0; d < s->rank; d++) {
    const int from = t->shape.rank - s->rank + d;
    r.stride[d] = from < 0 || t->shape.size[from] == 1 ? 0 : t->stride[from];
  }
  *out = r;
}

/* ---- copy and convert, row by row ---- */

static inline uint8_t to_u8(double v) { /* NaN fails both comparisons and becomes 0 */
  return v >= 255.0 ? 255 : v > 0.0 ? (uint8_t)nearbyint(v) : 0;
}
static inline int32_t to_i32(double v) {
  if (v >= 2147483647.0) return INT32_MAX;
  if (v <= -2147483648.0) return INT32_MIN;
  return isnan(v) ? 0 : (int32_t)nearbyint(v);
}

#define ROW(name, S, D, convert)                                      \
  static void name(const void *context, char *const p[LM_WALK_MAX],   \
                   const int64_t stride[LM_WALK_MAX], int64_t n) {    \
    (void)context;                                                    \
    D *d = (D *)(void *)p[0];                                         \
    const S *s = (const S *)(const void *)p[1];                       \
    const int64_t ds = stride[0], ss = stride[1];                     \
    if (ss == 1 && ds == 1)                                           \
      LM_IVDEP for (int64_t i = 0; i < n; i++) d[i] = convert(s[i]);  \
    else                                                              \
      for (int64_t i = 0; i < n; i++) d[i * ds] = convert(s[i * ss]); \
  }
#define AS_F32(v) ((float)(v))
#define AS_F64(v) ((double)(v))
#define U8_OF_I32(v) ((uint8_t)((v) < 0 ? 0 : (v) > 255 ? 255 : (v)))
#define SAME(v) (v)
ROW(f32_f32, float, float, SAME)
ROW(f32_f64, float, double, AS_F64)
ROW(f32_u8, float, uint8_t, to_u8)
ROW(f32_i32, float, int32_t, to_i32)
ROW(f64_f32, double, float, AS_F32)
ROW(f64_f64, double, double, SAME)
ROW(f64_u8, double, uint8_t, to_u8)
ROW(f64_i32, double, int32_t, to_i32)
ROW(u8_f32, uint8_t, float, AS_F32)
ROW(u8_f64, uint8_t, double, AS_F64)
ROW(u8_u8, uint8_t, uint8_t, SAME)
ROW(u8_i32, uint8_t, int32_t, SAME)
ROW(i32_f32, int32_t, float, AS_F32)
ROW(i32_f64, int32_t, double, AS_F64)
ROW(i32_u8, int32_t, uint8_t, U8_OF_I32)
ROW(i32_i32, int32_t, int32_t, SAME)

static const lm_walk_row rows[LM_NDTYPE][LM_NDTYPE] = {
    [LM_F32] = {[LM_F32] = f32_f32, [LM_F64] = f32_f64, [LM_U8] = f32_u8, [LM_I32] = f32_i32},
    [LM_F64] = {[LM_F32] = f64_f32, [LM_F64] = f64_f64, [LM_U8] = f64_u8, [LM_I32] = f64_i32},
    [LM_U8] = {[LM_F32] = u8_f32, [LM_F64] = u8_f64, [LM_U8] = u8_u8, [LM_I32] = u8_i32},
    [LM_I32] = {[LM_F32] = i32_f32, [LM_F64] = i32_f64, [LM_U8] = i32_u8, [LM_I32] = i32_i32}};

void lm_tensor_copy(const lm_tensor *src, lm_tensor *dst) {
  LM_ASSERT(lm_shape_equal(&src->shape, &dst->shape));
  if (lm_tensor_count(src) == 0 || lm_tensor_same_view(src, dst)) return;
  lm_walk w;
  lm_walk_plan(&w, 2, (const lm_tensor *const[]){dst, src});
  lm_walk_run(&w, COPY_GRAIN, rows[src->dtype][dst->dtype], NULL);
}

void lm_tensor_fill(lm_tensor *dst, double value) {
  union {
    float f32;
    double f64;
    uint8_t u8;
    int32_t i32;
  } v = {0};
  switch (dst->dtype) {
    case LM_F32: v.f32 = (float)value; break;
    case LM_F64: v.f64 = value; break;
    case LM_U8: v.u8 = to_u8(value); break;
    case LM_I32: v.i32 = to_i32(value); break;
    case LM_NDTYPE: break;
  }
  /* One stored element, broadcast with stride 0 over the whole shape. */
  lm_buffer one = {.data = &v, .bytes = sizeof v, .refs = 1};
  lm_tensor scalar = {.buffer = &one, .dtype = dst->dtype, .shape = dst->shape};
  lm_tensor_copy(&scalar, dst);
}

bool lm_tensor_overlap(const lm_tensor *a, const lm_tensor *b) {
  if (a->buffer != b->buffer || lm_tensor_count(a) == 0 || lm_tensor_count(b) == 0) return false;
  int64_t lo[2], hi[2];
  const lm_tensor *t[2] = {a, b};
  for (int k = 0; k < 2; k++) {
    int64_t last = t[k]->offset;
    for (int d = 0; d < t[k]->shape.rank; d++) last += (t[k]->shape.size[d] - 1) * t[k]->stride[d];
    lo[k] = t[k]->offset * lm_dtypes[t[k]->dtype].size;
    hi[k] = (last + 1) * lm_dtypes[t[k]->dtype].size;
  }
  return lo[0] < hi[1] && lo[1] < hi[0];
}

bool lm_tensor_same_view(const lm_tensor *a, const lm_tensor *b) {
  if (a->buffer != b->buffer || a->dtype != b->dtype || a->offset != b->offset ||
      !lm_shape_equal(&a->shape, &b->shape))
    return false;
  for (int d = 0; d < a->shape.rank; d++)
    if (a->shape.size[d] > 1 && a->stride[d] != b->stride[d]) return false;
  return true;
}

static int64_t element_offset(const lm_tensor *t, int64_t linear) {
  int64_t o = t->offset;
  for (int d = t->shape.rank - 1; d >= 0; d--) {
    o += linear % t->shape.size[d] * t->stride[d];
    linear /= t->shape.size[d];
  }
  return o;
}

double lm_tensor_get(const lm_tensor *t, int64_t linear) {
  const int64_t o = element_offset(t, linear);
  switch (t->dtype) {
    case LM_F32: return (double)((const float *)t->buffer->data)[o];
    case LM_F64: return ((const double *)t->buffer->data)[o];
    case LM_U8: return ((const uint8_t *)t->buffer->data)[o];
    case LM_I32: return ((const int32_t *)t->buffer->data)[o];
    case LM_NDTYPE: break;
  }
  return 0.0;
}

void lm_tensor_set(lm_tensor *t, int64_t linear, double value) {
  const int64_t o = element_offset(t, linear);
  switch (t->dtype) {
    case LM_F32: ((float *)t->buffer->data)[o] = (float)value; break;
    case LM_F64: ((double *)t->buffer->data)[o] = value; break;
    case LM_U8: ((uint8_t *)t->buffer->data)[o] = to_u8(value); break;
    case LM_I32: ((int32_t *)t->buffer->data)[o] = to_i32(value); break;
    case LM_NDTYPE: break;
  }
}
