/* reduce.c: two ways through memory.
 *
 * Row mode: an output's elements are walked one after the other.  Column mode,
 * when the last kept dimension is the contiguous one (channel sums over NHWC):
 * a block of outputs is accumulated side by side, so that memory is read in
 * order.  Both feed the same accumulators. */
#include "kern/reduce.h"

#include <math.h>

#include "core/pool.h"
#include "core/wide.h"

enum {
  LANES = 16,         /* partial sums of a row: fixed, so the width of the machine is not felt */
  PART = 1 << 16,     /* elements a part of a long reduction */
  BLOCK = 256,        /* outputs side by side in column mode */
  SMALL_BLOCK = 1024, /* elements that stay in the first cache between two passes */
  WORK = 1 << 15      /* elements a chunk at least */
};

/* What a reduction remembers: sums in a; mean and squared deviations in a and
 * b with their count; an extreme in a and its place in n. */
typedef struct {
  double a, b;
  int64_t n;
} acc;

typedef enum { K_SUM, K_PROD, K_MIN, K_MAX, K_MOMENTS, K_SQUARES, K_TRUTH, K_COUNT } kind;

static const kind kinds[LM_NREDUCE] = {
    [LM_SUM] = K_SUM,     [LM_MEAN] = K_SUM,     [LM_PROD] = K_PROD,  [LM_MIN] = K_MIN,
    [LM_MAX] = K_MAX,     [LM_ARGMIN] = K_MIN,   [LM_ARGMAX] = K_MAX, [LM_VAR] = K_MOMENTS,
    [LM_STD] = K_MOMENTS, [LM_NORM] = K_SQUARES, [LM_ANY] = K_TRUTH,  [LM_ALL] = K_TRUTH,
};

static acc acc_start(kind k) {
  acc s = {0};
  if (k == K_PROD) s.a = 1.0;
  if (k == K_MIN || k == K_MAX) s.n = -1;
  return s;
}

/* Chan's rule for the moments of two sets joined. */
static void merge_moments(acc *s, double mean, double squares, int64_t n) {
  const double all = (double)(s->n + n), delta = mean - s->a;
  if (n == 0) return;
  s->a += delta * ((double)n / all);
  s->b += squares + delta * delta * ((double)s->n * (double)n / all);
  s->n += n;
}

static void merge(kind k, acc *s, const acc *t) {
  switch (k) {
    case K_SUM:
    case K_SQUARES:
    case K_TRUTH: s->a += t->a; break;
    case K_PROD: s->a *= t->a; break;
    case K_MIN:
      if (t->n >= 0 && (s->n < 0 || (s->a == s->a && !(t->a >= s->a)))) *s = *t;
      break;
    case K_MAX:
      if (t->n >= 0 && (s->n < 0 || (s->a == s->a && !(t->a <= s->a)))) *s = *t;
      break;
    case K_MOMENTS: merge_moments(s, t->a, t->b, t->n); break;
    case K_COUNT: break;
  }
}

/* ---- rows: n elements of stride s; `at` is the place of the first ---- */

typedef void (*row_fn)(const void *p, int64_t s, int64_t n, int64_t at, acc *acc);

/* Adds term(v) in LANES partial sums. */
#define LANE_SUM(T, term, total)                                \
  do {                                                          \
    double lane[LANES] = {0};                                   \
    int64_t i = 0;                                              \
    if (s == 1)                                                 \
      for (; i + LANES <= n; i += LANES)                        \
        for (int l = 0; l < LANES; l++) {                       \
          const double v = (double)x[i + l];                    \
          lane[l] += (term);                                    \
        }                                                       \
    for (; i < n; i++) {                                        \
      const double v = (double)x[i * s];                        \
      lane[i % LANES] += (term);                                \
    }                                                           \
    for (int step = LANES / 2; step > 0; step /= 2)             \
      for (int l = 0; l < step; l++) lane[l] += lane[l + step]; \
    (total) = lane[0];                                          \
  } while (0)

#define ROW_SUM(name, T, term)                                                \
  static void name(const void *p, int64_t s, int64_t n, int64_t at, acc *c) { \
    (void)at;                                                                 \
    const T *x = p;                                                           \
    double total;                                                             \
    LANE_SUM(T, term, total);                                                 \
    c->a += total;                                                            \
  }

