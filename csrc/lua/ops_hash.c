/* ops_hash.c: the border of perceptual hashes and correlation. */
#include "core/pool.h"
#include "image/color.h"
#include "image/hash.h"
#include "lua/image.h"

/* ---- hashes ---- */

typedef struct {
  const luma_images *x;
  uint64_t *hash; /* one an image */
  char *scratch;
  int64_t each; /* bytes of scratch of one worker: the gray image, then the hash's */
  bool difference;
} hash_work;

static void hash_chunk(void *context, int64_t i, int worker) {
  const hash_work *k = context;
  const luma_images *x = k->x;
  const int64_t n = x->h * x->w, from = i * n * x->c;
  float *gray = (float *)(k->scratch + worker * k->each);
  if (x->t->dtype == LM_U8) {
    const uint8_t *px = lm_u8(x->t) + from;
    if (x->c == 1)
      for (int64_t j = 0; j < n; j++) gray[j] = px[j];
    else
      for (int64_t j = 0; j < n; j++, px += x->c)
        gray[j] = 0.299f * px[0] + 0.587f * px[1] + 0.114f * px[2];
  } else {
    const float *px = lm_f32(x->t) + from;
    for (int64_t j = 0; j < n; j++, px += x->c) {
      const float v = x->c == 1 ? px[0] : 0.299f * px[0] + 0.587f * px[1] + 0.114f * px[2];
      gray[j] = v == v ? v : 0;
    }
  }
  void *rest = (char *)gray + (n * 4 + 63) / 64 * 64;
  k->hash[i] = k->difference ? lm_hash_difference(gray, x->h, x->w, rest)
                             : lm_hash_dct(gray, x->h, x->w, rest);
}

static int l_hash(lua_State *L) {
  static const char *const keys[] = {"kind", NULL};
  static const char *const kinds[] = {"dct", "difference", NULL};
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  char text[LM_SHAPE_TEXT];
  if (x.h == 0 || x.w == 0 || (x.c != 1 && x.c != 3 && x.c != 4))
    return luma_argerror(L, 1, "image that is not empty with 1, 3 or 4 channels expected, got %s",
                         lm_shape_text(&x.t->shape, text));
  luma_checkkeys(L, 2, keys);
  hash_work k = {.x = &x, .difference = luma_optenum(L, 2, "kind", 0, kinds) == 1};
  k.each = (x.h * x.w * 4 + 63) / 64 * 64 + (lm_hash_scratch(x.h, x.w) + 63) / 64 * 64;
  k.hash = luma_newscratch(L, 8 * x.n);
  k.scratch = luma_newscratch(L, k.each * lm_pool_threads());
  luma_checkrun(L, lm_parallel(x.n, hash_chunk, &k));
  luma_freescratch(L, -1);
  lua_pop(L, 1);
  if (x.t->shape.rank < 4) {
    lua_pushinteger(L, (lua_Integer)k.hash[0]);
  } else {
    lua_createtable(L, (int)x.n, 0);
    for (int64_t i = 0; i < x.n; i++) {
      lua_pushinteger(L, (lua_Integer)k.hash[i]);
      lua_rawseti(L, -2, i + 1);
    }
  }
  luma_freescratch(L, -2);
  return 1;
}

/* ---- pairs ---- */

enum { ROWS = 64 }; /* hashes a chunk */

typedef struct {
  const uint64_t *hash;
  int64_t n;
  int most;
  int64_t *found; /* how many an image, then where its rows begin */
  int32_t *out;
} pair_work;

static void count_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const pair_work *k = context;
  lm_hash_count(k->hash, k->n, k->most, chunk * ROWS, lm_min64(k->n, (chunk + 1) * ROWS), k->found);
}

static void list_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const pair_work *k = context;
  const int64_t begin = chunk * ROWS, end = lm_min64(k->n, begin + ROWS);
  lm_hash_list(k->hash, k->n, k->most, begin, end, k->found, k->out);
  for (int64_t r = 3 * k->found[begin]; r < 3 * k->found[end]; r += 3) {
    k->out[r]++; /* to 1-based */
    k->out[r + 1]++;
  }
}

