/* clones.h: one loop, compiled for several instruction sets; the loader picks.
 *
 * Contraction to FMA is off in the whole build, so every clone computes the
 * same bits and only the width differs.  For simple elementwise loops; tuned
 * kernels live in kern/simd. */
#ifndef LM_CLONES_H
#define LM_CLONES_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define LM_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define LM_CLONES
#endif

/* Before a loop whose outputs are either distinct from its inputs or the very
 * same elements: no iteration reads what another wrote. */
#if defined(__clang__)
#define LM_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define LM_IVDEP _Pragma("GCC ivdep")
#endif

#endif
