/* winograd_plain.c: no intrinsics: vectors of four floats that the
 * compiler maps to what the machine has. */
enum { ROWS = 6, GRAD_ROWS = 4 };
#include "kern/simd/winograd_body.h"

const lm_winograd_kernels lm_winograd_plain = {
    TRANSFORMS, .product = {0, product1, product2, product3, product4, product5, product6}};
