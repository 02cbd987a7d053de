/* pool.c: workers that take chunks from two lists of tasks: the foreground
 * ones of lm_parallel first, then background jobs.
 *
 * A task lives on its starter's stack (foreground) or heap (job).  Chunks are
 * claimed under the one lock: a chunk is at least tens of microseconds of
 * work, so the lock is not felt, and one lock is easy to believe in.
 *
 * Who waits watches for a moment before sleeping: waking a sleeper takes some
 * tens of microseconds (measured: 25 to 85), as long as many a task. */
#include "core/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/denormal.h"

struct lm_job {
  lm_chunk_fn fn;
  void *context;
  int64_t count, next, running;
  int generation; /* of the process that started it */
  bool cut;       /* interrupted before every chunk ran */
  uint64_t mode;  /* floating-point mode of the starter, see denormal.h */
  struct lm_job *link;
};
typedef struct lm_job task;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_waits = PTHREAD_COND_INITIALIZER;
static pthread_cond_t task_moves = PTHREAD_COND_INITIALIZER;
static int events;                    /* atomic: tasks arrived or ended so far */
static task *foreground, *background; /* tasks with unclaimed chunks */
static pthread_t threads[LM_MAX_THREADS];
static int wanted;         /* threads in use, the caller included; 0 = not decided yet */
static int created;        /* worker threads alive */
static int generation;     /* counts forks: a child's parent's jobs are lost to it */
static int interrupt_flag; /* atomic: set by signal handlers, read by every thread */
static int interrupt_held; /* atomic: nested holds */
static _Thread_local int worker_id = -1; /* >= 0 inside a chunk or on a worker */

void lm_interrupt_set(void) {
  __atomic_store_n(&interrupt_flag, 1, __ATOMIC_RELAXED);
}
void lm_interrupt_clear(void) {
  __atomic_store_n(&interrupt_flag, 0, __ATOMIC_RELAXED);
}
void lm_interrupt_hold(bool on) {
  const int now = __atomic_load_n(&interrupt_held, __ATOMIC_RELAXED); /* one thread holds */
  if (on || now > 0) __atomic_store_n(&interrupt_held, now + (on ? 1 : -1), __ATOMIC_RELAXED);
}
bool lm_interrupted(void) {
  return __atomic_load_n(&interrupt_flag, __ATOMIC_RELAXED) != 0 &&
         __atomic_load_n(&interrupt_held, __ATOMIC_RELAXED) == 0;
}

enum { WATCHES = 2000 }; /* about 100 microseconds */

static void breathe(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Tells those who wait for this; the lock is held. */
static void announce(pthread_cond_t *what) {
  __atomic_add_fetch(&events, 1, __ATOMIC_RELEASE);
  pthread_cond_broadcast(what);
}

/* Returns after an announcement, or earlier; the lock is held on entry and exit. */
static void await(pthread_cond_t *what) {
  const int seen = __atomic_load_n(&events, __ATOMIC_RELAXED);
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < WATCHES && __atomic_load_n(&events, __ATOMIC_RELAXED) == seen; i++) breathe();
  pthread_mutex_lock(&lock);
  if (__atomic_load_n(&events, __ATOMIC_RELAXED) == seen) pthread_cond_wait(what, &lock);
}

static void list_append(task **list, task *t) {
  while (*list != NULL) list = &(*list)->link;
  t->link = NULL;
  *list = t;
}

static void list_remove(task **list, task *t) {
  while (*list != NULL && *list != t) list = &(*list)->link;
  if (*list == t) *list = t->link;
}

static bool finished(const task *t) {
  return t->running == 0 && t->next >= t->count;
}

/* Runs one chunk of t; the lock is held on entry and exit. */
static void run_chunk(task **list, task *t, int id) {
  if (lm_interrupted()) {
    t->cut = t->cut || t->next < t->count;
    t->next = t->count;
    list_remove(list, t);
    announce(&task_moves);
    return;
  }
  const int64_t chunk = t->next++;
  if (t->next >= t->count) list_remove(list, t);
  t->running++;
  pthread_mutex_unlock(&lock);
  const int outer = worker_id;
  worker_id = id;
  const uint64_t before = lm_fp_mode();
  lm_fp_set(t->mode);
  t->fn(t->context, chunk, id);
  lm_fp_set(before);
  worker_id = outer;
  pthread_mutex_lock(&lock);
  t->running--;
  if (finished(t)) announce(&task_moves);
}

