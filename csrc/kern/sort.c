/* sort.c: radix sort, a byte of the key at a time, one line a chunk.
 *
 * An element becomes an unsigned key whose order is the order wanted: the sign
 * bit turned over, negative floats inverted, NaN above everything, all of it
 * inverted for descending.  Passes in which every key has the same byte are
 * left out, so u8 costs one pass and f32 at most four. */
#include "kern/sort.h"

#include <string.h>

#include "core/pool.h"

typedef struct {
  uint64_t key;
  int32_t place;
} item;

typedef struct {
  const lm_tensor *x;
  int32_t *order;
  item *scratch; /* two lines for each worker */
  int64_t n;
  bool descending;
} sort_work;

bool lm_sort_scratch(int64_t lines, int64_t n, int64_t *bytes) {
  return lm_mul(n, 2 * (int64_t)sizeof(item) * lm_min64(lines, lm_pool_threads()), bytes);
}

/* The bits of a float of `width` bits as a key; -0 equals 0. */
static uint64_t float_key(uint64_t bits, int width, bool descending) {
  const uint64_t sign = (uint64_t)1 << (width - 1), all = sign | (sign - 1);
  const uint64_t infinite = width == 32 ? 0x7f800000u : 0x7ff0000000000000u;
  if ((bits & (sign - 1)) > infinite) return all; /* NaN */
  if (bits == sign) bits = 0;
  const uint64_t key = bits & sign ? ~bits & all : bits | sign;
  return descending ? ~key & all : key;
}

static uint64_t key_of(const lm_tensor *x, int64_t i, bool descending) {
  switch (x->dtype) {
    case LM_F32: {
      uint32_t bits;
      memcpy(&bits, lm_f32(x) + i, sizeof bits);
      return float_key(bits, 32, descending);
    }
    case LM_F64: {
      uint64_t bits;
      memcpy(&bits, lm_f64(x) + i, sizeof bits);
      return float_key(bits, 64, descending);
    }
    case LM_U8: return descending ? 255u - lm_u8(x)[i] : lm_u8(x)[i];
    case LM_I32: {
      const uint32_t key = (uint32_t)lm_i32(x)[i] ^ 0x80000000u;
      return descending ? ~key : key;
    }
    case LM_NDTYPE: break;
  }
  return 0;
}

/* Sorts from by one byte of the key into to; false when there is nothing to do. */
static bool pass(const item *from, item *to, int64_t n, int shift) {
  int64_t start[257] = {0};
  for (int64_t i = 0; i < n; i++) start[(from[i].key >> shift & 255) + 1]++;
  for (int b = 0; b < 256; b++)
    if (start[b + 1] == n) return false;
  for (int b = 0; b < 256; b++) start[b + 1] += start[b];
  for (int64_t i = 0; i < n; i++) to[start[from[i].key >> shift & 255]++] = from[i];
  return true;
}

static void sort_line(void *context, int64_t line, int worker) {
  const sort_work *w = context;
  const int64_t n = w->n, base = line * n;
  item *from = w->scratch + 2 * worker * n, *to = from + n; /* one line: worker 0 */
  for (int64_t i = 0; i < n; i++)
    from[i] = (item){.key = key_of(w->x, base + i, w->descending), .place = (int32_t)i};
  const int bits = (int)(8 * lm_dtypes[w->x->dtype].size);
  for (int shift = 0; shift < bits; shift += 8) {
    if (n == 0 || !pass(from, to, n, shift)) continue;
    item *t = from;
    from = to;
    to = t;
  }
  for (int64_t i = 0; i < n; i++) w->order[base + i] = from[i].place;
}

bool lm_argsort(const lm_tensor *x, bool descending, void *scratch, lm_tensor *order) {
  sort_work w = {.x = x, .order = lm_i32(order), .scratch = scratch, .descending = descending};
  w.n = x->shape.size[1];
  return lm_parallel(x->shape.size[0], sort_line, &w);
}
