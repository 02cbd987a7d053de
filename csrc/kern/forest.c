/* forest.c: growing trees depth first, one tree a chunk.
 *
 * A node owns a run of `rows` (row numbers).  For each candidate feature the
 * run's (value, class) pairs are sorted and swept once; class counts left and
 * right give the Gini gain of each cut.  The run is then partitioned in place. */
#include "kern/forest.h"

#include <string.h>

#include "core/pool.h"
#include "core/rng.h"

/* Cuts between values closer than this are not tried (scikit-learn's rule). */
static const float same_value = 1e-7f;

typedef struct {
  float value;
  int32_t label;
} pair;

typedef struct {
  int32_t begin, end, node, depth;
} job;

/* One worker's memory, carved from a single block by lay_out. */
typedef struct {
  int32_t *rows, *spare, *features;
  pair *pairs, *sorted;
  double *total, *left;
  job *stack;
} space;

static int64_t take(int64_t *at, int64_t count, size_t size) {
  const int64_t here = *at;
  *at += (count * (int64_t)size + 63) & ~(int64_t)63;
  return here;
}

static int64_t lay_out(const lm_forest *p, char *base, space *s) {
  int64_t at = 0;
  const int64_t rows = take(&at, p->n, sizeof *s->rows), spare = take(&at, p->n, sizeof *s->spare),
                features = take(&at, p->d, sizeof *s->features),
                pairs = take(&at, p->n, sizeof *s->pairs),
                sorted = take(&at, p->n, sizeof *s->sorted),
                total = take(&at, p->classes, sizeof *s->total),
                left = take(&at, p->classes, sizeof *s->left),
                stack = take(&at, p->n + 1, sizeof *s->stack);
  if (s != NULL)
    *s = (space){.rows = (int32_t *)(base + rows),
                 .spare = (int32_t *)(base + spare),
                 .features = (int32_t *)(base + features),
                 .pairs = (pair *)(base + pairs),
                 .sorted = (pair *)(base + sorted),
                 .total = (double *)(base + total),
                 .left = (double *)(base + left),
                 .stack = (job *)(base + stack)};
  return at;
}

int64_t lm_forest_nodes_per_tree(const lm_forest *p) {
  return lm_max64(1, 2 * p->n - 1);
}
int64_t lm_forest_scratch(const lm_forest *p) {
  return lay_out(p, NULL, NULL);
}

/* Bottom-up merge sort by value: stable, and no recursion.  Returns a or b,
 * whichever holds the result. */
static pair *sort_pairs(pair *a, pair *b, int64_t n) {
  for (int64_t width = 1; width < n; width *= 2) {
    for (int64_t lo = 0; lo < n; lo += 2 * width) {
      const int64_t mid = lm_min64(lo + width, n), hi = lm_min64(lo + 2 * width, n);
      int64_t i = lo, j = mid;
      for (int64_t k = lo; k < hi; k++)
        b[k] = i < mid && (j >= hi || a[i].value <= a[j].value) ? a[i++] : a[j++];
    }
    pair *t = a;
    a = b;
    b = t;
  }
  return a;
}

typedef struct {
  int32_t feature; /* -1: no cut improves */
  float threshold;
  double gain; /* n * gini(node) - n_l * gini(left) - n_r * gini(right) */
} cut;

/* Sweeps one sorted feature and keeps the best cut seen.  Sums of squared
 * counts are updated, not recomputed: (a+1)^2 - a^2 = 2a+1, (b-1)^2 - b^2 = 1-2b. */
