/* zip.h: the entries of a zip archive in memory, for .npz.
 *
 * Only the central directory is believed, and checked against the bytes: stored
 * and deflated entries, zip64 sizes, CRC-32.  No encryption, no other method,
 * no several disks.  An entry's name is a key, never a path. */
#ifndef LM_ZIP_H
#define LM_ZIP_H

#include "core/base.h"

typedef struct {
  const uint8_t *bytes;
  int64_t n;
  int64_t at, end; /* of the directory entries not yet seen */
  int64_t left;    /* entries not yet seen */
} lm_zip;

enum { LM_ZIP_NAME = 256 };
typedef struct {
  char name[LM_ZIP_NAME]; /* printable, without '/' or '\' */
  bool deflated;
  uint32_t crc;
  int64_t packed, size; /* bytes in the archive, bytes of content */
  int64_t data;         /* where the packed bytes begin */
} lm_zip_entry;

/* Finds the directory.  LM_E_DAMAGED when there is none. */
bool lm_zip_open(const uint8_t *bytes, int64_t n, lm_zip *out, lm_err *e);

/* The next entry; *more is false after the last. */
bool lm_zip_next(lm_zip *zip, lm_zip_entry *out, bool *more, lm_err *e);

/* Unpacks the entry into `to` (entry->size bytes) and checks its CRC. */
bool lm_zip_extract(const lm_zip *zip, const lm_zip_entry *entry, uint8_t *to, lm_err *e);

#endif
