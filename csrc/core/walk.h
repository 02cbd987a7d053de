/* walk.h: visiting the elements of several views of one shape together.
 *
 * Elementwise kernels work on rows: n elements of each operand, each with its
 * own stride (0 where an operand is broadcast).  The plan merges dimensions
 * that are adjacent in every operand, so that plain tensors become one long
 * row, and a run cuts the elements into chunks by their number alone. */
#ifndef LM_WALK_H
#define LM_WALK_H

#include "core/tensor.h"

enum { LM_WALK_MAX = 4 };

typedef struct {
  int operands, rank;
  int64_t count;
  int64_t size[LM_MAXRANK];
  int64_t stride[LM_WALK_MAX][LM_MAXRANK]; /* in elements */
  int64_t width[LM_WALK_MAX];              /* bytes an element */
  char *base[LM_WALK_MAX];
} lm_walk;

/* n elements: operand k starts at p[k] and steps stride[k] elements. */
typedef void (*lm_walk_row)(const void *context, char *const p[LM_WALK_MAX],
                            const int64_t stride[LM_WALK_MAX], int64_t n);

/* Views must have one shape (expand them first). */
void lm_walk_plan(lm_walk *w, int operands, const lm_tensor *const views[]);

/* Calls row until every element was visited, `grain` elements a chunk, over
 * the pool.  False when interrupted. */
bool lm_walk_run(const lm_walk *w, int64_t grain, lm_walk_row row, const void *context);

#endif
