/* ops_color.c: the border of the image operations that change what the
 * channels say: light, colour, and the scaling that networks want. */
#include <string.h>

#include "image/color.h"
#include "lua/image.h"

typedef struct {
  double amount;
  lm_scale scale;
  int64_t out; /* channels of the result */
} change;

static void need_channels(lua_State *L, const luma_images *x, int64_t want) {
  char text[LM_SHAPE_TEXT];
  if (x->c != want)
    luma_argerror(L, 1, "image with %lld channels expected, got %s", (long long)want,
                  lm_shape_text(&x->t->shape, text));
}

/* A result like x but with c channels and maybe another type; runs fn. */
static int run(lua_State *L, const luma_images *x, lm_dtype dtype, luma_image_fn fn,
               const change *how) {
  lm_shape shape = x->t->shape;
  if (how->out != x->c) {
    shape = luma_imageshape(x, x->h, x->w, how->out);
    if (shape.rank == 2 && how->out > 1) shape.size[shape.rank++] = how->out;
  }
  const lm_tensor *y = luma_newtensor(L, dtype, &shape);
  luma_eachimage(L, x, y, fn, how);
  return 1;
}

/* ---- light ---- */

static void run_contrast(const void *context, const luma_images *x, const void *src,
                         const lm_tensor *y, void *dst) {
  const change *how = context;
  if (y->dtype == LM_U8)
    lm_contrast_u8(src, x->h * x->w, x->c, how->amount, dst);
  else
    lm_contrast_f32(src, x->h * x->w, x->c, how->amount, dst);
}

static int l_adjust_contrast(lua_State *L) {
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  const change how = {.amount = luma_checkfinite(L, 2, "factor"), .out = x.c};
  return run(L, &x, x.t->dtype, run_contrast, &how);
}

static void run_brightness(const void *context, const luma_images *x, const void *src,
                           const lm_tensor *y, void *dst) {
  const change *how = context;
  if (y->dtype == LM_U8)
    lm_brightness_u8(src, x->h * x->w * x->c, how->amount, dst);
  else
    lm_brightness_f32(src, x->h * x->w * x->c, how->amount, dst);
}

static int l_adjust_brightness(lua_State *L) {
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  const change how = {.amount = luma_checkfinite(L, 2, "delta"), .out = x.c};
  return run(L, &x, x.t->dtype, run_brightness, &how);
}

/* ---- colour ---- */

static void run_saturation(const void *context, const luma_images *x, const void *src,
                           const lm_tensor *y, void *dst) {
  const change *how = context;
  if (y->dtype == LM_U8)
    lm_saturation_u8(src, x->h * x->w, how->amount, dst);
  else
    lm_saturation_f32(src, x->h * x->w, how->amount, dst);
}

static int l_adjust_saturation(lua_State *L) {
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  need_channels(L, &x, 3);
  const change how = {.amount = luma_checkfinite(L, 2, "factor"), .out = 3};
  return run(L, &x, x.t->dtype, run_saturation, &how);
}

static void run_to_hsv(const void *context, const luma_images *x, const void *src,
                       const lm_tensor *y, void *dst) {
  (void)context, (void)y;
  lm_rgb_to_hsv(src, x->h * x->w, dst);
}

static void run_to_rgb(const void *context, const luma_images *x, const void *src,
                       const lm_tensor *y, void *dst) {
  (void)context, (void)y;
  lm_hsv_to_rgb(src, x->h * x->w, dst);
}

static int l_rgb_to_hsv(lua_State *L) {
  const luma_images x = luma_checkimages(L, 1, luma_floatpixels);
  need_channels(L, &x, 3);
  const change how = {.out = 3};
  return run(L, &x, LM_F32, run_to_hsv, &how);
}

static int l_hsv_to_rgb(lua_State *L) {
  const luma_images x = luma_checkimages(L, 1, luma_floatpixels);
  need_channels(L, &x, 3);
  const change how = {.out = 3};
  return run(L, &x, LM_F32, run_to_rgb, &how);
}

static void run_gray(const void *context, const luma_images *x, const void *src, const lm_tensor *y,
                     void *dst) {
  (void)context;
  if (y->dtype == LM_U8)
    lm_gray_u8(src, x->h * x->w, dst);
  else
    lm_gray_f32(src, x->h * x->w, dst);
}

static int l_rgb_to_gray(lua_State *L) {
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  need_channels(L, &x, 3);
  const change how = {.out = 1};
  return run(L, &x, x.t->dtype, run_gray, &how);
}

static void run_swap(const void *context, const luma_images *x, const void *src, const lm_tensor *y,
                     void *dst) {
  (void)context;
  lm_swap_red_blue(src, x->h * x->w, x->c, lm_dtypes[y->dtype].size, dst);
}