#define ROW_PROD(name, T)                                                     \
  static void name(const void *p, int64_t s, int64_t n, int64_t at, acc *c) { \
    (void)at;                                                                 \
    const T *x = p;                                                           \
    for (int64_t i = 0; i < n; i++) c->a *= (double)x[i * s];                 \
  }

/* The extreme of a small block first; only a block that beats what was found
 * so far is searched for the place. */
#define ROW_EXTREME(name, T, better)                                                      \
  static void name(const void *p, int64_t s, int64_t n, int64_t at, acc *c) {             \
    const T *x = p;                                                                       \
    for (int64_t from = 0; from < n; from += SMALL_BLOCK) {                               \
      const int64_t to = lm_min64(n, from + SMALL_BLOCK);                                 \
      T m = x[from * s];                                                                  \
      if (s == 1)                                                                         \
        for (int64_t i = from; i < to; i++) m = x[i] better m || x[i] != x[i] ? x[i] : m; \
      else                                                                                \
        for (int64_t i = from; i < to; i++)                                               \
          m = x[i * s] better m || x[i * s] != x[i * s] ? x[i * s] : m;                   \
      const double v = (double)m;                                                         \
      if (c->n >= 0 && !(v better c->a || (v != v && c->a == c->a))) continue;            \
      int64_t i = from;                                                                   \
      while (i + 1 < to && !(x[i * s] == m || (m != m && x[i * s] != x[i * s]))) i++;     \
      *c = (acc){.a = v, .n = at + i};                                                    \
    }                                                                                     \
  }

/* Two passes over a block in cache: its mean, then its squared deviations. */
#define ROW_MOMENTS(name, T)                                                      \
  static void name(const void *p, int64_t s, int64_t count, int64_t at, acc *c) { \
    (void)at;                                                                     \
    for (int64_t from = 0; from < count; from += SMALL_BLOCK) {                   \
      const int64_t n = lm_min64(count - from, SMALL_BLOCK);                      \
      const T *x = (const T *)p + from * s;                                       \
      double total, squares;                                                      \
      LANE_SUM(T, v, total);                                                      \
      const double mean = total / (double)n;                                      \
      LANE_SUM(T, (v - mean) * (v - mean), squares);                              \
      merge_moments(c, mean, squares, n);                                         \
    }                                                                             \
  }

/* ---- columns: n outputs, x[j] belongs to c[j]; `at` is the place of all ---- */

typedef struct {
  double a[BLOCK], b[BLOCK];
  int64_t n[BLOCK];
} block_acc;
typedef void (*column_fn)(const void *p, int n, int64_t at, block_acc *c);

#define COLUMN(name, T, body)                                        \
  static void name(const void *p, int n, int64_t at, block_acc *c) { \
    const T *x = p;                                                  \
    (void)at;                                                        \
    for (int j = 0; j < n; j++) {                                    \
      const double v = (double)x[j];                                 \
      body;                                                          \
    }                                                                \
  }
#define COLUMN_EXTREME(better)                                               \
  if (c->n[j] < 0 || (c->a[j] == c->a[j] && (v better c->a[j] || v != v))) { \
    c->a[j] = v;                                                             \
    c->n[j] = at;                                                            \
  }
#define COLUMN_WELFORD                     \
  const double d = v - c->a[j];            \
  c->a[j] += d * (1.0 / (double)(at + 1)); \
  c->b[j] += d * (v - c->a[j]);

