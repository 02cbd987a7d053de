/* image_test.c: the scanner and the resizer on plain memory: against double
 * loops, and against OpenCV's bytes (tests/reference/image_resize.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "image/resize.h"
#include "image/scan.h"
#include "image/warp.h"
#include "image/warp_simd.h"

static int failures;
#define CHECK(cond, ...)                                         \
  do {                                                           \
    if (!(cond)) {                                               \
      failures++;                                                \
      fprintf(stderr, "image_test.c:%d: %s: ", __LINE__, #cond); \
      fprintf(stderr, __VA_ARGS__);                              \
      fputc('\n', stderr);                                       \
    }                                                            \
  } while (0)

static uint64_t state;
static uint8_t next_byte(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (uint8_t)(state >> 56);
}
static uint8_t *pixels(uint64_t seed, int64_t n) {
  uint8_t *p = malloc((size_t)n + 1);
  state = seed;
  for (int64_t i = 0; i < n; i++) p[i] = next_byte();
  return p;
}

/* ---- resize ---- */

typedef struct {
  int seed, h, w, c, oh, ow, method;
  uint64_t hash;
} resize_case;
#include "../reference/image_resize.h"

static void test_resize(void) {
  for (size_t k = 0; k < sizeof resize_cases / sizeof resize_cases[0]; k++) {
    const resize_case *r = &resize_cases[k];
    /* The result sits in a wider buffer: what lies beside it must stay. */
    const int64_t pad = 5, n = (int64_t)r->ow * r->c;
    const lm_resize_size from = {r->h, r->w, (int64_t)r->w * r->c}, to = {r->oh, r->ow, n + pad};
    uint8_t *x = pixels((uint64_t)r->seed, from.stride * r->h);
    uint8_t *y = malloc((size_t)(to.stride * r->oh));
    memset(y, 0xA5, (size_t)(to.stride * r->oh));
    const int64_t bytes = lm_resize_scratch((lm_resize_method)r->method, &from, &to, r->c);
    void *scratch = aligned_alloc(64, (size_t)(bytes + 63) & ~(size_t)63);
    lm_resize_u8((lm_resize_method)r->method, x, &from, y, &to, r->c, scratch);
    uint64_t h = 0xCBF29CE484222325u;
    int spoiled = 0;
    for (int64_t i = 0; i < r->oh; i++) {
      for (int64_t j = 0; j < n; j++) h = (h ^ y[i * to.stride + j]) * 0x100000001B3u;
      for (int64_t j = n; j < to.stride; j++) spoiled += y[i * to.stride + j] != 0xA5;
    }
    CHECK(h == r->hash, "%dx%dx%d -> %dx%d method %d", r->h, r->w, r->c, r->oh, r->ow, r->method);
    CHECK(spoiled == 0, "%d bytes outside the result written", spoiled);
    free(x), free(y), free(scratch);
  }
  lm_err e;
  const lm_resize_size none = {0, 4, 4}, some = {4, 4, 4};
  CHECK(!lm_resize_check(&none, &some, 1, &e), "height 0 accepted");
  CHECK(!lm_resize_check(&some, &none, 1, &e), "height 0 accepted");
  CHECK(!lm_resize_check(&some, &some, 0, &e), "0 channels accepted");
}

/* ---- the scanner ---- */

