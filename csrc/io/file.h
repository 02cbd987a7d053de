/* file.h: whole files by descriptor: open what is a regular file, read exact
 * ranges, replace a file so that no reader ever sees half of it. */
#ifndef LM_FILE_H
#define LM_FILE_H

#include "core/bytes.h"

/* Opens path for reading: never blocks on a FIFO, refuses what is not a
 * regular file.  *fd is close-on-exec and belongs to the caller; *bytes is the
 * size.  LM_E_IO otherwise. */
bool lm_file_open(const char *path, int *fd, int64_t *bytes, lm_err *e);

/* Reads exactly `bytes` from `offset`; LM_E_DAMAGED when the file ends first
 * (it shrank), LM_E_INTERRUPT on Ctrl-C between blocks of 16 MiB. */
bool lm_file_read(int fd, int64_t offset, void *into, int64_t bytes, lm_err *e);

/* A whole regular file of at most max_bytes (0: LM_MAX_FILE) into *out, whose memory is
 * reused.  LM_E_LIMIT when it is larger, LM_E_IO when it cannot be read or its
 * size changed meanwhile. */
enum { LM_MAX_FILE = 256 << 20 };
bool lm_file_load(const char *path, int64_t max_bytes, lm_bytes *out, lm_err *e);

typedef struct {
  const void *data;
  int64_t bytes;
} lm_span;

/* Writes the spans one after the other into a new file beside `path`, flushes
 * it to the disk and renames it over `path`; then flushes the folder.  On any
 * failure the old file is as it was and nothing else is left. */
bool lm_file_replace(const char *path, const lm_span *spans, int64_t count, lm_err *e);

/* The same in steps, for many files at once: stage all (written, without a
 * name), flush all with one wait for the disk, commit all (renamed; what is not
 * flushed yet is flushed first), flush the folder once. */
typedef struct {
  int fd;     /* of the temporary file; -1 when there is none */
  bool named; /* it has the name below */
  bool flushed;
  char temp[4144];
} lm_staged;
bool lm_file_stage(const char *path, const lm_span *spans, int64_t count, lm_staged *s, lm_err *e);
/* *device: the file system flushed before in this series, 0 at its start. */
void lm_file_flush(lm_staged *s, uint64_t *device);
bool lm_file_commit(const char *path, lm_staged *s, lm_err *e); /* ends s, also on failure */
void lm_file_discard(lm_staged *s);                             /* ends s; twice is fine */
void lm_folder_flush(const char *path);                         /* of the folder that holds path */

/* A path for an error message: control characters shown as '?', a long one cut
 * to its last 200 bytes.  Returns buf. */
enum { LM_PATH_TEXT = 208 };
char *lm_path_text(const char *path, char buf[LM_PATH_TEXT]);

#endif
