/* winograd_avx512.c: 32 registers of 16 floats: 6 tiles x 4 vectors of
 * accumulators, four of weights, one broadcast. */
#if defined(__AVX512F__)
#define VECTORS 4
enum { GRAD_ROWS = 8 };
#include "kern/simd/winograd_body.h"

const lm_winograd_kernels lm_winograd_avx512 = TABLE;
#else
typedef int nothing_to_compile_here;
#endif
