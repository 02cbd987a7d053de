/* mem_test.c: the account, reuse of released blocks, the budget, injected
 * failures, alignment. */
#include "core/mem.h"

#include <string.h>

#include "check.h"

enum { MIB = 1 << 20 };

static void keeps_the_account(void) {
  lm_err e;
  const lm_mem start = lm_mem_stats();
  lm_buffer *a = lm_buffer_new(100, &e), *b = lm_buffer_new(3 * MIB, &e), *z = lm_buffer_new(0, &e);
  CHECK(a != NULL && b != NULL && z != NULL);
  CHECK((uintptr_t)a->data % 64 == 0 && (uintptr_t)b->data % 64 == 0);
  memset(a->data, 1, 100);
  memset(b->data, 1, 3 * MIB);
  CHECK(lm_mem_stats().live == start.live + 100 + 3 * MIB);
  CHECK(lm_mem_stats().buffers == start.buffers + 3);
  lm_buffer_retain(a);
  lm_buffer_release(a);
  CHECK(lm_mem_stats().buffers == start.buffers + 3);
  lm_buffer_release(a);
  lm_buffer_release(b);
  lm_buffer_release(z);
  lm_buffer_release(NULL);
  CHECK(lm_mem_stats().live == start.live && lm_mem_stats().buffers == start.buffers);
}

static void reuses_large_blocks(void) {
  lm_err e;
  lm_buffer *a = lm_buffer_new(8 * MIB, &e);
  void *where = a->data;
  lm_buffer_release(a);
  CHECK(lm_mem_stats().cached >= 8 * MIB);
  a = lm_buffer_new(7 * MIB, &e); /* up to a quarter larger serves */
  CHECK(a->data == where && a->bytes == 7 * MIB && a->version == 0);
  lm_buffer_release(a);
  lm_mem_trim();
  CHECK(lm_mem_stats().cached == 0);
}

/* Live and cached bytes together never pass one and a half times the highest
 * live total. */
static void never_doubles_the_footprint(void) {
  lm_err e;
  lm_mem_reset_peak();
  lm_buffer *held[8];
  for (int size = 2; size <= 40; size += 3) {
    for (int i = 0; i < 8; i++) held[i] = lm_buffer_new((int64_t)size * MIB, &e);
    const lm_mem m = lm_mem_stats();
    CHECK(m.live + m.cached <= m.peak + m.peak / 2 + 16 * 4096);
    for (int i = 0; i < 8; i++) lm_buffer_release(held[i]);
    CHECK(lm_mem_stats().cached <= lm_mem_stats().peak / 2 * 3 + 16 * 4096);
  }
  lm_mem_trim();
}

static void keeps_the_budget(void) {
  lm_err e = {0};
  const int64_t before = lm_mem_stats().limit;
  lm_mem_set_limit(lm_mem_stats().live + 10 * MIB);
  lm_buffer *a = lm_buffer_new(6 * MIB, &e);
  CHECK(a != NULL);
  CHECK(lm_buffer_new(6 * MIB, &e) == NULL);
  CHECK(e.code == LM_E_MEMORY && strncmp(e.msg, "not enough memory for 6.0 MiB", 29) == 0);
  CHECK(lm_buffer_new(-1, &e) == NULL && e.code == LM_E_MEMORY);
  CHECK(lm_buffer_new(INT64_MAX, &e) == NULL && e.code == LM_E_MEMORY);
  CHECK(lm_buffer_new(INT64_MAX - 200, &e) == NULL && e.code == LM_E_MEMORY);
  lm_buffer_release(a);
  lm_mem_set_limit(0); /* back to the machine's */
  CHECK(lm_mem_stats().limit == before);
}

static void fails_on_demand(void) {
  lm_err e;
  lm_mem_fail_nth(2, false);
  lm_buffer *a = lm_buffer_new(10, &e), *b = lm_buffer_new(10, &e), *c = lm_buffer_new(10, &e);
  CHECK(a != NULL && b == NULL && c != NULL);
  lm_mem_fail_nth(1, true);
  CHECK(lm_buffer_new(10, &e) == NULL && lm_buffer_new(10, &e) == NULL);
  lm_mem_fail_nth(0, false);
  lm_buffer_release(a);
  lm_buffer_release(c);
}

int main(void) {
  keeps_the_account();
  reuses_large_blocks();
  never_doubles_the_footprint();
  keeps_the_budget();
  fails_on_demand();
  return failures != 0;
}
