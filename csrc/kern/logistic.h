/* logistic.h: L2-regularised logistic regression, the audit's first question
 * to every feature table.
 *
 * Minimises  c * sum_i weight(y_i) loss_i + |w|^2 / 2  without a penalty on the intercept:
 * scikit-learn's LogisticRegression(C=c).  Two classes have one weight vector
 * (logit of class 1), more have one each (softmax).  The minimum is unique, so
 * any converged solver agrees; this one is L-BFGS (Nocedal & Wright 2006,
 * algorithm 7.4) in double precision. */
#ifndef LM_LOGISTIC_H
#define LM_LOGISTIC_H

#include "core/base.h"

typedef struct {
  int64_t n, d;         /* rows, features; 1 or more each */
  int classes;          /* 2 or more */
  double c;             /* inverse strength of the penalty, > 0 */
  int iterations;       /* at most */
  double tolerance;     /* stop when the largest |gradient| falls below it */
  const float *weights; /* (classes): what a row of each class counts; NULL: 1 */
} lm_logistic;

/* Weight vectors: 1 for two classes, else one a class. */
int lm_logistic_vectors(const lm_logistic *p);

/* Doubles of scratch that fit needs. */
bool lm_logistic_scratch(const lm_logistic *p, int64_t *count);

/* Fits theta (vectors, d + 1), the intercept last in each row; theta holds the
 * start on entry (zeros will do).  *used gets the iterations made; the return
 * value is false when interrupted. */
bool lm_logistic_fit(const lm_logistic *p, const double *x, /* [in] (n, d) */
                     const int32_t *y,                      /* [in] (n) classes from 0 */
                     double *theta,                         /* [in,out] (vectors, d+1) */
                     int *used, double *gradient, /* [out] largest |gradient| at the end */
                     double *scratch);            /* [scratch] */

/* proba (rows, classes) of x (rows, d). */
bool lm_logistic_predict(const lm_logistic *p, const double *theta, const double *x, int64_t rows,
                         double *proba);

#endif
