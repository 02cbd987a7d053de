/* conv.c: the door: shape rules, the choice of algorithm, and the calls. */
#include "kern/conv.h"

#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "core/denormal.h"
#include "kern/conv_direct.h"
#include "kern/conv_gemm.h"
#include "kern/conv_winograd_grad.h"

const char *lm_conv_algo_name(lm_conv_algo a) {
  static const char *const names[] = {"gemm", "winograd4", "winograd6", "direct"};
  return names[a];
}

const char *lm_conv_forced(void) {
  const char *wish = getenv("LUMA_CONV");
  return wish != NULL && *wish != '\0' ? wish : NULL;
}

lm_conv2d lm_conv2d_default(void) {
  return (lm_conv2d){.window = lm_window_default(), .groups = 1};
}

/* Whether algorithm a can do this pass of this shape at all. */
static bool applies(const lm_conv2d *p, lm_conv_pass pass, lm_conv_algo a) {
  const bool winograd = p->window.kernel[0] == 3 && p->window.kernel[1] == 3 &&
                        p->window.stride[0] == 1 && p->window.stride[1] == 1 &&
                        p->window.dilation[0] == 1 && p->window.dilation[1] == 1 && p->groups == 1;
  const bool turnable = p->window.pad[0] <= 2 && p->window.pad[1] <= 2 && p->window.pad[2] <= 2 &&
                        p->window.pad[3] <= 2;
  switch (a) {
    case LM_CONV_GEMM: return true;
    case LM_CONV_WINOGRAD4: return winograd && (pass != LM_CONV_GRAD_INPUT || turnable);
    case LM_CONV_WINOGRAD6:
      return winograd && (pass == LM_CONV_FORWARD || (pass == LM_CONV_GRAD_INPUT && turnable));
    case LM_CONV_DIRECT:
      return (pass == LM_CONV_FORWARD && lm_conv_direct_depthwise(p)) ||
             (pass != LM_CONV_GRAD_INPUT && lm_conv_direct_shallow(p));
  }
  return false;
}

/* The choice, as `luma bench` measures it.  Below 16 channels vectors run
 * half empty; tiles of 6x6 gain where there are very many of them, and cost a
 * digit of accuracy and twice the weights elsewhere. */
static bool has_channels(const lm_conv2d *p) {
  return p->c >= 16 && p->k >= 16;
}
static bool is_large(const lm_conv2d *p) {
  return has_channels(p) && lm_min64(p->oh, p->ow) >= 192;
}
static bool has_few_inputs(const lm_conv2d *p) {
  return lm_cpu_isa() != LM_ISA_PLAIN && p->c <= 8 && p->k >= 8;
}
static bool always(const lm_conv2d *p) {
  (void)p;
  return true;
}

const lm_conv_rule lm_conv_rules[] = {
    {"depthwise, forward", LM_CONV_DIRECT, "too little work a byte for products",
     lm_conv_direct_depthwise},
    {"up to 8 input channels, 8 output channels or more, kernel up to 11x11, stride up to 4, "
     "with AVX2 or AVX-512, forward and weight gradient",
     LM_CONV_DIRECT, "summed in registers; im2col would write more than it reads", has_few_inputs},
    {"3x3 stride 1, 16 channels or more, 192 outputs a side or more; not the weight gradient",
     LM_CONV_WINOGRAD6, "a fifth of the multiplications", is_large},
    {"3x3 stride 1, 16 channels or more; every gradient", LM_CONV_WINOGRAD4,
     "a quarter of the multiplications", has_channels},
    {"everything else", LM_CONV_GEMM, "im2col blocks through sgemm; 1x1 needs no im2col", always},
    {NULL, LM_CONV_GEMM, NULL, NULL}};

static lm_conv_algo choose(const lm_conv2d *p, lm_conv_pass pass) {
  const char *forced = lm_conv_forced();
  for (int a = LM_CONV_GEMM; forced != NULL && a <= LM_CONV_DIRECT; a++)
    if (strncmp(lm_conv_algo_name((lm_conv_algo)a), forced, strlen(forced)) == 0 &&
        applies(p, pass, (lm_conv_algo)a))
      return (lm_conv_algo)a;
  for (const lm_conv_rule *r = lm_conv_rules; r->when != NULL; r++)
    if (applies(p, pass, r->algo) && r->fits(p)) return r->algo;
  return LM_CONV_GEMM;
}

