/* hash.c: perceptual hashes, pairs of them, correlation. */
#include "image/hash.h"

#include <math.h>

#include "image/resize.h"

enum { SIDE = 32, LOW = 8 };

static int64_t padded(int64_t bytes) {
  return (bytes + 63) & ~(int64_t)63;
}

/* A tensor of f32 cells and the resizer's scratch share the caller's. */
int64_t lm_hash_scratch(int64_t h, int64_t w) {
  const lm_resize_size from = {h, w, w}, to = {SIDE, SIDE, SIDE};
  return padded(SIDE * SIDE * 4) + lm_resize_scratch(LM_RESIZE_AREA, &from, &to, 1);
}

static float *shrink(const float *gray, int64_t h, int64_t w, int64_t rows, int64_t cols,
                     void *scratch) {
  const lm_resize_size from = {h, w, w}, to = {rows, cols, cols};
  float *cells = scratch;
  lm_resize_f32(LM_RESIZE_AREA, gray, &from, cells, &to, 1,
                (char *)scratch + padded(SIDE * SIDE * 4));
  return cells;
}

/* ---- hashes ---- */

/* The mean of the two middle values of 64. */
static double median(const double *v) {
  double sorted[LOW * LOW];
  for (int i = 0; i < LOW * LOW; i++) {
    int k = i;
    for (; k > 0 && sorted[k - 1] > v[i]; k--) sorted[k] = sorted[k - 1];
    sorted[k] = v[i];
  }
  return (sorted[LOW * LOW / 2 - 1] + sorted[LOW * LOW / 2]) / 2;
}

uint64_t lm_hash_dct(const float *gray, int64_t h, int64_t w, void *scratch) {
  const float *cells = shrink(gray, h, w, SIDE, SIDE, scratch);
  double wave[LOW][SIDE], half[SIDE][LOW], low[LOW * LOW], size = 0;
  for (int f = 0; f < LOW; f++)
    for (int i = 0; i < SIDE; i++) wave[f][i] = cos(M_PI * f * (2 * i + 1) / (2 * SIDE));
  for (int i = 0; i < SIDE; i++)
    for (int f = 0; f < LOW; f++) {
      half[i][f] = 0;
      for (int j = 0; j < SIDE; j++) half[i][f] += cells[i * SIDE + j] * wave[f][j];
    }
  for (int f = 0; f < LOW; f++)
    for (int g = 0; g < LOW; g++) {
      double sum = 0;
      for (int i = 0; i < SIDE; i++) sum += half[i][g] * wave[f][i];
      low[f * LOW + g] = sum;
      size = fmax(size, fabs(sum));
    }
  /* What is rounding, beside the largest, is nothing: flat images agree. */
  for (int k = 0; k < LOW * LOW; k++)
    if (!(fabs(low[k]) > 1e-6 * size)) low[k] = 0;
  const double middle = median(low);
  uint64_t hash = 0;
  for (int k = 0; k < LOW * LOW; k++) hash = hash << 1 | (low[k] > middle);
  return hash;
}

uint64_t lm_hash_difference(const float *gray, int64_t h, int64_t w, void *scratch) {
  const float *cells = shrink(gray, h, w, 8, 9, scratch);
  uint64_t hash = 0;
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 8; j++) hash = hash << 1 | (cells[9 * i + j] < cells[9 * i + j + 1]);
  return hash;
}

/* ---- pairs ---- */

/* Bits set, without the instruction that older processors lack. */
static inline int bits(uint64_t v) {
  v -= v >> 1 & 0x5555555555555555u;
  v = (v & 0x3333333333333333u) + (v >> 2 & 0x3333333333333333u);
  v = (v + (v >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
  return (int)(v * 0x0101010101010101u >> 56);
}

void lm_hash_count(const uint64_t *hash, int64_t n, int most, int64_t begin, int64_t end,
                   int64_t *found) {
  for (int64_t i = begin; i < end; i++) {
    int64_t k = 0;
    for (int64_t j = i + 1; j < n; j++) k += bits(hash[i] ^ hash[j]) <= most;
    found[i] = k;
  }
}

void lm_hash_list(const uint64_t *hash, int64_t n, int most, int64_t begin, int64_t end,
                  const int64_t *first, int32_t *out) {
  for (int64_t i = begin; i < end; i++) {
    if (first[i] == first[i + 1]) continue; /* most have none */
    int32_t *row = out + 3 * first[i];
    for (int64_t j = i + 1; j < n; j++) {
      const int d = bits(hash[i] ^ hash[j]);
      if (d > most) continue;
      *row++ = (int32_t)i;
      *row++ = (int32_t)j;
      *row++ = d;
    }
  }
}

/* ---- correlation ---- */

static double finish(double ab, double aa, double bb, double noise) {
  if (!(aa > noise) || !(bb > noise)) return 0;
  const double r = ab / sqrt(aa * bb);
  return r > 1 ? 1 : (r < -1 ? -1 : r);
}

double lm_correlation_u8(const uint8_t *a, const uint8_t *b, int64_t n) {
  int64_t sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0; /* exact below 2^47 pixels */
  for (int64_t i = 0; i < n; i++) {
    sa += a[i];
    sb += b[i];
    saa += a[i] * a[i];
    sbb += b[i] * b[i];
    sab += a[i] * b[i];
  }
  const double m = (double)n;
  return finish((double)sab - (double)sa * (double)sb / m,
                (double)saa - (double)sa * (double)sa / m,
                (double)sbb - (double)sb * (double)sb / m, 1e-9 * m);
}

double lm_correlation_f32(const float *a, const float *b, int64_t n) {
  double ma = 0, mb = 0, ab = 0, aa = 0, bb = 0;
  for (int64_t i = 0; i < n; i++) ma += a[i], mb += b[i];
  ma /= (double)n;
  mb /= (double)n;
  for (int64_t i = 0; i < n; i++) {
    const double x = a[i] - ma, y = b[i] - mb;
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return finish(ab, aa, bb, 1e-12 * (1 + ma * ma + mb * mb));
}
