/* ops_codec.c: image.load, decode, info, save, encode. */
#include <string.h>
#include <strings.h>

#include "image/codec.h"
#include "io/file.h"
#include "lua/luma.h"

static const char *const modes[] = {"native", "gray", "rgb", "rgba", NULL};
static const char *const formats[] = {"png", "jpeg", NULL};
static const char *const subsamplings[] = {"420", "422", "444", NULL};

/* ---- arguments ---- */

static int mode_named(lua_State *L, int arg) {
  const char *name = lua_tostring(L, arg);
  for (int i = 0; modes[i] != NULL; i++)
    if (strcmp(name, modes[i]) == 0) return i;
  return luma_argerror(L, arg, "mode must be one of native, gray, rgb, rgba, got '%.60s'", name);
}

/* A mode's name, or a table of options. */
static lm_decode_options check_options(lua_State *L, int arg) {
  static const char *const keys[] = {"mode", "strict", "orient", "max_side", "max_pixels", NULL};
  lm_decode_options o = {.mode = LM_MODE_NATIVE};
  if (lua_type(L, arg) == LUA_TSTRING) {
    o.mode = (lm_image_mode)mode_named(L, arg);
    return o;
  }
  luma_checkkeys(L, arg, keys);
  o.mode = (lm_image_mode)luma_optenum(L, arg, "mode", LM_MODE_NATIVE, modes);
  o.lenient = !luma_optboolean(L, arg, "strict", true);
  o.orient = luma_optboolean(L, arg, "orient", false);
  o.max_side = luma_optint(L, arg, "max_side", LM_MAX_SIDE, 1, INT32_MAX);
  o.max_pixels = luma_optint(L, arg, "max_pixels", LM_MAX_PIXELS, 1, INT64_C(1) << 40);
  return o;
}

static const char *check_bytes(lua_State *L, int arg, const char *what, size_t *n) {
  if (lua_type(L, arg) != LUA_TSTRING)
    luma_argerror(L, arg, "%s: string expected, got %s", what, luaL_typename(L, arg));
  return lua_tolstring(L, arg, n);
}

/* A path that C sees whole: "a.png\0.txt" would open a.png. */
static const char *check_path(lua_State *L, int arg) {
  size_t n;
  const char *path = check_bytes(L, arg, "path", &n);
  if (n == 0) luma_argerror(L, arg, "path is empty");
  if (strlen(path) != n) luma_argerror(L, arg, "path contains a NUL byte");
  return path;
}

/* ---- results ---- */

static void set_int(lua_State *L, const char *key, int64_t v) {
  lua_pushinteger(L, v);
  lua_setfield(L, -2, key);
}

static void push_info(lua_State *L, const lm_image *m) {
  lua_createtable(L, 0, 8);
  lua_pushstring(L, formats[m->format]);
  lua_setfield(L, -2, "format");
  set_int(L, "height", m->height);
  set_int(L, "width", m->width);
  set_int(L, "channels", m->stored_channels);
  set_int(L, "bits", m->bits);
  set_int(L, "orientation", m->orientation);
  set_int(L, "warnings", m->warnings);
  if (m->warnings > 0) {
    lua_pushstring(L, m->warning);
    lua_setfield(L, -2, "warning");
  }
}

/* An empty tensor first, its bytes later: nothing raises while C alone holds
 * the pixels. */
static lm_tensor *push_empty(lua_State *L) {
  const lm_shape none = {.rank = 3};
  return luma_newtensor(L, LM_U8, &none);
}

static void adopt(lm_tensor *t, const lm_image *m) {
  lm_tensor_close(t);
  *t = (lm_tensor){.buffer = m->buffer,
                   .dtype = LM_U8,
                   .shape = {.rank = 3, .size = {m->height, m->width, m->channels}},
                   .stride = {m->width * m->channels, m->channels, 1}};
}

/* ---- reading ---- */

static void prefix_path(const char *path, lm_err *e) {
  char text[LM_PATH_TEXT];
  const lm_err was = *e;
  lm_fail(e, was.code, "%s: %s", lm_path_text(path, text), was.msg);
}

