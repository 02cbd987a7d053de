/* safetensors.h: reading the header of a safetensors file, strictly.
 *
 * A file is: 8 bytes little-endian n, n bytes of JSON, then the data.  The
 * JSON maps each name to {"dtype", "shape", "data_offsets": [begin, end]} and
 * may hold "__metadata__", a map of strings.  Everything is checked before a
 * byte of data is looked at: n <= 100 MB and inside the file; UTF-8; whole
 * numbers parsed as integers; no duplicate or unknown key; offsets that cover
 * the data exactly, without hole or overlap; sizes that match shape and dtype.
 * The parser keeps no stack: nesting deeper than the format's is an error. */
#ifndef LM_SAFETENSORS_H
#define LM_SAFETENSORS_H

#include "core/mem.h"
#include "io/element.h"

enum { LM_ST_MAX_HEADER = 100000000, LM_ST_MAX_TENSORS = 100000 };

typedef struct {
  const char *name; /* UTF-8, no NUL */
  lm_element dtype;
  lm_shape shape;
  int64_t begin, end; /* bytes, from the start of the data */
} lm_st_entry;

typedef struct {
  const char *key, *value;
} lm_st_pair;

typedef struct {
  lm_st_entry *entries; /* in the order of the data */
  int64_t count;
  lm_st_pair *metadata; /* in the order of the header */
  int64_t metadata_count;
  int64_t data_start;                           /* of the data, in bytes from the file's start */
  lm_buffer *text, *entry_buffer, *pair_buffer; /* owned */
} lm_safetensors;

/* Length n of the JSON from the first bytes of the file (have of them are at
 * hand, 8 suffice), checked against the file's size. */
bool lm_st_header_length(const uint8_t *bytes, int64_t have, int64_t file_bytes, int64_t *n,
                         lm_err *e);

/* Parses the n bytes of JSON of a file of file_bytes.  On success the caller
 * owns *out; on failure *out is empty. */
bool lm_st_parse(const uint8_t *json, int64_t n, int64_t file_bytes, lm_safetensors *out,
                 lm_err *e);
void lm_st_free(lm_safetensors *st); /* twice is fine */

#endif