static void sweep(const lm_forest *p, const pair *v, int64_t n, int32_t feature, double impurity,
                  const double *total, double *left, cut *best) {
  memset(left, 0, (size_t)p->classes * sizeof *left);
  double left_squares = 0.0, right_squares = 0.0;
  for (int c = 0; c < p->classes; c++) right_squares += total[c] * total[c];
  for (int64_t i = 0; i + 1 < n; i++) {
    const int32_t c = v[i].label;
    left_squares += 2.0 * left[c] + 1.0;
    right_squares += 1.0 - 2.0 * (total[c] - left[c]);
    left[c] += 1.0;
    const int64_t nl = i + 1, nr = n - i - 1;
    if (v[i + 1].value <= v[i].value + same_value || nl < p->min_leaf || nr < p->min_leaf) continue;
    const double gain = impurity - ((double)nl - left_squares / (double)nl) -
                        ((double)nr - right_squares / (double)nr);
    if (gain <= best->gain) continue;
    float threshold = v[i].value / 2.0f + v[i + 1].value / 2.0f;
    if (threshold >= v[i + 1].value) threshold = v[i].value; /* rounded up: would move the cut */
    *best = (cut){.feature = feature, .threshold = threshold, .gain = gain};
  }
}

/* Tries p->features features drawn without replacement; constant ones do not
 * count as tried. */
static cut best_cut(const lm_forest *p, const float *x, const int32_t *y, space *s, const job *j,
                    double impurity, lm_rng *rng) {
  cut best = {.feature = -1, .gain = 1e-12};
  const int64_t n = j->end - j->begin;
  int64_t tried = 0;
  for (int64_t k = 0; k < p->d && tried < p->features; k++) {
    const int64_t pick = k + (int64_t)lm_rng_below(rng, (uint64_t)(p->d - k));
    const int32_t f = s->features[pick];
    s->features[pick] = s->features[k];
    s->features[k] = f;
    float lo = 0.0f, hi = 0.0f;
    for (int64_t i = 0; i < n; i++) {
      const int32_t row = s->rows[j->begin + i];
      const float v = x[(int64_t)row * p->d + f];
      s->pairs[i] = (pair){.value = v, .label = y[row]};
      if (i == 0 || v < lo) lo = v;
      if (i == 0 || v > hi) hi = v;
    }
    if (hi <= lo + same_value) continue;
    tried++;
    sweep(p, sort_pairs(s->pairs, s->sorted, n), n, f, impurity, s->total, s->left, &best);
  }
  return best;
}

/* Stable partition of the run by the cut; returns where the right part begins. */
static int32_t partition(const lm_forest *p, const float *x, space *s, const job *j, const cut *c) {
  int32_t left = j->begin, right = 0;
  for (int32_t i = j->begin; i < j->end; i++) {
    const int32_t row = s->rows[i];
    if (x[(int64_t)row * p->d + c->feature] <= c->threshold)
      s->rows[left++] = row;
    else
      s->spare[right++] = row;
  }
  memcpy(s->rows + left, s->spare, (size_t)right * sizeof *s->rows);
  return left;
}

/* Class frequencies of a node's run into freq; returns n * gini. */
static double node_impurity(const lm_forest *p, const int32_t *y, space *s, const job *j,
                            float *freq) {
  const double n = (double)(j->end - j->begin);
  memset(s->total, 0, (size_t)p->classes * sizeof *s->total);
  for (int32_t i = j->begin; i < j->end; i++) s->total[y[s->rows[i]]] += 1.0;
  double squares = 0.0;
  for (int c = 0; c < p->classes; c++) {
    squares += s->total[c] * s->total[c];
    freq[c] = (float)(s->total[c] / n);
  }
  return n - squares / n;
}