bool lm_conv2d_plan(lm_conv2d *p, const lm_shape *x, const lm_shape *w, const lm_shape *b,
                    lm_err *e) {
  char text[LM_SHAPE_TEXT];
  if (x->rank != 4)
    return lm_fail_arg(e, 1, LM_E_SHAPE, "input must have rank 4 (n, h, w, c), got %s",
                       lm_shape_text(x, text));
  if (w->rank != 4)
    return lm_fail_arg(e, 2, LM_E_SHAPE, "weight must have rank 4 (kh, kw, c, k), got %s",
                       lm_shape_text(w, text));
  p->n = x->size[0], p->h = x->size[1], p->w = x->size[2], p->c = x->size[3];
  p->window.kernel[0] = w->size[0], p->window.kernel[1] = w->size[1], p->k = w->size[3];
  if (p->window.kernel[0] < 1 || p->window.kernel[1] < 1)
    return lm_fail_arg(e, 2, LM_E_SHAPE, "weight %s has an empty kernel", lm_shape_text(w, text));
  if (p->groups < 1 || p->c % p->groups != 0 || p->k % p->groups != 0)
    return lm_fail_arg(e, 2, LM_E_SHAPE,
                       "%lld groups do not divide %lld input and %lld output channels",
                       (long long)p->groups, (long long)p->c, (long long)p->k);
  if (w->size[2] * p->groups != p->c)
    return lm_fail_arg(e, 2, LM_E_SHAPE, "weight expects %lld channels%s, input has %lld",
                       (long long)w->size[2], p->groups > 1 ? " a group" : "", (long long)p->c);
  if (b != NULL && (b->rank != 1 || b->size[0] != p->k))
    return lm_fail_arg(e, 3, LM_E_SHAPE, "bias must have shape [%lld], got %s", (long long)p->k,
                       lm_shape_text(b, text));
  p->oh = lm_window_out(&p->window, 0, p->h);
  p->ow = lm_window_out(&p->window, 1, p->w);
  if (p->oh == 0 || p->ow == 0)
    return lm_fail_arg(e, 2, LM_E_SHAPE,
                       "kernel %lldx%lld with dilation %lldx%lld does not fit input %lldx%lld with "
                       "padding {%lld, %lld, %lld, %lld}",
                       (long long)p->window.kernel[0], (long long)p->window.kernel[1],
                       (long long)p->window.dilation[0], (long long)p->window.dilation[1],
                       (long long)p->h, (long long)p->w, (long long)p->window.pad[0],
                       (long long)p->window.pad[1], (long long)p->window.pad[2],
                       (long long)p->window.pad[3]);
  int64_t count;
  const lm_shape y = lm_conv2d_shape_y(p);
  if (!lm_shape_count(&y, &count) || !lm_mul(count, 4, &count))
    return lm_fail(e, LM_E_SHAPE, "output %s is too large", lm_shape_text(&y, text));
  for (int pass = 0; pass < 3; pass++) p->algo[pass] = choose(p, (lm_conv_pass)pass);
  return true;
}

bool lm_conv2d_force(lm_conv2d *p, lm_conv_algo a) {
  bool any = false;
  for (int pass = 0; pass < 3; pass++)
    if (applies(p, (lm_conv_pass)pass, a)) {
      p->algo[pass] = a;
      any = true;
    }
  return any;
}

lm_shape lm_conv2d_shape_x(const lm_conv2d *p) {
  return (lm_shape){4, {p->n, p->h, p->w, p->c}};
}
lm_shape lm_conv2d_shape_w(const lm_conv2d *p) {
  return (lm_shape){4, {p->window.kernel[0], p->window.kernel[1], p->c / p->groups, p->k}};
}
lm_shape lm_conv2d_shape_y(const lm_conv2d *p) {
  return (lm_shape){4, {p->n, p->oh, p->ow, p->k}};
}

/* ---- Winograd: transform the weights into scratch, then run ---- */

static bool is_winograd(lm_conv_algo a) {
  return a == LM_CONV_WINOGRAD4 || a == LM_CONV_WINOGRAD6;
}

