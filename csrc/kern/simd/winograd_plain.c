/* winograd_plain.c: no intrinsics: vectors of four floats that the
 * compiler maps to what the machine has. */
#define VECTORS 2
enum { GRAD_ROWS = 4 };
#include "kern/simd/winograd_body.h"

const lm_winograd_kernels lm_winograd_plain = TABLE;
