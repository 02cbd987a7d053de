/* mem.c: allocation, reference counts, the account and the reuse cache.
 *
 * Every buffer is one aligned block: a 64-byte header (size class, lm_buffer)
 * in front of the data.  In debug builds 64 guard bytes follow the data and
 * are checked on release, and fresh memory is poisoned with NaN patterns. */
#include "core/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  HEADER = 64,
  GUARD = 64,
  CACHE_MIN = 1 << 20, /* smaller blocks: malloc reuses them well by itself */
  CACHE_SLOTS = 64,
  HUGE_PAGE = 2 << 20
};

typedef struct {
  lm_buffer pub;
  int64_t block; /* bytes allocated, header included */
} block_header;
_Static_assert(sizeof(block_header) <= HEADER, "the header must fit before the data");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static lm_mem account;
static int64_t fail_countdown;
static bool fail_forever;

/* Released large blocks, oldest first. */
static block_header *cache[CACHE_SLOTS];
static int cache_count;

static int64_t machine_limit(void) {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
  if (pages <= 0 || page <= 0) return INT64_MAX;
  return (int64_t)pages * page / 4 * 3;
}

static void cache_drop(int i) {
  account.cached -= cache[i]->block;
  free(cache[i]);
  memmove(&cache[i], &cache[i + 1], (size_t)(cache_count - i - 1) * sizeof cache[0]);
  cache_count--;
}

/* A cached block of at least `block` bytes and at most a quarter more. */
static block_header *cache_take(int64_t block) {
  int best = -1;
  for (int i = 0; i < cache_count; i++)
    if (cache[i]->block >= block && cache[i]->block <= block + block / 4 &&
        (best < 0 || cache[i]->block < cache[best]->block))
      best = i;
  if (best < 0) return NULL;
  block_header *h = cache[best];
  account.cached -= h->block;
  memmove(&cache[best], &cache[best + 1], (size_t)(cache_count - best - 1) * sizeof cache[0]);
  cache_count--;
  return h;
}

/* Keeps the cache within the largest live total seen, so that reuse never
 * doubles the footprint of a program. */
static void cache_put(block_header *h) {
  while (cache_count > 0 &&
         (cache_count == CACHE_SLOTS || account.live + account.cached + h->block > account.peak))
    cache_drop(0);
  if (account.live + h->block > account.peak) {
    free(h);
    return;
  }
  cache[cache_count++] = h;
  account.cached += h->block;
}

static bool injected_failure(void) {
  if (fail_countdown <= 0) return false;
  if (fail_countdown == 1) {
    if (!fail_forever) fail_countdown = 0;
    return true;
  }
  fail_countdown--;
  return false;
}

static block_header *block_new(int64_t block) {
  block_header *h = cache_take(block);
  if (h != NULL) return h;
  const size_t align = block >= 2 * HUGE_PAGE ? HUGE_PAGE : 64;
  void *p = NULL;
  if (posix_memalign(&p, align, (size_t)block) != 0) return NULL;
  if (align == HUGE_PAGE) madvise(p, (size_t)block, MADV_HUGEPAGE);
  h = p;
  h->block = block;
  return h;
}

lm_buffer *lm_buffer_new(int64_t bytes, lm_err *e) {
  int64_t block;
  if (bytes < 0 || !lm_add(bytes, HEADER + GUARD, &block) || !lm_add(block, 63, &block)) {
    lm_fail(e, LM_E_MEMORY, "not enough memory: %lld bytes asked for", (long long)bytes);
    return NULL;
  }
  block &= ~(int64_t)63;
  pthread_mutex_lock(&lock);
  if (account.limit == 0) account.limit = machine_limit();
  block_header *h = NULL;
  if (!injected_failure() && bytes <= account.limit - account.live) {
    h = block_new(block);
    if (h == NULL) { /* malloc refused: give the cache back and ask again */
      while (cache_count > 0) cache_drop(0);
      h = block_new(block);
    }
  }
  if (h == NULL) {
    lm_fail(e, LM_E_MEMORY,
            "not enough memory for %.1f MiB (luma holds %.1f MiB in %lld buffers, limit %.1f MiB)",
            (double)bytes / 1048576.0, (double)account.live / 1048576.0, (long long)account.buffers,
            (double)account.limit / 1048576.0);
    pthread_mutex_unlock(&lock);
    return NULL;
  }
  account.live += bytes;
  account.buffers++;
  if (account.live > account.peak) account.peak = account.live;
  pthread_mutex_unlock(&lock);
  h->pub = (lm_buffer){.data = (char *)h + HEADER, .bytes = bytes, .refs = 1, .version = 0};
#ifdef LUMA_DEBUG
  memset(h->pub.data, 0xff, (size_t)bytes);
  memset((char *)h->pub.data + bytes, 0xa5, GUARD);
#endif
  return &h->pub;
}

lm_buffer *lm_buffer_retain(lm_buffer *b) {
  __atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
  return b;
}

void lm_buffer_release(lm_buffer *b) {
  if (b == NULL || __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
#ifdef LUMA_DEBUG
  for (int i = 0; i < GUARD; i++)
    LM_ASSERT(((unsigned char *)b->data)[b->bytes + i] == 0xa5 && "write past the end of a buffer");
#endif
  block_header *h = (block_header *)b;
  pthread_mutex_lock(&lock);
  account.live -= b->bytes;
  account.buffers--;
  if (h->block >= CACHE_MIN)
    cache_put(h);
  else
    free(h);
  pthread_mutex_unlock(&lock);
}

lm_mem lm_mem_stats(void) {
  pthread_mutex_lock(&lock);
  if (account.limit == 0) account.limit = machine_limit();
  const lm_mem m = account;
  pthread_mutex_unlock(&lock);
  return m;
}

void lm_mem_reset_peak(void) {
  pthread_mutex_lock(&lock);
  account.peak = account.live;
  while (cache_count > 0) cache_drop(0);
  pthread_mutex_unlock(&lock);
}

void lm_mem_set_limit(int64_t bytes) {
  pthread_mutex_lock(&lock);
  account.limit = bytes > 0 ? bytes : machine_limit();
  pthread_mutex_unlock(&lock);
}

void lm_mem_trim(void) {
  pthread_mutex_lock(&lock);
  while (cache_count > 0) cache_drop(0);
  pthread_mutex_unlock(&lock);
}

void lm_mem_fail_nth(int64_t n, bool forever) {
  pthread_mutex_lock(&lock);
  fail_countdown = n;
  fail_forever = forever;
  pthread_mutex_unlock(&lock);
}
