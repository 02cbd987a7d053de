/* safetensors.c: see safetensors.h.  Faults W1-W5 of the fault list. */
#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

/* ---- a strict reader of the JSON subset ---- */

typedef struct {
  const uint8_t *p, *start, *end;
  char *text; /* decoded strings go here, one after the other; never longer than the JSON */
  lm_err *e;
} reader;

static bool bad(reader *r, const char *what) {
  return lm_fail(r->e, LM_E_DAMAGED, "header, byte %lld: %s", (long long)(r->p - r->start), what);
}

static void space(reader *r) {
  while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t')) r->p++;
}

/* Skips space and takes c if it comes next. */
static bool take(reader *r, char c) {
  space(r);
  if (r->p >= r->end || *r->p != (uint8_t)c) return false;
  r->p++;
  return true;
}

static bool expect(reader *r, char c) {
  char what[32] = "'?' expected";
  what[1] = c;
  return take(r, c) || bad(r, what);
}

/* One UTF-8 sequence at r->p copied to r->text; shortest form, no surrogates. */
static bool utf8(reader *r) {
  const uint8_t c = *r->p;
  if (c < 0x80) {
    *r->text++ = (char)*r->p++;
    return true;
  }
  const int n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
  if (c < 0xc2 || c > 0xf4 || r->end - r->p < n) return bad(r, "not UTF-8");
  uint32_t code = (uint32_t)c & (0xffU >> (n + 1));
  for (int i = 1; i < n; i++) {
    if ((r->p[i] & 0xc0) != 0x80) return bad(r, "not UTF-8");
    code = code << 6 | (r->p[i] & 0x3fU);
  }
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
    return bad(r, "not UTF-8");
  memcpy(r->text, r->p, (size_t)n);
  r->text += n;
  r->p += n;
  return true;
}

static bool hex4(reader *r, uint32_t *code) {
  *code = 0;
  if (r->end - r->p < 4) return bad(r, "\\u needs four hexadecimal digits");
  for (int i = 0; i < 4; i++) {
    const uint8_t c = *r->p++;
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return bad(r, "\\u needs four hexadecimal digits");
    *code = *code << 4 | (uint32_t)digit;
  }
  return true;
}

/* After a backslash. */
static bool escape(reader *r) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (r->p >= r->end) return bad(r, "string not closed");
  const uint8_t c = *r->p++;
  const char *hit = c != '\0' ? strchr(from, c) : NULL;
  if (hit != NULL) {
    *r->text++ = to[hit - from];
    return true;
  }
  if (c != 'u') return bad(r, "unknown escape");
  uint32_t code, low;
  if (!hex4(r, &code)) return false;
  if (code >= 0xd800 && code < 0xdc00) {
    if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u')
      return bad(r, "half a surrogate pair");
    r->p += 2;
    if (!hex4(r, &low)) return false;
    if (low < 0xdc00 || low >= 0xe000) return bad(r, "half a surrogate pair");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  } else if (code >= 0xdc00 && code < 0xe000) {
    return bad(r, "half a surrogate pair");
  }
  if (code == 0) return bad(r, "a name holds a zero byte");
  if (code < 0x80) {
    *r->text++ = (char)code;
  } else if (code < 0x800) {
    *r->text++ = (char)(0xc0 | code >> 6);
    *r->text++ = (char)(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *r->text++ = (char)(0xe0 | code >> 12);
    *r->text++ = (char)(0x80 | (code >> 6 & 0x3f));
    *r->text++ = (char)(0x80 | (code & 0x3f));
  } else {
    *r->text++ = (char)(0xf0 | code >> 18);
    *r->text++ = (char)(0x80 | (code >> 12 & 0x3f));
    *r->text++ = (char)(0x80 | (code >> 6 & 0x3f));
    *r->text++ = (char)(0x80 | (code & 0x3f));
  }
  return true;
}

static bool string(reader *r, const char **out) {
  if (!expect(r, '"')) return false;
  *out = r->text;
  for (;;) {
    if (r->p >= r->end) return bad(r, "string not closed");
    if (*r->p == '"') break;
    if (*r->p < 0x20) return bad(r, "control character in a string");
    if (*r->p == '\\') {
      r->p++;
      if (!escape(r)) return false;
    } else if (!utf8(r)) {
      return false;
    }
  }
  r->p++;
  *r->text++ = '\0';
  return true;
}

