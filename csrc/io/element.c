/* element.c: see element.h. */
#include "io/element.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "data is read as it lies in the file");

const lm_element_info lm_elements[LM_NELEMENT] = {
    [LM_EL_F64] = {"F64", 8, LM_F64},    [LM_EL_F32] = {"F32", 4, LM_F32},
    [LM_EL_F16] = {"F16", 2, LM_F32},    [LM_EL_BF16] = {"BF16", 2, LM_F32},
    [LM_EL_I64] = {"I64", 8, LM_I32},    [LM_EL_I32] = {"I32", 4, LM_I32},
    [LM_EL_I16] = {"I16", 2, LM_I32},    [LM_EL_I8] = {"I8", 1, LM_I32},
    [LM_EL_U64] = {"U64", 8, LM_I32},    [LM_EL_U32] = {"U32", 4, LM_I32},
    [LM_EL_U16] = {"U16", 2, LM_I32},    [LM_EL_U8] = {"U8", 1, LM_U8},
    [LM_EL_BOOL] = {"BOOL", 1, LM_U8},   [LM_EL_F8_E4M3] = {"F8_E4M3", 1, -1},
    [LM_EL_F8_E5M2] = {"F8_E5M2", 1, -1}};

const char *lm_name_text(const char *name, char buf[LM_NAME_TEXT]) {
  size_t n = 0;
  for (; name[n] != '\0' && n < 80; n++)
    buf[n] = (char)((uint8_t)name[n] < 0x20 || name[n] == 0x7f ? '?' : name[n]);
  memcpy(buf + n, name[n] != '\0' ? "..." : "", name[n] != '\0' ? 4 : 1);
  return buf;
}

static float from_f16(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000U) << 16, mantissa = h & 0x3ffU;
  uint32_t exponent = h >> 10 & 0x1fU, bits;
  if (exponent == 31) {
    bits = sign | 0x7f800000U | mantissa << 13;
  } else if (exponent != 0) {
    bits = sign | (exponent + 112) << 23 | mantissa << 13;
  } else {
    const float tiny = (float)mantissa * 0x1p-24f; /* subnormal: exact */
    return sign ? -tiny : tiny;
  }
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

static void widen_floats(lm_element type, const uint8_t *from, float *to, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    uint16_t h;
    memcpy(&h, from + 2 * i, 2);
    const uint32_t bits = (uint32_t)h << 16;
    if (type == LM_EL_F16)
      to[i] = from_f16(h);
    else
      memcpy(&to[i], &bits, 4);
  }
}

/* Element i as int64; a U64 beyond it comes out as INT64_MAX, which fails the
 * range check as it should. */
static int64_t integer_at(lm_element type, const uint8_t *from, int64_t i) {
  union {
    int64_t i64;
    uint64_t u64;
    uint32_t u32;
    int16_t i16;
    uint16_t u16;
  } v;
  memcpy(&v, from + i * lm_elements[type].size, (size_t)lm_elements[type].size);
  switch (type) {
    case LM_EL_I64: return v.i64;
    case LM_EL_U64: return v.u64 > INT64_MAX ? INT64_MAX : (int64_t)v.u64;
    case LM_EL_U32: return v.u32;
    case LM_EL_I16: return v.i16;
    case LM_EL_U16: return v.u16;
    default: return (int8_t)from[i]; /* I8 */
  }
}

bool lm_element_native(lm_element type) {
  return type == LM_EL_F32 || type == LM_EL_F64 || type == LM_EL_I32 || type == LM_EL_U8 ||
         type == LM_EL_BOOL;
}

bool lm_element_convert(lm_element type, const char *name, const uint8_t *from, lm_tensor *t,
                        lm_err *e) {
  const int64_t count = lm_tensor_count(t);
  if (type == LM_EL_F16 || type == LM_EL_BF16) {
    widen_floats(type, from, lm_f32(t), count);
    return true;
  }
  if (lm_elements[type].becomes != LM_I32)
    return lm_fail(e, LM_E_UNSUPPORTED, "luma does not read %s", lm_elements[type].name);
  for (int64_t i = 0; i < count; i++) {
    const int64_t v = integer_at(type, from, i);
    if (v < INT32_MIN || v > INT32_MAX) {
      char shown[LM_NAME_TEXT];
      return lm_fail(e, LM_E_UNSUPPORTED, "tensor '%s': %s element %lld does not fit i32",
                     lm_name_text(name, shown), lm_elements[type].name, (long long)(i + 1));
    }
    lm_i32(t)[i] = (int32_t)v;
  }
  return true;
}
