/* mem.h: reference-counted, 64-byte aligned buffers and the account of them.
 *
 * Every byte a tensor or a kernel's scratch holds is allocated here, so
 * lm_mem_stats() is the truth about luma's memory.  Large buffers (>= 1 MiB)
 * are kept after release in a bounded cache and handed out again: a training
 * step asks for the same sizes again and again, and giving them back to the
 * system means faulting the pages in anew each time (half of a small net's
 * step, measured).  Cached bytes are not live bytes. */
#ifndef LM_MEM_H
#define LM_MEM_H

#include "core/base.h"

typedef struct {
  void *data;       /* 64-byte aligned; NULL only when bytes == 0 */
  int64_t bytes;    /* usable size */
  int64_t refs;     /* views and owners holding this buffer (atomic) */
  uint64_t version; /* bumped by every in-place change; the tape compares it */
} lm_buffer;

/* A new buffer with one reference, contents undefined.  NULL with *e filled
 * (LM_E_MEMORY) when malloc or the budget says no. */
lm_buffer *lm_buffer_new(int64_t bytes, lm_err *e);
lm_buffer *lm_buffer_retain(lm_buffer *b);
void lm_buffer_release(lm_buffer *b); /* NULL is fine */

typedef struct {
  int64_t live;    /* bytes held by buffers */
  int64_t peak;    /* highest live since start or lm_mem_reset_peak */
  int64_t buffers; /* number of live buffers */
  int64_t cached;  /* bytes kept for reuse, free to be given back */
  int64_t limit;   /* budget in bytes; 0 = three quarters of the machine or control group */
} lm_mem;

lm_mem lm_mem_stats(void);
void lm_mem_reset_peak(void);
void lm_mem_set_limit(int64_t bytes);
void lm_mem_trim(void); /* gives every cached buffer back to the system */

/* Test hook: the nth lm_buffer_new from now fails (1 = the next); 0 = off.
 * With forever, all later ones fail too. */
void lm_mem_fail_nth(int64_t n, bool forever);

#endif