static void test_scan(void) {
  static const int sizes[][2] = {{0, 0},   {0, 5},     {5, 0},    {1, 1},    {1, 64},
                                 {3, 63},  {2, 65},    {7, 127},  {300, 17}, {16, 16},
                                 {33, 33}, {600, 200}, {40, 192}, {9, 193}};
  static const double levels[] = {40, 20, 84.5, 0, 256, 40.01, 99};
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
    for (int c = 1; c <= 4; c += c == 1 ? 2 : 1)
      for (size_t l = 0; l < sizeof levels / sizeof levels[0]; l++) {
        const int h = sizes[s][0], w = sizes[s][1], stride = w * c + 3;
        uint8_t *x = pixels(s * 100 + l, (int64_t)h * stride);
        if (l % 2 == 0)
          for (int i = 0; i < h * stride; i++) x[i] /= 3;
        int32_t *rows = malloc(4 * (size_t)(h + 1)), *cols = malloc(4 * (size_t)(w + 1));
        void *scratch = malloc((size_t)lm_scan_scratch(w));
        lm_scan_black(x, h, w, c, stride, levels[l], rows, cols, scratch);
        int wrong = 0;
        for (int j = 0; j < w; j++) {
          int n = 0;
          for (int i = 0; i < h; i++) {
            const uint8_t *p = x + i * stride + j * c;
            n += c == 1 ? p[0] < levels[l] : p[0] + p[1] + p[2] < 3 * levels[l];
          }
          wrong += n != cols[j];
        }
        int64_t by_row = 0, by_col = 0;
        for (int i = 0; i < h; i++) {
          int n = 0;
          for (int j = 0; j < w; j++) {
            const uint8_t *p = x + i * stride + j * c;
            n += c == 1 ? p[0] < levels[l] : p[0] + p[1] + p[2] < 3 * levels[l];
          }
          wrong += n != rows[i];
          by_row += rows[i];
        }
        for (int j = 0; j < w; j++) by_col += cols[j];
        CHECK(wrong == 0 && by_row == by_col, "%dx%dx%d level %g: %d counts", h, w, c, levels[l],
              wrong);
        free(x), free(rows), free(cols), free(scratch);
      }
}

static void test_threshold(void) {
  uint8_t px[6] = {39, 40, 40, 40, 40, 40}, scratch[80]; /* sums 119 and 120 */
  int32_t rows[1], cols[2];
  lm_scan_black(px, 1, 2, 3, 6, 40, rows, cols, scratch);
  CHECK(cols[0] == 1 && cols[1] == 0, "119 is black, 120 is not: %d %d", cols[0], cols[1]);
}

/* ---- bars ---- */

static void test_bars(void) {
  static int32_t counts[1024], out[1024];
  /* 198..209 black: P5's vector. */
  for (int i = 198; i <= 209; i++) counts[i] = 1024;
  static const int32_t survivors[] = {198, 199, 201, 203, 205, 207, 209};
  int64_t n = lm_bars_find(counts, 1024, 1024, 200, 800, true, out);
  CHECK(n == 7 && memcmp(out, survivors, sizeof survivors) == 0, "%d survivors", (int)n);
  n = lm_bars_find(counts, 1024, 1024, 200, 800, false, out);
  CHECK(n == 2 && out[0] == 198 && out[1] == 199, "fixed: %d", (int)n);
  for (int i = 0; i < 1024; i++) counts[i] = 1024;
  CHECK(lm_bars_find(counts, 1024, 1024, 200, 800, true, out) == 723, "all black, faithful");
  CHECK(lm_bars_find(counts, 1024, 1024, 200, 800, false, out) == 423, "all black, fixed");
  counts[0] = 512;
  counts[1] = 513;
  lm_bars_find(counts, 2, 1024, 1, 0, false, out);
  CHECK(out[0] == 1, "512 of 1024 is not a bar, 513 is");
}

