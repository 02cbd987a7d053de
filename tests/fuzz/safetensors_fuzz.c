/* safetensors_fuzz.c: libFuzzer target: any bytes are a clean answer. */
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const int64_t total = (int64_t)size;
  lm_err e;
  int64_t n;
  lm_safetensors st;
  if (!lm_st_header_length(data, total, total, &n, &e)) return 0;
  if (!lm_st_parse(data + 8, n, total, &st, &e)) return 0;
  for (int64_t i = 0; i < st.count; i++) {
    const lm_st_entry *entry = &st.entries[i];
    const int becomes = lm_elements[entry->dtype].becomes;
    lm_tensor t;
    if (becomes < 0 || !lm_tensor_new(&t, (lm_dtype)becomes, &entry->shape, &e)) continue;
    const uint8_t *from = data + st.data_start + entry->begin;
    if (lm_element_native(entry->dtype)) {
      if (entry->end > entry->begin)
        memcpy(lm_tensor_data(&t), from, (size_t)(entry->end - entry->begin));
    } else {
      lm_element_convert(entry->dtype, entry->name, from, &t, &e);
    }
    lm_tensor_close(&t);
  }
  lm_st_free(&st);
  return 0;
}
