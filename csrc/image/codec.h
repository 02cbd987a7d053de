/* codec.h: PNG and JPEG to pixels and back: pure functions over bytes.
 *
 * The format is told by content, never by name.  Reading is strict: what a
 * decoder merely warns about (grey filling after a cut, a bad checksum) is
 * damage and refused, unless the caller says strict = false.  Limits are
 * checked from the header, before any pixel is allocated.
 *
 * Pixels are u8, rows x columns x channels, R G B order.  16-bit samples keep
 * their high byte, as OpenCV and Pillow do (65535 -> 255).  Alpha is dropped,
 * not composited (row I1 of the article).  CMYK and YCCK are taken as inverted,
 * as both peers take them. */
#ifndef LM_CODEC_H
#define LM_CODEC_H

#include "core/bytes.h"

typedef enum {
  LM_MODE_NATIVE, /* 1 channel when the file is gray (LA too), else 3 */
  LM_MODE_GRAY,   /* 1 channel: JPEG luminance, else (19595 R + 38470 G + 7471 B + 2^15) >> 16 */
  LM_MODE_RGB,    /* 3 channels: cv2.imread's pixels, red first */
  LM_MODE_RGBA    /* 4 channels; alpha 255 where the file has none */
} lm_image_mode;

enum { LM_MAX_SIDE = 65535, LM_MAX_PIXELS = 1 << 26, LM_MAX_SCANS = 100 };

typedef struct {
  lm_image_mode mode;
  bool lenient;       /* strict = false: return what there is, count warnings */
  bool orient;        /* apply the EXIF orientation 1..8; invalid ones are ignored */
  int64_t max_side;   /* 0: LM_MAX_SIDE */
  int64_t max_pixels; /* 0: LM_MAX_PIXELS (67 million) */
} lm_decode_options;

typedef enum { LM_FORMAT_PNG, LM_FORMAT_JPEG } lm_image_format;

typedef struct {
  lm_buffer *buffer; /* the caller releases it; NULL after lm_image_probe */
  int64_t height, width;
  int channels; /* of the pixels in buffer */
  /* what the file said */
  lm_image_format format;
  int stored_channels; /* 1 gray, 2 gray + alpha, 3, 4 (RGBA or CMYK); a palette counts as 3 */
  int bits;            /* a sample: 1, 2, 4, 8, 16 */
  int orientation;     /* EXIF 1..8; 1 when absent or invalid */
  int warnings;        /* > 0 only when lenient */
  char warning[160];   /* the first one */
} lm_image;

/* Decodes; on success *out owns one reference of out->buffer.  Errors:
 * LM_E_DAMAGED, LM_E_UNSUPPORTED, LM_E_LIMIT, LM_E_MEMORY, LM_E_INTERRUPT; *out
 * is then zero. */
bool lm_image_decode(const uint8_t *bytes, int64_t n, const lm_decode_options *o, lm_image *out,
                     lm_err *e);

/* The header alone: everything of lm_image but pixels and warnings. */
bool lm_image_probe(const uint8_t *bytes, int64_t n, const lm_decode_options *o, lm_image *out,
                    lm_err *e);

typedef enum { LM_SUB_420, LM_SUB_422, LM_SUB_444 } lm_subsampling;

/* Appends a baseline JPEG of pixels (height, width, channels), rows
 * `stride` bytes apart, channels 1 or 3: JFIF 1.01, islow DCT, default Huffman tables; with
 * quality 95 and 4:2:0 the bytes are those of cv2.imwrite and of Pillow (row
 * I4).  quality 1..100, sides 1..65500. */
bool lm_jpeg_encode(const uint8_t *pixels, int64_t height, int64_t width, int channels,
                    int64_t stride, int quality, lm_subsampling sub, lm_bytes *out, lm_err *e);

/* Appends an 8-bit PNG; channels 1, 3 or 4; level 0..9 of zlib. */
bool lm_png_encode(const uint8_t *pixels, int64_t height, int64_t width, int channels,
                   int64_t stride, int level, lm_bytes *out, lm_err *e);

/* For png.c and jpeg.c: sides and product against the limits (LM_E_LIMIT, or
 * LM_E_DAMAGED for a side of 0). */
bool lm_image_check_size(int64_t height, int64_t width, const lm_decode_options *o, lm_err *e);

#endif
