/* forest.h: a small random forest of classification trees (Breiman 2001), the
 * audit's second opinion beside logistic regression.
 *
 * Semantics follow scikit-learn's RandomForestClassifier: Gini impurity, exact
 * best split among a random subset of features, threshold halfway between
 * neighbouring values, x <= threshold goes left, leaves hold class frequencies,
 * the forest averages them.  Tree t draws from the random stream t alone, so
 * the result does not depend on the number of threads. */
#ifndef LM_FOREST_H
#define LM_FOREST_H

#include "core/base.h"

typedef struct {
  int64_t n;        /* rows, 1 .. 2^30 */
  int64_t d;        /* features, 1 or more */
  int classes;      /* 2 or more */
  int64_t trees;    /* 1 or more */
  int max_depth;    /* 0 = grow until pure */
  int64_t min_leaf; /* smallest number of rows in a leaf, 1 or more */
  int64_t features; /* tried a split, 1..d */
  bool bootstrap;   /* draw n rows with replacement for each tree */
  uint64_t seed;
} lm_forest;

/* One node.  feature < 0: a leaf. */
typedef struct {
  int32_t feature;
  float threshold;
  int32_t left, right;
} lm_forest_node;

/* A tree over n rows has at most 2n - 1 nodes. */
int64_t lm_forest_nodes_per_tree(const lm_forest *p);
/* Bytes of scratch one worker needs. */
int64_t lm_forest_scratch(const lm_forest *p);

/* Grows the forest; false when interrupted. */
bool lm_forest_fit(const lm_forest *p, const float *x, /* [in] (n, d) */
                   const int32_t *y,                   /* [in] (n) classes from 0 */
                   lm_forest_node *nodes,              /* [out] (trees, nodes_per_tree) */
                   float *freq,        /* [out] (trees, nodes_per_tree, classes) frequencies */
                   double *importance, /* [out] (trees, d) summed decrease of n * Gini */
                   void *scratch);     /* [scratch] lm_pool_threads() * lm_forest_scratch(p) */

/* proba (rows, classes) = mean over the trees of the frequencies of the leaf
 * that each row of x (rows, d) falls into. */
bool lm_forest_predict(const lm_forest *p, const lm_forest_node *nodes, const float *freq,
                       const float *x, int64_t rows, float *proba);

#endif