/* A whole number, 0 .. 2^63-1. */
static bool whole(reader *r, int64_t *out) {
  space(r);
  if (r->p < r->end && *r->p == '-') return bad(r, "negative number");
  if (r->p >= r->end || *r->p < '0' || *r->p > '9') return bad(r, "whole number expected");
  const bool zero = *r->p == '0';
  int64_t n = 0;
  while (r->p < r->end && *r->p >= '0' && *r->p <= '9') {
    if (!lm_mul(n, 10, &n) || !lm_add(n, *r->p - '0', &n)) return bad(r, "number overflow");
    r->p++;
    if (zero && r->p < r->end && *r->p >= '0' && *r->p <= '9')
      return bad(r, "number with a leading zero");
  }
  if (r->p < r->end && (*r->p == '.' || *r->p == 'e' || *r->p == 'E'))
    return bad(r, "whole number expected, this one has a fraction or exponent");
  *out = n;
  return true;
}

/* A list of whole numbers; *count of them, at most max. */
static bool wholes(reader *r, int64_t *out, int max, int *count) {
  *count = 0;
  if (!expect(r, '[')) return false;
  if (take(r, ']')) return true;
  do {
    if (*count == max) return bad(r, "too many numbers in the list");
    if (!whole(r, &out[*count])) return false;
    ++*count;
  } while (take(r, ','));
  return expect(r, ']');
}

/* ---- one tensor's record ---- */

static bool fail_tensor(lm_err *e, const lm_st_entry *t, lm_code code, const char *what) {
  char name[LM_NAME_TEXT];
  return lm_fail(e, code, "tensor '%s': %s", lm_name_text(t->name, name), what);
}

static bool parse_dtype(reader *r, lm_st_entry *t) {
  const char *text;
  char *rewind = r->text;
  if (!string(r, &text)) return false;
  r->text = rewind;
  for (int i = 0; i < LM_NELEMENT; i++)
    if (strcmp(text, lm_elements[i].name) == 0) {
      t->dtype = (lm_element)i;
      return true;
    }
  char name[LM_NAME_TEXT], shown[LM_NAME_TEXT];
  return lm_fail(r->e, LM_E_UNSUPPORTED, "tensor '%s': unknown dtype '%s'",
                 lm_name_text(t->name, name), lm_name_text(text, shown));
}

static bool parse_entry(reader *r, lm_st_entry *t) {
  enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4, ALL = 7 };
  unsigned seen = 0;
  int64_t offsets[2];
  int count;
  if (!expect(r, '{')) return false;
  do {
    const char *key;
    char *rewind = r->text;
    if (!string(r, &key) || !expect(r, ':')) return false;
    r->text = rewind;
    const unsigned bit = strcmp(key, "dtype") == 0          ? DTYPE
                         : strcmp(key, "shape") == 0        ? SHAPE
                         : strcmp(key, "data_offsets") == 0 ? OFFSETS
                                                            : 0;
    if (bit == 0) return fail_tensor(r->e, t, LM_E_DAMAGED, "unknown key in its record");
    if (seen & bit) return fail_tensor(r->e, t, LM_E_DAMAGED, "duplicate key in its record");
    seen |= bit;
    if (bit == DTYPE && !parse_dtype(r, t)) return false;
    if (bit == SHAPE && !wholes(r, t->shape.size, LM_MAXRANK, &t->shape.rank)) return false;
    if (bit == OFFSETS) {
      if (!wholes(r, offsets, 2, &count)) return false;
      if (count != 2) return fail_tensor(r->e, t, LM_E_DAMAGED, "data_offsets needs two numbers");
      t->begin = offsets[0], t->end = offsets[1];
    }
  } while (take(r, ','));
  if (!expect(r, '}')) return false;
  if (seen != ALL)
    return fail_tensor(r->e, t, LM_E_DAMAGED, "its record needs dtype, shape and data_offsets");
  int64_t elements, bytes;
  if (!lm_shape_count(&t->shape, &elements) ||
      !lm_mul(elements, lm_elements[t->dtype].size, &bytes))
    return fail_tensor(r->e, t, LM_E_DAMAGED, "overflow: its shape's product is not a size");
  if (t->begin > t->end) return fail_tensor(r->e, t, LM_E_DAMAGED, "its offsets are reversed");
  if (t->end - t->begin != bytes) {
    char name[LM_NAME_TEXT], shape[LM_SHAPE_TEXT];
    return lm_fail(r->e, LM_E_DAMAGED, "tensor '%s': %s %s needs %lld bytes, its offsets span %lld",
                   lm_name_text(t->name, name), lm_elements[t->dtype].name,
                   lm_shape_text(&t->shape, shape), (long long)bytes,
                   (long long)(t->end - t->begin));
  }
  return true;
}

