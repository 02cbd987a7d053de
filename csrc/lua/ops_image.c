/* ops_image.c: the border of the image operations that move pixels or look for
 * black bars, and what the other image borders share. */
#include <string.h>

#include "core/pool.h"
#include "image/crop.h"
#include "image/resize.h"
#include "image/scan.h"
#include "lua/image.h"

const lm_dtype luma_pixels[] = {LM_U8, LM_F32, LM_NDTYPE};
const lm_dtype luma_bytepixels[] = {LM_U8, LM_NDTYPE};
const lm_dtype luma_floatpixels[] = {LM_F32, LM_NDTYPE};

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

typedef struct {
  const luma_images *x;
  const lm_tensor *y;
  luma_image_fn fn;
  const void *context;
  int64_t from, to; /* bytes of one image */
} each_work;

static void each_chunk(void *context, int64_t i, int worker) {
  (void)worker;
  const each_work *e = context;
  e->fn(e->context, e->x, (const char *)lm_tensor_data(e->x->t) + i * e->from, e->y,
        (char *)lm_tensor_data(e->y) + i * e->to);
}

void luma_eachimage(lua_State *L, const luma_images *x, const lm_tensor *y, luma_image_fn fn,
                    const void *context) {
  if (x->n == 0) return;
  each_work e = {x, y, fn, context, lm_tensor_bytes(x->t) / x->n, lm_tensor_bytes(y) / x->n};
  luma_checkrun(L, lm_parallel(x->n, each_chunk, &e));
}

