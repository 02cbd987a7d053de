/* vec.h: one vector of floats, as wide as the instruction set the including
 * file is compiled for.  + - * work on vec as they do on float; what C has no
 * operator for is below.  Include it in simd/ only: a file compiled for
 * one set must not leak inline functions into another. */
#ifndef LM_VEC_H
#define LM_VEC_H

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(__AVX512F__)
#include <immintrin.h>
typedef __m512 vec;
enum { LANES = 16 };
INLINE vec vec_load(const float *p) {
  return _mm512_loadu_ps(p);
}
INLINE void vec_store(float *p, vec v) {
  _mm512_storeu_ps(p, v);
}
INLINE vec vec_set(float x) {
  return _mm512_set1_ps(x);
}
/* a * b + c, rounded once */
INLINE vec vec_fma(vec a, vec b, vec c) {
  return _mm512_fmadd_ps(a, b, c);
}
/* The larger; b when either is NaN. */
INLINE vec vec_max(vec a, vec b) {
  return _mm512_max_ps(a, b);
}

#elif defined(__AVX2__)
#include <immintrin.h>
typedef __m256 vec;
enum { LANES = 8 };
INLINE vec vec_load(const float *p) {
  return _mm256_loadu_ps(p);
}
INLINE void vec_store(float *p, vec v) {
  _mm256_storeu_ps(p, v);
}
INLINE vec vec_set(float x) {
  return _mm256_set1_ps(x);
}
INLINE vec vec_fma(vec a, vec b, vec c) {
  return _mm256_fmadd_ps(a, b, c);
}
INLINE vec vec_max(vec a, vec b) {
  return _mm256_max_ps(a, b);
}

#else /* four floats by the compiler's vector types: SSE, NEON, or plain scalars */
typedef float vec __attribute__((vector_size(16)));
typedef int32_t vec_mask __attribute__((vector_size(16)));
enum { LANES = 4 };
INLINE vec vec_load(const float *p) {
  vec v;
  memcpy(&v, p, sizeof v);
  return v;
}
INLINE void vec_store(float *p, vec v) {
  memcpy(p, &v, sizeof v);
}
INLINE vec vec_set(float x) {
  return (vec){x, x, x, x};
}
INLINE vec vec_fma(vec a, vec b, vec c) {
  return a * b + c;
}
INLINE vec vec_max(vec a, vec b) {
  const vec_mask larger = a > b;
  return (vec)(((vec_mask)a & larger) | ((vec_mask)b & ~larger));
}
#endif

#endif
