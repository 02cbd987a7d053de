/* bytes.c: growing, appending, freeing. */
#include "core/bytes.h"

#include <string.h>

bool lm_bytes_reserve(lm_bytes *b, int64_t extra, lm_err *e) {
  int64_t need;
  if (extra <= lm_bytes_room(b)) return true;
  if (!lm_add(b->size, extra, &need)) return lm_fail(e, LM_E_MEMORY, "not enough memory");
  if (b->buffer != NULL) need = lm_max64(need, 2 * b->buffer->bytes);
  lm_buffer *grown = lm_buffer_new(need, e);
  if (grown == NULL) return false;
  if (b->size > 0) memcpy(grown->data, b->buffer->data, (size_t)b->size);
  lm_buffer_release(b->buffer);
  b->buffer = grown;
  return true;
}

bool lm_bytes_append(lm_bytes *b, const void *data, int64_t n, lm_err *e) {
  if (!lm_bytes_reserve(b, n, e)) return false;
  if (n > 0) memcpy(lm_bytes_data(b) + b->size, data, (size_t)n);
  b->size += n;
  return true;
}

void lm_bytes_free(lm_bytes *b) {
  lm_buffer_release(b->buffer);
  *b = (lm_bytes){0};
}
