/* bytes.h: a growable run of bytes on an lm_buffer: a file's content on its
 * way in, an encoder's output on its way out. */
#ifndef LM_BYTES_H
#define LM_BYTES_H

#include "core/mem.h"

typedef struct {
  lm_buffer *buffer; /* NULL while nothing was reserved */
  int64_t size;      /* bytes in use */
} lm_bytes;          /* {0} is a valid empty one */

/* Room for `extra` more bytes (it at least doubles, so appending is linear). */
bool lm_bytes_reserve(lm_bytes *b, int64_t extra, lm_err *e);
bool lm_bytes_append(lm_bytes *b, const void *data, int64_t n, lm_err *e);
void lm_bytes_free(lm_bytes *b); /* twice is fine */

static inline uint8_t *lm_bytes_data(const lm_bytes *b) {
  return b->buffer != NULL ? (uint8_t *)b->buffer->data : NULL;
}
static inline int64_t lm_bytes_room(const lm_bytes *b) {
  return b->buffer != NULL ? b->buffer->bytes - b->size : 0;
}

#endif