/* Reads the file and hands its bytes to f; owns nothing afterwards. */
static bool with_file(const char *path, const lm_decode_options *o, lm_image *m, lm_err *e,
                      bool (*f)(const uint8_t *, int64_t, const lm_decode_options *, lm_image *,
                                lm_err *)) {
  lm_bytes bytes = {0};
  const bool ok = lm_file_load(path, 0, &bytes, e) && f(lm_bytes_data(&bytes), bytes.size, o, m, e);
  if (!ok && e->code != LM_E_INTERRUPT) prefix_path(path, e);
  lm_bytes_free(&bytes);
  return ok;
}

static int l_load(lua_State *L) {
  const char *path = check_path(L, 1);
  const lm_decode_options o = check_options(L, 2);
  lm_tensor *t = push_empty(L);
  lm_image m;
  lm_err err;
  if (!with_file(path, &o, &m, &err, lm_image_decode)) return luma_fail(L, &err);
  adopt(t, &m);
  push_info(L, &m);
  return 2;
}

static int l_info(lua_State *L) {
  const char *path = check_path(L, 1);
  const lm_decode_options o = check_options(L, 2);
  lm_image m;
  lm_err err;
  if (!with_file(path, &o, &m, &err, lm_image_probe)) return luma_fail(L, &err);
  push_info(L, &m);
  return 1;
}

static int l_decode(lua_State *L) {
  size_t n;
  const char *bytes = check_bytes(L, 1, "bytes", &n);
  const lm_decode_options o = check_options(L, 2);
  lm_tensor *t = push_empty(L);
  lm_image m;
  lm_err err;
  if (!lm_image_decode((const uint8_t *)bytes, (int64_t)n, &o, &m, &err)) return luma_fail(L, &err);
  adopt(t, &m);
  push_info(L, &m);
  return 2;
}

/* ---- writing ---- */

typedef struct {
  lm_image_format format;
  int quality, level;
  lm_subsampling sub;
} encode_options;

static encode_options check_encode(lua_State *L, int arg, int format) {
  static const char *const keys[] = {"format", "quality", "subsampling", "level", NULL};
  luma_checkkeys(L, arg, keys);
  encode_options o;
  format = luma_optenum(L, arg, "format", format, formats);
  if (format < 0)
    luma_argerror(L, 1, "the name ends neither in .png nor in .jpg or .jpeg: say {format = ...}");
  o.format = (lm_image_format)format;
  o.quality = (int)luma_optint(L, arg, "quality", 95, 1, 100);
  o.sub = (lm_subsampling)luma_optenum(L, arg, "subsampling", LM_SUB_420, subsamplings);
  o.level = (int)luma_optint(L, arg, "level", 6, 0, 9);
  return o;
}

/* The image at arg as plain u8; a float image is taken as levels 0..255. */
static const lm_tensor *check_image(lua_State *L, int arg) {
  lm_tensor *x = luma_checktensor(L, arg);
  if (x->shape.rank != 2 && x->shape.rank != 3) {
    char text[LM_SHAPE_TEXT];
    luma_argerror(L, arg, "an image (h, w) or (h, w, c) expected, got %s",
                  lm_shape_text(&x->shape, text));
  }
  if (x->dtype == LM_U8) return luma_checkplain(L, arg, LM_U8);
  lm_tensor *y = luma_newtensor(L, LM_U8, &x->shape);
  lm_tensor_copy(x, y);
  lua_replace(L, arg);
  return y;
}

static bool encode(const lm_tensor *x, const encode_options *o, lm_bytes *out, lm_err *e) {
  const int64_t h = x->shape.size[0], w = x->shape.size[1];
  const int64_t c = x->shape.rank == 3 ? x->shape.size[2] : 1;
  const int channels = c > 99 ? 99 : (int)c;
  if (o->format == LM_FORMAT_PNG)
    return lm_png_encode(lm_u8(x), h, w, channels, w * c, o->level, out, e);
  return lm_jpeg_encode(lm_u8(x), h, w, channels, w * c, o->quality, o->sub, out, e);
}

static int encode_error(lua_State *L, int arg, lm_err *e) {
  if (e->code == LM_E_SHAPE) e->arg = arg;
  return luma_raise(L, e);
}

