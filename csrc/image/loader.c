/* loader.c: what happens to one sample. */
#include "image/loader.h"

#include <string.h>

#include "image/codec.h"

/* Everything a sample holds on the way; freed in one place. */
typedef struct {
  lm_bytes file;
  lm_image image;
  lm_buffer *resized; /* u8, slot size, the image's channels */
  lm_buffer *floats;  /* f32, the same */
  lm_buffer *scratch;
} sample;

static void drop(sample *s) {
  lm_bytes_free(&s->file);
  lm_buffer_release(s->image.buffer);
  lm_buffer_release(s->resized);
  lm_buffer_release(s->floats);
  lm_buffer_release(s->scratch);
}

/* Pixels of the item and their geometry; decoded when they come from a file. */
static bool fetch(const lm_load_plan *p, const lm_load_item *item, sample *s,
                  const uint8_t **pixels, lm_warp_size *size, lm_err *e) {
  *pixels = item->pixels;
  *size = item->from;
  if (item->pixels == NULL) {
    const lm_decode_options o = {.orient = true, /* as cv2.imread */
                                 .mode = p->channels == 1 ? LM_MODE_GRAY : LM_MODE_NATIVE,
                                 .lenient = p->lenient};
    if (!p->read(item->path, 0, &s->file, e) ||
        !lm_image_decode(lm_bytes_data(&s->file), s->file.size, &o, &s->image, e))
      return false;
    lm_bytes_free(&s->file);
    *pixels = s->image.buffer->data;
    *size = (lm_warp_size){s->image.height, s->image.width, s->image.channels};
  }
  if (size->channels == 1 || size->channels == p->channels) return true;
  return lm_fail(e, LM_E_SHAPE, "image has %lld channels, the batch %lld",
                 (long long)size->channels, (long long)p->channels);
}

/* Brings the pixels to the slot's size. */
static bool fit(const lm_load_plan *p, sample *s, const uint8_t **pixels, lm_warp_size *size,
                lm_err *e) {
  if (size->height == p->height && size->width == p->width) return true;
  const int64_t c = size->channels;
  const lm_resize_size from = {size->height, size->width, size->width * c};
  const lm_resize_size to = {p->height, p->width, p->width * c};
  if (!lm_resize_check(&from, &to, c, e)) return false;
  s->resized = lm_buffer_new(p->height * p->width * c, e);
  s->scratch = s->resized ? lm_buffer_new(lm_resize_scratch(p->method, &from, &to, c), e) : NULL;
  if (s->scratch == NULL) return false;
  lm_resize_u8(p->method, *pixels, &from, s->resized->data, &to, c, s->scratch->data);
  *pixels = s->resized->data;
  *size = (lm_warp_size){p->height, p->width, c};
  return true;
}

/* The last step: warped or not, scaled or not, into the slot. */
static bool place(const lm_load_plan *p, const lm_load_item *item, sample *s, const uint8_t *pixels,
                  const lm_warp_size *size, void *slot, lm_err *e) {
  const int64_t n = size->height * size->width, c = size->channels;
  if (item->warped && !lm_warp_check(&item->warp, size, size, e)) return false;
  if (p->bytes) {
    uint8_t *out = slot;
    if (item->warped) {
      lm_buffer *b = s->floats = lm_buffer_new(n * c, e);
      if (b == NULL) return false;
      lm_warp_u8(&item->warp, pixels, size, b->data, size);
      pixels = b->data;
    }
    if (c == p->channels)
      memcpy(out, pixels, (size_t)(n * c));
    else
      for (int64_t i = 0; i < n; i++) out[3 * i] = out[3 * i + 1] = out[3 * i + 2] = pixels[i];
    return true;
  }
  if (!item->warped) {
    lm_scale_u8(p->scale, pixels, n, c, slot, p->channels);
    return true;
  }
  s->floats = lm_buffer_new(n * c * (int64_t)sizeof(float), e);
  if (s->floats == NULL) return false;
  lm_warp_u8_f32(&item->warp, pixels, size, s->floats->data, size);
  lm_scale_f32(p->scale, s->floats->data, n, c, slot, p->channels);
  return true;
}

void lm_load_sample(void *context, int64_t chunk, int worker) {
  (void)worker;
  lm_load_batch *b = context;
  const lm_load_plan *p = &b->plan;
  lm_load_item *item = &b->items[chunk];
  if (b->cancel) return;
  const int64_t bytes =
      p->height * p->width * p->channels * (int64_t)(p->bytes ? 1 : sizeof(float));
  uint8_t *slot = (uint8_t *)b->out + chunk * bytes;
  sample s = {0};
  const uint8_t *pixels;
  lm_warp_size size;
  item->failed =
      !(fetch(p, item, &s, &pixels, &size, &item->err) && fit(p, &s, &pixels, &size, &item->err) &&
        place(p, item, &s, pixels, &size, slot, &item->err));
  drop(&s);
  if (item->failed) memset(slot, 0, (size_t)bytes);
}

bool lm_load_check(const lm_load_plan *p, lm_err *e) {
  if (p->channels != 1 && p->channels != 3)
    return lm_fail(e, LM_E_ARGUMENT, "channels must be 1 or 3, got %lld", (long long)p->channels);
  if (p->height < 1 || p->width < 1 || p->height > LM_MAX_SIDE || p->width > LM_MAX_SIDE)
    return lm_fail(e, LM_E_ARGUMENT, "height and width must be in 1..%d, got %lld and %lld",
                   LM_MAX_SIDE, (long long)p->height, (long long)p->width);
  if (!p->bytes && p->channels == 1 && (p->scale == LM_SCALE_CAFFE || p->scale == LM_SCALE_TORCH))
    return lm_fail(e, LM_E_ARGUMENT, "scale '%s' needs 3 channels, got 1",
                   lm_scale_names[p->scale]);
  return true;
}
