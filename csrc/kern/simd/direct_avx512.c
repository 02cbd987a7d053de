/* direct_avx512.c: 32 registers of 16 floats: 14 pixels x 2 vectors of
 * accumulators, two of weights, one input. */
#if defined(__AVX512F__)
enum { PIXELS = 14 };
#define MOST_TAPS 9
#include "kern/simd/direct_body.h"

const lm_direct_kernels lm_direct_avx512 = TABLE;
#else
typedef int nothing_to_compile_here;
#endif
