/* zip.c: see zip.h.  PKWARE's APPNOTE.TXT, sections 4.3.7-4.3.16 and 4.5.3. */
#include "io/zip.h"

#include <string.h>
#include <zlib.h>

static uint32_t le(const uint8_t *p, int width) {
  uint32_t v = 0;
  for (int i = 0; i < width; i++) v |= (uint32_t)p[i] << (8 * i);
  return v;
}

/* 64 bits, false when they are not a size. */
static bool le64(const uint8_t *p, int64_t *out) {
  const uint64_t v = le(p, 4) | (uint64_t)le(p + 4, 4) << 32;
  *out = (int64_t)v;
  return v <= INT64_MAX;
}

static bool damaged(lm_err *e, const char *what) {
  return lm_fail(e, LM_E_DAMAGED, "zip: %s", what);
}

bool lm_zip_open(const uint8_t *bytes, int64_t n, lm_zip *out, lm_err *e) {
  enum { TAIL = 22, COMMENT = 65535 };
  int64_t at = n - TAIL;
  const int64_t lowest = lm_max64(0, n - TAIL - COMMENT);
  while (at >= lowest && memcmp(bytes + at, "PK\5\6", 4) != 0) at--;
  if (at < lowest) return damaged(e, "not a zip archive, or truncated");
  const uint8_t *p = bytes + at;
  int64_t count = le(p + 10, 2), size = le(p + 12, 4), start = le(p + 16, 4);
  if (le(p + 4, 2) != 0 || le(p + 6, 2) != 0) return damaged(e, "an archive of several parts");
  if (count == 0xffff || size == 0xffffffff || start == 0xffffffff) { /* zip64 */
    int64_t where;
    if (at < 20 || memcmp(p - 20, "PK\6\7", 4) != 0) return damaged(e, "no zip64 locator");
    if (!le64(p - 12, &where) || where > at - 20 - 56 || memcmp(bytes + where, "PK\6\6", 4) != 0)
      return damaged(e, "no zip64 directory");
    if (!le64(bytes + where + 32, &count) || !le64(bytes + where + 40, &size) ||
        !le64(bytes + where + 48, &start))
      return damaged(e, "zip64 sizes overflow");
  }
  if (start > at || size > at - start) return damaged(e, "its directory lies outside the file");
  *out = (lm_zip){.bytes = bytes, .n = n, .at = start, .end = start + size, .left = count};
  return true;
}

/* Replaces the 32-bit sizes that say "see the zip64 field" by that field's. */
static bool zip64(const uint8_t *extra, int64_t n, lm_zip_entry *out, int64_t *local, lm_err *e) {
  for (int64_t at = 0; at + 4 <= n;) {
    const int64_t width = le(extra + at + 2, 2);
    if (width > n - at - 4) return damaged(e, "an extra field runs over");
    if (le(extra + at, 2) == 1) {
      const uint8_t *p = extra + at + 4, *end = p + width;
      int64_t *const fields[] = {&out->size, &out->packed, local};
      for (int i = 0; i < 3; i++) {
        if (*fields[i] != 0xffffffff) continue;
        if (end - p < 8 || !le64(p, fields[i])) return damaged(e, "zip64 sizes overflow");
        p += 8;
      }
    }
    at += 4 + width;
  }
  return true;
}

bool lm_zip_next(lm_zip *zip, lm_zip_entry *out, bool *more, lm_err *e) {
  enum { FIXED = 46, LOCAL = 30 };
  *more = zip->left > 0;
  if (!*more) return true;
  const uint8_t *p = zip->bytes + zip->at;
  if (zip->end - zip->at < FIXED || memcmp(p, "PK\1\2", 4) != 0)
    return damaged(e, "a damaged directory");
  const int64_t name = le(p + 28, 2), extra = le(p + 30, 2), comment = le(p + 32, 2);
  if (name + extra + comment > zip->end - zip->at - FIXED) return damaged(e, "a damaged directory");
  const uint32_t method = le(p + 10, 2);
  *out = (lm_zip_entry){.deflated = method == 8,
                        .crc = le(p + 16, 4),
                        .packed = le(p + 20, 4),
                        .size = le(p + 24, 4)};
  if (name == 0 || name >= LM_ZIP_NAME) return damaged(e, "an entry's name is empty or too long");
  for (int64_t i = 0; i < name; i++) {
    const uint8_t c = p[FIXED + i];
    /* Names are keys, never paths: Keras and Flax write "conv1/kernel:0". */
    if (c < 0x20 || c == 0x7f) return damaged(e, "an entry's name holds a control character");
    out->name[i] = (char)c;
  }
  int64_t local = le(p + 42, 4);
  if (!zip64(p + FIXED + name, extra, out, &local, e)) return false;
  if (le(p + 8, 2) & 1) return lm_fail(e, LM_E_UNSUPPORTED, "zip: '%s' is encrypted", out->name);
  if (method != 0 && method != 8)
    return lm_fail(e, LM_E_UNSUPPORTED, "zip: '%s' is packed by method %u", out->name, method);
  if (local > zip->n - LOCAL || memcmp(zip->bytes + local, "PK\3\4", 4) != 0)
    return damaged(e, "an entry's header is missing");
  const uint8_t *l = zip->bytes + local;
  out->data = local + LOCAL + le(l + 26, 2) + le(l + 28, 2);
  if (out->data > zip->n || out->packed > zip->n - out->data)
    return lm_fail(e, LM_E_DAMAGED, "zip: '%s' runs over the file's end", out->name);
  if (!out->deflated && out->packed != out->size)
    return lm_fail(e, LM_E_DAMAGED, "zip: '%s' is stored in two sizes", out->name);
  zip->at += FIXED + name + extra + comment;
  zip->left--;
  return true;
}

static bool inflate_all(const uint8_t *from, int64_t packed, uint8_t *to, int64_t size) {
  enum { STEP = 1 << 30 }; /* zlib counts in 32 bits */
  z_stream z = {0};
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return false;
  z.next_in = (Bytef *)(uintptr_t)from;
  z.next_out = to;
  int code = Z_OK;
  while (code == Z_OK) {
    const int64_t in = lm_min64(packed - (z.next_in - from), STEP);
    const int64_t out = lm_min64(size - (z.next_out - to), STEP);
    z.avail_in = (uInt)in;
    z.avail_out = (uInt)out;
    code = inflate(&z, Z_NO_FLUSH);
    if (code == Z_OK && z.avail_in == (uInt)in && z.avail_out == (uInt)out) code = Z_BUF_ERROR;
  }
  inflateEnd(&z);
  return code == Z_STREAM_END && z.next_out == to + size && z.next_in == from + packed;
}

bool lm_zip_extract(const lm_zip *zip, const lm_zip_entry *entry, uint8_t *to, lm_err *e) {
  const uint8_t *from = zip->bytes + entry->data;
  if (!entry->deflated) {
    memcpy(to, from, (size_t)entry->size);
  } else if (!inflate_all(from, entry->packed, to, entry->size)) {
    return lm_fail(e, LM_E_DAMAGED, "zip: '%s' does not unpack to the size it states", entry->name);
  }
  uint32_t crc = (uint32_t)crc32(0, NULL, 0);
  for (int64_t at = 0; at < entry->size;) {
    const int64_t part = lm_min64(entry->size - at, 1 << 30);
    crc = (uint32_t)crc32(crc, to + at, (uInt)part);
    at += part;
  }
  return crc == entry->crc || lm_fail(e, LM_E_DAMAGED, "zip: '%s' fails its checksum", entry->name);
}
