/* npy.c: see npy.h.  Fault W10 of the fault list. */
#include "io/npy.h"

#include <string.h>

typedef struct {
  const char *p, *end;
  lm_err *e;
} reader;

static bool bad(reader *r, const char *what) {
  return lm_fail(r->e, LM_E_DAMAGED, "npy header: %s", what);
}

static void space(reader *r) {
  while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t')) r->p++;
}

static bool take(reader *r, char c) {
  space(r);
  if (r->p >= r->end || *r->p != c) return false;
  r->p++;
  return true;
}

/* 'text' or "text" without escapes, into buf. */
static bool quoted(reader *r, char *buf, size_t room) {
  space(r);
  if (r->p >= r->end || (*r->p != '\'' && *r->p != '"')) return bad(r, "a quoted word expected");
  const char quote = *r->p++;
  size_t n = 0;
  for (; r->p < r->end && *r->p != quote; r->p++) {
    if (n + 1 >= room || *r->p == '\\' || (unsigned char)*r->p < ' ' || *r->p == 0x7f)
      return bad(r, "an odd word");
    buf[n++] = *r->p;
  }
  buf[n] = '\0';
  return take(r, quote) || bad(r, "a word is not closed");
}

static bool word(reader *r, const char *text) {
  const size_t n = strlen(text);
  space(r);
  if ((size_t)(r->end - r->p) < n || memcmp(r->p, text, n) != 0) return false;
  r->p += n;
  return true;
}

static bool parse_descr(reader *r, lm_npy *out) {
  static const struct {
    char kind, size;
    lm_element dtype;
  } table[] = {{'b', '1', LM_EL_BOOL}, {'u', '1', LM_EL_U8},  {'u', '2', LM_EL_U16},
               {'u', '4', LM_EL_U32},  {'u', '8', LM_EL_U64}, {'i', '1', LM_EL_I8},
               {'i', '2', LM_EL_I16},  {'i', '4', LM_EL_I32}, {'i', '8', LM_EL_I64},
               {'f', '2', LM_EL_F16},  {'f', '4', LM_EL_F32}, {'f', '8', LM_EL_F64}};
  char text[32];
  space(r);
  if (r->p < r->end && *r->p == '[')
    return lm_fail(r->e, LM_E_UNSUPPORTED, "npy: luma does not read structured arrays");
  if (!quoted(r, text, sizeof text)) return false;
  if (strlen(text) == 3 && strchr("<>|=", text[0]) != NULL)
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
      if (table[i].kind == text[1] && table[i].size == text[2]) {
        out->dtype = table[i].dtype;
        out->swapped = text[0] == '>' && text[2] != '1';
        return text[0] != '|' || text[2] == '1' || bad(r, "descr without a byte order");
      }
  if (strchr(text, 'O') != NULL)
    return lm_fail(r->e, LM_E_UNSUPPORTED,
                   "npy: an array of Python objects (a pickle is a program; luma runs none)");
  return lm_fail(r->e, LM_E_UNSUPPORTED, "npy: luma does not read dtype '%s'", text);
}

static bool parse_shape(reader *r, lm_shape *s) {
  s->rank = 0;
  if (!take(r, '(')) return bad(r, "the shape must be a tuple");
  while (!take(r, ')')) {
    space(r);
    if (r->p >= r->end || *r->p < '0' || *r->p > '9')
      return bad(r, "a size must be a whole number");
    if (s->rank == LM_MAXRANK)
      return lm_fail(r->e, LM_E_UNSUPPORTED, "npy: more than %d dimensions", LM_MAXRANK);
    int64_t n = 0;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++)
      if (!lm_mul(n, 10, &n) || !lm_add(n, *r->p - '0', &n)) return bad(r, "a size overflows");
    if (r->p < r->end && *r->p == 'L') r->p++; /* Python 2's long */
    s->size[s->rank++] = n;
    if (!take(r, ',')) {
      if (s->rank == 1) return bad(r, "the shape must be a tuple"); /* (3) is a number */
      if (!take(r, ')')) return bad(r, "')' expected");
      return true;
    }
  }
  return true;
}