static int l_hash_pairs(lua_State *L) {
  if (!lua_istable(L, 1))
    return luma_argerror(L, 1, "list of hashes expected, got %s", luaL_typename(L, 1));
  pair_work k = {.n = luaL_len(L, 1)};
  if (k.n > INT32_MAX) return luma_argerror(L, 1, "at most 2^31 hashes, got %lld", (long long)k.n);
  k.most = (int)luma_checkint(L, 2, 0, 64, "distance");
  lua_settop(L, 2);
  uint64_t *hash = luma_newscratch(L, 8 * k.n);
  k.hash = hash;
  k.found = luma_newscratch(L, 8 * (k.n + 1));
  for (int64_t i = 0; i < k.n; i++) {
    int exact;
    lua_geti(L, 1, i + 1);
    hash[i] = (uint64_t)lua_tointegerx(L, -1, &exact);
    if (!exact)
      return luma_argerror(L, 1, "element %lld is no hash: %s", (long long)i + 1,
                           luaL_tolstring(L, -1, NULL));
    lua_pop(L, 1);
  }
  const int64_t chunks = lm_ceil_div(k.n, ROWS);
  luma_checkrun(L, lm_parallel(chunks, count_chunk, &k));
  int64_t total = 0;
  for (int64_t i = 0; i < k.n; i++) {
    const int64_t here = k.found[i];
    k.found[i] = total;
    total += here;
  }
  k.found[k.n] = total;
  const lm_shape shape = {.rank = 2, .size = {total, 3}};
  k.out = lm_i32(luma_newtensor(L, LM_I32, &shape));
  luma_checkrun(L, lm_parallel(chunks, list_chunk, &k));
  luma_freescratch(L, 3);
  luma_freescratch(L, 4);
  return 1;
}

/* ---- correlation ---- */

static int l_correlation(lua_State *L) {
  const luma_images a = luma_checkimages(L, 1, luma_pixels);
  const luma_images b = luma_checkimages(L, 2, luma_pixels);
  char ta[LM_SHAPE_TEXT], tb[LM_SHAPE_TEXT];
  if (!lm_shape_equal(&a.t->shape, &b.t->shape) || a.t->dtype != b.t->dtype)
    return luma_argerror(L, 2, "an image like the first, %s %s, expected, got %s %s",
                         lm_dtypes[a.t->dtype].name, lm_shape_text(&a.t->shape, ta),
                         lm_dtypes[b.t->dtype].name, lm_shape_text(&b.t->shape, tb));
  const int64_t n = lm_tensor_count(a.t);
  double r = 0;
  if (n > 0)
    r = a.t->dtype == LM_U8 ? lm_correlation_u8(lm_u8(a.t), lm_u8(b.t), n)
                            : lm_correlation_f32(lm_f32(a.t), lm_f32(b.t), n);
  lua_pushnumber(L, r);
  return 1;
}

const luma_op luma_ops_hash[];
const luma_op luma_ops_hash[] = {
    {"image.hash", "(x [, {kind=\"dct\"|\"difference\"}]) -> integer",
     "A 64-bit perceptual hash, an integer (a list of them for a batch): near-identical images "
     "differ in few bits, whatever their size, compression or light.  dct takes the signs of the "
     "8x8 lowest frequencies against their median, difference compares neighbouring cells.  "
     "(\"%016x\"):format(hash) is its usual writing.",
     l_hash, LUMA_FUNCTION},
    {"image.hash_pairs", "(hashes, distance) -> pairs",
     "All pairs of the listed hashes that differ in at most `distance` bits (0..64), as i32 rows "
     "{i, j, bits} with i < j in ascending order.",
     l_hash_pairs, LUMA_FUNCTION},
    {"image.correlation", "(a, b) -> number",
     "Zero-mean normalised cross-correlation of two images of one size and type: 1 for the same "
     "picture up to brightness and contrast, -1 for its negative, 0 when either is constant.",
     l_correlation, LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
