/* denormal.h: numbers below 1.2e-38 taken as zero, for a while, on this thread.
 *
 * Processors compute with such numbers up to a hundred times more slowly, and
 * the gradients of a saturated softmax are full of them (measured: a training
 * step of 5.1 s instead of 0.3).  Convolutions and dense layers flush them, as
 * TensorFlow does; everything else keeps them.  lm_parallel hands the caller's
 * mode to the threads that work for it. */
#ifndef LM_DENORMAL_H
#define LM_DENORMAL_H

#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
enum { LM_FLUSH = 0x8040 }; /* MXCSR: results (FTZ) and operands (DAZ) */
static inline uint64_t lm_fp_mode(void) {
  return _mm_getcsr();
}
static inline void lm_fp_set(uint64_t mode) {
  _mm_setcsr((unsigned)mode);
}
#elif defined(__aarch64__)
enum { LM_FLUSH = 1 << 24 }; /* FPCR.FZ */
static inline uint64_t lm_fp_mode(void) {
  uint64_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
static inline void lm_fp_set(uint64_t mode) {
  __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}
#else /* no such mode: slow, but right */
enum { LM_FLUSH = 0 };
static inline uint64_t lm_fp_mode(void) {
  return 0;
}
static inline void lm_fp_set(uint64_t mode) {
  (void)mode;
}
#endif

static inline uint64_t lm_flush_begin(void) {
  const uint64_t before = lm_fp_mode();
  lm_fp_set(before | LM_FLUSH);
  return before;
}
static inline void lm_flush_end(const uint64_t *before) {
  lm_fp_set(*before);
}

/* A declaration: from here to the end of the block, however it is left. */
#define LM_FLUSH_DENORMALS \
  const uint64_t flush_before __attribute__((cleanup(lm_flush_end), unused)) = lm_flush_begin()

#endif
