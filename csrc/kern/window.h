/* window.h: where a window lands that slides over an image: the geometry that
 * convolution, pooling and compiled chains share. */
#ifndef LM_WINDOW_H
#define LM_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

/* Pairs are rows, columns. */
typedef struct {
  int64_t kernel[2], stride[2], dilation[2]; /* >= 1 */
  int64_t pad[4];                            /* top, left, bottom, right; >= 0 */
  bool same; /* pad so that out = ceil(in / stride), the odd row below or right as in Keras */
} lm_window;

enum { LM_WINDOW_MOST = 1 << 30 }; /* bounds every number above, so that no product overflows */

/* A 1x1 window, stride 1, no padding. */
lm_window lm_window_default(void);

/* How many windows fit along axis d (0 rows, 1 columns) of `size` pixels; 0 when
 * none does.  Fills the padding of that axis when `same`. */
int64_t lm_window_out(lm_window *k, int d, int64_t size);

#endif
