/* prepare.c: the steps of prepare.h, one after the other on one view. */
#include "image/prepare.h"

#include <string.h>

#include "image/resize.h"
#include "image/scan.h"

const char *lm_prepare_outcome_name(lm_prepare_outcome outcome) {
  static const char *const names[] = {"written", "unreadable", "not square", "empty"};
  return names[outcome];
}

/* ---- removing lines ---- */

void lm_remove_lines(uint8_t *px, int64_t height, int64_t width, int channels, int64_t stride,
                     const int32_t *rows, int64_t nrows, const int32_t *cols, int64_t ncols) {
  uint8_t *to = px;
  int64_t next = 0;
  for (int64_t y = 0; y < height; y++) {
    if (next < nrows && rows[next] == y) {
      next++;
      continue;
    }
    uint8_t *row = px + y * stride;
    if (ncols == 0) {
      if (to != row) memcpy(to, row, (size_t)(width * channels));
    } else { /* the runs between removed columns close up */
      int64_t kept = 0, start = 0;
      for (int64_t k = 0; k <= ncols; k++) {
        const int64_t end = k < ncols ? cols[k] : width, run = end - start;
        if (run > 0 && to + kept * channels != row + start * channels)
          memmove(to + kept * channels, row + start * channels, (size_t)(run * channels));
        kept += run > 0 ? run : 0;
        start = end + 1;
      }
    }
    to += stride;
  }
}

/* Lines at the two edges need no moving: the view shrinks instead.  Returns
 * how many of list[0..n-1] are the first lines, and *tail how many the last. */
static int64_t edges(const int32_t *list, int64_t n, int64_t size, int64_t *tail) {
  int64_t head = 0, back = 0;
  while (head < n && list[head] == head) head++;
  while (back < n - head && list[n - 1 - back] == size - 1 - back) back++;
  *tail = back;
  return head;
}

/* ---- scratch, cut into aligned pieces ---- */

typedef struct {
  int64_t squash, counts, lines, scan, resize, result, rgb, total;
} plan;

static int64_t piece(int64_t *at, int64_t bytes) {
  const int64_t start = *at;
  *at += (bytes + 63) & ~(int64_t)63;
  return start;
}

/* h, w: the image that is scanned; c channels. */
static plan make_plan(const lm_image *m, int64_t h, int64_t w, const lm_prepare_options *o) {
  const lm_resize_size from = {m->height, m->width, m->width * m->channels};
  const lm_resize_size scanned = {h, w, w * m->channels};
  const lm_resize_size to = {o->size, o->size, o->size * m->channels};
  const int64_t first =
      o->squash ? lm_resize_scratch(LM_RESIZE_BILINEAR, &from, &to, m->channels) : 0;
  plan p;
  int64_t at = 0;
  p.squash = piece(&at, o->squash ? h * w * m->channels : 0);
  p.counts = piece(&at, (h + w) * (int64_t)sizeof(int32_t));
  p.lines = piece(&at, (h + w) * (int64_t)sizeof(int32_t));
  p.scan = piece(&at, lm_scan_scratch(w));
  p.resize = piece(
      &at, lm_max64(first, lm_resize_scratch(LM_RESIZE_BILINEAR, &scanned, &to, m->channels)));
  p.result = piece(&at, o->size * o->size * m->channels);
  p.rgb = piece(&at, o->size * o->size * 3);
  p.total = at;
  return p;
}

/* ---- the pipeline ---- */

/* A rectangle of pixels and where it lies. */
typedef struct {
  uint8_t *px;
  int64_t h, w, stride;
  int channels;
} view;

static lm_resize_size size_of(const view *v) {
  return (lm_resize_size){v->h, v->w, v->stride};
}

static void resize_to(const view *from, view *to, void *scratch) {
  const lm_resize_size a = size_of(from), b = size_of(to);
  lm_resize_u8(LM_RESIZE_BILINEAR, from->px, &a, to->px, &b, from->channels, scratch);
}

/* Finds and removes the bars of v, which shrinks. */
static void remove_bars(view *v, const lm_prepare_options *o, const plan *p, uint8_t *scratch,
                        lm_prepare_report *report) {
  int32_t *counts = (int32_t *)(scratch + p->counts), *rows = (int32_t *)(scratch + p->lines);
  int32_t *col_counts = counts + v->h, *cols = rows + v->h;
  int64_t lo, hi, below, right;
  lm_scan_black(v->px, v->h, v->w, v->channels, v->stride, o->level, counts, col_counts,
                scratch + p->scan);
  lm_bars_window(v->h, o->faithful, &lo, &hi);
  const int64_t nrows = lm_bars_find(counts, v->h, v->w, lo, hi, o->faithful, rows);
  lm_bars_window(v->w, o->faithful, &lo, &hi);
  const int64_t ncols = lm_bars_find(col_counts, v->w, v->h, lo, hi, o->faithful, cols);
  report->rows_removed = nrows;
  report->cols_removed = ncols;
  const int64_t above = edges(rows, nrows, v->h, &below), left = edges(cols, ncols, v->w, &right);
  v->px += above * v->stride + left * v->channels;
  v->h -= above + below;
  v->w -= left + right;
  int32_t *inner_rows = rows + above, *inner_cols = cols + left;
  const int64_t nr = nrows - above - below, nc = ncols - left - right;
  if (nr + nc == 0) return;
  for (int64_t i = 0; i < nr; i++) inner_rows[i] -= (int32_t)above;
  for (int64_t i = 0; i < nc; i++) inner_cols[i] -= (int32_t)left;
  lm_remove_lines(v->px, v->h, v->w, v->channels, v->stride, inner_rows, nr, inner_cols, nc);
  v->h -= nr;
  v->w -= nc;
}

