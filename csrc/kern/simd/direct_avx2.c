/* direct_avx2.c: 16 registers of 8 floats: 6 pixels x 2 vectors of
 * accumulators, two of weights, one input. */
#if defined(__AVX2__)
enum { PIXELS = 6 };
#define MOST_TAPS 5
#include "kern/simd/direct_body.h"

const lm_direct_kernels lm_direct_avx2 = TABLE;
#else
typedef int nothing_to_compile_here;
#endif
