/* ops_image.c: the border of the image operations: sizes, the scanner. */
#include <math.h>

#include "core/pool.h"
#include "image/resize.h"
#include "image/scan.h"
#include "lua/image.h"

static const lm_dtype pixels[] = {LM_U8, LM_F32, LM_NDTYPE};
static const lm_dtype bytes_only[] = {LM_U8, LM_NDTYPE};

luma_images luma_checkimages(lua_State *L, int arg, const lm_dtype *types) {
  luma_images x = {.t = luma_checktensor(L, arg)};
  char text[LM_SHAPE_TEXT];
  int k = 0;
  while (types[k] != LM_NDTYPE && types[k] != x.t->dtype) k++;
  if (types[k] == LM_NDTYPE)
    luma_argerror(L, arg, "image of type %s%s%s expected, got %s", lm_dtypes[types[0]].name,
                  types[1] != LM_NDTYPE ? " or " : "",
                  types[1] != LM_NDTYPE ? lm_dtypes[types[1]].name : "",
                  lm_dtypes[x.t->dtype].name);
  const int rank = x.t->shape.rank;
  if (rank < 2 || rank > 4)
    luma_argerror(L, arg, "image (h, w), (h, w, c) or batch (n, h, w, c) expected, got %s",
                  lm_shape_text(&x.t->shape, text));
  x.t = luma_checkplain(L, arg, x.t->dtype);
  const int64_t *s = x.t->shape.size;
  x.n = rank == 4 ? s[0] : 1;
  s += rank == 4;
  x.h = s[0];
  x.w = s[1];
  x.c = rank == 2 ? 1 : s[2];
  return x;
}

lm_shape luma_imageshape(const luma_images *x, int64_t h, int64_t w, int64_t c) {
  lm_shape s = {.rank = x->t->shape.rank};
  int k = 0;
  if (s.rank == 4) s.size[k++] = x->n;
  s.size[k++] = h;
  s.size[k++] = w;
  if (s.rank > 2) s.size[k++] = c;
  return s;
}

/* ---- resize ---- */

typedef struct {
  const luma_images *x;
  lm_tensor *y;
  lm_resize_method method;
  lm_resize_size from, to;
  char *scratch;
  int64_t scratch_bytes; /* of one worker */
} resize_work;

static void resize_chunk(void *context, int64_t i, int worker) {
  const resize_work *r = context;
  const int64_t c = r->x->c, in = i * r->from.height * r->from.stride;
  const int64_t out = i * r->to.height * r->to.stride;
  void *scratch = r->scratch + worker * r->scratch_bytes;
  if (r->y->dtype == LM_U8)
    lm_resize_u8(r->method, lm_u8(r->x->t) + in, &r->from, lm_u8(r->y) + out, &r->to, c, scratch);
  else
    lm_resize_f32(r->method, lm_f32(r->x->t) + in, &r->from, lm_f32(r->y) + out, &r->to, c,
                  scratch);
}

static int l_resize(lua_State *L) {
  static const char *const keys[] = {"method", NULL};
  static const char *const methods[] = {"bilinear", "nearest", "area", NULL};
  const luma_images x = luma_checkimages(L, 1, pixels);
  const int64_t h = luma_checkint(L, 2, 1, LM_RESIZE_MAX_SIDE, "height");
  const int64_t w = luma_checkint(L, 3, 1, LM_RESIZE_MAX_SIDE, "width");
  luma_checkkeys(L, 4, keys);
  resize_work r = {.x = &x, .method = (lm_resize_method)luma_optenum(L, 4, "method", 0, methods)};
  r.from = (lm_resize_size){x.h, x.w, x.w * x.c};
  r.to = (lm_resize_size){h, w, w * x.c};
  lm_err err;
  if (!lm_resize_check(&r.from, &r.to, x.c, &err)) return luma_argerror(L, 1, "%s", err.msg);
  const lm_shape shape = luma_imageshape(&x, h, w, x.c);
  r.y = luma_newtensor(L, x.t->dtype, &shape);
  r.scratch_bytes = lm_resize_scratch(r.method, &r.from, &r.to, x.c);
  r.scratch = luma_newscratch(L, r.scratch_bytes * lm_pool_threads());
  luma_checkrun(L, lm_parallel(x.n, resize_chunk, &r));
  luma_freescratch(L, -1);
  lua_pop(L, 1);
  return 1;
}

/* ---- the scanner ---- */

/* Pushes v[0..n-1] + base as a table. */
static void push_list(lua_State *L, const int32_t *v, int64_t n, int base) {
  lua_createtable(L, (int)n, 0);
  for (int64_t i = 0; i < n; i++) {
    lua_pushinteger(L, v[i] + base);
    lua_rawseti(L, -2, i + 1);
  }
}

