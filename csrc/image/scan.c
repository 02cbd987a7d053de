/* scan.c: counting black pixels, choosing the bars, cutting square. */
#include "image/scan.h"

#include <math.h>
#include <string.h>

#include "core/cpu.h"
#include "image/scan_simd.h"

/* ---- counting ---- */

int32_t lm_scan_gray_plain(const uint8_t *px, int64_t w, int limit, uint8_t *col8) {
  const uint8_t top = (uint8_t)(limit - 1);
  int32_t n = 0;
  for (int64_t j = 0; j < w; j++) {
    const uint8_t black = px[j] <= top;
    col8[j] = (uint8_t)(col8[j] + black);
    n += black;
  }
  return n;
}

int32_t lm_scan_rgb_plain(const uint8_t *px, int64_t w, int limit, uint8_t *col8) {
  int32_t n = 0;
  for (int64_t j = 0; j < w; j++) {
    const uint8_t black = px[3 * j] + px[3 * j + 1] + px[3 * j + 2] < limit;
    col8[j] = (uint8_t)(col8[j] + black);
    n += black;
  }
  return n;
}

/* Any pixel size and any limit; the fourth channel is not looked at. */
static int32_t scan_any(const uint8_t *px, int64_t w, int channels, int limit, uint8_t *col8) {
  int32_t n = 0;
  for (int64_t j = 0; j < w; j++, px += channels) {
    const int sum = channels == 1 ? px[0] : px[0] + px[1] + px[2];
    const uint8_t black = sum < limit;
    col8[j] = (uint8_t)(col8[j] + black);
    n += black;
  }
  return n;
}

static lm_scan_row choose(int channels) {
#if defined(__x86_64__)
  switch (lm_cpu_isa()) {
    case LM_ISA_AVX512: return channels == 1 ? lm_scan_gray_avx512 : lm_scan_rgb_avx512;
    case LM_ISA_AVX2: return channels == 1 ? lm_scan_gray_avx2 : lm_scan_rgb_avx2;
    case LM_ISA_PLAIN: break;
  }
#endif
  return channels == 1 ? lm_scan_gray_plain : lm_scan_rgb_plain;
}

int64_t lm_scan_scratch(int64_t w) {
  return w + 64;
}

void lm_scan_black(const uint8_t *px, int64_t h, int64_t w, int channels, int64_t stride,
                   double level, int32_t *rows, int32_t *cols, void *scratch) {
  uint8_t *col8 = scratch; /* 8-bit column counts, emptied every 255 rows */
  memset(cols, 0, (size_t)w * sizeof *cols);
  /* sum < k * level over whole numbers is sum < ceil(k * level). */
  const int parts = channels == 1 ? 1 : 3;
  const double bound = ceil(parts * level);
  if (!(bound > 0)) { /* nothing is black; NaN too */
    memset(rows, 0, (size_t)h * sizeof *rows);
    return;
  }
  const int limit = bound > parts * 255 ? parts * 255 + 1 : (int)bound;
  const lm_scan_row fast = limit <= 255 && channels <= 3 ? choose(channels) : NULL;
  for (int64_t i0 = 0; i0 < h; i0 += 255) {
    const int64_t i1 = lm_min64(h, i0 + 255);
    memset(col8, 0, (size_t)w);
    for (int64_t i = i0; i < i1; i++) {
      const uint8_t *row = px + i * stride;
      rows[i] = fast != NULL ? fast(row, w, limit, col8) : scan_any(row, w, channels, limit, col8);
    }
    for (int64_t j = 0; j < w; j++) cols[j] += col8[j];
  }
}

/* ---- choosing ---- */

void lm_bars_window(int64_t n, bool faithful, int64_t *lo, int64_t *hi) {
  *lo = faithful ? 200 : (200 * n + 512) / 1024;
  *hi = faithful ? 800 : (800 * n + 512) / 1024;
}

int64_t lm_bars_find(const int32_t *counts, int64_t n, int64_t length, int64_t lo, int64_t hi,
                     bool faithful, int32_t *out) {
  int64_t found = 0;
  for (int64_t i = 0; i < n; i++)
    if (2 * (int64_t)counts[i] > length && (faithful || i < lo || i > hi))
      out[found++] = (int32_t)i;
  if (!faithful) return found;
  /* `for k, v in enumerate(list): if lo <= v <= hi: del list[k]`: after a
   * deletion the next element slides into place k and is never looked at. */
  int64_t kept = 0;
  for (int64_t k = 0; k < found; k++) {
    if (out[k] < lo || out[k] > hi) {
      out[kept++] = out[k];
    } else if (k + 1 < found) {
      out[kept++] = out[++k];
    }
  }
  return kept;
}

/* ---- squaring ---- */

lm_square lm_bars_square(int64_t height, int64_t width, int64_t rows_removed, int64_t cols_removed,
                         bool faithful) {
  lm_square s = {.height = height, .width = width};
  if (!faithful) {
    const int64_t side = lm_min64(height, width);
    s.top = (height - side) / 2;
    s.left = (width - side) / 2;
    s.height = s.width = side;
    s.square = side > 0;
    return s;
  }
  const int64_t d = cols_removed - rows_removed, slice = (d < 0 ? -d : d) / 2;
  int64_t *length = d > 0 ? &s.height : &s.width, *start = d > 0 ? &s.top : &s.left;
  if (d != 0) {
    *length = slice == 0 ? 0 : lm_max64(0, *length - slice); /* [:-0] is empty */
    const int64_t cut = lm_min64(slice, *length);
    *start = cut;
    *length -= cut;
    if (s.height != s.width && *length > 0) *length -= 1;
  }
  s.square = s.height == s.width && s.height > 0;
  return s;
}
