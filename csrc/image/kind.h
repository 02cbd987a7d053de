/* kind.h: what a file is that luma does not read, by its first bytes, for errors. */
#ifndef LM_KIND_H
#define LM_KIND_H

#include <stdint.h>

/* Words for what the n bytes begin ("a WebP image"), with the way out where there
 * is one; NULL when nothing is known of them. */
const char *lm_image_kind(const uint8_t *bytes, int64_t n);

#endif
