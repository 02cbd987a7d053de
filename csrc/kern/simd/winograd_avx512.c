/* winograd_avx512.c: 32 registers of 16 floats: 14 tiles x 2 vectors of
 * accumulators, two of weights, one broadcast. */
#if defined(__AVX512F__)
enum { ROWS = 14, GRAD_ROWS = 8 };
#include "kern/simd/winograd_body.h"

PRODUCT(7)
PRODUCT(8)
PRODUCT(9)
PRODUCT(10)
PRODUCT(11)
PRODUCT(12)
PRODUCT(13)
PRODUCT(14)

const lm_winograd_kernels lm_winograd_avx512 = {
    TRANSFORMS,
    .product = {0, product1, product2, product3, product4, product5, product6, product7, product8,
                product9, product10, product11, product12, product13, product14}};
#else
typedef int nothing_to_compile_here;
#endif
