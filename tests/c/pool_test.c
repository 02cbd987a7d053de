/* pool_test.c: every chunk once, nesting, background jobs, forks, changes of
 * size, interrupts. */
#include "core/pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { CHUNKS = 1000 };

typedef struct {
  int hits[CHUNKS];
  int busy[LM_MAX_THREADS];
  int clash, nested;
} marks;

static void mark(void *context, int64_t chunk, int worker) {
  marks *m = context;
  if (__atomic_add_fetch(&m->busy[worker], 1, __ATOMIC_SEQ_CST) != 1)
    __atomic_store_n(&m->clash, 1, __ATOMIC_SEQ_CST);
  __atomic_add_fetch(&m->hits[chunk], 1, __ATOMIC_SEQ_CST);
  __atomic_sub_fetch(&m->busy[worker], 1, __ATOMIC_SEQ_CST);
}

static bool each_once(const marks *m) {
  for (int i = 0; i < CHUNKS; i++)
    if (m->hits[i] != 1) return false;
  return !m->clash;
}

static void inner(void *context, int64_t chunk, int worker) {
  marks *m = context;
  (void)chunk;
  (void)worker;
  __atomic_add_fetch(&m->nested, 1, __ATOMIC_SEQ_CST);
}
static void outer(void *context, int64_t chunk, int worker) {
  mark(context, chunk, worker);
  CHECK(lm_parallel(3, inner, context));
}

static void covers_every_chunk(void) {
  for (int threads = 1; threads <= 5; threads++) {
    marks m = {0};
    CHECK(lm_pool_set_threads(threads) == threads);
    CHECK(lm_parallel(CHUNKS, mark, &m));
    CHECK(each_once(&m));
  }
  CHECK(lm_parallel(0, mark, NULL));
  CHECK(lm_pool_set_threads(0) == 1);
  CHECK(lm_pool_set_threads(1000) <= LM_MAX_THREADS);
  lm_pool_set_threads(3);
}

static void nests(void) {
  marks m = {0};
  CHECK(lm_parallel(CHUNKS, outer, &m));
  CHECK(each_once(&m));
  CHECK(m.nested == 3 * CHUNKS);
}

static void runs_jobs(void) {
  for (int threads = 1; threads <= 3; threads++) {
    lm_pool_set_threads(threads);
    marks job = {0}, front = {0}, none = {0};
    lm_err e;
    lm_job *j = lm_job_start(CHUNKS, mark, &job, &e), *zero = lm_job_start(0, mark, &none, &e);
    CHECK(lm_parallel(CHUNKS, mark, &front)); /* beside it */
    CHECK(each_once(&front));
    CHECK(lm_job_wait(j));
    CHECK(each_once(&job));
    CHECK(lm_job_done(zero) && lm_job_wait(zero));
  }
}

static void shrinks_with_a_job_under_way(void) {
  marks job = {0};
  lm_err e;
  lm_pool_set_threads(4);
  lm_job *j = lm_job_start(CHUNKS, mark, &job, &e);
  lm_pool_set_threads(1);
  CHECK(lm_job_wait(j));
  CHECK(each_once(&job));
  lm_pool_set_threads(3);
}

static void slow(void *context, int64_t chunk, int worker) {
  (void)chunk;
  (void)worker;
  usleep(2000);
  __atomic_add_fetch((int *)context, 1, __ATOMIC_SEQ_CST);
}

static void survives_fork(void) {
  if (getenv("LUMA_TSAN") != NULL) return; /* which cannot follow a fork of threads */
  marks before = {0};
  int done = 0;
  lm_err e;
  CHECK(lm_parallel(CHUNKS, mark, &before)); /* workers exist */
  lm_job *j = lm_job_start(50, slow, &done, &e);
  const pid_t child = fork();
  if (child == 0) {
    alarm(10); /* a hang must not hang the test */
    marks m = {0};
    const bool ok = lm_parallel(CHUNKS, mark, &m) && each_once(&m) && lm_job_done(j) &&
                    !lm_job_wait(j); /* the parent's job is lost here, and says so */
    _exit(ok ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK(lm_job_wait(j) && done == 50);
}

static void interrupter(void *context, int64_t chunk, int worker) {
  (void)worker;
  __atomic_add_fetch((int *)context, 1, __ATOMIC_SEQ_CST);
  if (chunk == 10) lm_interrupt_set();
}

static void stops(void) {
  for (int threads = 1; threads <= 3; threads++) {
    int ran = 0;
    lm_err e;
    lm_pool_set_threads(threads);
    CHECK(!lm_parallel(CHUNKS, interrupter, &ran));
    CHECK(ran >= 1 && ran < CHUNKS);
    CHECK(lm_interrupted());
    CHECK(!lm_parallel(CHUNKS, interrupter, &ran)); /* stays set until cleared */
    lm_interrupt_clear();
    ran = 0;
    lm_job *j = lm_job_start(CHUNKS, interrupter, &ran, &e);
    CHECK(!lm_job_wait(j));
    lm_interrupt_clear();
    marks m = {0};
    CHECK(lm_parallel(CHUNKS, mark, &m) && each_once(&m));
  }
}

int main(void) {
  covers_every_chunk();
  nests();
  runs_jobs();
  shrinks_with_a_job_under_way();
  survives_fork();
  stops();
  lm_pool_set_threads(1);
  return failures != 0;
}
