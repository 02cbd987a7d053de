/* element.h: the types of numbers that weight files hold, and how they become
 * one of luma's four. */
#ifndef LM_ELEMENT_H
#define LM_ELEMENT_H

#include "core/tensor.h"

typedef enum {
  LM_EL_F64,
  LM_EL_F32,
  LM_EL_F16,
  LM_EL_BF16,
  LM_EL_I64,
  LM_EL_I32,
  LM_EL_I16,
  LM_EL_I8,
  LM_EL_U64,
  LM_EL_U32,
  LM_EL_U16,
  LM_EL_U8,
  LM_EL_BOOL,
  LM_EL_F8_E4M3,
  LM_EL_F8_E5M2,
  LM_NELEMENT
} lm_element;

typedef struct {
  const char *name; /* as safetensors writes it: "F16" */
  int64_t size;     /* bytes an element */
  int becomes;      /* the lm_dtype it is read as; -1: refused by name */
} lm_element_info;
extern const lm_element_info lm_elements[LM_NELEMENT];

/* True when the bytes of this type are those of the dtype it becomes. */
bool lm_element_native(lm_element type);

/* Converts the elements of `from` into t (contiguous, dtype as `becomes` says).
 * Exact, or LM_E_UNSUPPORTED naming the tensor and the value that does not fit
 * i32.  Native types need no call. */
bool lm_element_convert(lm_element type, const char *name, const uint8_t *from, lm_tensor *t,
                        lm_err *e);

/* A tensor's name for an error message: control characters shown as '?', a long
 * one cut after 80 bytes.  Returns buf. */
enum { LM_NAME_TEXT = 96 };
const char *lm_name_text(const char *name, char buf[LM_NAME_TEXT]);

#endif
