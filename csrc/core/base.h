/* base.h: what every file of luma's C may use: the error record, debug
 * assertions, and checked integer arithmetic.
 *
 * C never prints, exits or longjmps.  A function that can fail returns bool
 * and fills an lm_err; the border (csrc/lua) turns that into a Lua error or
 * into nil, message, code. */
#ifndef LM_BASE_H
#define LM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
  LM_OK = 0,
  LM_E_ARGUMENT,    /* the caller's value is out of range */
  LM_E_SHAPE,       /* shapes do not fit each other */
  LM_E_MEMORY,      /* malloc said no, or the budget is used up */
  LM_E_IO,          /* the system could not open, read or write */
  LM_E_DAMAGED,     /* the bytes are not what their format promises */
  LM_E_UNSUPPORTED, /* valid, but outside what luma reads */
  LM_E_LIMIT,       /* valid, but larger than the stated limit */
  LM_E_INTERRUPT    /* Ctrl-C arrived */
} lm_code;

typedef struct {
  lm_code code;
  int arg;       /* 1-based argument at fault as the Lua caller counts, 0 if none */
  char msg[480]; /* complete sentence part: what was found, what was expected */
} lm_err;

/* Fills *e (which may be NULL) and returns false, so that a failing check is
 * one line: return lm_fail(e, LM_E_SHAPE, "..."). */
bool lm_fail(lm_err *e, lm_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same, naming the argument at fault. */
bool lm_fail_arg(lm_err *e, int arg, lm_code code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Short stable name of a code ("damaged", "unsupported", ...), the third
 * result of Lua functions that return nil, message, code. */
const char *lm_code_name(lm_code code);

#ifdef LUMA_DEBUG
#include <assert.h>
#define LM_ASSERT(cond) assert(cond)
#else
#define LM_ASSERT(cond) ((void)0)
#endif

/* a * b and a + b of non-negative sizes; false on overflow. */
static inline bool lm_mul(int64_t a, int64_t b, int64_t *out) {
  return !__builtin_mul_overflow(a, b, out);
}
static inline bool lm_add(int64_t a, int64_t b, int64_t *out) {
  return !__builtin_add_overflow(a, b, out);
}

static inline int64_t lm_min64(int64_t a, int64_t b) {
  return a < b ? a : b;
}
static inline int64_t lm_max64(int64_t a, int64_t b) {
  return a > b ? a : b;
}
static inline int64_t lm_ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

#endif
