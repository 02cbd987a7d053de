/* ops_warp.c: the border of the affine map, one image or a batch. */
#include <math.h>

#include "core/pool.h"
#include "lua/image.h"

static const char *const samples[] = {"bilinear", "nearest", NULL};

/* ---- reading parameters ---- */

/* The six numbers at the top of the stack (a table) into m. */
static void read_matrix(lua_State *L, int arg, int idx, double m[6]) {
  if (!lua_istable(L, idx) || luaL_len(L, idx) != 6)
    luma_argerror(L, arg, "matrix must be a list of 6 numbers");
  for (int k = 0; k < 6; k++) {
    if (lua_geti(L, idx, k + 1) != LUA_TNUMBER || !isfinite(lua_tonumber(L, -1)))
      luma_argerror(L, arg, "matrix entry %d must be a finite number, got %s", k + 1,
                    luaL_tolstring(L, -1, NULL));
    m[k] = lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
}

/* Fill, sample and cval of the table at idx. */
static void read_sampling(lua_State *L, int idx, lm_warp *p) {
  p->fill = (lm_fill)luma_optenum(L, idx, "fill", (int)p->fill, lm_fill_names);
  p->sample = (lm_sample)luma_optenum(L, idx, "sample", (int)p->sample, samples);
  p->cval = luma_optnumber(L, idx, "cval", p->cval, -1e30, 1e30);
}

void luma_towarp(lua_State *L, int arg, int idx, lm_warp *p) {
  static const char *const keys[] = {"matrix", "flip_h", "flip_v",     "fill",  "sample",
                                     "cval",   "shift",  "brightness", "draws", NULL};
  if (!lua_istable(L, idx))
    luma_argerror(L, arg, "warp parameters (a table) expected, got %s", luaL_typename(L, idx));
  /* The table stands at arg while it is read, so that errors name arg. */
  lua_pushvalue(L, idx);
  lua_pushvalue(L, arg);
  lua_insert(L, -2);
  lua_replace(L, arg);
  luma_checkkeys(L, arg, keys);
  *p = lm_warp_identity();
  if (lua_getfield(L, arg, "matrix") != LUA_TNIL) read_matrix(L, arg, lua_gettop(L), p->m);
  lua_pop(L, 1);
  p->flip_h = luma_optboolean(L, arg, "flip_h", false);
  p->flip_v = luma_optboolean(L, arg, "flip_v", false);
  p->shift = luma_optnumber(L, arg, "shift", 0, -1e30, 1e30);
  p->brightness = luma_optnumber(L, arg, "brightness", 1, -1e30, 1e30);
  read_sampling(L, arg, p);
  lm_warp_settle(p);
  lua_replace(L, arg);
}

/* (row, col) from (x, y): both the point and the result change order. */
static void swap_axes(double m[6]) {
  const double xy[6] = {m[0], m[1], m[2], m[3], m[4], m[5]};
  m[0] = xy[4], m[1] = xy[3], m[2] = xy[5];
  m[3] = xy[1], m[4] = xy[0], m[5] = xy[2];
}

static bool invert(double m[6]) {
  const double det = m[0] * m[4] - m[1] * m[3];
  const double size = fabs(m[0] * m[4]) + fabs(m[1] * m[3]);
  if (!(fabs(det) > 1e-14 * size)) return false;
  const double a = m[4] / det, b = -m[1] / det, c = -m[3] / det, d = m[0] / det;
  const double e = -(a * m[2] + b * m[5]), f = -(c * m[2] + d * m[5]);
  m[0] = a, m[1] = b, m[2] = e, m[3] = c, m[4] = d, m[5] = f;
  for (int k = 0; k < 6; k++)
    if (!isfinite(m[k])) return false;
  return true;
}

/* ---- running ---- */

typedef struct {
  const luma_images *x;
  const lm_tensor *y;
  const lm_warp *p;
  int64_t each; /* 1: p[i] is image i's; 0: one for all */
  lm_warp_size from, to;
} warp_work;

static void warp_chunk(void *context, int64_t i, int worker) {
  (void)worker;
  const warp_work *w = context;
  const lm_warp *p = w->p + i * w->each;
  const int64_t in = i * w->from.height * w->from.width * w->from.channels;
  const int64_t out = i * w->to.height * w->to.width * w->to.channels;
  if (w->x->t->dtype == LM_F32)
    lm_warp_f32(p, lm_f32(w->x->t) + in, &w->from, lm_f32(w->y) + out, &w->to);
  else if (w->y->dtype == LM_U8)
    lm_warp_u8(p, lm_u8(w->x->t) + in, &w->from, lm_u8(w->y) + out, &w->to);
  else
    lm_warp_u8_f32(p, lm_u8(w->x->t) + in, &w->from, lm_f32(w->y) + out, &w->to);
}

/* Pushes the result; p holds one warp (each 0) or one an image (each 1). */
static void run(lua_State *L, const luma_images *x, const lm_warp *p, int64_t each, int64_t h,
                int64_t w, lm_dtype dtype) {
  warp_work k = {.x = x, .p = p, .each = each};
  k.from = (lm_warp_size){x->h, x->w, x->c};
  k.to = (lm_warp_size){h, w, x->c};
  lm_err err;
  for (int64_t i = 0; i < (each ? x->n : 1); i++)
    if (!lm_warp_check(p + i, &k.from, &k.to, &err)) luma_argerror(L, 1, "%s", err.msg);
  const lm_shape shape = luma_imageshape(x, h, w, x->c);
  k.y = luma_newtensor(L, dtype, &shape);
  luma_checkrun(L, lm_parallel(x->n, warp_chunk, &k));
}

static const int64_t MAX_SIDE = 1 << 24;

static int l_affine(lua_State *L) {
  static const char *const keys[] = {"height", "width", "fill",    "sample",
                                     "cval",   "axes",  "forward", NULL};
  static const char *const axes[] = {"rc", "xy", NULL};
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  lm_warp p = lm_warp_identity();
  read_matrix(L, 2, 2, p.m);
  luma_checkkeys(L, 3, keys);
  const int64_t h = luma_optint(L, 3, "height", x.h, 1, MAX_SIDE);
  const int64_t w = luma_optint(L, 3, "width", x.w, 1, MAX_SIDE);
  p.fill = LM_FILL_GRID_CONSTANT;
  read_sampling(L, 3, &p);
  if (luma_optenum(L, 3, "axes", 0, axes) == 1) swap_axes(p.m);
  if (luma_optboolean(L, 3, "forward", false) && !invert(p.m))
    return luma_argerror(L, 2, "matrix is singular: it cannot be turned round");
  lm_warp_settle(&p);
  run(L, &x, &p, 0, h, w, x.t->dtype);
  return 1;
}

/* Cosine and sine of degrees; whole quarter turns are exact. */
static void turn(double degrees, double *c, double *s) {
  static const double quarter[4][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
  double a = fmod(degrees, 360);
  if (a < 0) a += 360;
  if (fmod(a, 90) == 0) {
    *c = quarter[(int)(a / 90) % 4][0];
    *s = quarter[(int)(a / 90) % 4][1];
  } else {
    *c = cos(a * (M_PI / 180));
    *s = sin(a * (M_PI / 180));
  }
}

static int l_rotate(lua_State *L) {
  static const char *const keys[] = {"fill", "sample", "cval", NULL};
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  const double degrees = luma_checkfinite(L, 2, "degrees");
  luma_checkkeys(L, 3, keys);
  lm_warp p = lm_warp_identity();
  p.fill = LM_FILL_GRID_CONSTANT;
  p.sample = LM_SAMPLE_NEAREST;
  read_sampling(L, 3, &p);
  double c, s;
  turn(degrees, &c, &s);
  /* tfa: x' = c x - s y + x0, y' = s x + c y + y0 about the centre. */
  const double cy = (double)(x.h - 1) / 2, cx = (double)(x.w - 1) / 2;
  const double m[6] = {c, s, cy - c * cy - s * cx, -s, c, cx + s * cy - c * cx};
  for (int k = 0; k < 6; k++) p.m[k] = m[k];
  lm_warp_settle(&p);
  run(L, &x, &p, 0, x.h, x.w, x.t->dtype);
  return 1;
}

static int l_warp_batch(lua_State *L) {
  static const char *const keys[] = {"height", "width", "dtype", NULL};
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  if (!lua_istable(L, 2))
    return luma_argerror(L, 2, "a list of warp parameters, or one, expected, got %s",
                         luaL_typename(L, 2));
  luma_checkkeys(L, 3, keys);
  const int64_t h = luma_optint(L, 3, "height", x.h, 1, MAX_SIDE);
  const int64_t w = luma_optint(L, 3, "width", x.w, 1, MAX_SIDE);
  const char *name = luma_optstring(L, 3, "dtype", lm_dtypes[x.t->dtype].name);
  lm_dtype dtype;
  if (!lm_dtype_parse(name, &dtype) || (dtype != x.t->dtype && dtype != LM_F32) ||
      (dtype != LM_F32 && dtype != LM_U8))
    return luma_argerror(L, 3, "option dtype must be %s, got '%.20s'",
                         x.t->dtype == LM_F32 ? "f32" : "u8 or f32", name);
  lua_settop(L, 3);
  const int64_t given = luaL_len(L, 2);
  const bool one = given == 0 && lua_next(L, (lua_pushnil(L), 2)) != 0; /* has named fields */
  lua_settop(L, 3);
  if (!one && given != x.n)
    return luma_argerror(L, 2, "%lld warp parameters for %lld images", (long long)given,
                         (long long)x.n);
  lm_warp *p = luma_newscratch(L, (int64_t)sizeof *p * lm_max64(1, x.n));
  if (one) {
    luma_towarp(L, 2, 2, &p[0]);
  } else {
    for (int64_t i = 0; i < x.n; i++) {
      lua_geti(L, 2, i + 1);
      luma_towarp(L, 2, -1, &p[i]);
      lua_pop(L, 1);
    }
  }
  run(L, &x, p, !one, h, w, dtype);
  luma_freescratch(L, 4);
  return 1;
}

const luma_op luma_ops_warp[];
const luma_op luma_ops_warp[] = {
    {"image.affine",
     "(x, {a, b, c, d, e, f} [, {height=, width=, fill=\"grid-constant\", sample=\"bilinear\", "
     "cval=0, axes=\"rc\", forward=false}]) -> y",
     "Shows at output row i, column j (from 0) the input point (a*i + b*j + c, d*i + e*j + f): "
     "SciPy's convention.  axes=\"xy\" takes and gives column first, OpenCV's; forward=true takes "
     "the map from input to output and inverts it.  fill is nearest, constant, grid-constant, "
     "reflect, mirror, wrap or grid-wrap, as in scipy.ndimage; sample is bilinear or nearest.",
     l_affine, LUMA_FUNCTION},
    {"image.rotate", "(x, degrees [, {fill=\"grid-constant\", sample=\"nearest\", cval=0}]) -> y",
     "Turns each image counter-clockwise about its centre; the size stays.  The defaults are those "
     "of tfa.image.rotate, which the article used: nearest pixel, black outside.",
     l_rotate, LUMA_FUNCTION},
    {"image.warp_batch", "(x, params [, {height=, width=, dtype=}]) -> y",
     "Warps every image of x by its own parameters, in parallel.  params is a list with one record "
     "an image, or one record for all: {matrix={6 numbers, see affine}, flip_h=, flip_v=, fill=, "
     "sample=, cval=, shift=, brightness=}, as augment draws them.  The matrix comes first, then "
     "shift (added, clamped to the image's range), flips, and brightness (a factor).  "
     "dtype=\"f32\" keeps fractions of a u8 image.",
     l_warp_batch, LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
