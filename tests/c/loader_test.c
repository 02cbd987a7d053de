/* loader_test.c: one sample through the loader, without Lua: pixels in memory,
 * files through a reader that lies, and drawn radiographs on two threads. */
#include "image/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/codec.h"
#include "image/phantom.h"

static int bad;
#define CHECK(cond)                                     \
  do {                                                  \
    if (!(cond)) {                                      \
      printf("%s:%d: %s\n", __FILE__, __LINE__, #cond); \
      bad = 1;                                          \
    }                                                   \
  } while (0)

enum { H = 5, W = 7 };

/* Reads "N": a PNG of N pixels a side, or what its name says. */
static bool read_fake(const char *path, int64_t max_bytes, lm_bytes *out, lm_err *e) {
  (void)max_bytes;
  if (strcmp(path, "absent") == 0) return lm_fail(e, LM_E_IO, "absent: no such file");
  if (strcmp(path, "text") == 0) return lm_bytes_append(out, "hello", 5, e);
  const int n = atoi(path);
  uint8_t *pixels = calloc((size_t)(n * n), 1);
  for (int i = 0; i < n * n; i++) pixels[i] = (uint8_t)(i * 37);
  const bool ok = lm_png_encode(pixels, n, n, 1, n, 1, out, e);
  free(pixels);
  return ok;
}

static lm_load_plan plan_of(bool bytes) {
  return (lm_load_plan){.height = H, .width = W, .channels = 3, .bytes = bytes, .read = read_fake};
}

static void test_memory_pixels(void) {
  uint8_t pixels[H * W], out[H * W * 3];
  for (int i = 0; i < H * W; i++) pixels[i] = (uint8_t)(i * 7);
  lm_load_item item = {.pixels = pixels, .from = {H, W, 1}};
  lm_load_batch b = {.plan = plan_of(true), .items = &item, .out = out};
  lm_load_sample(&b, 0, 0);
  CHECK(!item.failed);
  for (int i = 0; i < H * W * 3; i++) CHECK(out[i] == pixels[i / 3]);
  float scaled[H * W * 3];
  b = (lm_load_batch){.plan = plan_of(false), .items = &item, .out = scaled};
  item.warped = true;
  item.warp = lm_warp_identity();
  item.warp.flip_h = true;
  lm_load_sample(&b, 0, 0);
  for (int i = 0; i < H; i++)
    for (int j = 0; j < W; j++)
      CHECK(scaled[(i * W + j) * 3] == (float)pixels[i * W + W - 1 - j] / 255.0f);
}

static void test_failures(void) {
  uint8_t out[4][H * W * 3];
  lm_load_item items[4] = {{.path = "9"}, {.path = "absent"}, {.path = "text"}, {.path = "9"}};
  items[3].warped = true;
  items[3].warp = lm_warp_identity();
  items[3].warp.m[2] = 1.0 / 0.0;
  const int64_t live = lm_mem_stats().live;
  memset(out, 1, sizeof out);
  lm_load_batch b = {.plan = plan_of(true), .items = items, .out = out};
  CHECK(lm_parallel(4, lm_load_sample, &b));
  CHECK(!items[0].failed);
  CHECK(items[1].failed && items[1].err.code == LM_E_IO);
  CHECK(items[2].failed && items[2].err.code == LM_E_UNSUPPORTED);
  CHECK(items[3].failed);
  for (int i = 1; i < 4; i++) CHECK(out[i][0] == 0 && out[i][H * W * 3 - 1] == 0);
  CHECK(lm_mem_stats().live == live);
  b.cancel = true;
  out[0][0] = 77;
  lm_load_sample(&b, 0, 0);
  CHECK(out[0][0] == 77);
}

/* Every allocation fails once: the sample says so, nothing leaks. */
static void test_memory_faults(void) {
  uint8_t out[H * W * 3];
  const int64_t live = lm_mem_stats().live;
  int n = 1;
  for (; n < 100; n++) {
    lm_load_item item = {.path = "9", .warped = true, .warp = lm_warp_identity()};
    lm_load_batch b = {.plan = plan_of(true), .items = &item, .out = out};
    lm_mem_fail_nth(n, false);
    lm_load_sample(&b, 0, 0);
    lm_mem_fail_nth(0, false);
    CHECK(lm_mem_stats().live == live);
    if (!item.failed) break;
    CHECK(item.err.code == LM_E_MEMORY);
  }
  CHECK(n > 3 && n < 100);
}

static void test_phantom(void) {
  enum { N = 96 };
  uint8_t *one = malloc(N * N), *two = malloc(N * N);
  void *scratch = malloc((size_t)lm_phantom_scratch());
  lm_phantom p = {
      .seed = 1, .patient = 2, .image = 3, .size = N, .opacity = 0.7, .top = 9, .right = 11};
  lm_err e;
  CHECK(lm_phantom_check(&p, &e));
  lm_phantom_draw(&p, one, scratch);
  memset(scratch, 255, (size_t)lm_phantom_scratch()); /* what lies there does not matter */
  lm_phantom_draw(&p, two, scratch);
  CHECK(memcmp(one, two, N * N) == 0);
  for (int i = 0; i < N; i++) CHECK(one[i] < 8 && one[i * N + N - 1] < 8);
  p.size = 63;
  CHECK(!lm_phantom_check(&p, &e));
  p = (lm_phantom){.size = 64, .opacity = 0.0 / 0.0};
  CHECK(!lm_phantom_check(&p, &e));
  free(one);
  free(two);
  free(scratch);
}

int main(void) {
  test_memory_pixels();
  test_failures();
  test_memory_faults();
  test_phantom();
  return bad;
}