static void *worker_main(void *arg) {
  const int id = (int)(intptr_t)arg;
  pthread_mutex_lock(&lock);
  for (;;) {
    if (id >= wanted) break; /* the pool was made smaller */
    if (foreground != NULL)
      run_chunk(&foreground, foreground, id);
    else if (background != NULL)
      run_chunk(&background, background, id);
    else
      await(&work_waits);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

/* A forked child has only the thread that forked: start again with none. */
static void reset_in_child(void) {
  pthread_mutex_init(&lock, NULL);
  pthread_cond_init(&work_waits, NULL);
  pthread_cond_init(&task_moves, NULL);
  foreground = background = NULL;
  created = 0;
  generation++;
}

/* CPUs the cgroup lets us use at once (v2 cpu.max), or a large number. */
static int cgroup_cpus(void) {
  FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
  if (f == NULL) return LM_MAX_THREADS;
  char quota[32];
  long period = 0;
  const int got = fscanf(f, "%31s %ld", quota, &period);
  fclose(f);
  if (got != 2 || strcmp(quota, "max") == 0 || period <= 0) return LM_MAX_THREADS;
  const long n = (atol(quota) + period - 1) / period;
  return n < 1 ? 1 : (int)lm_min64(n, LM_MAX_THREADS);
}

static int default_threads(void) {
  const char *wish = getenv("LUMA_THREADS");
  if (wish != NULL) {
    char *end;
    const long n = strtol(wish, &end, 10);
    if (end != wish && *end == '\0') return (int)lm_max64(1, lm_min64(n, LM_MAX_THREADS));
  }
  cpu_set_t set;
  int n = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0) n = CPU_COUNT(&set);
  const int quota = cgroup_cpus();
  if (n > quota) n = quota;
  return n < 1 ? 1 : (n > LM_MAX_THREADS ? LM_MAX_THREADS : n);
}

/* Creates missing workers; the lock is held.  Signals stay with the caller. */
static void ensure_workers(void) {
  static bool hooked;
  if (wanted == 0) wanted = default_threads();
  if (!hooked) {
    hooked = true;
    pthread_atfork(NULL, NULL, reset_in_child);
  }
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  while (created < wanted - 1) {
    if (pthread_create(&threads[created], NULL, worker_main, (void *)(intptr_t)(created + 1)) !=
        0) {
      wanted = created + 1; /* degrade: the result is the same, only later */
      break;
    }
    created++;
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
}

bool lm_parallel(int64_t count, lm_chunk_fn fn, void *context) {
  if (lm_interrupted()) return count <= 0;
  if (count <= 0) return true;
  if (worker_id >= 0 || count == 1) { /* nested or single: run here */
    const int outer = worker_id;
    if (outer < 0) worker_id = 0;
    int64_t i = 0;
    for (; i < count && !lm_interrupted(); i++) fn(context, i, outer < 0 ? 0 : outer);
    worker_id = outer;
    return i == count;
  }
  pthread_mutex_lock(&lock);
  ensure_workers();
  task t = {
      .fn = fn, .context = context, .count = count, .generation = generation, .mode = lm_fp_mode()};
  list_append(&foreground, &t);
  announce(&work_waits);
  while (t.next < t.count) run_chunk(&foreground, &t, 0);
  while (!finished(&t)) await(&task_moves);
  pthread_mutex_unlock(&lock);
  return !t.cut;
}

lm_job *lm_job_start(int64_t count, lm_chunk_fn fn, void *context, lm_err *e) {
  task *t = calloc(1, sizeof *t);
  if (t == NULL) {
    lm_fail(e, LM_E_MEMORY, "not enough memory for a background job");
    return NULL;
  }
  t->fn = fn;
  t->context = context;
  t->count = count;
  t->mode = lm_fp_mode();
  if (count > 0) {
    pthread_mutex_lock(&lock);
    ensure_workers();
    t->generation = generation;
    list_append(&background, t);
    announce(&work_waits);
    pthread_mutex_unlock(&lock);
  }
  return t;
}

bool lm_job_done(const lm_job *job) {
  pthread_mutex_lock(&lock);
  const bool done = finished(job) || job->generation != generation;
  pthread_mutex_unlock(&lock);
  return done;
}

bool lm_job_wait(lm_job *job) {
  pthread_mutex_lock(&lock);
  if (job->count > 0 && job->generation != generation) { /* its workers stayed in the parent */
    job->cut = true;
  } else {
    while (job->next < job->count) run_chunk(&background, job, 0);
    while (!finished(job)) await(&task_moves);
  }
  pthread_mutex_unlock(&lock);
  const bool whole = !job->cut;
  free(job);
  return whole;
}

int lm_pool_threads(void) {
  pthread_mutex_lock(&lock);
  if (wanted == 0) wanted = default_threads();
  const int n = wanted;
  pthread_mutex_unlock(&lock);
  return n;
}

int lm_pool_set_threads(int n) {
  if (n < 1) n = 1;
  if (n > LM_MAX_THREADS) n = LM_MAX_THREADS;
  pthread_mutex_lock(&lock);
  if (wanted == 0) wanted = default_threads();
  wanted = n;
  if (created > n - 1) { /* surplus workers see id >= wanted and leave */
    const int surplus = created;
    created = n - 1;
    announce(&work_waits);
    pthread_mutex_unlock(&lock);
    for (int i = n - 1; i < surplus; i++) pthread_join(threads[i], NULL);
    pthread_mutex_lock(&lock);
  }
  ensure_workers();
  const int used = wanted;
  pthread_mutex_unlock(&lock);
  return used;
}
