/* crop.c: moving whole pixels. */
#include "image/crop.h"

#include <string.h>

void lm_crop(const void *src, int64_t stride, int64_t pixel, int64_t top, int64_t left,
             int64_t height, int64_t width, void *dst) {
  const char *from = (const char *)src + top * stride + left * pixel;
  for (int64_t i = 0; i < height; i++)
    memcpy((char *)dst + i * width * pixel, from + i * stride, (size_t)(width * pixel));
}

void lm_remove(const void *src, int64_t h, int64_t w, int64_t pixel, const int32_t *rows,
               int64_t n_rows, const int32_t *cols, int64_t n_cols, void *dst) {
  const char *from = src;
  char *to = dst;
  int64_t r = 0;
  for (int64_t i = 0; i < h; i++, from += w * pixel) {
    if (r < n_rows && rows[r] == i) {
      r++;
      continue;
    }
    int64_t begin = 0; /* of the run of columns that stay */
    for (int64_t k = 0; k <= n_cols; k++) {
      const int64_t end = k < n_cols ? cols[k] : w;
      if (end > begin) {
        memcpy(to, from + begin * pixel, (size_t)((end - begin) * pixel));
        to += (end - begin) * pixel;
      }
      begin = end + 1;
    }
  }
}

/* n pixels backwards; the common sizes are constants to the compiler. */
static inline void reverse(const char *from, int64_t n, int64_t pixel, char *to) {
  for (int64_t j = 0; j < n; j++) memcpy(to + j * pixel, from + (n - 1 - j) * pixel, (size_t)pixel);
}

void lm_flip(const void *src, int64_t h, int64_t w, int64_t pixel, bool left_right, bool up_down,
             void *dst) {
  for (int64_t i = 0; i < h; i++) {
    const char *from = (const char *)src + (up_down ? h - 1 - i : i) * w * pixel;
    char *to = (char *)dst + i * w * pixel;
    if (!left_right)
      memcpy(to, from, (size_t)(w * pixel));
    else if (pixel == 1)
      reverse(from, w, 1, to);
    else if (pixel == 3)
      reverse(from, w, 3, to);
    else if (pixel == 4)
      reverse(from, w, 4, to);
    else if (pixel == 12)
      reverse(from, w, 12, to);
    else
      reverse(from, w, pixel, to);
  }
}

void lm_transpose(const void *src, int64_t h, int64_t w, int64_t pixel, void *dst) {
  enum { TILE = 32 };
  const char *from = src;
  char *to = dst;
  for (int64_t i0 = 0; i0 < h; i0 += TILE)
    for (int64_t j0 = 0; j0 < w; j0 += TILE)
      for (int64_t i = i0; i < lm_min64(h, i0 + TILE); i++)
        for (int64_t j = j0; j < lm_min64(w, j0 + TILE); j++)
          memcpy(to + (j * h + i) * pixel, from + (i * w + j) * pixel, (size_t)pixel);
}
