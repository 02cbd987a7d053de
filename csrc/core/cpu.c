/* cpu.c: asking the processor. */
#include "core/cpu.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static lm_isa detect(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return LM_ISA_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return LM_ISA_AVX2;
#endif
  return LM_ISA_PLAIN;
}

lm_isa lm_cpu_isa(void) {
  static int known = -1; /* racing threads write the same value */
  if (known < 0) {
    lm_isa isa = detect();
    const char *wish = getenv("LUMA_ISA");
    if (wish != NULL)
      for (int i = LM_ISA_PLAIN; i < (int)isa; i++)
        if (strcmp(wish, lm_isa_name((lm_isa)i)) == 0) isa = (lm_isa)i;
    known = (int)isa;
  }
  return (lm_isa)known;
}

const char *lm_isa_name(lm_isa isa) {
  static const char *const names[] = {"plain", "avx2", "avx512"};
  return names[isa];
}

const char *lm_cpu_blas_core(void) {
  switch (detect()) {
    case LM_ISA_AVX512: return "SKYLAKEX";
    case LM_ISA_AVX2: return "HASWELL";
    case LM_ISA_PLAIN: break;
  }
  return NULL;
}

long lm_cpu_l2_bytes(void) {
#ifdef _SC_LEVEL2_CACHE_SIZE
  const long n = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (n > 0) return n;
#endif
  return 1L << 20;
}