static int64_t pixel_bytes(const luma_images *x) {
  return x->c * lm_dtypes[x->t->dtype].size;
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
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
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

/* ---- boxes, rows, columns ---- */

typedef struct {
  int64_t top, left, height, width;
} box;

/* {top=, left=, height=, width=}, 1-based; raises unless it lies in h x w. */
static box read_box(lua_State *L, int arg, int64_t h, int64_t w) {
  static const char *const keys[] = {"top", "left", "height", "width", NULL};
  if (!lua_istable(L, arg))
    luma_argerror(L, arg, "box {top=, left=, height=, width=} expected, got %s",
                  luaL_typename(L, arg));
  luma_checkkeys(L, arg, keys);
  int64_t v[4];
  for (int k = 0; k < 4; k++) {
    v[k] = luma_optint(L, arg, keys[k], INT64_MIN, -LM_RESIZE_MAX_SIDE, LM_RESIZE_MAX_SIDE);
    if (v[k] == INT64_MIN) luma_argerror(L, arg, "box has no %s", keys[k]);
  }
  const box b = {v[0] - 1, v[1] - 1, v[2], v[3]};
  if (b.height < 1 || b.width < 1)
    luma_argerror(L, arg, "box is empty: %lldx%lld pixels", (long long)b.height,
                  (long long)b.width);
  if (b.top < 0 || b.left < 0 || b.top + b.height > h || b.left + b.width > w)
    luma_argerror(L, arg,
                  "box of %lldx%lld at row %lld, column %lld does not lie in the %lldx%lld image",
                  (long long)b.height, (long long)b.width, (long long)b.top + 1,
                  (long long)b.left + 1, (long long)h, (long long)w);
  return b;
}

static void run_crop(const void *context, const luma_images *x, const void *src, const lm_tensor *y,
                     void *dst) {
  (void)y;
  const box *b = context;
  const int64_t pixel = pixel_bytes(x);
  lm_crop(src, x->w * pixel, pixel, b->top, b->left, b->height, b->width, dst);
}

static int l_crop(lua_State *L) {
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  const box b = read_box(L, 2, x.h, x.w);
  const lm_shape shape = luma_imageshape(&x, b.height, b.width, x.c);
  const lm_tensor *y = luma_newtensor(L, x.t->dtype, &shape);
  luma_eachimage(L, &x, y, run_crop, &b);
  return 1;
}

/* Turns the list of 1-based indices at arg (nil: none; any order, repetition
 * allowed) into ascending 0-based ones in out; mark is n bytes of zeros. */
static int64_t read_list(lua_State *L, int arg, int64_t n, uint8_t *mark, int32_t *out) {
  if (lua_isnoneornil(L, arg)) return 0;
  const int64_t len = luaL_len(L, arg);
  for (int64_t k = 1; k <= len; k++) {
    int exact;
    lua_geti(L, arg, k);
    const lua_Integer i = lua_tointegerx(L, -1, &exact);
    if (!exact || i < 1 || i > n)
      luma_argerror(L, arg, "element %lld is not in 1..%lld: %s", (long long)k, (long long)n,
                    luaL_tolstring(L, -1, NULL));
    mark[i - 1] = 1;
    lua_pop(L, 1);
  }
  int64_t found = 0;
  for (int64_t i = 0; i < n; i++)
    if (mark[i]) out[found++] = (int32_t)i;
  return found;
}

typedef struct {
  const int32_t *rows, *cols;
  int64_t n_rows, n_cols;
} removal;

static void run_remove(const void *context, const luma_images *x, const void *src,
                       const lm_tensor *y, void *dst) {
  (void)y;
  const removal *r = context;
  lm_remove(src, x->h, x->w, pixel_bytes(x), r->rows, r->n_rows, r->cols, r->n_cols, dst);
}

static int l_remove(lua_State *L) {
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  for (int arg = 2; arg <= 3; arg++)
    if (!lua_isnoneornil(L, arg) && !lua_istable(L, arg))
      return luma_argerror(L, arg, "list of %s expected, got %s", arg == 2 ? "rows" : "columns",
                           luaL_typename(L, arg));
  lua_settop(L, 3);
  const int64_t marks = x.h + x.w;
  char *scratch = luma_newscratch(L, 5 * marks); /* both lists, then both sets of marks */
  int32_t *rows = (int32_t *)scratch, *cols = rows + x.h;
  uint8_t *mark = (uint8_t *)(cols + x.w);
  memset(mark, 0, (size_t)marks);
  removal r = {.rows = rows, .cols = cols};
  r.n_rows = read_list(L, 2, x.h, mark, rows);
  r.n_cols = read_list(L, 3, x.w, mark + x.h, cols);
  const lm_shape shape = luma_imageshape(&x, x.h - r.n_rows, x.w - r.n_cols, x.c);
  const lm_tensor *y = luma_newtensor(L, x.t->dtype, &shape);
  luma_eachimage(L, &x, y, run_remove, &r);
  luma_freescratch(L, 4);
  return 1;
}

/* ---- mirrors ---- */

typedef struct {
  bool left_right, up_down;
} mirror;

static void run_flip(const void *context, const luma_images *x, const void *src, const lm_tensor *y,
                     void *dst) {
  (void)y;
  const mirror *m = context;
  lm_flip(src, x->h, x->w, pixel_bytes(x), m->left_right, m->up_down, dst);
}

static int flip(lua_State *L, mirror m) {
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  const lm_tensor *y = luma_newtensor(L, x.t->dtype, &x.t->shape);
  luma_eachimage(L, &x, y, run_flip, &m);
  return 1;
}

static int l_flip_left_right(lua_State *L) {
  return flip(L, (mirror){.left_right = true});
}

static int l_flip_up_down(lua_State *L) {
  return flip(L, (mirror){.up_down = true});
}

static void run_transpose(const void *context, const luma_images *x, const void *src,
                          const lm_tensor *y, void *dst) {
  (void)y, (void)context;
  lm_transpose(src, x->h, x->w, pixel_bytes(x), dst);
}

static int l_transpose(lua_State *L) {
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  const lm_shape shape = luma_imageshape(&x, x.w, x.h, x.c);
  const lm_tensor *y = luma_newtensor(L, x.t->dtype, &shape);
  luma_eachimage(L, &x, y, run_transpose, NULL);
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
  const luma_images x = luma_checkimages(L, 1, luma_bytepixels);
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
    {"image.crop", "(x, {top=, left=, height=, width=}) -> y",
     "Cuts the box out of each image; top and left are 1-based.  A box that is empty or leaves the "
     "image is an error.",
     l_crop, LUMA_FUNCTION},
    {"image.remove", "(x [, rows] [, cols]) -> y",
     "Deletes the listed rows and columns (1-based, any order), as numpy.delete does twice.",
     l_remove, LUMA_FUNCTION},
    {"image.flip_left_right", "(x) -> y", "Mirrors each image: the first column becomes the last.",
     l_flip_left_right, LUMA_FUNCTION},
    {"image.flip_up_down", "(x) -> y", "Mirrors each image: the first row becomes the last.",
     l_flip_up_down, LUMA_FUNCTION},
    {"image.transpose", "(x) -> y", "Rows become columns: (h, w, c) gives (w, h, c).", l_transpose,
     LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