/* Three channels out of v, red and blue exchanged: what the author wrote. */
static void to_bgr(view *v, uint8_t *rgb) {
  for (int64_t i = 0; i < v->h * v->w; i++)
    for (int c = 0; c < 3; c++)
      rgb[3 * i + c] = v->px[i * v->channels + (v->channels - 1) * (2 - c) / 2];
  *v = (view){.px = rgb, .h = v->h, .w = v->w, .stride = v->w * 3, .channels = 3};
}

static lm_prepare_outcome encode(const view *result, const lm_prepare_options *o, lm_bytes *jpeg,
                                 lm_err *e) {
  jpeg->size = 0;
  const bool ok = lm_jpeg_encode(result->px, result->h, result->w, result->channels, result->stride,
                                 o->quality, LM_SUB_420, jpeg, e);
  return ok ? LM_PREPARE_DONE : LM_PREPARE_UNREADABLE;
}

/* The mean of each channel over the edge of v. */
static void edge_colour(const view *v, int *colour) {
  for (int c = 0; c < v->channels; c++) {
    int64_t sum = 0, n = 0;
    for (int64_t y = 0; y < v->h; y++) {
      const bool whole = y == 0 || y == v->h - 1;
      for (int64_t x = 0; x < v->w; x += whole || v->w == 1 ? 1 : v->w - 1, n++)
        sum += v->px[y * v->stride + x * v->channels + c];
    }
    colour[c] = (int)((sum + n / 2) / n);
  }
}

/* v scaled into the middle of result, the rest filled with its edge's colour. */
static void pad_square(const view *v, view *result, uint8_t *scratch, lm_prepare_report *report) {
  const int64_t size = result->h, longer = lm_max64(v->h, v->w);
  view inner = *result;
  inner.h = lm_max64(1, (v->h * size + longer / 2) / longer);
  inner.w = lm_max64(1, (v->w * size + longer / 2) / longer);
  report->pad_rows = size - inner.h;
  report->pad_cols = size - inner.w;
  int colour[4];
  edge_colour(v, colour);
  for (int64_t i = 0; i < size * size; i++)
    for (int c = 0; c < v->channels; c++) result->px[i * v->channels + c] = (uint8_t)colour[c];
  inner.px += report->pad_rows / 2 * inner.stride + report->pad_cols / 2 * inner.channels;
  resize_to(v, &inner, scratch);
}

static lm_prepare_outcome run(const lm_image *m, const lm_prepare_options *o, lm_bytes *scratch,
                              lm_bytes *jpeg, lm_prepare_report *report, lm_err *e) {
  const int c = m->channels;
  view v = {m->buffer->data, m->height, m->width, m->width * c, c};
  const int64_t h = o->squash ? o->size : v.h, w = o->squash ? o->size : v.w;
  if (o->faithful && h != w) {
    lm_fail(e, LM_E_SHAPE, "not square: %lld x %lld (the published scan raises IndexError)",
            (long long)h, (long long)w);
    return LM_PREPARE_NOT_SQUARE;
  }
  const plan p = make_plan(m, h, w, o);
  scratch->size = 0;
  if (!lm_bytes_reserve(scratch, p.total, e)) return LM_PREPARE_UNREADABLE;
  uint8_t *s = lm_bytes_data(scratch);
  if (o->squash) {
    view small = {s + p.squash, h, w, w * c, c};
    resize_to(&v, &small, s + p.resize);
    v = small;
  }
  remove_bars(&v, o, &p, s, report);
  view result = {s + p.result, o->size, o->size, o->size * c, c};
  if (o->fit != LM_FIT_CROP && !o->faithful && v.h > 0 && v.w > 0) {
    report->side = lm_max64(v.h, v.w);
    if (o->fit == LM_FIT_PAD)
      pad_square(&v, &result, s + p.resize, report);
    else
      resize_to(&v, &result, s + p.resize);
    return encode(&result, o, jpeg, e);
  }
  const lm_square q =
      lm_bars_square(v.h, v.w, report->rows_removed, report->cols_removed, o->faithful);
  if (!q.square) {
    const int64_t d = report->rows_removed - report->cols_removed;
    lm_fail(e, LM_E_SHAPE,
            "nothing square is left of %lld x %lld (rows removed: %lld, columns: %lld%s)",
            (long long)h, (long long)w, (long long)report->rows_removed,
            (long long)report->cols_removed,
            o->faithful && (d == 1 || d == -1) ? "; the published cut by one leaves nothing" : "");
    return LM_PREPARE_EMPTY;
  }
  report->cut = v.h + v.w - q.height - q.width;
  v.px += q.top * v.stride + q.left * c;
  v.h = q.height;
  v.w = q.width;
  report->side = v.h;
  resize_to(&v, &result, s + p.resize);
  if (o->faithful) to_bgr(&result, s + p.rgb);
  return encode(&result, o, jpeg, e);
}

lm_prepare_outcome lm_prepare(const uint8_t *bytes, int64_t n, const lm_prepare_options *o,
                              lm_bytes *scratch, lm_bytes *jpeg, lm_prepare_report *report,
                              lm_err *e) {
  const lm_decode_options native = {.mode = LM_MODE_NATIVE, .orient = true};
  lm_image m;
  *report = (lm_prepare_report){0};
  if (!lm_image_decode(bytes, n, &native, &m, e)) return LM_PREPARE_UNREADABLE;
  report->height = m.height;
  report->width = m.width;
  const lm_prepare_outcome outcome = run(&m, o, scratch, jpeg, report, e);
  lm_buffer_release(m.buffer);
  return outcome;
}
