/* png.h: PNG through libpng, for codec.c. */
#ifndef LM_PNG_H
#define LM_PNG_H

#include "image/codec.h"

/* As lm_image_decode for bytes that start like a PNG; header_only stops before
 * any pixel.  In LM_MODE_GRAY a colour image comes out with 3 channels: codec.c
 * converts. */
bool lm_png_read(const uint8_t *bytes, int64_t n, const lm_decode_options *o, bool header_only,
                 lm_image *out, lm_err *e);

/* Version of the library in use, "1.6.39". */
const char *lm_png_version(void);

#endif
