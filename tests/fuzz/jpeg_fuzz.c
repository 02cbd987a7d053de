/* jpeg_fuzz.c: libFuzzer over the JPEG reader.  Built and run by scripts/fuzz. */
#include "decode_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t mark[] = {0xff, 0xd8, 0xff};
  return decode_fuzz(data, size, mark, sizeof mark);
}
