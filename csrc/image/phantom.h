/* phantom.h: drawings that look like chest radiographs, for a default data set
 * that needs no patient.  Every image is a pure function of its parameters:
 * the same on any number of threads, in any order. */
#ifndef LM_IMAGE_PHANTOM_H
#define LM_IMAGE_PHANTOM_H

#include "core/base.h"

/* One exposure.  The patient's build (width, lungs, ribs, heart, ...) follows
 * from (seed, patient); posture, exposure and noise from (seed, image). */
typedef struct {
  uint64_t seed;
  uint64_t patient, image;
  int64_t size;         /* side of the square image in pixels, 64..4096 */
  bool female;          /* breast shadows */
  bool anteroposterior; /* AP: taken lying, a wider heart and shorter lungs */
  /* findings, 0 = none .. 1 = severe */
  double opacity;      /* soft patches in the periphery of the lungs */
  double effusion;     /* fluid that fills an angle between diaphragm and chest wall */
  double cardiomegaly; /* an enlarged heart */
  double nodule;       /* one round spot */
  /* black bars in pixels; the anatomy is drawn in what they leave */
  int64_t top, left, bottom, right;
} lm_phantom;

/* False when the size, a finding or a bar is out of range. */
bool lm_phantom_check(const lm_phantom *p, lm_err *e);

/* Bytes of scratch for one drawing. */
int64_t lm_phantom_scratch(void);

/* Draws into out (size, size), gray. */
void lm_phantom_draw(const lm_phantom *p, uint8_t *out, void *scratch);

#endif
