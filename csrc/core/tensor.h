/* tensor.h: a strided view on a buffer.  Plain value type: copying the struct
 * copies the view, not the reference; whoever keeps a copy retains the buffer.
 *
 * Layout: C order by default.  Images and activations are (n, h, w, c),
 * convolution kernels (kh, kw, cin, cout) as Keras stores them. */
#ifndef LM_TENSOR_H
#define LM_TENSOR_H

#include "core/dtype.h"
#include "core/mem.h"
#include "core/shape.h"

typedef struct {
  lm_buffer *buffer; /* NULL: closed */
  lm_dtype dtype;
  lm_shape shape;
  int64_t stride[LM_MAXRANK]; /* in elements; 0 on a broadcast dimension */
  int64_t offset;             /* of the first element, in elements */
} lm_tensor;

/* Allocates a contiguous tensor (contents undefined).  On failure *t is
 * closed and *e says why (overflow: LM_E_SHAPE; memory: LM_E_MEMORY). */
bool lm_tensor_new(lm_tensor *t, lm_dtype dtype, const lm_shape *shape, lm_err *e);

/* Releases the buffer and marks the view closed; twice is fine. */
void lm_tensor_close(lm_tensor *t);

int64_t lm_tensor_count(const lm_tensor *t);
int64_t lm_tensor_bytes(const lm_tensor *t); /* count * element size */
bool lm_tensor_contiguous(const lm_tensor *t);

/* Address of the first element.  Kernels that need plain memory take
 * contiguous tensors and index from here. */
void *lm_tensor_data(const lm_tensor *t);
static inline float *lm_f32(const lm_tensor *t) {
  return (float *)lm_tensor_data(t);
}
static inline double *lm_f64(const lm_tensor *t) {
  return (double *)lm_tensor_data(t);
}
static inline uint8_t *lm_u8(const lm_tensor *t) {
  return (uint8_t *)lm_tensor_data(t);
}
static inline int32_t *lm_i32(const lm_tensor *t) {
  return (int32_t *)lm_tensor_data(t);
}

/* Views: same buffer, new geometry.  They do not retain; the caller does. */
bool lm_tensor_reshape(const lm_tensor *t, const lm_shape *s, lm_tensor *out,
                       lm_err *e); /* contiguous only */
void lm_tensor_permute(const lm_tensor *t, const int *order, lm_tensor *out);
void lm_tensor_narrow(const lm_tensor *t, int dim, int64_t start, int64_t len, lm_tensor *out);
void lm_tensor_step(const lm_tensor *t, int dim, int64_t step, lm_tensor *out);    /* step >= 1 */
void lm_tensor_select(const lm_tensor *t, int dim, int64_t index, lm_tensor *out); /* drops dim */
void lm_tensor_expand(const lm_tensor *t, const lm_shape *s,
                      lm_tensor *out); /* s must be a broadcast of t */

/* Copies src into dst (same shape), converting dtype.  Float to u8/i32
 * rounds half to even and clamps, NaN becomes 0.  Safe when both view the
 * same memory only if they are the identical view. */
void lm_tensor_copy(const lm_tensor *src, lm_tensor *dst);

/* Sets every element of dst, converting as lm_tensor_copy does. */
void lm_tensor_fill(lm_tensor *dst, double value);

/* True when the two views may touch a common element (conservative). */
bool lm_tensor_overlap(const lm_tensor *a, const lm_tensor *b);

/* True when both see the same elements in the same order. */
bool lm_tensor_same_view(const lm_tensor *a, const lm_tensor *b);

/* One element by linear C-order index; for tests, printing and item(). */
double lm_tensor_get(const lm_tensor *t, int64_t linear);
void lm_tensor_set(lm_tensor *t, int64_t linear, double value);

#endif
