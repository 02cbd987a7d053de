/* mem.c: allocation, reference counts, the account and the reuse cache.
 *
 * Every buffer is one aligned block: a 64-byte header (size class, lm_buffer)
 * in front of the data.  In debug builds 64 guard bytes follow the data and
 * are checked on release, and fresh memory is poisoned with NaN patterns. */
#include "core/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  HEADER = 64,
  GUARD = 64,
  CACHE_MIN = 1 << 20, /* smaller blocks: malloc reuses them well by itself */
  CACHE_SLOTS =
      1024, /* a training step of ResNet50 frees some 700 blocks; has_room bounds the bytes */
  HUGE_PAGE = 2 << 20
};

typedef struct {
  lm_buffer pub;
  int64_t block; /* bytes allocated, header included */
} block_header;
_Static_assert(sizeof(block_header) <= HEADER, "the header must fit before the data");

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static lm_mem account;
static int64_t held, held_peak; /* as live and peak, in whole blocks: what the cache goes by */
static int64_t fail_countdown;
static bool fail_forever;

/* Released large blocks, oldest first. */
static block_header *cache[CACHE_SLOTS];
static int cache_count;

/* Three quarters of the machine, or of what the control group allows. */
static int64_t machine_limit(void) {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
  int64_t bytes = pages > 0 && page > 0 ? (int64_t)pages * page : INT64_MAX;
  FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
  if (f != NULL) {
    long long most;
    if (fscanf(f, "%lld", &most) == 1 && most > 0 && most < bytes) bytes = most;
    fclose(f);
  }
  return bytes / 4 * 3;
}

/* Large blocks come straight from the system, so that giving one back gives
 * its pages back; those of several megabytes lie on huge-page boundaries.
 * Debug builds use malloc throughout, where sanitizers see the edges. */
static void *system_new(int64_t block) {
#ifndef LUMA_DEBUG
  if (block >= CACHE_MIN) {
    const int64_t align = block >= 2 * HUGE_PAGE ? HUGE_PAGE : 0;
    char *p = mmap(NULL, (size_t)(block + align), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (align == 0) return p;
    const int64_t before = (align - (int64_t)((uintptr_t)p % HUGE_PAGE)) % align;
    if (before > 0) munmap(p, (size_t)before);
    if (align > before) munmap(p + before + block, (size_t)(align - before));
    madvise(p + before, (size_t)block, MADV_HUGEPAGE);
    return p + before;
  }
#endif
  void *p = NULL;
  return posix_memalign(&p, 64, (size_t)block) == 0 ? p : NULL;
}

static void system_free(block_header *h) {
#ifndef LUMA_DEBUG
  if (h->block >= CACHE_MIN) {
    munmap(h, (size_t)h->block);
    return;
  }
#endif
  free(h);
}

static void cache_drop(int i) {
  account.cached -= cache[i]->block;
  system_free(cache[i]);
  memmove(&cache[i], &cache[i + 1], (size_t)(cache_count - i - 1) * sizeof cache[0]);
  cache_count--;
}

/* A cached block of at least `block` bytes and at most twice as many. */
static block_header *cache_take(int64_t block) {
  int best = -1;
  for (int i = 0; i < cache_count; i++)
    if (cache[i]->block >= block && cache[i]->block <= 2 * block &&
        (best < 0 || cache[i]->block < cache[best]->block)) {
      best = i;
      if (cache[i]->block == block) break; /* none fits better */
    }
  if (best < 0) return NULL;
  block_header *h = cache[best];
  account.cached -= h->block;
  memmove(&cache[best], &cache[best + 1], (size_t)(cache_count - best - 1) * sizeof cache[0]);
  cache_count--;
  return h;
}

/* Whether `block` more bytes fit: live and cached blocks together stay within
 * one and a half times the largest live total.  Within the total itself, the
 * mix of sizes of a training step's two passes does not fit, and every step
 * would fault pages in again (measured: 5000 faults a step, then none). */
static bool has_room(int64_t block) {
  return held + account.cached + block <= held_peak + held_peak / 2;
}

static void cache_put(block_header *h) {
  while (cache_count > 0 && (cache_count == CACHE_SLOTS || !has_room(h->block))) cache_drop(0);
  if (!has_room(h->block)) {
    system_free(h);
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
  /* A new block must not come on top of a full cache. */
  while (cache_count > 0 && !has_room(block)) cache_drop(0);
  h = system_new(block);
  if (h != NULL) h->block = block;
  return h;
}

/* A fork must not copy the lock while another thread holds it. */
static void before_fork(void) {
  pthread_mutex_lock(&lock);
}
static void after_fork(void) {
  pthread_mutex_unlock(&lock);
}
static void first_use(void) { /* the lock is held */
  if (account.limit != 0) return;
  account.limit = machine_limit();
  pthread_atfork(before_fork, after_fork, after_fork);
}

lm_buffer *lm_buffer_new(int64_t bytes, lm_err *e) {
  int64_t block;
  if (bytes < 0 || !lm_add(bytes, HEADER + GUARD, &block)) {
    lm_fail(e, LM_E_MEMORY, "not enough memory: %lld bytes asked for", (long long)bytes);
    return NULL;
  }
  const int64_t unit = block >= CACHE_MIN ? 4096 : 64;
  if (!lm_add(block, unit - 1, &block)) block = INT64_MAX; /* refused below */
  block &= ~(unit - 1);
  pthread_mutex_lock(&lock);
  first_use();
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
  held += h->block;
  if (held > held_peak) held_peak = held;
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
  held -= h->block;
  account.buffers--;
  if (h->block >= CACHE_MIN)
    cache_put(h);
  else
    system_free(h);
  pthread_mutex_unlock(&lock);
}

lm_mem lm_mem_stats(void) {
  pthread_mutex_lock(&lock);
  first_use();
  const lm_mem m = account;
  pthread_mutex_unlock(&lock);
  return m;
}

void lm_mem_reset_peak(void) {
  pthread_mutex_lock(&lock);
  account.peak = account.live;
  held_peak = held;
  while (cache_count > 0) cache_drop(0);
  pthread_mutex_unlock(&lock);
}

void lm_mem_set_limit(int64_t bytes) {
  pthread_mutex_lock(&lock);
  first_use();
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
