/* tensor_test.c: shapes, broadcasting, views, conversion, overlap, walks. */
#include "core/tensor.h"

#include <math.h>
#include <string.h>

#include "check.h"
#include "core/walk.h"

static lm_shape shape(int rank, int64_t a, int64_t b, int64_t c) {
  return (lm_shape){.rank = rank, .size = {a, b, c}};
}

static void counts(void) {
  int64_t n;
  lm_shape s = shape(3, 2, 3, 4), huge = shape(2, INT64_MAX, 2, 0),
           empty = shape(3, 0, INT64_MAX, 9);
  CHECK(lm_shape_count(&s, &n) && n == 24);
  CHECK(!lm_shape_count(&huge, &n));
  CHECK(lm_shape_count(&empty, &n) && n == 0);
  const lm_shape scalar = {0};
  CHECK(lm_shape_count(&scalar, &n) && n == 1);
  char text[LM_SHAPE_TEXT];
  CHECK(strcmp(lm_shape_text(&s, text), "[2x3x4]") == 0);
  CHECK(strcmp(lm_shape_text(&scalar, text), "[]") == 0);
  lm_shape longest = {.rank = LM_MAXRANK};
  for (int d = 0; d < LM_MAXRANK; d++) longest.size[d] = INT64_MAX;
  CHECK(strlen(lm_shape_text(&longest, text)) < LM_SHAPE_TEXT);
}

static void broadcasts(void) {
  lm_err e = {0};
  lm_shape out, a = shape(3, 2, 1, 4), b = shape(2, 3, 1, 0), bad = shape(2, 3, 5, 0);
  CHECK(lm_shape_broadcast(&a, &b, &out, &e) && out.rank == 3);
  CHECK(out.size[0] == 2 && out.size[1] == 3 && out.size[2] == 4);
  CHECK(!lm_shape_broadcast(&a, &bad, &out, &e) && e.code == LM_E_SHAPE);
  CHECK(strstr(e.msg, "[2x1x4]") != NULL && strstr(e.msg, "[3x5]") != NULL);
  lm_shape zero = shape(1, 0, 0, 0), one = shape(1, 1, 0, 0), two = shape(1, 2, 0, 0);
  CHECK(lm_shape_broadcast(&zero, &one, &out, &e) && out.size[0] == 0);
  CHECK(!lm_shape_broadcast(&zero, &two, &out, &e));
}

static void converts(void) {
  lm_err e;
  const double in[] = {-1.0, 0.5, 1.5, 2.5, 254.6, 300.0, NAN, INFINITY, -INFINITY, 3e9, -3e9};
  const int n = sizeof in / sizeof in[0];
  const int want_u8[] = {0, 0, 2, 2, 255, 255, 0, 255, 0, 255, 0};
  const int32_t want_i32[] = {-1, 0, 2, 2, 255, 300, 0, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN};
  lm_tensor x, f, u, i;
  const lm_shape s = shape(1, n, 0, 0);
  CHECK(lm_tensor_new(&x, LM_F64, &s, &e) && lm_tensor_new(&f, LM_F32, &s, &e));
  CHECK(lm_tensor_new(&u, LM_U8, &s, &e) && lm_tensor_new(&i, LM_I32, &s, &e));
  memcpy(lm_f64(&x), in, sizeof in);
  lm_tensor_copy(&x, &f);
  for (int from = 0; from < 2; from++) {
    lm_tensor_copy(from ? &f : &x, &u);
    lm_tensor_copy(from ? &f : &x, &i);
    for (int k = 0; k < n; k++) CHECK(lm_u8(&u)[k] == want_u8[k] && lm_i32(&i)[k] == want_i32[k]);
  }
  lm_tensor_copy(&i, &u);
  CHECK(lm_u8(&u)[0] == 0 && lm_u8(&u)[5] == 255);
  lm_tensor_close(&x);
  lm_tensor_close(&x); /* twice is fine */
  lm_tensor_close(&f);
  lm_tensor_close(&u);
  lm_tensor_close(&i);
}

