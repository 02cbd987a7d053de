/* codec.c: tells the format, calls its decoder, then what both share: size
 * limits, gray from colour, EXIF orientation. */
#include "image/codec.h"

#include <string.h>

#include "image/jpeg.h"
#include "image/kind.h"
#include "image/png.h"

bool lm_image_check_size(int64_t height, int64_t width, const lm_decode_options *o, lm_err *e) {
  const int64_t side = o->max_side > 0 ? o->max_side : LM_MAX_SIDE;
  const int64_t pixels = o->max_pixels > 0 ? o->max_pixels : LM_MAX_PIXELS;
  if (height < 1 || width < 1)
    return lm_fail(e, LM_E_DAMAGED, "damaged: the header says %lld x %lld pixels",
                   (long long)height, (long long)width);
  if (height > side || width > side)
    return lm_fail(e, LM_E_LIMIT, "too large: %lld x %lld pixels, the limit is %lld a side",
                   (long long)height, (long long)width, (long long)side);
  if (height > pixels / width)
    return lm_fail(e, LM_E_LIMIT, "too large: %lld x %lld pixels, the limit is %lld altogether",
                   (long long)height, (long long)width, (long long)pixels);
  return true;
}

/* In place: channels 3 -> 1. */
static void to_gray(lm_image *m) {
  uint8_t *p = m->buffer->data;
  const int64_t n = m->height * m->width;
  for (int64_t i = 0; i < n; i++)
    p[i] = (uint8_t)((19595u * p[3 * i] + 38470u * p[3 * i + 1] + 7471u * p[3 * i + 2] + 32768u) >>
                     16);
  m->channels = 1;
}

/* EXIF: how the stored picture must be turned.  Row y, column x of the result
 * is taken from origin + y * down + x * right of the stored pixels. */
static bool apply_orientation(lm_image *m, lm_err *e) {
  const int64_t h = m->height, w = m->width, c = m->channels;
  const bool turned = m->orientation >= 5;
  const int64_t last_row = (h - 1) * w, last_col = w - 1;
  int64_t origin = 0, down = w, right = 1; /* in pixels */
  switch (m->orientation) {
    case 2: origin = last_col, right = -1; break;
    case 3: origin = last_row + last_col, down = -w, right = -1; break;
    case 4: origin = last_row, down = -w; break;
    case 5: down = 1, right = w; break;
    case 6: origin = last_row, down = 1, right = -w; break;
    case 7: origin = last_row + last_col, down = -1, right = -w; break;
    case 8: origin = last_col, down = -1, right = w; break;
    default: return true;
  }
  lm_buffer *b = lm_buffer_new(h * w * c, e);
  if (b == NULL) return false;
  const uint8_t *src = m->buffer->data;
  uint8_t *dst = b->data;
  m->height = turned ? w : h;
  m->width = turned ? h : w;
  for (int64_t y = 0; y < m->height; y++)
    for (int64_t x = 0; x < m->width; x++) {
      const uint8_t *from = src + (origin + y * down + x * right) * c;
      for (int64_t k = 0; k < c; k++) *dst++ = from[k];
    }
  lm_buffer_release(m->buffer);
  m->buffer = b;
  return true;
}

static bool refuse(const uint8_t *bytes, int64_t n, lm_err *e) {
  const char *kind = lm_image_kind(bytes, n);
  if (!kind) return lm_fail(e, LM_E_UNSUPPORTED, "neither PNG nor JPEG");
  return lm_fail(e, LM_E_UNSUPPORTED, "neither PNG nor JPEG, but %s", kind);
}

static bool read_any(const uint8_t *bytes, int64_t n, const lm_decode_options *o, bool header_only,
                     lm_image *out, lm_err *e) {
  static const uint8_t png_mark[] = {0x89, 'P', 'N', 'G'}, jpeg_mark[] = {0xff, 0xd8, 0xff};
  *out = (lm_image){.orientation = 1};
  bool ok;
  if (n >= 4 && memcmp(bytes, png_mark, 4) == 0)
    ok = lm_png_read(bytes, n, o, header_only, out, e);
  else if (n >= 3 && memcmp(bytes, jpeg_mark, 3) == 0)
    ok = lm_jpeg_read(bytes, n, o, header_only, out, e);
  else if (n == 0)
    ok = lm_fail(e, LM_E_DAMAGED, "the file is empty");
  else
    ok = refuse(bytes, n, e);
  if (ok && !header_only) {
    if (o->mode == LM_MODE_GRAY && out->channels == 3) to_gray(out);
    if (o->orient) ok = apply_orientation(out, e);
  }
  if (!ok) {
    lm_buffer_release(out->buffer);
    *out = (lm_image){0};
  }
  return ok;
}

bool lm_image_decode(const uint8_t *bytes, int64_t n, const lm_decode_options *o, lm_image *out,
                     lm_err *e) {
  return read_any(bytes, n, o, false, out, e);
}

bool lm_image_probe(const uint8_t *bytes, int64_t n, const lm_decode_options *o, lm_image *out,
                    lm_err *e) {
  return read_any(bytes, n, o, true, out, e);
}