/* ---- growing lists, and the whole header ---- */

/* Room for one more of `size` bytes in *buffer; returns the (moved) array. */
static void *grow(lm_buffer **buffer, int64_t count, int64_t size, lm_err *e) {
  const int64_t have = *buffer != NULL ? (*buffer)->bytes / size : 0;
  if (count < have) return (*buffer)->data;
  lm_buffer *wider = lm_buffer_new(lm_max64(16, 2 * have) * size, e);
  if (wider == NULL) return NULL;
  if (*buffer != NULL) memcpy(wider->data, (*buffer)->data, (size_t)(count * size));
  lm_buffer_release(*buffer);
  *buffer = wider;
  return wider->data;
}

static bool parse_metadata(reader *r, lm_safetensors *out) {
  if (!expect(r, '{')) return false;
  if (take(r, '}')) return true;
  do {
    out->metadata = grow(&out->pair_buffer, out->metadata_count, sizeof(lm_st_pair), r->e);
    if (out->metadata == NULL) return false;
    lm_st_pair *pair = &out->metadata[out->metadata_count];
    if (!string(r, &pair->key) || !expect(r, ':') || !string(r, &pair->value)) return false;
    if (++out->metadata_count > LM_ST_MAX_TENSORS)
      return lm_fail(r->e, LM_E_LIMIT, "more than %d metadata entries", LM_ST_MAX_TENSORS);
  } while (take(r, ','));
  return expect(r, '}');
}

static bool parse_all(reader *r, lm_safetensors *out) {
  bool metadata = false;
  if (r->p >= r->end || *r->p != '{') return bad(r, "the header must begin with '{'");
  r->p++;
  if (!take(r, '}')) {
    do {
      const char *name;
      if (!string(r, &name) || !expect(r, ':')) return false;
      if (strcmp(name, "__metadata__") == 0) {
        if (metadata) return bad(r, "duplicate key '__metadata__'");
        metadata = true;
        if (!parse_metadata(r, out)) return false;
        continue;
      }
      if (out->count == LM_ST_MAX_TENSORS)
        return lm_fail(r->e, LM_E_LIMIT, "more than %d tensors", LM_ST_MAX_TENSORS);
      out->entries = grow(&out->entry_buffer, out->count, sizeof(lm_st_entry), r->e);
      if (out->entries == NULL) return false;
      lm_st_entry *t = &out->entries[out->count++];
      memset(t, 0, sizeof *t);
      t->name = name;
      if (!parse_entry(r, t)) return false;
    } while (take(r, ','));
    if (!expect(r, '}')) return false;
  }
  space(r);
  return r->p == r->end || bad(r, "text after the header's end");
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const lm_st_entry *)a)->name, ((const lm_st_entry *)b)->name);
}
static int by_key(const void *a, const void *b) {
  return strcmp(((const lm_st_pair *)a)->key, ((const lm_st_pair *)b)->key);
}
static int by_offset(const void *a, const void *b) {
  const lm_st_entry *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return strcmp(x->name, y->name); /* empty tensors: any order, but one order */
}

