/* hash.h: telling near-identical images from others: 64-bit perceptual hashes,
 * all pairs of hashes within a Hamming distance, and the correlation that
 * confirms a suspicion.  Pure functions on plain memory, safe on any thread. */
#ifndef LM_IMAGE_HASH_H
#define LM_IMAGE_HASH_H

#include "core/base.h"

/* Bytes of scratch for lm_hash_dct and lm_hash_difference of an (h, w) image. */
int64_t lm_hash_scratch(int64_t h, int64_t w);

/* The DCT hash of a gray (h, w) f32 image, h and w >= 1: the image as means over
 * 32 x 32 cells (blurred up when smaller), its two-dimensional cosine
 * transform, and a bit for each of the 8 x 8 lowest frequencies that is above
 * their median; bit 63 is the constant term, rows first.  Survives scaling,
 * compression and changes of light; mirrored or cropped images differ.  An
 * image of one colour has no bits but perhaps bit 63. */
uint64_t lm_hash_dct(const float *gray, int64_t h, int64_t w, void *scratch);

/* The difference hash: 8 rows of 9 cells, a bit where a cell is darker than
 * its right neighbour; bit 63 is the first. */
uint64_t lm_hash_difference(const float *gray, int64_t h, int64_t w, void *scratch);

/* For i in [begin, end): found[i] = how many j > i have a distance <= most. */
void lm_hash_count(const uint64_t *hash, int64_t n, int most, int64_t begin, int64_t end,
                   int64_t *found);

/* For i in [begin, end): writes (i, j, distance), 0-based, for those j in
 * ascending order into rows out + 3 * first[i]; first[i + 1] is where they end. */
void lm_hash_list(const uint64_t *hash, int64_t n, int most, int64_t begin, int64_t end,
                  const int64_t *first, int32_t *out);

/* Zero-mean normalised cross-correlation of n values: 1 for the same picture up
 * to brightness and contrast, -1 for its negative; 0 when either is constant. */
double lm_correlation_u8(const uint8_t *a, const uint8_t *b, int64_t n);
double lm_correlation_f32(const float *a, const float *b, int64_t n);

#endif
