/* jpeg.h: JPEG through libjpeg-turbo, for codec.c. */
#ifndef LM_JPEG_H
#define LM_JPEG_H

#include "image/codec.h"

/* As lm_image_decode for bytes that start like a JPEG; header_only stops before
 * any pixel.  In LM_MODE_GRAY a CMYK image comes out with 3 channels: codec.c
 * converts. */
bool lm_jpeg_read(const uint8_t *bytes, int64_t n, const lm_decode_options *o, bool header_only,
                  lm_image *out, lm_err *e);

/* Version of the library built against, "libjpeg-turbo 2.1.5". */
const char *lm_jpeg_version(void);

#endif
