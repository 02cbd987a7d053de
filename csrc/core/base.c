/* base.c: filling an lm_err. */
#include "core/base.h"

#include <stdarg.h>
#include <stdio.h>

static bool fail(lm_err *e, int arg, lm_code code, const char *fmt, va_list ap) {
  if (e != NULL) {
    e->code = code;
    e->arg = arg;
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
  }
  return false;
}

bool lm_fail(lm_err *e, lm_code code, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  fail(e, 0, code, fmt, ap);
  va_end(ap);
  return false;
}

bool lm_fail_arg(lm_err *e, int arg, lm_code code, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  fail(e, arg, code, fmt, ap);
  va_end(ap);
  return false;
}

const char *lm_code_name(lm_code code) {
  static const char *const names[] = {[LM_OK] = "ok",
                                      [LM_E_ARGUMENT] = "argument",
                                      [LM_E_SHAPE] = "shape",
                                      [LM_E_MEMORY] = "memory",
                                      [LM_E_IO] = "io",
                                      [LM_E_DAMAGED] = "damaged",
                                      [LM_E_LIMIT] = "limit",
                                      [LM_E_UNSUPPORTED] = "unsupported",
                                      [LM_E_INTERRUPT] = "interrupt"};
  return names[code];
}
