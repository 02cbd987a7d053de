/* png_fuzz.c: libFuzzer over the PNG reader.  Built and run by scripts/fuzz. */
#include "decode_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t mark[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  return decode_fuzz(data, size, mark, sizeof mark);
}