lm_winograd lm_conv2d_winograd(const lm_conv2d *p) {
  return (lm_winograd){.m = p->algo[LM_CONV_FORWARD] == LM_CONV_WINOGRAD6 ? 6 : 4,
                       .n = p->n,
                       .h = p->h,
                       .w = p->w,
                       .c = p->c,
                       .top = p->window.pad[0],
                       .left = p->window.pad[1],
                       .oh = p->oh,
                       .ow = p->ow,
                       .k = p->k,
                       .relu = p->relu};
}

/* dx is the convolution of dy with the turned kernel; what was padded is cut. */
static lm_winograd gradient_winograd(const lm_conv2d *p) {
  return (lm_winograd){.m = p->algo[LM_CONV_GRAD_INPUT] == LM_CONV_WINOGRAD6 ? 6 : 4,
                       .n = p->n,
                       .h = p->oh,
                       .w = p->ow,
                       .c = p->k,
                       .top = 2 - p->window.pad[0],
                       .left = 2 - p->window.pad[1],
                       .oh = p->h,
                       .ow = p->w,
                       .k = p->c};
}

int64_t lm_conv2d_scratch(const lm_conv2d *p, lm_conv_pass pass) {
  if (p->algo[pass] == LM_CONV_DIRECT)
    return pass == LM_CONV_FORWARD ? lm_conv_direct_scratch(p) : lm_conv_direct_grad_scratch(p);
  if (!is_winograd(p->algo[pass])) return lm_conv_gemm_scratch(p, pass);
  const lm_winograd g = pass == LM_CONV_GRAD_INPUT ? gradient_winograd(p) : lm_conv2d_winograd(p);
  if (pass == LM_CONV_GRAD_WEIGHT) return lm_winograd_grad_scratch(&g);
  const int64_t turned = pass == LM_CONV_GRAD_INPUT ? 9 * p->c * p->k * (int64_t)sizeof(float) : 0;
  return lm_winograd_weight_floats(g.m, g.c, g.k) * (int64_t)sizeof(float) +
         lm_winograd_scratch(&g) + turned;
}

bool lm_conv2d_fwd(const lm_conv2d *p, const float *x, const float *w, const float *b,
                   void *scratch, float *y) {
  LM_FLUSH_DENORMALS;
  if (p->algo[LM_CONV_FORWARD] == LM_CONV_DIRECT) return lm_conv_direct_fwd(p, x, w, b, scratch, y);
  if (!is_winograd(p->algo[LM_CONV_FORWARD])) return lm_conv_gemm_fwd(p, x, w, b, scratch, y);
  const lm_winograd g = lm_conv2d_winograd(p);
  float *u = scratch, *rest = u + lm_winograd_weight_floats(g.m, g.c, g.k);
  return lm_winograd_weights(g.m, g.c, g.k, w, u) && lm_winograd_run(&g, x, u, b, rest, y);
}

bool lm_conv2d_bwd_x(const lm_conv2d *p, const float *dy, const float *w, void *scratch,
                     float *dx) {
  LM_FLUSH_DENORMALS;
  if (!is_winograd(p->algo[LM_CONV_GRAD_INPUT])) return lm_conv_gemm_bwd_x(p, dy, w, scratch, dx);
  const lm_winograd g = gradient_winograd(p);
  float *u = scratch, *rest = u + lm_winograd_weight_floats(g.m, g.c, g.k),
        *turned = rest + lm_winograd_scratch(&g) / (int64_t)sizeof(float);
  return lm_winograd_turn(p->c, p->k, w, turned) && lm_winograd_weights(g.m, g.c, g.k, turned, u) &&
         lm_winograd_run(&g, dy, u, NULL, rest, dx);
}

bool lm_conv2d_bwd_w(const lm_conv2d *p, const float *x, const float *dy, void *scratch,
                     float *dw) {
  LM_FLUSH_DENORMALS;
  if (p->algo[LM_CONV_GRAD_WEIGHT] == LM_CONV_DIRECT)
    return lm_conv_direct_bwd_w(p, x, dy, scratch, dw);
  if (!is_winograd(p->algo[LM_CONV_GRAD_WEIGHT])) return lm_conv_gemm_bwd_w(p, x, dy, scratch, dw);
  const lm_winograd g = lm_conv2d_winograd(p);
  return lm_winograd_grad(&g, x, dy, scratch, dw);
}
