/* exif.h: the one EXIF field luma uses. */
#ifndef LM_EXIF_H
#define LM_EXIF_H

#include "core/base.h"

/* The orientation 1..8 of a TIFF-structured EXIF block ("II*\0" or "MM\0*"
 * first); 1 when it is absent, invalid or cut.  Reads inside [tiff, tiff + n)
 * only, and only the first directory, so loops cannot trap it. */
int lm_exif_orientation(const uint8_t *tiff, int64_t n);

/* The same from a whole file: the first Exif APP1 segment of a JPEG before its
 * first scan, or the eXIf chunk of a PNG. */
int lm_exif_of_jpeg(const uint8_t *bytes, int64_t n);
int lm_exif_of_png(const uint8_t *bytes, int64_t n);

#endif
