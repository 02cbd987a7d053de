/* pool.h: the one thread pool, and the interrupt flag it polls.
 *
 * Work is cut into chunks by problem size, never by thread count, so results
 * do not depend on the number of threads.  A reduction writes one partial a
 * chunk and merges them in index order after the join.  Inside a chunk: no
 * Lua, no error, no allocation through a path that can fail unseen. */
#ifndef LM_POOL_H
#define LM_POOL_H

#include "core/base.h"

enum { LM_MAX_THREADS = 64 };

/* One chunk of work.  worker is 0 .. lm_pool_threads()-1, unique among the
 * chunks that run at the same moment: index per-thread scratch with it and
 * nothing else. */
typedef void (*lm_chunk_fn)(void *context, int64_t chunk, int worker);

/* Runs fn for chunks 0 .. count-1 and returns when all are done.  Called from
 * inside a chunk it runs them in order on the calling thread (worker is then
 * the caller's).  The caller's floating-point mode holds for them (denormal.h).
 * Returns false when the interrupt flag cut it short: the
 * output is incomplete and must not be used. */
bool lm_parallel(int64_t count, lm_chunk_fn fn, void *context);

/* Background work: runs on idle workers while the caller goes on; chunks of
 * lm_parallel go first.  With one thread it runs inside lm_job_wait. */
typedef struct lm_job lm_job;
lm_job *lm_job_start(int64_t count, lm_chunk_fn fn, void *context, lm_err *e);
bool lm_job_done(const lm_job *job);
/* Helps to finish the job, frees it; false when interrupted, or in a forked
 * child of the process that started it.  context is free
 * to go afterwards.  Exactly once a job. */
bool lm_job_wait(lm_job *job);

/* Threads in use, the calling one included.  The default is the affinity mask
 * cut by the cgroup quota and LUMA_THREADS (clamped to 1..64).  Setting more
 * than can be created degrades to what could; the value in use is returned. */
int lm_pool_threads(void);
int lm_pool_set_threads(int n);

/* Async-signal-safe: asks everything that runs to stop soon. */
void lm_interrupt_set(void);
void lm_interrupt_clear(void);
bool lm_interrupted(void);

/* Between hold(true) and hold(false), which nest, lm_interrupted() is false
 * and all work runs to its end: for changes that must be whole, such as an
 * optimiser's step.  The flag stays set and is seen afterwards. */
void lm_interrupt_hold(bool on);

#endif
