/* loader.h: one sample on its way into a batch: file or pixels in memory ->
 * decode -> resize -> warp -> scale -> its slot.  A batch is a background job
 * with one chunk a sample (core/pool.h), so the next batch is made while the
 * network computes on this one.  What a sample becomes depends on its item
 * alone: not on its neighbours, the order, or the number of threads. */
#ifndef LM_IMAGE_LOADER_H
#define LM_IMAGE_LOADER_H

#include "core/bytes.h"
#include "core/pool.h"
#include "image/color.h"
#include "image/resize.h"
#include "image/warp.h"

/* Reads a whole file; io has one, and image may not call io (see layers). */
typedef bool (*lm_load_read)(const char *path, int64_t max_bytes, lm_bytes *out, lm_err *e);

/* The same for every sample of a batch. */
typedef struct {
  int64_t height, width;   /* of a slot, >= 1 */
  int64_t channels;        /* of a slot: 1 or 3 */
  lm_resize_method method; /* for images of another size */
  lm_scale scale;          /* f32 slots: 0..255 to what the network takes */
  bool bytes;              /* u8 slots: pixels as they are; scale is not used */
  bool lenient;            /* accept damaged files as far as they go */
  lm_load_read read;
} lm_load_plan;

/* One sample.  Either path or pixels is set. */
typedef struct {
  const char *path;
  const uint8_t *pixels; /* (from.height, from.width, from.channels) */
  lm_warp_size from;
  bool warped; /* warp is to be applied, after resizing */
  lm_warp warp;
  /* [out] */
  bool failed; /* the slot is zero, err says why */
  lm_err err;
} lm_load_item;

typedef struct {
  lm_load_plan plan;
  lm_load_item *items;
  void *out;           /* (count, height, width, channels) f32, or u8 with plan.bytes */
  _Atomic bool cancel; /* set: samples that have not begun are left out (their slots undefined) */
} lm_load_batch;

/* Checks what can be checked before any file is opened. */
bool lm_load_check(const lm_load_plan *p, lm_err *e);

/* An lm_chunk_fn: context is an lm_load_batch, chunk the sample. */
void lm_load_sample(void *context, int64_t chunk, int worker);

#endif
