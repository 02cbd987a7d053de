/* decode_fuzz.h: what the fuzz targets of the two formats share: decode bytes
 * that begin with the format's mark, touch every pixel, look for leftovers. */
#ifndef DECODE_FUZZ_H
#define DECODE_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "image/codec.h"

/* data[0] chooses the options; mark replaces the first bytes.  The copy is of
 * exactly the given size, so that a read past it is seen. */
static int decode_fuzz(const uint8_t *data, size_t size, const uint8_t *mark, size_t mark_size) {
  lm_image image;
  lm_err err = {0};
  if (size < mark_size) return 0;
  uint8_t *bytes = malloc(size);
  if (bytes == NULL) return 0;
  memcpy(bytes, data, size);
  memcpy(bytes, mark, mark_size);
  const lm_decode_options o = {.mode = (lm_image_mode)(data[0] & 3),
                               .lenient = (data[0] & 4) != 0,
                               .orient = (data[0] & 8) != 0,
                               .max_pixels = 1 << 18};
  if (lm_image_decode(bytes, (int64_t)size, &o, &image, &err)) {
    volatile uint8_t sum = 0;
    for (int64_t i = 0; i < image.height * image.width * image.channels; i++)
      sum = (uint8_t)(sum + ((const uint8_t *)image.buffer->data)[i]);
    lm_buffer_release(image.buffer);
  } else if (err.code == LM_OK || err.msg[0] == '\0') {
    abort(); /* a refusal says why */
  }
  free(bytes);
  if (lm_mem_stats().live != 0) abort(); /* nothing stays behind */
  return 0;
}

#endif
