/* print.c: tostring: one line for a large tensor, the numbers for a small one.
 *
 * Numbers share one format: whole ones without a point, others with four
 * digits after it, or in exponent form when the range asks for it. */
#include "lua/print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN = 1000 };

typedef struct {
  char format[16];
  int width;
} style;

/* The format for every element and the width of the longest. */
static style choose(const lm_tensor *t) {
  style s = {"%.0f", 0};
  const int64_t n = lm_tensor_count(t);
  double least = INFINITY, most = 0.0;
  bool whole = true;
  for (int64_t i = 0; i < n; i++) {
    const double v = lm_tensor_get(t, i), a = fabs(v);
    if (!isfinite(v)) continue;
    if (v != rint(v)) whole = false;
    if (a > most) most = a;
    if (a > 0.0 && a < least) least = a;
  }
  if (!whole) strcpy(s.format, most >= 1e5 || least < 1e-3 ? "%.4e" : "%.4f");
  if (whole && most >= 1e15) strcpy(s.format, "%.4e");
  for (int64_t i = 0; i < n; i++) {
    const double v = lm_tensor_get(t, i);
    const int w = isnan(v) ? 3 : snprintf(NULL, 0, s.format, v);
    if (w > s.width) s.width = w;
  }
  return s;
}

static void add_number(luaL_Buffer *b, const style *s, double v) {
  char text[64], padded[80];
  if (isnan(v))
    strcpy(text, "nan"); /* never "-nan" */
  else
    snprintf(text, sizeof text, s->format, v);
  snprintf(padded, sizeof padded, "  %*s", s->width, text);
  luaL_addstring(b, padded);
}

static void add_elements(luaL_Buffer *b, const lm_tensor *t) {
  const style s = choose(t);
  const int rank = t->shape.rank;
  const int64_t cols = rank > 0 ? t->shape.size[rank - 1] : 1;
  const int64_t rows = rank > 1 ? t->shape.size[rank - 2] : 1;
  const int64_t n = lm_tensor_count(t);
  for (int64_t i = 0; i < n; i += cols) {
    if (rank > 2 && i % (rows * cols) == 0) { /* which matrix: "[1][2]" */
      int64_t at[LM_MAXRANK] = {0}, rest = i / (rows * cols);
      for (int d = rank - 3; d >= 0; d--) {
        at[d] = rest % t->shape.size[d];
        rest /= t->shape.size[d];
      }
      luaL_addchar(b, '\n');
      for (int d = 0; d < rank - 2; d++) {
        char text[32];
        snprintf(text, sizeof text, "[%lld]", (long long)at[d] + 1);
        luaL_addstring(b, text);
      }
    }
    luaL_addchar(b, '\n');
    for (int64_t j = 0; j < cols; j++) add_number(b, &s, lm_tensor_get(t, i + j));
  }
}

void luma_pushtext(lua_State *L, const lm_tensor *t) {
  char shape[LM_SHAPE_TEXT], size[48] = "";
  const int64_t n = lm_tensor_count(t), bytes = lm_tensor_bytes(t);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  lm_shape_text(&t->shape, shape);
  if (n > SHOWN) {
    if (bytes >= 1000000000)
      snprintf(size, sizeof size, " %.2f GB", (double)bytes / 1073741824.0);
    else if (bytes >= 100000)
      snprintf(size, sizeof size, " %.1f MB", (double)bytes / 1048576.0);
    else
      snprintf(size, sizeof size, " %.1f KB", (double)bytes / 1024.0);
  }
  luaL_addstring(&b, "Tensor ");
  luaL_addstring(&b, lm_dtypes[t->dtype].name);
  luaL_addchar(&b, ' ');
  luaL_addstring(&b, shape);
  luaL_addstring(&b, size);
  if (n > 0 && n <= SHOWN) add_elements(&b, t);
  luaL_pushresult(&b);
}
