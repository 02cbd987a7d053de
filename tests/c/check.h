/* check.h: CHECK(condition): prints what failed and counts; main returns it. */
#ifndef LUMA_TEST_CHECK_H
#define LUMA_TEST_CHECK_H

#include <stdio.h>

static int failures;
#define CHECK(cond)                                                      \
  do {                                                                   \
    if (!(cond)) {                                                       \
      fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #cond); \
      failures++;                                                        \
    }                                                                    \
  } while (0)

#endif