static bool parse_dictionary(reader *r, lm_npy *out) {
  enum { DESCR = 1, FORTRAN = 2, SHAPE = 4, ALL = 7 };
  unsigned seen = 0;
  if (!take(r, '{')) return bad(r, "not a dictionary");
  while (!take(r, '}')) {
    char key[32];
    if (!quoted(r, key, sizeof key)) return false;
    const unsigned bit = strcmp(key, "descr") == 0           ? DESCR
                         : strcmp(key, "fortran_order") == 0 ? FORTRAN
                         : strcmp(key, "shape") == 0         ? SHAPE
                                                             : 0;
    if (bit == 0 || (seen & bit)) return bad(r, "an unknown or duplicate key");
    seen |= bit;
    if (!take(r, ':')) return bad(r, "':' expected");
    if (bit == DESCR && !parse_descr(r, out)) return false;
    if (bit == SHAPE && !parse_shape(r, &out->shape)) return false;
    if (bit == FORTRAN) {
      out->fortran = word(r, "True");
      if (!out->fortran && !word(r, "False")) return bad(r, "fortran_order must be True or False");
    }
    if (!take(r, ',')) {
      if (!take(r, '}')) return bad(r, "'}' expected");
      break;
    }
  }
  space(r);
  if (r->p != r->end) return bad(r, "text after the dictionary");
  return seen == ALL || bad(r, "descr, fortran_order and shape are needed");
}

bool lm_npy_parse(const uint8_t *bytes, int64_t n, lm_npy *out, lm_err *e) {
  *out = (lm_npy){0};
  if (n < 10 || memcmp(bytes, "\x93NUMPY", 6) != 0)
    return lm_fail(e, LM_E_DAMAGED, "not an npy file");
  if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
    return lm_fail(e, LM_E_UNSUPPORTED, "npy version %d.%d (1.0, 2.0 and 3.0 are known)", bytes[6],
                   bytes[7]);
  const int64_t start = bytes[6] == 1 ? 10 : 12;
  int64_t length = bytes[8] | bytes[9] << 8;
  if (start == 12) {
    if (n < 12) return lm_fail(e, LM_E_DAMAGED, "the file is truncated");
    length |= (int64_t)bytes[10] << 16 | (int64_t)bytes[11] << 24;
  }
  if (length > LM_NPY_MAX_HEADER)
    return lm_fail(e, LM_E_LIMIT, "an npy header of %lld bytes (at most %d)", (long long)length,
                   LM_NPY_MAX_HEADER);
  if (length > n - start) return lm_fail(e, LM_E_DAMAGED, "the file is truncated");
  reader r = {
      .p = (const char *)bytes + start, .end = (const char *)bytes + start + length, .e = e};
  if (!parse_dictionary(&r, out)) return false;
  out->data_start = start + length;
  int64_t count;
  if (!lm_shape_count(&out->shape, &count) ||
      !lm_mul(count, lm_elements[out->dtype].size, &out->data_bytes))
    return lm_fail(e, LM_E_DAMAGED, "npy header: overflow: the shape's product is not a size");
  if (out->data_bytes != n - out->data_start) {
    char shape[LM_SHAPE_TEXT];
    return lm_fail(e, LM_E_DAMAGED, "%s %s needs %lld bytes of data, the file holds %lld",
                   lm_elements[out->dtype].name, lm_shape_text(&out->shape, shape),
                   (long long)out->data_bytes, (long long)(n - out->data_start));
  }
  return true;
}

bool lm_npy_fill(const lm_npy *npy, uint8_t *bytes, const char *name, lm_tensor *t, lm_err *e) {
  const int64_t width = lm_elements[npy->dtype].size;
  uint8_t *data = bytes + npy->data_start;
  if (npy->swapped)
    for (int64_t i = 0; i < npy->data_bytes; i += width)
      for (int64_t a = i, b = i + width - 1; a < b; a++, b--) {
        const uint8_t byte = data[a];
        data[a] = data[b];
        data[b] = byte;
      }
  if (lm_element_native(npy->dtype)) {
    if (npy->data_bytes > 0) memcpy(lm_tensor_data(t), data, (size_t)npy->data_bytes);
    return true;
  }
  return lm_element_convert(npy->dtype, name, data, t, e);
}
