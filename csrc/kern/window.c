/* window.c: the one place that computes output sizes and "same" padding. */
#include "kern/window.h"

#include "core/base.h"

lm_window lm_window_default(void) {
  return (lm_window){.kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
}

int64_t lm_window_out(lm_window *k, int d, int64_t size) {
  const int64_t reach = (k->kernel[d] - 1) * k->dilation[d] + 1;
  if (k->same) {
    const int64_t out = lm_ceil_div(size, k->stride[d]);
    const int64_t total = lm_max64(0, (out - 1) * k->stride[d] + reach - size);
    k->pad[d] = total / 2;
    k->pad[d + 2] = total - total / 2;
  }
  const int64_t room = size + k->pad[d] + k->pad[d + 2] - reach;
  return room < 0 ? 0 : room / k->stride[d] + 1;
}
