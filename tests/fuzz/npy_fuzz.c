/* npy_fuzz.c: libFuzzer target: npy and npz, any bytes are a clean answer. */
#include <stdlib.h>
#include <string.h>

#include "io/npy.h"
#include "io/zip.h"

static void one_array(uint8_t *bytes, int64_t n) {
  lm_npy npy;
  lm_err e;
  lm_tensor t;
  if (!lm_npy_parse(bytes, n, &npy, &e)) return;
  if (!lm_tensor_new(&t, (lm_dtype)lm_elements[npy.dtype].becomes, &npy.shape, &e)) return;
  lm_npy_fill(&npy, bytes, "array", &t, &e);
  lm_tensor_close(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  lm_err e;
  lm_zip zip;
  lm_zip_entry entry;
  bool more;
  uint8_t *copy = malloc(size + 1);
  if (copy == NULL) return 0;
  if (size > 0) memcpy(copy, data, size);
  one_array(copy, (int64_t)size);
  free(copy);
  if (!lm_zip_open(data, (int64_t)size, &zip, &e)) return 0;
  while (lm_zip_next(&zip, &entry, &more, &e) && more) {
    if (entry.size > 1 << 20) continue;
    uint8_t *content = malloc((size_t)entry.size + 1);
    if (content != NULL && lm_zip_extract(&zip, &entry, content, &e))
      one_array(content, entry.size);
    free(content);
  }
  return 0;
}