static int l_encode(lua_State *L) {
  lua_settop(L, 3);
  const lm_tensor *x = check_image(L, 1);
  int format = -1;
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  for (int i = 0; formats[i] != NULL; i++)
    if (strcmp(name, formats[i]) == 0) format = i;
  if (format < 0) luma_argerror(L, 2, "format must be 'png' or 'jpeg', got '%.60s'", name);
  const encode_options o = check_encode(L, 3, format);
  lm_tensor *keep = push_empty(L); /* owns the bytes while lua_pushlstring may raise */
  lm_bytes out = {0};
  lm_err err;
  if (!encode(x, &o, &out, &err)) {
    lm_bytes_free(&out);
    return encode_error(L, 1, &err);
  }
  lm_tensor_close(keep);
  *keep = (lm_tensor){.buffer = out.buffer,
                      .dtype = LM_U8,
                      .shape = {.rank = 1, .size = {out.size}},
                      .stride = {1}};
  lua_pushlstring(L, (const char *)lm_bytes_data(&out), (size_t)out.size);
  lm_tensor_close(keep);
  return 1;
}

/* The format that a file name asks for; -1 when it does not say. */
static int format_of_name(const char *path) {
  const char *dot = strrchr(path, '.');
  if (dot == NULL) return -1;
  if (strcasecmp(dot, ".png") == 0) return LM_FORMAT_PNG;
  if (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0) return LM_FORMAT_JPEG;
  return -1;
}

static int l_save(lua_State *L) {
  lua_settop(L, 3);
  const char *path = check_path(L, 1);
  const lm_tensor *x = check_image(L, 2);
  const encode_options o = check_encode(L, 3, format_of_name(path));
  lm_bytes out = {0};
  lm_err err;
  const bool encoded = encode(x, &o, &out, &err);
  const lm_span span = {lm_bytes_data(&out), out.size};
  const bool ok = encoded && lm_file_replace(path, &span, 1, &err);
  lm_bytes_free(&out);
  if (!encoded) return encode_error(L, 2, &err);
  if (!ok) {
    prefix_path(path, &err);
    return luma_fail(L, &err);
  }
  lua_pushboolean(L, true);
  return 1;
}

#define DECODE_OPTIONS                                                                        \
  "Options: mode 'native' (gray files 1 channel, others 3), 'gray', 'rgb' or 'rgba'; strict " \
  "(true: what a decoder only warns about is damage); orient (false: apply the EXIF "         \
  "orientation); max_side (65535) and max_pixels (67108864), checked before pixels are "      \
  "allocated. A mode's name may stand for the options."

const luma_op luma_ops_codec[] = {
    {"image.load", "(path [, mode | options]) -> x, info | nil, message, code",
     "Reads a PNG or JPEG, told by content, as a u8 tensor (h, w, c), red first; alpha is dropped, "
     "16-bit samples keep their high byte. " DECODE_OPTIONS,
     l_load, 0},
    {"image.decode", "(bytes [, mode | options]) -> x, info | nil, message, code",
     "The same from a string that holds the file's bytes. " DECODE_OPTIONS, l_decode, 0},
    {"image.info", "(path [, options]) -> info | nil, message, code",
     "The header of an image file: format, height, width, channels, bits, orientation (EXIF).",
     l_info, 0},
    {"image.encode", "(x, 'png'|'jpeg' [, {quality=95, subsampling='420', level=6}]) -> bytes",
     "Encodes (h, w) or (h, w, c); JPEG takes 1 or 3 channels, PNG 1, 3 or 4. Floats are levels "
     "0..255: rounded half to even, clamped, NaN becomes 0. JPEG at quality 95 and '420' gives the "
     "bytes of cv2.imwrite.",
     l_encode, 0},
    {"image.save",
     "(path, x [, {format=, quality=95, subsampling='420', level=6}]) -> true | nil, message, "
     "code",
     "Writes x as the name's ending says (.png, .jpg, .jpeg) or as format says. Atomic: the file "
     "appears whole under its name or not at all.",
     l_save, 0},
    {NULL, NULL, NULL, NULL, 0}};
