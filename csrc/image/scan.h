/* scan.h: the black-pixel scanner (article rows P1-P5): how many pixels of
 * each row and column are black, which rows and columns are bars, and how the
 * rest is made square.  Pure functions on plain memory, safe on any thread. */
#ifndef LM_IMAGE_SCAN_H
#define LM_IMAGE_SCAN_H

#include "core/base.h"

/* Bytes of scratch that lm_scan_black needs for an image w pixels wide. */
int64_t lm_scan_scratch(int64_t w);

/* Counts the black pixels of an (h, w, channels) u8 image in one pass.
 * A pixel is black when the mean of its channels is < level, exactly: for the
 * article's level 40 that is R+G+B < 120 (119 is black, 120 is not).
 *   px      [in]  first byte of row 0; channels is 1, or 3 or 4 (4: alpha ignored)
 *   stride  [in]  bytes from one row to the next, >= w * channels
 *   rows    [out] h counts, cols [out] w counts; all written, no need to clear
 *   scratch       lm_scan_scratch(w) bytes, any alignment
 * h or w may be 0.  level may be any number; NaN finds nothing black. */
void lm_scan_black(const uint8_t *px, int64_t h, int64_t w, int channels, int64_t stride,
                   double level, int32_t *rows, int32_t *cols, void *scratch);

/* The window of rows (or columns) that are never removed, lo..hi inclusive and
 * 0-based.  Faithful: 200..800 pixels whatever the size n (P4).  Otherwise the
 * same share of the image as 200..800 is of 1024. */
void lm_bars_window(int64_t n, bool faithful, int64_t *lo, int64_t *hi);

/* The indices to remove, ascending, into out (room for n): those i in 0..n-1
 * with counts[i] > length / 2 (P2: more than half; 512 of 1024 is not) outside
 * lo..hi.  length is the number of pixels counted[i] is out of.  faithful
 * repeats the author's deletion while iterating, which skips the element after
 * each deleted one, so that window indices survive (P5).  Returns how many. */
int64_t lm_bars_find(const int32_t *counts, int64_t n, int64_t length, int64_t lo, int64_t hi,
                     bool faithful, int32_t *out);

/* What is left of an image after the bars are gone and it is cut square. */
typedef struct {
  int64_t top, left, height, width; /* 0-based box in the image without its bars */
  bool square;                      /* height == width, and not empty */
} lm_square;

/* P7: with d = removed columns - removed rows, cuts int(|d|/2) off the bottom
 * and the top (right and left when d < 0), then one more bottom row (right
 * column) when still not square.  height, width: the image without its bars.
 * faithful repeats P8: |d| = 1 slices [:-0] and leaves nothing.  Otherwise the
 * longer side is cut evenly, the odd pixel off the bottom (right), whatever
 * was removed, so any non-empty image becomes square. */
lm_square lm_bars_square(int64_t height, int64_t width, int64_t rows_removed, int64_t cols_removed,
                         bool faithful);

#endif
