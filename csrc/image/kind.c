/* kind.c: what a file is that luma does not read.  People rename files, download pages of
 * errors and clone repositories without their large files; "neither PNG nor JPEG"
 * sends them looking for the wrong thing. */
#include "image/kind.h"

#include <stdbool.h>
#include <string.h>

/* A mark at an offset. */
typedef struct {
  int offset, length;
  const char *mark, *words;
} kind;

static const kind kinds[] = {
    {128, 4, "DICM", "a DICOM file: convert it, e.g. with DCMTK's dcm2pnm --write-png"},
    {8, 4, "WEBP", "a WebP image: convert it to PNG"},
    {0, 4, "GIF8", "a GIF image: convert it to PNG"},
    {0, 4, "II*\0", "a TIFF image: convert it to PNG"},
    {0, 4, "MM\0*", "a TIFF image: convert it to PNG"},
    {4, 8, "ftypavif", "an AVIF image: convert it to PNG"},
    {4, 8, "ftypheic", "a HEIC image: convert it to PNG"},
    {4, 8, "jP  \r\n\x87\n", "a JPEG 2000 image: convert it to PNG"},
    {0, 4, "\xff\x4f\xff\x51", "a JPEG 2000 codestream: convert it to PNG"},
    {0, 22, "version https://git-lfs", "a Git LFS pointer, not the image itself: run git lfs pull"},
    {0, 17, "/annex/objects/SH", "a git-annex pointer, not the image itself: run git annex get"},
    {0, 4, "%PDF", "a PDF document"},
    {0, 4, "PK\3\4", "a ZIP archive (or a file packed in one): unpack it"},
    {0, 2, "\x1f\x8b", "gzip data (perhaps a NIfTI volume): unpack it"},
    {0, 6, "Rar!\x1a\x07", "a RAR archive: unpack it"},
    {0, 6, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it"},
    {0, 8, "\x89HDF\r\n\x1a\n", "an HDF5 file"},
    {0, 6, "\x93NUMPY", "a NumPy array: luma.load reads it"},
    {344, 4, "n+1\0", "a NIfTI volume"},
    {0, 4, "NRRD", "an NRRD volume"},
    {0, 4, "<svg", "an SVG drawing"},
};

static bool has(const uint8_t *bytes, int64_t n, int offset, const char *mark, int length) {
  return n >= offset + length && memcmp(bytes + offset, mark, (size_t)length) == 0;
}

/* Whether text without regard to case stands within the first bytes. */
static bool near_start(const uint8_t *bytes, int64_t n, const char *text) {
  int64_t length = (int64_t)strlen(text), end = (n < 256 ? n : 256) - length;
  for (int64_t i = 0; i <= end; i++) {
    int64_t k = 0;
    while (k < length && (bytes[i + k] | 0x20) == text[k]) k++;
    if (k == length) return true;
  }
  return false;
}

/* DICOM without its preamble: the first element is of group 0002 or 0008 and says
 * how it is written, or is short and little endian. */
static bool bare_dicom(const uint8_t *b, int64_t n) {
  if (n < 16 || (b[0] != 2 && b[0] != 8) || b[1] != 0 || b[3] != 0) return false;
  bool named = b[4] >= 'A' && b[4] <= 'Z' && b[5] >= 'A' && b[5] <= 'Z';
  bool implicit = b[2] <= 0x18 && b[5] == 0 && b[6] == 0 && b[7] == 0 && b[4] > 0;
  return named || implicit;
}

const char *lm_image_kind(const uint8_t *bytes, int64_t n) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (has(bytes, n, kinds[i].offset, kinds[i].mark, kinds[i].length)) return kinds[i].words;
  if (has(bytes, n, 0, "BM", 2) && n >= 30 && bytes[6] == 0 && bytes[7] == 0 && bytes[14] >= 12 &&
      bytes[15] == 0)
    return "a BMP image: convert it to PNG";
  if (near_start(bytes, n, "<!doctype html") || near_start(bytes, n, "<html"))
    return "a web page (HTML), perhaps a download that failed";
  if (bare_dicom(bytes, n))
    return "a DICOM file without preamble: convert it, e.g. with DCMTK's dcm2pnm --write-png";
  return NULL;
}
