/* png.c: PNG through libpng.
 *
 * The longjmp rule: the only frames that hold a setjmp are `read_job` and
 * `write_job`; each takes one pointer to a heap struct that owns every
 * resource and the error, and its caller frees all of it.
 *
 * Ancillary chunks are skipped unread, all but tRNS: a 57-byte sCAL chunk
 * costs libpng a gigabyte otherwise.  libpng's memory comes from lm_buffer_new
 * (so it is in the account and in the failure tests), at most 64 MiB a piece. */
#include "image/png.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "core/pool.h"
#include "image/exif.h"

enum { MAX_PIECE = 64 << 20, PIECE_HEADER = 64 };

typedef struct {
  jmp_buf jump;
  lm_err err;
  png_structp png;
  png_infop info;
  /* reading */
  const uint8_t *bytes;
  int64_t n, at;
  const lm_decode_options *o;
  bool header_only;
  lm_image image;
  /* writing */
  lm_bytes *out;
  const uint8_t *pixels;
  int64_t height, width, stride;
  int channels, level;
} job;

/* ---- what libpng calls ---- */

static png_voidp piece_new(png_structp png, png_alloc_size_t bytes) {
  (void)png;
  if (bytes > MAX_PIECE) return NULL;
  lm_buffer *b = lm_buffer_new((int64_t)bytes + PIECE_HEADER, NULL);
  if (b == NULL) return NULL;
  memcpy(b->data, &b, sizeof b);
  return (char *)b->data + PIECE_HEADER;
}

static void piece_free(png_structp png, png_voidp p) {
  (void)png;
  lm_buffer *b;
  if (p == NULL) return;
  memcpy(&b, (char *)p - PIECE_HEADER, sizeof b);
  lm_buffer_release(b);
}

static _Noreturn void stop(job *j) {
  longjmp(j->jump, 1);
}

static void on_error(png_structp png, png_const_charp text) {
  job *j = png_get_error_ptr(png);
  const bool memory = strstr(text, "memory") != NULL;
  if (j->err.code == LM_OK)
    lm_fail(&j->err, memory ? LM_E_MEMORY : LM_E_DAMAGED, "%s: %.200s",
            memory ? "not enough memory" : "damaged PNG", text);
  stop(j);
}

static void on_warning(png_structp png, png_const_charp text) {
  job *j = png_get_error_ptr(png);
  if (j->image.warnings++ == 0) snprintf(j->image.warning, sizeof j->image.warning, "%.150s", text);
}

static void on_read(png_structp png, png_bytep to, size_t n) {
  job *j = png_get_io_ptr(png);
  if ((int64_t)n > j->n - j->at) {
    lm_fail(&j->err, LM_E_DAMAGED, "damaged PNG: the file is truncated");
    stop(j);
  }
  memcpy(to, j->bytes + j->at, n);
  j->at += (int64_t)n;
}

static void on_write(png_structp png, png_bytep from, size_t n) {
  job *j = png_get_io_ptr(png);
  if (!lm_bytes_append(j->out, from, (int64_t)n, &j->err)) stop(j);
}

static void on_flush(png_structp png) {
  (void)png;
}

/* ---- reading ---- */

/* IHDR by hand, so that limits and odd dialects are judged before libpng runs. */
static bool check_header(job *j) {
  const uint8_t *p = j->bytes;
  lm_err *e = &j->err;
  if (j->n < 33) return lm_fail(e, LM_E_DAMAGED, "damaged PNG: the file is truncated");
  if (memcmp(p + 12, "CgBI", 4) == 0)
    return lm_fail(e, LM_E_UNSUPPORTED, "unsupported PNG: iPhone dialect (CgBI)");
  if (memcmp(p + 12, "IHDR", 4) != 0)
    return lm_fail(e, LM_E_DAMAGED, "damaged PNG: the first chunk is not IHDR");
  int64_t side[2];
  for (int i = 0; i < 2; i++) {
    const uint8_t *q = p + 16 + 4 * i;
    side[i] = (int64_t)q[0] << 24 | q[1] << 16 | q[2] << 8 | q[3];
  }
  return lm_image_check_size(side[1], side[0], j->o, e);
}