/* Copies between views of every kind, against one element at a time. */
static void copies_views(void) {
  lm_err e;
  lm_tensor base, out;
  const lm_shape s = shape(3, 5, 6, 7);
  CHECK(lm_tensor_new(&base, LM_F32, &s, &e));
  for (int64_t k = 0; k < 210; k++) lm_f32(&base)[k] = (float)k;
  for (int kind = 0; kind < 5; kind++) {
    lm_tensor v = base;
    const int order[] = {2, 0, 1};
    if (kind == 1) lm_tensor_permute(&base, order, &v);
    if (kind == 2) lm_tensor_narrow(&base, 1, 2, 3, &v);
    if (kind == 3) lm_tensor_step(&base, 2, 3, &v);
    if (kind == 4) lm_tensor_select(&base, 1, 4, &v);
    CHECK(lm_tensor_new(&out, LM_F64, &v.shape, &e));
    lm_tensor_copy(&v, &out);
    const int64_t n = lm_tensor_count(&v);
    for (int64_t k = 0; k < n; k++) CHECK(lm_f64(&out)[k] == lm_tensor_get(&v, k));
    lm_tensor_close(&out);
  }
  CHECK(lm_tensor_contiguous(&base));
  lm_tensor a, b;
  lm_tensor_narrow(&base, 0, 0, 2, &a);
  lm_tensor_narrow(&base, 0, 2, 2, &b);
  CHECK(!lm_tensor_overlap(&a, &b));
  lm_tensor_narrow(&base, 0, 1, 2, &b);
  CHECK(lm_tensor_overlap(&a, &b) && !lm_tensor_same_view(&a, &b));
  CHECK(lm_tensor_same_view(&a, &a));
  lm_tensor_fill(&b, 7.0);
  CHECK(lm_f32(&base)[42] == 7.0f && lm_f32(&base)[41] == 41.0f && lm_f32(&base)[126] == 126.0f);
  lm_tensor_close(&base);
}

static void too_large(void) {
  lm_err e = {0};
  lm_tensor t;
  lm_shape s = shape(3, (int64_t)1 << 31, (int64_t)1 << 31, 4);
  CHECK(!lm_tensor_new(&t, LM_U8, &s, &e) && e.code == LM_E_SHAPE && t.buffer == NULL);
  s = shape(1, (int64_t)1 << 61, 0, 0);
  CHECK(!lm_tensor_new(&t, LM_F64, &s, &e) && e.code == LM_E_SHAPE);
  CHECK(!lm_tensor_new(&t, LM_U8, &s, &e) && e.code == LM_E_MEMORY);
}

static void count_row(const void *context, char *const p[LM_WALK_MAX],
                      const int64_t stride[LM_WALK_MAX], int64_t n) {
  (void)context;
  for (int64_t i = 0; i < n; i++) ((float *)(void *)p[0])[i * stride[0]] += 1.0f;
}

/* A walk visits every element once, whatever the grain cuts. */
static void walks(void) {
  lm_err e;
  const lm_shape s = shape(3, 11, 13, 3);
  lm_tensor t;
  CHECK(lm_tensor_new(&t, LM_F32, &s, &e));
  for (int64_t grain = 1; grain < 500; grain += 37) {
    const int order[] = {1, 2, 0};
    lm_tensor v;
    lm_tensor_fill(&t, 0.0);
    lm_tensor_permute(&t, order, &v);
    lm_walk w;
    lm_walk_plan(&w, 1, (const lm_tensor *const[]){&v});
    CHECK(lm_walk_run(&w, grain, count_row, NULL));
    for (int64_t k = 0; k < lm_tensor_count(&t); k++) CHECK(lm_f32(&t)[k] == 1.0f);
  }
  lm_tensor_close(&t);
}

int main(void) {
  counts();
  broadcasts();
  converts();
  copies_views();
  too_large();
  walks();
  const lm_mem m = lm_mem_stats();
  CHECK(m.live == 0 && m.buffers == 0);
  return failures != 0;
}