/* Names once each; offsets from 0 to the file's end without hole or overlap. */
static bool check_all(lm_safetensors *st, int64_t data_bytes, lm_err *e) {
  char name[LM_NAME_TEXT];
  if (st->metadata_count > 1) {
    qsort(st->metadata, (size_t)st->metadata_count, sizeof *st->metadata, by_key);
    for (int64_t i = 1; i < st->metadata_count; i++)
      if (by_key(&st->metadata[i - 1], &st->metadata[i]) == 0)
        return lm_fail(e, LM_E_DAMAGED, "duplicate metadata key '%s'",
                       lm_name_text(st->metadata[i].key, name));
  }
  if (st->count > 1) {
    qsort(st->entries, (size_t)st->count, sizeof *st->entries, by_name);
    for (int64_t i = 1; i < st->count; i++)
      if (by_name(&st->entries[i - 1], &st->entries[i]) == 0)
        return fail_tensor(e, &st->entries[i], LM_E_DAMAGED, "duplicate name");
    qsort(st->entries, (size_t)st->count, sizeof *st->entries, by_offset);
  }
  int64_t at = 0;
  for (int64_t i = 0; i < st->count; i++) {
    const lm_st_entry *t = &st->entries[i];
    if (t->begin != at)
      return lm_fail(e, LM_E_DAMAGED, "tensor '%s': its data begins at %lld, %s (%lld expected)",
                     lm_name_text(t->name, name), (long long)t->begin,
                     t->begin < at ? "inside the tensor before it" : "after a hole", (long long)at);
    at = t->end;
    if (at > data_bytes)
      return lm_fail(e, LM_E_DAMAGED,
                     "tensor '%s': its data ends at %lld, the file holds %lld bytes of data"
                     " (the file is truncated)",
                     lm_name_text(t->name, name), (long long)at, (long long)data_bytes);
  }
  if (at != data_bytes)
    return lm_fail(e, LM_E_DAMAGED, "%lld bytes of data belong to no tensor",
                   (long long)(data_bytes - at));
  return true;
}

/* What a file that is no safetensors probably is, for the message. */
static const char *looks_like(const uint8_t *first) {
  static const struct {
    const char *magic, *what;
    size_t n;
  } table[] = {
      {"\x89HDF\r\n\x1a\n", "HDF5: see store.convert_h5", 8},
      {"\x93NUMPY", "a NumPy array: see store.load_npy", 6},
      {"PK\3\4", "a zip archive: see store.load_npz; a PyTorch pickle is a program and is not run",
       4},
      {"\x80\2", "a pickle, which is a program and is not run", 2},
      {"version ", "a Git LFS pointer: the file itself was not fetched", 8},
      {"<!DOCTYP", "an HTML page", 8},
      {"<html", "an HTML page", 5},
      {"\x89PNG", "a PNG image", 4},
      {"\xff\xd8\xff", "a JPEG image", 3}};
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
    if (memcmp(first, table[i].magic, table[i].n) == 0) return table[i].what;
  for (size_t i = 0; i < 8; i++)
    if ((first[i] < 32 && first[i] != '\t' && first[i] != '\n' && first[i] != '\r') ||
        first[i] > 126)
      return NULL;
  return "text"; /* as a length, eight printable characters are petabytes */
}

bool lm_st_header_length(const uint8_t *bytes, int64_t have, int64_t file_bytes, int64_t *n,
                         lm_err *e) {
  if (have < 8 || file_bytes < 8)
    return lm_fail(e, LM_E_DAMAGED, "not safetensors: %lld bytes, the header length alone needs 8",
                   (long long)file_bytes);
  uint64_t length;
  memcpy(&length, bytes, 8);
  const char *other = looks_like(bytes);
  if (other != NULL) return lm_fail(e, LM_E_DAMAGED, "not safetensors but %s", other);
  if (length > LM_ST_MAX_HEADER)
    return lm_fail(e, LM_E_DAMAGED, "not safetensors: a header of %llu bytes (at most %d)",
                   (unsigned long long)length, LM_ST_MAX_HEADER);
  if ((int64_t)length > file_bytes - 8)
    return lm_fail(e, LM_E_DAMAGED,
                   "a header of %llu bytes in a file of %lld (truncated, or not safetensors)",
                   (unsigned long long)length, (long long)file_bytes);
  if (length < 2) return lm_fail(e, LM_E_DAMAGED, "not safetensors: the header is empty");
  *n = (int64_t)length;
  return true;
}

bool lm_st_parse(const uint8_t *json, int64_t n, int64_t file_bytes, lm_safetensors *out,
                 lm_err *e) {
  *out = (lm_safetensors){.data_start = 8 + n};
  out->text = lm_buffer_new(n + 1, e);
  if (out->text == NULL) return false;
  reader r = {.p = json, .start = json, .end = json + n, .text = out->text->data, .e = e};
  if (parse_all(&r, out) && check_all(out, file_bytes - out->data_start, e)) return true;
  lm_st_free(out);
  return false;
}

void lm_st_free(lm_safetensors *st) {
  lm_buffer_release(st->text);
  lm_buffer_release(st->entry_buffer);
  lm_buffer_release(st->pair_buffer);
  *st = (lm_safetensors){0};
}