static void set_transforms(job *j, int depth, int type) {
  const lm_image_mode mode = j->o->mode;
  if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(j->png);
  if (type == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(j->png);
  if (mode == LM_MODE_RGB || mode == LM_MODE_RGBA) png_set_gray_to_rgb(j->png);
  if (mode != LM_MODE_RGBA) {
    png_set_strip_alpha(j->png);
  } else {
    if (png_get_valid(j->png, j->info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(j->png);
    png_set_add_alpha(j->png, 0xff, PNG_FILLER_AFTER);
  }
}

/* 16-bit samples (big-endian) to 8 bits by the range in use: data of 12 bits in a
 * 16-bit file, as radiographs come, keeps its contrast; a full range loses its
 * low byte, as cv2.imread has it.  A few pixels say nothing about the range. */
static void narrow_16(uint8_t *px, int64_t n) {
  enum { TELLING = 256 };
  unsigned all = n < TELLING ? 0xffff : 0;
  int shift = 0;
  for (int64_t i = 0; i < n; i++) all |= (unsigned)px[2 * i] << 8 | px[2 * i + 1];
  while (all >> shift > 255) shift++;
  if (shift % 2 != 0) shift++; /* 8, 10, 12, 14 or 16 bits */
  for (int64_t i = 0; i < n; i++)
    px[i] = (uint8_t)(((unsigned)px[2 * i] << 8 | px[2 * i + 1]) >> shift);
}

static int read_job(job *j) {
  if (setjmp(j->jump) != 0) return -1;
  if (!check_header(j)) return -1;
  j->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, j, on_error, on_warning, NULL, piece_new,
                                    piece_free);
  if (j->png != NULL) j->info = png_create_info_struct(j->png);
  if (j->info == NULL) return lm_fail(&j->err, LM_E_MEMORY, "not enough memory"), -1;
  png_set_read_fn(j->png, j, on_read);
  png_set_keep_unknown_chunks(j->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_set_user_limits(j->png, 0x7fffffff, 0x7fffffff); /* ours were stricter */
  if (!j->o->lenient) {
    png_set_crc_action(j->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_benign_errors(j->png, 0); /* "benign" faults are damage */
  } else {
    png_set_crc_action(j->png, PNG_CRC_WARN_USE, PNG_CRC_WARN_USE);
    png_set_benign_errors(j->png, 1);
  }
  png_read_info(j->png, j->info);
  const int depth = png_get_bit_depth(j->png, j->info);
  const int type = png_get_color_type(j->png, j->info);
  lm_image *m = &j->image;
  m->height = png_get_image_height(j->png, j->info);
  m->width = png_get_image_width(j->png, j->info);
  m->bits = depth;
  m->stored_channels = type == PNG_COLOR_TYPE_PALETTE ? 3 : png_get_channels(j->png, j->info);
  if (j->header_only) return 0;
  set_transforms(j, depth, type);
  const int passes = png_set_interlace_handling(j->png);
  png_read_update_info(j->png, j->info);
  m->channels = png_get_channels(j->png, j->info);
  const bool wide = depth == 16;
  const int64_t row = m->width * m->channels * (wide ? 2 : 1);
  if (png_get_rowbytes(j->png, j->info) != (size_t)row)
    return lm_fail(&j->err, LM_E_UNSUPPORTED, "unsupported PNG: %d bits, colour type %d", depth,
                   type),
           -1;
  m->buffer = lm_buffer_new(m->height * row, &j->err);
  if (m->buffer == NULL) return -1;
  for (int pass = 0; pass < passes; pass++)
    for (int64_t y = 0; y < m->height; y++) {
      if (lm_interrupted()) return lm_fail(&j->err, LM_E_INTERRUPT, "interrupted"), -1;
      png_read_row(j->png, (uint8_t *)m->buffer->data + y * row, NULL);
    }
  png_read_end(j->png, NULL);
  if (wide) narrow_16(m->buffer->data, m->height * row / 2);
  return 0;
}

bool lm_png_read(const uint8_t *bytes, int64_t n, const lm_decode_options *o, bool header_only,
                 lm_image *out, lm_err *e) {
  job *j = calloc(1, sizeof *j);
  if (j == NULL) return lm_fail(e, LM_E_MEMORY, "not enough memory");
  j->bytes = bytes;
  j->n = n;
  j->o = o;
  j->header_only = header_only;
  const bool ok = read_job(j) == 0;
  if (j->png != NULL) png_destroy_read_struct(&j->png, &j->info, NULL);
  *out = j->image;
  out->format = LM_FORMAT_PNG;
  out->orientation = ok ? lm_exif_of_png(bytes, n) : 1;
  if (!ok && e != NULL) *e = j->err;
  free(j);
  return ok;
}

/* ---- writing ---- */

static int write_job(job *j) {
  if (setjmp(j->jump) != 0) return -1;
  j->png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, j, on_error, on_warning, NULL,
                                     piece_new, piece_free);
  if (j->png != NULL) j->info = png_create_info_struct(j->png);
  if (j->info == NULL) return lm_fail(&j->err, LM_E_MEMORY, "not enough memory"), -1;
  png_set_write_fn(j->png, j, on_write, on_flush);
  png_set_compression_level(j->png, j->level);
  const int type = j->channels == 1   ? PNG_COLOR_TYPE_GRAY
                   : j->channels == 3 ? PNG_COLOR_TYPE_RGB
                                      : PNG_COLOR_TYPE_RGB_ALPHA;
  png_set_IHDR(j->png, j->info, (png_uint_32)j->width, (png_uint_32)j->height, 8, type,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(j->png, j->info);
  for (int64_t y = 0; y < j->height; y++) {
    if (lm_interrupted()) return lm_fail(&j->err, LM_E_INTERRUPT, "interrupted"), -1;
    png_write_row(j->png, j->pixels + y * j->stride);
  }
  png_write_end(j->png, j->info);
  return 0;
}

bool lm_png_encode(const uint8_t *pixels, int64_t height, int64_t width, int channels,
                   int64_t stride, int level, lm_bytes *out, lm_err *e) {
  if (height < 1 || width < 1 || height > LM_MAX_SIDE || width > LM_MAX_SIDE)
    return lm_fail(e, LM_E_SHAPE, "a PNG has 1..%d pixels a side, got %lld x %lld", LM_MAX_SIDE,
                   (long long)height, (long long)width);
  if (channels != 1 && channels != 3 && channels != 4)
    return lm_fail(e, LM_E_SHAPE, "a PNG has 1, 3 or 4 channels here, got %d", channels);
  job *j = calloc(1, sizeof *j);
  if (j == NULL) return lm_fail(e, LM_E_MEMORY, "not enough memory");
  j->pixels = pixels;
  j->height = height;
  j->width = width;
  j->stride = stride;
  j->channels = channels;
  j->level = level;
  j->out = out;
  const bool ok = write_job(j) == 0;
  if (j->png != NULL) png_destroy_write_struct(&j->png, &j->info);
  if (!ok && e != NULL) *e = j->err;
  free(j);
  return ok;
}

const char *lm_png_version(void) {
  return png_get_libpng_ver(NULL);
}