static void test_square(void) {
  static const struct {
    int h, w, rows, cols;
    bool faithful;
    lm_square want;
  } cases[] = {
      {10, 8, 0, 2, true, {1, 0, 8, 8, true}},  {10, 7, 0, 3, true, {1, 0, 7, 7, true}},
      {8, 8, 2, 2, true, {0, 0, 8, 8, true}},   {10, 9, 0, 1, true, {0, 0, 0, 9, false}},
      {9, 10, 1, 0, true, {0, 0, 9, 0, false}}, {7, 10, 3, 0, true, {0, 1, 7, 7, true}},
      {10, 9, 0, 1, false, {0, 0, 9, 9, true}}, {7, 10, 3, 0, false, {0, 1, 7, 7, true}},
      {0, 9, 0, 1, false, {0, 4, 0, 0, false}}, {30, 50, 0, 0, true, {0, 0, 30, 50, false}},
  };
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    const lm_square s =
        lm_bars_square(cases[k].h, cases[k].w, cases[k].rows, cases[k].cols, cases[k].faithful);
    const lm_square *t = &cases[k].want;
    CHECK(s.top == t->top && s.left == t->left && s.height == t->height && s.width == t->width &&
              s.square == t->square,
          "case %d: %d,%d %dx%d %d", (int)k, (int)s.top, (int)s.left, (int)s.height, (int)s.width,
          s.square);
  }
}

/* ---- the warp: every instruction set gives the same bits ---- */

#if defined(__x86_64__)
static void same_bits(lm_warp_find find_a, lm_warp_mix mix_a, lm_warp_find find_b,
                      lm_warp_mix mix_b) {
  static const int sizes[][3] = {{1, 2, 1},  {2, 2, 3},    {5, 7, 128},
                                 {9, 3, 17}, {40, 31, 94}, {3, 200, 127}};
  for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
    const int h = sizes[s][0], w = sizes[s][1], n = sizes[s][2], values = h * w * 3;
    /* Exactly as large as it must be: the sanitizer sees a read beyond. */
    uint8_t *bytes = malloc((size_t)values);
    float *floats = malloc((size_t)values * sizeof *floats);
    state = s;
    for (int i = 0; i < values; i++) bytes[i] = next_byte(), floats[i] = (float)bytes[i] / 7;
    for (int turn = 0; turn < 12; turn++) {
      const double slope = (turn - 6) * 0.37;
      const lm_warp_line line = {
          turn - 3.0,           slope * 0.1,       0.4, -2.0, 1 - slope * 0.2, turn * 0.9,
          turn % 2 ? n - 1 : 0, turn % 2 ? -1 : 1, h,   w};
      static lm_warp_points a, b;
      find_a(&line, n, &a);
      find_b(&line, n, &b);
      const size_t d = (size_t)n * sizeof(double), f = (size_t)n * sizeof(float);
      CHECK(memcmp(a.r, b.r, d) == 0 && memcmp(a.c, b.c, d) == 0 && memcmp(a.at, b.at, d) == 0 &&
                memcmp(a.fr, b.fr, f) == 0 && memcmp(a.fc, b.fc, f) == 0,
            "points of %dx%d, turn %d", h, w, turn);
      for (int kind = 0; kind < 3; kind++) {
        const bool in8 = kind > 0, out8 = kind == 2;
        const size_t size = (size_t)n * 3 * (out8 ? 1 : 4);
        char *ya = malloc(size), *yb = malloc(size);
        mix_a(in8 ? (void *)bytes : (void *)floats, h, w, in8, out8, &a, n, ya);
        mix_b(in8 ? (void *)bytes : (void *)floats, h, w, in8, out8, &b, n, yb);
        CHECK(memcmp(ya, yb, size) == 0, "pixels of %dx%d, turn %d, kind %d", h, w, turn, kind);
        free(ya), free(yb);
      }
    }
    free(bytes), free(floats);
  }
}

static void test_warp_isa(void) {
  const lm_isa best = lm_cpu_isa();
  if (best >= LM_ISA_AVX2)
    same_bits(lm_warp_find_plain, lm_warp_mix_plain, lm_warp_find_avx2, lm_warp_mix_avx2);
  if (best >= LM_ISA_AVX512)
    same_bits(lm_warp_find_plain, lm_warp_mix_plain, lm_warp_find_avx512, lm_warp_mix_avx512);
}
#else
static void test_warp_isa(void) {}
#endif

int main(void) {
  test_warp_isa();
  test_resize();
  test_scan();
  test_threshold();
  test_bars();
  test_square();
  return failures != 0;
}
