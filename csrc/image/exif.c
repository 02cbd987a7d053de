/* exif.c: walks segments and chunks to the orientation tag. */
#include "image/exif.h"

#include <string.h>

static uint32_t get(const uint8_t *p, int bytes, bool little) {
  uint32_t v = 0;
  for (int i = 0; i < bytes; i++) v = v << 8 | p[little ? bytes - 1 - i : i];
  return v;
}

int lm_exif_orientation(const uint8_t *tiff, int64_t n) {
  enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY = 12 };
  if (n < 8) return 1;
  const bool little = memcmp(tiff, "II*\0", 4) == 0;
  if (!little && memcmp(tiff, "MM\0*", 4) != 0) return 1;
  const int64_t ifd = get(tiff + 4, 4, little);
  if (ifd < 8 || ifd > n - 2) return 1;
  const int64_t count = lm_min64(get(tiff + ifd, 2, little), (n - ifd - 2) / ENTRY);
  for (int64_t i = 0; i < count; i++) {
    const uint8_t *entry = tiff + ifd + 2 + i * ENTRY;
    if (get(entry, 2, little) != TAG_ORIENTATION) continue;
    const uint32_t value = get(entry + 8, 2, little);
    const bool valid = get(entry + 2, 2, little) == TYPE_SHORT && get(entry + 4, 4, little) == 1 &&
                       value >= 1 && value <= 8;
    return valid ? (int)value : 1;
  }
  return 1;
}

int lm_exif_of_jpeg(const uint8_t *bytes, int64_t n) {
  enum { APP1 = 0xe1, SOS = 0xda, EOI = 0xd9 };
  int64_t at = 2;
  while (at + 4 <= n && bytes[at] == 0xff) {
    const int marker = bytes[at + 1];
    if (marker == 0xff) { /* fill byte */
      at++;
      continue;
    }
    if (marker == SOS || marker == EOI) break;
    const int64_t length = get(bytes + at + 2, 2, false);
    if (length < 2 || length > n - at - 2) break;
    if (marker == APP1 && length >= 8 && memcmp(bytes + at + 4, "Exif\0\0", 6) == 0)
      return lm_exif_orientation(bytes + at + 10, length - 8);
    at += 2 + length;
  }
  return 1;
}

int lm_exif_of_png(const uint8_t *bytes, int64_t n) {
  int64_t at = 8;
  while (at + 12 <= n) {
    const int64_t length = get(bytes + at, 4, false);
    if (length > n - at - 12 || memcmp(bytes + at + 4, "IEND", 4) == 0) break;
    if (memcmp(bytes + at + 4, "eXIf", 4) == 0) return lm_exif_orientation(bytes + at + 8, length);
    at += 12 + length;
  }
  return 1;
}
