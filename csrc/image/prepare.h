/* prepare.h: one radiograph from file bytes to file bytes, as the article
 * prepares them (rows P1-P9): decode, optionally squash, find the black rows
 * and columns, remove them, make square (lm_fit), turned as EXIF says, resize, encode.  Pure
 * functions on plain memory, safe on any thread.
 *
 * Gray files stay gray through all of it: every step works on channels alone,
 * and with R = G = B the article's R+G+B < 120 is v < 40. */
#ifndef LM_PREPARE_H
#define LM_PREPARE_H

#include "image/codec.h"

/* How an image that is not square becomes square, after its bars are gone. */
typedef enum {
  LM_FIT_CROP,  /* the longer side is cut, as the article does */
  LM_FIT_PAD,   /* nothing is lost: the shorter side is filled with the edge's mean colour */
  LM_FIT_SQUASH /* nothing is lost: both sides are scaled by their own factors */
} lm_fit;

typedef struct {
  bool faithful; /* every published bug on: see below */
  bool squash;   /* resize to size x size first, as the published images were */
  int64_t size;  /* side of the result, 1..65500 */
  int quality;   /* of the JPEG, 1..100 */
  double level;  /* black is a mean below this: 40 */
  lm_fit fit;    /* LM_FIT_CROP when faithful */
} lm_prepare_options;

/* faithful: an image that is not square is refused (P3: both scans share loop
 * bounds), the protected window is 200..800 pixels whatever the size (P4),
 * every second listed index inside it is removed all the same (P5), a
 * difference of one leaves nothing (P8), and red and blue change places on
 * writing (I2).  The result always has 3 channels, as the article's files do.
 * Otherwise: any shape, a window relative to the size, gray stays gray. */

typedef struct {
  int64_t height, width;              /* of the file's image */
  int64_t rows_removed, cols_removed; /* bars taken out, after squashing if that is on */
  int64_t side; /* of the square before the last resize; of pad and squash, the longer side */
  int64_t cut;  /* rows or columns cut off to make it square */
  int64_t pad_rows, pad_cols; /* filled rows and columns of the result */
} lm_prepare_report;

/* Why an image was not prepared, beside lm_err's sentence. */
typedef enum {
  LM_PREPARE_DONE,
  LM_PREPARE_UNREADABLE, /* err says: damaged, unsupported, limit, ... */
  LM_PREPARE_NOT_SQUARE, /* P3, faithful only */
  LM_PREPARE_EMPTY       /* nothing left: P8, or bars all over */
} lm_prepare_outcome;

/* "written", "unreadable", "not square", "empty". */
const char *lm_prepare_outcome_name(lm_prepare_outcome outcome);

/* bytes: a PNG or JPEG.  *jpeg is replaced by the result (its memory is
 * reused), scratch is grown as needed and may be any lm_bytes that the caller
 * keeps for this thread.  *report is filled as far as it got. */
lm_prepare_outcome lm_prepare(const uint8_t *bytes, int64_t n, const lm_prepare_options *o,
                              lm_bytes *scratch, lm_bytes *jpeg, lm_prepare_report *report,
                              lm_err *e);

/* Removes rows and columns in place: px is (height, width, channels) with rows
 * `stride` bytes apart; rows and cols are ascending indices.  The result lies
 * at px with the same stride.  Nothing moves where nothing was removed. */
void lm_remove_lines(uint8_t *px, int64_t height, int64_t width, int channels, int64_t stride,
                     const int32_t *rows, int64_t nrows, const int32_t *cols, int64_t ncols);

#endif