static int l_swap_red_blue(lua_State *L) {
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  if (x.c != 4) need_channels(L, &x, 3);
  const change how = {.out = x.c};
  return run(L, &x, x.t->dtype, run_swap, &how);
}

/* ---- scaling ---- */

static void run_scale(const void *context, const luma_images *x, const void *src,
                      const lm_tensor *y, void *dst) {
  (void)y;
  const change *how = context;
  if (x->t->dtype == LM_U8)
    lm_scale_u8(how->scale, src, x->h * x->w, x->c, dst, how->out);
  else
    lm_scale_f32(how->scale, src, x->h * x->w, x->c, dst, how->out);
}

static int l_scale_input(lua_State *L) {
  static const char *const keys[] = {"channels", NULL};
  const luma_images x = luma_checkimages(L, 1, luma_pixels);
  const char *name = luaL_optstring(L, 2, "unit");
  luma_checkkeys(L, 3, keys);
  char text[LM_SHAPE_TEXT];
  if (x.c != 1 && x.c != 3 && x.c != 4)
    return luma_argerror(L, 1, "image with 1, 3 or 4 channels expected, got %s",
                         lm_shape_text(&x.t->shape, text));
  change how = {.out = luma_optint(L, 3, "channels", x.c == 1 ? 1 : 3, 1, 3)};
  while (how.scale < LM_NSCALE && strcmp(lm_scale_names[how.scale], name) != 0) how.scale++;
  if (how.scale == LM_NSCALE)
    return luma_argerror(L, 2, "scale must be one of unit, caffe, tf, torch, raw, got '%.40s'",
                         name);
  if (how.out == 2 || (how.out == 1 && x.c != 1))
    return luma_argerror(L, 3, "option channels must be %s, got %d",
                         x.c == 1 ? "1 or 3" : "3 for a colour image", (int)how.out);
  if (how.out == 1 && (how.scale == LM_SCALE_CAFFE || how.scale == LM_SCALE_TORCH))
    return luma_argerror(L, 1,
                         "'%s' scales three channels, the image has 1 (repeat it with "
                         "{channels=3})",
                         name);
  return run(L, &x, LM_F32, run_scale, &how);
}

const luma_op luma_ops_color[];
const luma_op luma_ops_color[] = {
    {"image.adjust_contrast", "(x, factor) -> y",
     "Moves each value away from its channel's mean: (x - mean) * factor + mean, per image and "
     "channel, not clipped on f32 (TensorFlow's adjust_contrast).  u8 works in [0, 1] and is "
     "clamped.",
     l_adjust_contrast, LUMA_FUNCTION},
    {"image.adjust_brightness", "(x, delta) -> y",
     "Adds delta to every value; f32 is not clipped.  On u8 delta is a share of the full range "
     "(-1..1) and the result is clamped.",
     l_adjust_brightness, LUMA_FUNCTION},
    {"image.adjust_saturation", "(x, factor) -> y",
     "Multiplies the saturation of an RGB image (clamped to 0..1) and leaves hue and value alone: "
     "TensorFlow's adjust_saturation.  Gray pixels do not change.",
     l_adjust_saturation, LUMA_FUNCTION},
    {"image.rgb_to_hsv", "(x) -> y",
     "Turns RGB in [0, 1], f32, into hue, saturation and value in [0, 1].", l_rgb_to_hsv,
     LUMA_FUNCTION},
    {"image.hsv_to_rgb", "(x) -> y", "Hue, saturation and value in [0, 1], f32, to RGB.",
     l_hsv_to_rgb, LUMA_FUNCTION},
    {"image.rgb_to_gray", "(x) -> y",
     "Gray as 0.299 R + 0.587 G + 0.114 B, one channel; the bytes of OpenCV's cvtColor on u8.",
     l_rgb_to_gray, LUMA_FUNCTION},
    {"image.swap_red_blue", "(x) -> y",
     "Exchanges the first and third channel: RGB to BGR, or back; a fourth channel stays.",
     l_swap_red_blue, LUMA_FUNCTION},
    {"image.scale_input",
     "(x [, \"unit\"|\"caffe\"|\"tf\"|\"torch\"|\"raw\"] [, {channels=}]) -> y",
     "Pixels of 0..255 (u8 or f32) to what a network was trained on, f32: unit is x / 255 (what "
     "the "
     "article fed VGG19); caffe is BGR minus (103.939, 116.779, 123.68), what VGG19's weights "
     "expect; tf is x / 127.5 - 1; torch is (x / 255 - mean) / deviation of ImageNet; raw only "
     "converts.  channels=3 repeats a gray image.",
     l_scale_input, LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
