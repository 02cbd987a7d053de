/* prepare_test.c: codecs and the preparation without Lua: round trips, line
 * removal against the obvious loop, gray against the same image in colour. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "core/rng.h"
#include "image/prepare.h"

static lm_rng rng = {.seed = 11};

static void fill(uint8_t *px, int64_t n) {
  for (int64_t i = 0; i < n; i++) px[i] = (uint8_t)lm_rng_below(&rng, 256);
}

static void png_round_trip(void) {
  static uint8_t px[20 * 31 * 4];
  for (int c = 1; c <= 4; c++) {
    if (c == 2) continue;
    lm_bytes out = {0};
    lm_image m;
    lm_err e;
    const lm_decode_options o = {.mode = c == 4 ? LM_MODE_RGBA : LM_MODE_NATIVE};
    fill(px, 20 * 31 * c);
    CHECK(lm_png_encode(px, 20, 31, c, 31 * c, 6, &out, &e));
    CHECK(lm_image_decode(lm_bytes_data(&out), out.size, &o, &m, &e));
    CHECK(m.height == 20 && m.width == 31 && m.channels == c);
    CHECK(memcmp(m.buffer->data, px, (size_t)(20 * 31 * c)) == 0);
    lm_buffer_release(m.buffer);
    lm_bytes_free(&out);
  }
}

static void remove_lines(void) {
  enum { H = 13, W = 17, C = 3, STRIDE = 60 };
  static uint8_t px[H * STRIDE], want[H * STRIDE];
  for (int round = 0; round < 200; round++) {
    int32_t rows[H], cols[W];
    int64_t nr = 0, nc = 0, y2 = 0;
    fill(px, sizeof px);
    for (int32_t y = 0; y < H; y++)
      if (lm_rng_below(&rng, 4) == 0) rows[nr++] = y;
    for (int32_t x = 0; x < W; x++)
      if (lm_rng_below(&rng, 3) == 0) cols[nc++] = x;
    for (int64_t y = 0, r = 0; y < H; y++) {
      if (r < nr && rows[r] == y) {
        r++;
        continue;
      }
      for (int64_t x = 0, c = 0, x2 = 0; x < W; x++) {
        if (c < nc && cols[c] == x)
          c++;
        else
          memcpy(want + y2 * STRIDE + C * x2++, px + y * STRIDE + C * x, C);
      }
      y2++;
    }
    lm_remove_lines(px, H, W, C, STRIDE, rows, nr, cols, nc);
    CHECK(y2 == H - nr);
    for (int64_t y = 0; y < y2; y++)
      CHECK(memcmp(px + y * STRIDE, want + y * STRIDE, (size_t)((W - nc) * C)) == 0);
  }
}

/* A gray image and the same one with R = G = B: the faithful files are equal. */
static void gray_is_colour(void) {
  enum { N = 300 };
  static uint8_t gray[N * N], rgb[N * N * 3];
  for (int bars = 0; bars < 4; bars++) {
    for (int y = 0; y < N; y++)
      for (int x = 0; x < N; x++)
        gray[y * N + x] = y < 3 * bars || x < 5 * bars ? 0 : (uint8_t)lm_rng_below(&rng, 256);
    for (int i = 0; i < N * N; i++) memset(rgb + 3 * i, gray[i], 3);
    for (int faithful = 0; faithful < 2; faithful++) {
      const lm_prepare_options o = {
          .faithful = faithful, .squash = bars & 1, .size = 64, .quality = 95, .level = 40};
      lm_bytes a = {0}, b = {0}, out_a = {0}, out_b = {0}, scratch = {0};
      lm_prepare_report ra, rb;
      lm_err e;
      CHECK(lm_png_encode(gray, N, N, 1, N, 1, &a, &e));
      CHECK(lm_png_encode(rgb, N, N, 3, 3 * N, 1, &b, &e));
      const lm_prepare_outcome x =
          lm_prepare(lm_bytes_data(&a), a.size, &o, &scratch, &out_a, &ra, &e);
      const lm_prepare_outcome y =
          lm_prepare(lm_bytes_data(&b), b.size, &o, &scratch, &out_b, &rb, &e);
      CHECK(x == y && memcmp(&ra, &rb, sizeof ra) == 0);
      CHECK(faithful || x == LM_PREPARE_DONE);
      if (!(bars & 1)) CHECK(ra.rows_removed == 3 * bars && ra.cols_removed == 5 * bars);
      if (faithful)
        CHECK(out_a.size == out_b.size &&
              (out_a.size == 0 ||
               memcmp(lm_bytes_data(&out_a), lm_bytes_data(&out_b), (size_t)out_a.size) == 0));
      lm_bytes *all[] = {&a, &b, &out_a, &out_b, &scratch};
      for (int i = 0; i < 5; i++) lm_bytes_free(all[i]);
    }
  }
}

/* P8: one row more than columns: faithful leaves nothing, mended does. */
static void difference_of_one(void) {
  enum { N = 50 };
  static uint8_t px[N * N];
  memset(px, 200, sizeof px);
  memset(px, 0, N);
  for (int faithful = 0; faithful < 2; faithful++) {
    const lm_prepare_options o = {.faithful = faithful, .size = 32, .quality = 95, .level = 40};
    lm_bytes in = {0}, out = {0}, scratch = {0};
    lm_prepare_report r;
    lm_err e;
    CHECK(lm_png_encode(px, N, N, 1, N, 1, &in, &e));
    CHECK(lm_prepare(lm_bytes_data(&in), in.size, &o, &scratch, &out, &r, &e) ==
          (faithful ? LM_PREPARE_EMPTY : LM_PREPARE_DONE));
    CHECK(r.rows_removed == 1 && r.cols_removed == 0);
    lm_bytes_free(&in);
    lm_bytes_free(&out);
    lm_bytes_free(&scratch);
  }
}

int main(void) {
  png_round_trip();
  remove_lines();
  gray_is_colour();
  difference_of_one();
  CHECK(lm_mem_stats().live == 0);
  return failures != 0;
}
