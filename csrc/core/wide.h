/* wide.h: marks a file of plain loops that is compiled once per instruction set.
 *
 * The Makefile compiles every .c file that includes this header for each set of
 * lm_isa and links one core library per set; luma.boot loads the one that
 * lm_cpu_isa() names, so LUMA_ISA decides what runs.  Contraction to FMA is off
 * in the whole build, so every set computes the same bits and only the width
 * differs.  Hand-tuned kernels live in the files with an instruction set in
 * their name and are chosen inside the library by the same lm_cpu_isa(). */
#ifndef LM_WIDE_H
#define LM_WIDE_H

/* Before a loop whose outputs are either distinct from its inputs or the very
 * same elements: no iteration reads what another wrote.  clang warns where it
 * cannot use the hint; that is not an error. */
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed"
#define LM_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define LM_IVDEP _Pragma("GCC ivdep")
#endif

/* The set this file was compiled for: what the dispatch really runs. */
#if defined(__AVX512F__)
#define LM_WIDE_NAME "avx512"
#elif defined(__AVX2__)
#define LM_WIDE_NAME "avx2"
#else
#define LM_WIDE_NAME "plain"
#endif

#endif
