/* winograd_avx2.c: 16 registers of 8 floats: 6 tiles x 2 vectors of
 * accumulators, two of weights, one broadcast. */
#if defined(__AVX2__)
#define VECTORS 2
enum { GRAD_ROWS = 4 };
#include "kern/simd/winograd_body.h"

const lm_winograd_kernels lm_winograd_avx2 = TABLE;
#else
typedef int nothing_to_compile_here;
#endif
