/* direct_plain.c: no intrinsics: vectors of four floats that the compiler maps
 * to what the machine has. */
enum { PIXELS = 4 };
#define MOST_TAPS 5
#include "kern/simd/direct_body.h"

const lm_direct_kernels lm_direct_plain = TABLE;
