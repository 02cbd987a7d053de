/* cpu.h: which instruction sets this machine has, asked once.  Includes
 * nothing of BLAS, so the boot module may use it before OpenBLAS loads. */
#ifndef LM_CPU_H
#define LM_CPU_H

typedef enum {
  LM_ISA_PLAIN, /* C that the compiler vectorises for the baseline (also arm64) */
  LM_ISA_AVX2,  /* AVX2 and FMA */
  LM_ISA_AVX512 /* AVX-512 F, BW, DQ, VL; BMI2 */
} lm_isa;

/* The best set of this processor and operating system; LUMA_ISA=plain|avx2|avx512
 * lowers it (never raises). */
lm_isa lm_cpu_isa(void);
const char *lm_isa_name(lm_isa isa);

/* The OPENBLAS_CORETYPE that suits this processor ("SKYLAKEX", "HASWELL"), or
 * NULL where OpenBLAS may choose by itself (no AVX2, or not x86-64). */
const char *lm_cpu_blas_core(void);

/* Bytes of the L2 cache of one core; 1 MiB when the system does not say. */
long lm_cpu_l2_bytes(void);

#endif