/* The two sets of counts of one image, as i32 tensors under the keys. */
static lm_tensor *new_counts(lua_State *L, int table, const char *key, int64_t n) {
  const lm_shape s = {.rank = 1, .size = {n}};
  lm_tensor *t = luma_newtensor(L, LM_I32, &s);
  lua_setfield(L, table, key);
  return t;
}

/* option window: nil, false (none) or {first, last} 1-based inclusive. */
static bool read_window(lua_State *L, int arg, int64_t *lo, int64_t *hi, bool *given) {
  *given = false;
  if (lua_isnoneornil(L, arg)) return true;
  const int kind = lua_getfield(L, arg, "window");
  *given = kind != LUA_TNIL;
  if (kind == LUA_TBOOLEAN && !lua_toboolean(L, -1)) {
    *lo = 0, *hi = -1;
  } else if (kind == LUA_TTABLE) {
    int a, b;
    lua_geti(L, -1, 1);
    lua_geti(L, -2, 2);
    *lo = lua_tointegerx(L, -2, &a) - 1;
    *hi = lua_tointegerx(L, -1, &b) - 1;
    lua_pop(L, 2);
    if (!a || !b) return false;
  } else if (kind != LUA_TNIL) {
    return false;
  }
  lua_pop(L, 1);
  return true;
}

static int l_black_bars(lua_State *L) {
  static const char *const keys[] = {"level", "faithful", "window", NULL};
  const luma_images x = luma_checkimages(L, 1, bytes_only);
  char text[LM_SHAPE_TEXT];
  if (x.t->shape.rank == 4 || (x.c != 1 && x.c != 3 && x.c != 4))
    return luma_argerror(L, 1, "one image with 1, 3 or 4 channels expected, got %s",
                         lm_shape_text(&x.t->shape, text));
  luma_checkkeys(L, 2, keys);
  const double level = luma_optnumber(L, 2, "level", 40, 0, 256);
  const bool faithful = luma_optboolean(L, 2, "faithful", false);
  int64_t lo[2], hi[2];
  bool given;
  lm_bars_window(x.h, faithful, &lo[0], &hi[0]);
  lm_bars_window(x.w, faithful, &lo[1], &hi[1]);
  if (!read_window(L, 2, &lo[0], &hi[0], &given))
    return luma_argerror(L, 2, "option window must be {first, last} or false");
  if (given) lo[1] = lo[0], hi[1] = hi[0];
  if (faithful && x.h != x.w)
    return luma_argerror(
        L, 1,
        "the faithful scan shares one loop over rows and columns: a square image expected, "
        "got %s (the author's code raises IndexError here; faithful=false works)",
        lm_shape_text(&x.t->shape, text));

  lua_settop(L, 2);
  lua_createtable(L, 0, 4);
  lm_tensor *rows = new_counts(L, 3, "row_counts", x.h);
  lm_tensor *cols = new_counts(L, 3, "col_counts", x.w);
  char *scratch = luma_newscratch(L, lm_scan_scratch(x.w) + 4 * lm_max64(x.h, x.w));
  int32_t *found = (int32_t *)scratch;
  lm_scan_black(lm_u8(x.t), x.h, x.w, (int)x.c, x.w * x.c, level, lm_i32(rows), lm_i32(cols),
                scratch + 4 * lm_max64(x.h, x.w));
  const int64_t nr = lm_bars_find(lm_i32(rows), x.h, x.w, lo[0], hi[0], faithful, found);
  push_list(L, found, nr, 1);
  lua_setfield(L, 3, "rows");
  const int64_t nc = lm_bars_find(lm_i32(cols), x.w, x.h, lo[1], hi[1], faithful, found);
  push_list(L, found, nc, 1);
  lua_setfield(L, 3, "cols");
  luma_freescratch(L, 4);
  lua_pop(L, 1);
  return 1;
}

const luma_op luma_ops_image[];
const luma_op luma_ops_image[] = {
    {"image.resize", "(x, height, width [, {method=\"bilinear\"|\"nearest\"|\"area\"}]) -> y",
     "Resamples one image (h, w), (h, w, c) or a batch (n, h, w, c), u8 or f32.  On u8 the bytes "
     "are those of OpenCV: bilinear is INTER_LINEAR (fixed point, no antialiasing; what the "
     "article used), area is INTER_AREA (means; for shrinking), nearest is INTER_NEAREST.",
     l_resize, LUMA_FUNCTION},
    {"image.black_bars",
     "(x [, {level=40, faithful=false, window={first, last}|false}]) -> {rows, cols, row_counts, "
     "col_counts}",
     "The black-pixel scanner.  A pixel is black when the mean of its channels is below level; a "
     "row or column is a bar when more than half of it is black and it lies outside the window.  "
     "The default window is 200..800 of 1024 in proportion; faithful takes 200..800 (0-based) "
     "whatever the size, needs a square image and repeats the author's deletion while iterating.  "
     "rows and cols are 1-based lists of what to remove; the counts are i32 tensors.",
     l_black_bars, LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