#define KERNELS(sfx, T)                                  \
  ROW_SUM(sum_##sfx, T, v)                               \
  ROW_SUM(squares_##sfx, T, v *v)                        \
  ROW_SUM(truth_##sfx, T, (double)(v != 0.0))            \
  ROW_PROD(prod_##sfx, T)                                \
  ROW_EXTREME(min_##sfx, T, <)                           \
  ROW_EXTREME(max_##sfx, T, >)                           \
  ROW_MOMENTS(moments_##sfx, T)                          \
  COLUMN(csum_##sfx, T, c->a[j] += v)                    \
  COLUMN(csquares_##sfx, T, c->a[j] += v * v)            \
  COLUMN(ctruth_##sfx, T, c->a[j] += (double)(v != 0.0)) \
  COLUMN(cprod_##sfx, T, c->a[j] *= v)                   \
  COLUMN(cmin_##sfx, T, COLUMN_EXTREME(<))               \
  COLUMN(cmax_##sfx, T, COLUMN_EXTREME(>))               \
  COLUMN(cmoments_##sfx, T, COLUMN_WELFORD)
KERNELS(f32, float)
KERNELS(f64, double)
KERNELS(u8, uint8_t)
KERNELS(i32, int32_t)

#define FOUR(name) \
  { [LM_F32] = name##_f32, [LM_F64] = name##_f64, [LM_U8] = name##_u8, [LM_I32] = name##_i32 }
static const row_fn row_kernels[K_COUNT][LM_NDTYPE] = {
    [K_SUM] = FOUR(sum),     [K_PROD] = FOUR(prod),       [K_MIN] = FOUR(min),
    [K_MAX] = FOUR(max),     [K_MOMENTS] = FOUR(moments), [K_SQUARES] = FOUR(squares),
    [K_TRUTH] = FOUR(truth),
};
static const column_fn column_kernels[K_COUNT][LM_NDTYPE] = {
    [K_SUM] = FOUR(csum),     [K_PROD] = FOUR(cprod),       [K_MIN] = FOUR(cmin),
    [K_MAX] = FOUR(cmax),     [K_MOMENTS] = FOUR(cmoments), [K_SQUARES] = FOUR(csquares),
    [K_TRUTH] = FOUR(ctruth),
};

/* ---- plan ---- */

static lm_dtype result_dtype(lm_reduce_op op, lm_dtype x) {
  switch (op) {
    case LM_SUM:
    case LM_PROD: return lm_dtypes[x].is_float ? x : LM_F64; /* integers: exact to 2^53 */
    case LM_MEAN:
    case LM_VAR:
    case LM_STD:
    case LM_NORM: return lm_dtypes[x].is_float ? x : LM_F32;
    case LM_ARGMIN:
    case LM_ARGMAX: return LM_I32;
    case LM_ANY:
    case LM_ALL: return LM_U8;
    case LM_MIN:
    case LM_MAX:
    case LM_NREDUCE: break;
  }
  return x;
}

/* Appends dimensions from..to-1 of t to out, those that lie end to end as one. */
static void merge_dims(const lm_tensor *t, int from, int to, lm_tensor *out) {
  const int first = out->shape.rank;
  for (int d = from; d < to; d++) {
    const int at = out->shape.rank - 1;
    if (t->shape.size[d] == 1) continue;
    if (at >= first && out->stride[at] == t->stride[d] * t->shape.size[d]) {
      out->shape.size[at] *= t->shape.size[d];
      out->stride[at] = t->stride[d];
    } else {
      out->shape.size[at + 1] = t->shape.size[d];
      out->stride[at + 1] = t->stride[d];
      out->shape.rank++;
    }
  }
}

bool lm_reduce_plan(lm_reduce *r, lm_reduce_op op, const lm_tensor *x, unsigned dims, lm_err *e) {
  *r = (lm_reduce){.op = op, .dtype = result_dtype(op, x->dtype), .kept = 1, .reduced = 1};
  const int rank = x->shape.rank;
  int order[LM_MAXRANK], at = 0;
  r->keep = x->shape;
  for (int d = 0; d < rank; d++)
    if (!(dims >> d & 1)) {
      order[at++] = d;
      r->kept *= x->shape.size[d];
      r->out.size[r->out.rank++] = x->shape.size[d];
    }
  r->kept_rank = at;
  for (int d = 0; d < rank; d++)
    if (dims >> d & 1) {
      order[at++] = d;
      r->reduced *= x->shape.size[d];
      r->keep.size[d] = 1;
    }
  const kind k = kinds[op];
  char text[LM_SHAPE_TEXT];
  if ((k == K_MIN || k == K_MAX) && r->reduced == 0 && r->kept > 0)
    return lm_fail_arg(e, 1, LM_E_SHAPE, "%s has no elements to compare",
                       lm_shape_text(&x->shape, text));
  if (r->dtype == LM_I32 && (op == LM_ARGMIN || op == LM_ARGMAX) && r->reduced > INT32_MAX)
    return lm_fail_arg(e, 1, LM_E_SHAPE, "%s: places do not fit i32",
                       lm_shape_text(&x->shape, text));
  lm_tensor moved;
  lm_tensor_permute(x, order, &moved);
  r->x = moved;
  r->x.shape.rank = 0;
  merge_dims(&moved, 0, r->kept_rank, &r->x);
  const int kept_dims = r->x.shape.rank;
  merge_dims(&moved, r->kept_rank, rank, &r->x);
  r->kept_rank = kept_dims;
  const int last = kept_dims - 1, inner = r->x.shape.rank - 1;
  const bool columns = last >= 0 && inner > last && r->x.stride[last] == 1 &&
                       r->x.shape.size[last] >= 8 && r->x.stride[inner] != 1;
  r->block = columns ? lm_min64(BLOCK, r->x.shape.size[last]) : 0;
  r->blocks = columns ? lm_ceil_div(r->x.shape.size[last], r->block) : 0;
  /* Few outputs of many elements each: cut the reduced side as well. */
  r->part_len = columns ? lm_max64(64, PART / r->block) : PART;
  r->parts = r->reduced > r->part_len && r->kept < (columns ? 16 * BLOCK : 64)
                 ? lm_ceil_div(r->reduced, r->part_len)
                 : 1;
  if (r->parts == 1) r->part_len = lm_max64(1, r->reduced);
  r->scratch = r->parts > 1 ? r->kept * r->parts * (int64_t)sizeof(acc) : 0;
  return true;
}

/* ---- run ---- */

typedef struct {
  const lm_reduce *r;
  acc *partial; /* [kept][parts], NULL when parts == 1 */
  lm_tensor *y;
  int64_t units, per_chunk;
} reduce_work;

static void finish(const lm_reduce *r, acc s, lm_tensor *y, int64_t at) {
  const double n = (double)r->reduced;
  double v = s.a;
  switch (r->op) {
    case LM_MEAN: v = s.a / n; break;
    case LM_ARGMIN:
    case LM_ARGMAX: lm_i32(y)[at] = (int32_t)s.n; return;
    case LM_VAR:
    case LM_STD:
      v = s.b / (n - r->correction);
      if (n - r->correction <= 0.0) v = (double)NAN;
      if (r->op == LM_STD) v = sqrt(v);
      break;
    case LM_NORM: v = sqrt(s.a); break;
    case LM_ANY: v = s.a > 0.0; break;
    case LM_ALL: v = s.a == n; break;
    case LM_SUM:
    case LM_PROD:
    case LM_MIN:
    case LM_MAX:
    case LM_NREDUCE: break;
  }
  switch (y->dtype) {
    case LM_F32: lm_f32(y)[at] = (float)v; break;
    case LM_F64: lm_f64(y)[at] = v; break;
    case LM_U8: lm_u8(y)[at] = (uint8_t)v; break;
    case LM_I32: lm_i32(y)[at] = (int32_t)v; break;
    case LM_NDTYPE: break;
  }
}

static void deliver(const reduce_work *w, int64_t output, int64_t part, const acc *s) {
  if (w->partial != NULL)
    w->partial[output * w->r->parts + part] = *s;
  else
    finish(w->r, *s, w->y, output);
}

/* Offset in elements of the linear index among dimensions from..to-1. */
static int64_t offset_of(const lm_tensor *x, int from, int to, int64_t linear) {
  int64_t o = 0;
  for (int d = to - 1; d >= from; d--) {
    o += linear % x->shape.size[d] * x->stride[d];
    linear /= x->shape.size[d];
  }
  return o;
}

static void one_row(const reduce_work *w, int64_t unit) {
  const lm_reduce *r = w->r;
  const lm_tensor *x = &r->x;
  const int rank = x->shape.rank, last = rank - 1;
  const int64_t output = unit / r->parts, part = unit % r->parts;
  const int64_t end = lm_min64(r->reduced, (part + 1) * r->part_len);
  const int64_t width = lm_dtypes[x->dtype].size;
  const row_fn row = row_kernels[kinds[r->op]][x->dtype];
  const char *base =
      (const char *)lm_tensor_data(x) + offset_of(x, 0, r->kept_rank, output) * width;
  const int64_t len = rank > r->kept_rank ? x->shape.size[last] : 1;
  const int64_t step = rank > r->kept_rank ? x->stride[last] : 1;
  acc s = acc_start(kinds[r->op]);
  for (int64_t at = part * r->part_len; at < end;) {
    const int64_t n = lm_min64(len - at % len, end - at);
    row(base + offset_of(x, r->kept_rank, rank, at) * width, step, n, at, &s);
    at += n;
  }
  deliver(w, output, part, &s);
}

static void one_block(const reduce_work *w, int64_t unit) {
  const lm_reduce *r = w->r;
  const lm_tensor *x = &r->x;
  const kind k = kinds[r->op];
  const int64_t part = unit % r->parts, block = unit / r->parts % r->blocks;
  const int64_t outer = unit / r->parts / r->blocks;
  const int64_t columns = x->shape.size[r->kept_rank - 1], first = block * r->block;
  const int n = (int)lm_min64(r->block, columns - first);
  const int64_t width = lm_dtypes[x->dtype].size;
  const int64_t begin = part * r->part_len, end = lm_min64(r->reduced, begin + r->part_len);
  const column_fn column = column_kernels[k][x->dtype];
  const char *base =
      (const char *)lm_tensor_data(x) + (offset_of(x, 0, r->kept_rank - 1, outer) + first) * width;
  block_acc c;
  const acc start = acc_start(k);
  for (int j = 0; j < n; j++) {
    c.a[j] = start.a;
    c.b[j] = start.b;
    c.n[j] = start.n;
  }
  const int last = x->shape.rank - 1;
  for (int64_t at = begin; at < end;) { /* along the innermost reduced dimension */
    const char *p = base + offset_of(x, r->kept_rank, last + 1, at) * width;
    const int64_t run = lm_min64(x->shape.size[last] - at % x->shape.size[last], end - at);
    for (int64_t i = 0; i < run; i++, at++, p += x->stride[last] * width)
      column(p, n, k == K_MOMENTS ? at - begin : at, &c);
  }
  for (int j = 0; j < n; j++) {
    const acc s = {.a = c.a[j], .b = c.b[j], .n = k == K_MOMENTS ? end - begin : c.n[j]};
    deliver(w, outer * columns + first + j, part, &s);
  }
}

static void reduce_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const reduce_work *w = context;
  const int64_t end = lm_min64(w->units, (chunk + 1) * w->per_chunk);
  for (int64_t u = chunk * w->per_chunk; u < end; u++) {
    if (w->r->blocks > 0)
      one_block(w, u);
    else
      one_row(w, u);
  }
}

bool lm_reduce_run(const lm_reduce *r, void *scratch, lm_tensor *y) {
  if (r->kept == 0) return true;
  reduce_work w = {.r = r, .partial = r->parts > 1 ? scratch : NULL, .y = y};
  w.units = r->parts *
            (r->blocks > 0 ? r->kept / r->x.shape.size[r->kept_rank - 1] * r->blocks : r->kept);
  const int64_t unit = lm_max64(1, r->part_len) * lm_max64(1, r->block);
  w.per_chunk = lm_max64(1, WORK / unit);
  if (!lm_parallel(lm_ceil_div(w.units, w.per_chunk), reduce_chunk, &w)) return false;
  if (w.partial == NULL) return true;
  for (int64_t o = 0; o < r->kept; o++) {
    acc s = acc_start(kinds[r->op]);
    for (int64_t p = 0; p < r->parts; p++) merge(kinds[r->op], &s, &w.partial[o * r->parts + p]);
    finish(r, s, y, o);
  }
  return true;
}

/* ---- running sums ---- */

typedef struct {
  const lm_tensor *x, *y;
  int dim;
  int64_t count, per_chunk;
} cumsum_work;

static void cumsum_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const cumsum_work *w = context;
  const int64_t n = w->x->shape.size[w->dim];
  const int64_t end = lm_min64(w->count, (chunk + 1) * w->per_chunk);
  for (int64_t line = chunk * w->per_chunk; line < end; line++) {
    lm_tensor a, b;
    lm_tensor_select(w->x, w->dim, 0, &a);
    lm_tensor_select(w->y, w->dim, 0, &b);
    a.offset += offset_of(&a, 0, a.shape.rank, line);
    b.offset += offset_of(&b, 0, b.shape.rank, line);
    a.shape = b.shape = (lm_shape){.rank = 1, .size = {n}};
    a.stride[0] = w->x->stride[w->dim];
    b.stride[0] = w->y->stride[w->dim];
    double total = 0.0;
    for (int64_t i = 0; i < n; i++) {
      total += lm_tensor_get(&a, i);
      lm_tensor_set(&b, i, total);
    }
  }
}

bool lm_cumsum(const lm_tensor *x, int dim, lm_tensor *y) {
  const int64_t count = lm_tensor_count(x);
  if (count == 0) return true;
  cumsum_work w = {.x = x, .y = y, .dim = dim, .count = count / x->shape.size[dim]};
  w.per_chunk = lm_max64(1, WORK / x->shape.size[dim]);
  return lm_parallel(lm_ceil_div(w.count, w.per_chunk), cumsum_chunk, &w);
}
