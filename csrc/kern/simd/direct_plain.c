/* direct_plain.c: no intrinsics: vectors of four floats that the compiler maps
 * to what the machine has. */
enum { PIXELS = 4 };
#include "kern/simd/direct_body.h"

const lm_direct_kernels lm_direct_plain = {PIXELS, 2 * LANES, tile};
