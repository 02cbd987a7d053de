/* matmul.c: planning products, and the choice between many small ones side by
 * side and large ones cut into blocks. */
#include "kern/matmul.h"

#include <string.h>

#include "core/blas.h"
#include "core/pool.h"

/* How BLAS can read the last two dimensions: as they are, transposed, or not. */
static bool readable(const lm_tensor *t, int64_t rows, int64_t cols, bool *transposed) {
  const int64_t rs = t->stride[t->shape.rank - 2], cs = t->stride[t->shape.rank - 1];
  *transposed = false;
  if (rs > INT32_MAX || cs > INT32_MAX) return false; /* BLAS counts in 32 bits */
  if ((cs == 1 || cols <= 1) && (rows <= 1 || rs >= lm_max64(1, cols))) return true;
  *transposed = true;
  return (rs == 1 || rows <= 1) && (cols <= 1 || cs >= lm_max64(1, rows));
}

/* A vector as a matrix: a row (m = 1) on the left, a column on the right. */
static lm_tensor as_matrix(const lm_tensor *t, bool left) {
  lm_tensor r = *t;
  if (t->shape.rank >= 2) return r;
  r.shape.rank = 2;
  r.shape.size[left ? 0 : 1] = 1;
  r.stride[left ? 0 : 1] = 0;
  r.shape.size[left ? 1 : 0] = t->shape.size[0];
  r.stride[left ? 1 : 0] = t->stride[0];
  return r;
}

bool lm_matmul_plan(lm_matmul *p, const lm_tensor *a, const lm_tensor *b, lm_err *e) {
  char ta[LM_SHAPE_TEXT], tb[LM_SHAPE_TEXT];
  *p = (lm_matmul){0};
  if (a->shape.rank == 0 || b->shape.rank == 0)
    return lm_fail_arg(e, a->shape.rank == 0 ? 1 : 2, LM_E_SHAPE,
                       "a vector or matrix expected, got a scalar (multiply with *)");
  lm_tensor x = as_matrix(a, true), y = as_matrix(b, false);
  const int ra = x.shape.rank, rb = y.shape.rank;
  p->m = x.shape.size[ra - 2];
  p->k = x.shape.size[ra - 1];
  p->n = y.shape.size[rb - 1];
  if (y.shape.size[rb - 2] != p->k)
    return lm_fail_arg(e, 2, LM_E_SHAPE, "cannot multiply %s by %s: %lld columns against %lld rows",
                       lm_shape_text(&a->shape, ta), lm_shape_text(&b->shape, tb), (long long)p->k,
                       (long long)y.shape.size[rb - 2]);
  if (p->m > INT32_MAX || p->n > INT32_MAX || p->k > INT32_MAX)
    return lm_fail_arg(e, 1, LM_E_LIMIT, "sizes of a matrix must be below 2^31, got %s and %s",
                       lm_shape_text(&a->shape, ta), lm_shape_text(&b->shape, tb));
  lm_shape ba = x.shape, bb = y.shape, batch;
  ba.rank -= 2;
  bb.rank -= 2;
  if (!lm_shape_broadcast(&ba, &bb, &batch, NULL))
    return lm_fail_arg(e, 2, LM_E_SHAPE, "cannot multiply %s by %s: batch sizes differ",
                       lm_shape_text(&a->shape, ta), lm_shape_text(&b->shape, tb));
  p->batch = 1;
  for (int d = 0; d < batch.rank; d++)
    if (!lm_mul(p->batch, batch.size[d], &p->batch))
      return lm_fail_arg(e, 1, LM_E_SHAPE, "too many products");
  lm_shape full = batch;
  full.rank = batch.rank + 2;
  full.size[full.rank - 2] = p->m;
  full.size[full.rank - 1] = p->k;
  lm_tensor_expand(&x, &full, &p->a);
  full.size[full.rank - 2] = p->k;
  full.size[full.rank - 1] = p->n;
  lm_tensor_expand(&y, &full, &p->b);
  p->out = batch;
  if (a->shape.rank > 1) p->out.size[p->out.rank++] = p->m;
  if (b->shape.rank > 1) p->out.size[p->out.rank++] = p->n;
  p->copy_a = !readable(&p->a, p->m, p->k, &p->ta);
  p->copy_b = !readable(&p->b, p->k, p->n, &p->tb);
  return true;
}

static int64_t batch_offset(const lm_tensor *t, int64_t i) {
  int64_t o = t->offset;
  for (int d = t->shape.rank - 3; d >= 0; d--) {
    o += i % t->shape.size[d] * t->stride[d];
    i /= t->shape.size[d];
  }
  return o;
}

/* Row stride for BLAS, at least what it insists on. */
static int64_t leading(const lm_tensor *t, bool transposed) {
  const int r = t->shape.rank, major = transposed ? r - 1 : r - 2,
            minor = transposed ? r - 2 : r - 1;
  const int64_t least = lm_max64(1, t->shape.size[minor]);
  return t->shape.size[major] <= 1 ? least : t->stride[major];
}

static bool product(const lm_matmul *p, lm_tensor *y, int64_t i, bool serial) {
  const int64_t ao = batch_offset(&p->a, i), bo = batch_offset(&p->b, i), yo = i * p->m * p->n;
  const int64_t lda = leading(&p->a, p->ta), ldb = leading(&p->b, p->tb);
  if (y->dtype == LM_F64)
    return lm_dgemm(p->ta, p->tb, p->m, p->n, p->k, 1.0, (const double *)p->a.buffer->data + ao,
                    lda, (const double *)p->b.buffer->data + bo, ldb, 0.0, lm_f64(y) + yo, p->n);
  const float *a = (const float *)p->a.buffer->data + ao,
              *b = (const float *)p->b.buffer->data + bo;
  if (!serial)
    return lm_sgemm(p->ta, p->tb, p->m, p->n, p->k, 1.0f, a, lda, b, ldb, 0.0f, lm_f32(y) + yo,
                    p->n);
  lm_sgemm_serial(p->ta, p->tb, p->m, p->n, p->k, 1.0f, a, lda, b, ldb, 0.0f, lm_f32(y) + yo, p->n);
  return true;
}

typedef struct {
  const lm_matmul *p;
  lm_tensor *y;
  int64_t per_chunk;
} batch_work;

static void batch_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const batch_work *w = context;
  const int64_t end = lm_min64(w->p->batch, (chunk + 1) * w->per_chunk);
  for (int64_t i = chunk * w->per_chunk; i < end; i++) product(w->p, w->y, i, true);
}

bool lm_matmul_run(const lm_matmul *p, lm_tensor *y) {
  if (lm_tensor_count(y) == 0) return true;
  if (p->k == 0) {
    memset(lm_tensor_data(y), 0, (size_t)lm_tensor_bytes(y));
    return true;
  }
  const double work = (double)p->m * (double)p->n * (double)p->k;
  if (p->batch == 1 || work > 4e6) { /* each product is worth cutting by itself */
    for (int64_t i = 0; i < p->batch; i++)
      if (!product(p, y, i, false)) return false;
    return true;
  }
  batch_work w = {.p = p, .y = y, .per_chunk = lm_max64(1, (int64_t)(1e6 / work))};
  return lm_parallel(lm_ceil_div(p->batch, w.per_chunk), batch_chunk, &w);
}