static void grow(const lm_forest *p, int64_t tree, const float *x, const int32_t *y, space *s,
                 lm_forest_node *nodes, float *freq, double *importance) {
  lm_rng rng = {.seed = p->seed, .stream = (uint64_t)tree};
  for (int64_t i = 0; i < p->n; i++)
    s->rows[i] = (int32_t)(p->bootstrap ? (int64_t)lm_rng_below(&rng, (uint64_t)p->n) : i);
  for (int64_t f = 0; f < p->d; f++) s->features[f] = (int32_t)f;
  memset(importance, 0, (size_t)p->d * sizeof *importance);
  int32_t used = 1;
  int64_t waiting = 0;
  s->stack[waiting++] = (job){.begin = 0, .end = (int32_t)p->n};
  while (waiting > 0) {
    const job j = s->stack[--waiting];
    const double impurity = node_impurity(p, y, s, &j, freq + (int64_t)j.node * p->classes);
    nodes[j.node] = (lm_forest_node){.feature = -1};
    if (impurity <= 0.0 || j.end - j.begin < 2 * p->min_leaf ||
        (p->max_depth > 0 && j.depth >= p->max_depth))
      continue;
    const cut c = best_cut(p, x, y, s, &j, impurity, &rng);
    if (c.feature < 0) continue;
    const int32_t middle = partition(p, x, s, &j, &c);
    importance[c.feature] += c.gain;
    nodes[j.node] = (lm_forest_node){
        .feature = c.feature, .threshold = c.threshold, .left = used, .right = used + 1};
    s->stack[waiting++] =
        (job){.begin = middle, .end = j.end, .node = used + 1, .depth = j.depth + 1};
    s->stack[waiting++] =
        (job){.begin = j.begin, .end = middle, .node = used, .depth = j.depth + 1};
    used += 2;
  }
}

typedef struct {
  const lm_forest *p;
  const float *x;
  const int32_t *y;
  lm_forest_node *nodes;
  float *freq;
  double *importance;
  char *scratch;
} fit_work;

static void fit_chunk(void *context, int64_t tree, int worker) {
  const fit_work *w = context;
  const int64_t nodes = lm_forest_nodes_per_tree(w->p);
  space s;
  lay_out(w->p, w->scratch + worker * lm_forest_scratch(w->p), &s);
  grow(w->p, tree, w->x, w->y, &s, w->nodes + tree * nodes, w->freq + tree * nodes * w->p->classes,
       w->importance + tree * w->p->d);
}

bool lm_forest_fit(const lm_forest *p, const float *x, const int32_t *y, lm_forest_node *nodes,
                   float *freq, double *importance, void *scratch) {
  fit_work w = {.p = p,
                .x = x,
                .y = y,
                .nodes = nodes,
                .freq = freq,
                .importance = importance,
                .scratch = scratch};
  return lm_parallel(p->trees, fit_chunk, &w);
}

typedef struct {
  const lm_forest *p;
  const lm_forest_node *nodes;
  const float *freq, *x;
  int64_t rows;
  float *proba;
} predict_work;

enum { ROWS_A_CHUNK = 64 };

static void predict_chunk(void *context, int64_t chunk, int worker) {
  (void)worker;
  const predict_work *w = context;
  const lm_forest *p = w->p;
  const int64_t per_tree = lm_forest_nodes_per_tree(p);
  const int64_t end = lm_min64(w->rows, (chunk + 1) * ROWS_A_CHUNK);
  for (int64_t r = chunk * ROWS_A_CHUNK; r < end; r++) {
    const float *row = w->x + r * p->d;
    float *out = w->proba + r * p->classes;
    memset(out, 0, (size_t)p->classes * sizeof *out);
    for (int64_t t = 0; t < p->trees; t++) {
      const lm_forest_node *tree = w->nodes + t * per_tree;
      int32_t at = 0;
      while (tree[at].feature >= 0)
        at = row[tree[at].feature] <= tree[at].threshold ? tree[at].left : tree[at].right;
      const float *f = w->freq + (t * per_tree + at) * p->classes;
      for (int c = 0; c < p->classes; c++) out[c] += f[c];
    }
    for (int c = 0; c < p->classes; c++) out[c] /= (float)p->trees;
  }
}

bool lm_forest_predict(const lm_forest *p, const lm_forest_node *nodes, const float *freq,
                       const float *x, int64_t rows, float *proba) {
  predict_work w = {.p = p, .nodes = nodes, .freq = freq, .x = x, .rows = rows, .proba = proba};
  return lm_parallel(lm_ceil_div(rows, ROWS_A_CHUNK), predict_chunk, &w);
}
