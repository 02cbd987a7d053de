/* jpeg.c: JPEG through libjpeg-turbo.
 *
 * The longjmp rule: the only frames that hold a setjmp are `read_job` and
 * `write_job`; each takes one pointer to a heap struct that owns every
 * resource and the error, and its caller frees all of it.
 *
 * libjpeg calls a cut file or broken codes a warning and fills in grey.  Here
 * every warning is damage, but for two that do not touch pixels.  A legal
 * progressive file may hold thousands of scans, each a pass over the whole
 * image; past LM_MAX_SCANS it is refused. */
#include "image/jpeg.h"

#include <setjmp.h>
#include <stdio.h> /* jpeglib.h needs FILE */
#include <stdlib.h>
#include <string.h>
/* after stdio */
#include <jerror.h>
#include <jpeglib.h>

#include "core/pool.h"
#include "image/exif.h"

enum { MAX_MEMORY = 512 << 20 }; /* libjpeg's own: coefficients of progressive files */

typedef struct {
  jmp_buf jump;
  lm_err err;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  bool made; /* reader or writer needs destroying */
  union {
    struct jpeg_decompress_struct reader;
    struct jpeg_compress_struct writer;
  } u;
  /* reading */
  const uint8_t *bytes;
  int64_t n;
  const lm_decode_options *o;
  bool header_only;
  lm_image image;
  /* writing */
  struct jpeg_destination_mgr target;
  lm_bytes *out;
  const uint8_t *pixels;
  int64_t height, width, stride;
  int channels, quality;
  lm_subsampling sub;
} job;

static _Noreturn void stop(job *j) {
  longjmp(j->jump, 1);
}

/* ---- messages ---- */

static lm_code code_of(int message) {
  switch (message) {
    case JERR_OUT_OF_MEMORY:
    case JERR_NO_BACKING_STORE: return LM_E_MEMORY;
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_ARITH_NOTIMPL:
    case JERR_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_CCIR601_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_COMPONENT_COUNT:
    case JERR_UNKNOWN_MARKER: return LM_E_UNSUPPORTED;
    default: return LM_E_DAMAGED;
  }
}

/* libjpeg's sentence, first letter small so that it continues ours. */
static void message_text(job *j, char text[JMSG_LENGTH_MAX]) {
  j->errors.format_message((j_common_ptr)&j->u, text);
  if (text[0] >= 'A' && text[0] <= 'Z' && !(text[1] >= 'A' && text[1] <= 'Z'))
    text[0] = (char)(text[0] + ('a' - 'A'));
}

static void on_error(j_common_ptr cinfo) {
  job *j = cinfo->client_data;
  char text[JMSG_LENGTH_MAX];
  message_text(j, text);
  const lm_code code = code_of(j->errors.msg_code);
  lm_fail(&j->err, code, "%s: %s",
          code == LM_E_MEMORY        ? "not enough memory"
          : code == LM_E_UNSUPPORTED ? "unsupported JPEG"
                                     : "damaged JPEG",
          text);
  stop(j);
}

static void on_message(j_common_ptr cinfo, int level) {
  job *j = cinfo->client_data;
  if (level >= 0) return; /* trace */
  if (j->errors.msg_code == JWRN_JFIF_MAJOR || j->errors.msg_code == JWRN_ADOBE_XFORM) return;
  if (!j->o->lenient) on_error(cinfo);
  if (j->image.warnings++ == 0) {
    char text[JMSG_LENGTH_MAX];
    message_text(j, text);
    snprintf(j->image.warning, sizeof j->image.warning, "%.150s", text);
  }
}

static void on_output(j_common_ptr cinfo) {
  (void)cinfo; /* C never prints */
}

static void on_progress(j_common_ptr cinfo) {
  job *j = cinfo->client_data;
  if (lm_interrupted()) {
    lm_fail(&j->err, LM_E_INTERRUPT, "interrupted");
    stop(j);
  }
  if (cinfo->is_decompressor && j->u.reader.input_scan_number > LM_MAX_SCANS) {
    lm_fail(&j->err, LM_E_LIMIT, "JPEG with more than %d scans", LM_MAX_SCANS);
    stop(j);
  }
}

static void set_callbacks(job *j) {
  jpeg_std_error(&j->errors);
  j->errors.error_exit = on_error;
  j->errors.emit_message = on_message;
  j->errors.output_message = on_output;
  j->progress.progress_monitor = on_progress;
}

/* ---- reading ---- */

/* Inverted CMYK, as Adobe writes it, to RGB: Pillow's arithmetic. */
static void cmyk_row(uint8_t *row, int64_t width, uint8_t *to) {
  for (int64_t x = 0; x < width; x++) {
    const uint8_t *p = row + 4 * x;
    for (int c = 0; c < 3; c++) {
      const unsigned t = (255u - p[c]) * p[3] + 128;
      const int v = p[3] - (int)((t + (t >> 8)) >> 8);
      to[3 * x + c] = (uint8_t)(v < 0 ? 0 : v);
    }
  }
}

static bool choose_output(job *j) {
  struct jpeg_decompress_struct *r = &j->u.reader;
  const lm_image_mode mode = j->o->mode;
  switch (r->jpeg_color_space) {
    case JCS_GRAYSCALE:
      r->out_color_space = mode == LM_MODE_RGB    ? JCS_RGB
                           : mode == LM_MODE_RGBA ? JCS_EXT_RGBA
                                                  : JCS_GRAYSCALE;
      break;
    case JCS_RGB:
    case JCS_YCbCr:
      r->out_color_space = mode == LM_MODE_GRAY   ? JCS_GRAYSCALE
                           : mode == LM_MODE_RGBA ? JCS_EXT_RGBA
                                                  : JCS_RGB;
      break;
    case JCS_CMYK:
    case JCS_YCCK: r->out_color_space = JCS_CMYK; break;
    default:
      return lm_fail(&j->err, LM_E_UNSUPPORTED, "unsupported JPEG: %d components",
                     r->num_components);
  }
  return true;
}

static int read_job(job *j) {
  struct jpeg_decompress_struct *r = &j->u.reader;
  lm_image *m = &j->image;
  if (setjmp(j->jump) != 0) return -1;
  set_callbacks(j);
  r->err = &j->errors;
  r->client_data = j; /* jpeg_create_decompress keeps both */
  /* Before the call: it may stop after its memory manager exists.  Destroying a
   * zeroed struct without one does nothing. */
  j->made = true;
  jpeg_create_decompress(r);
  r->progress = &j->progress;
  r->mem->max_memory_to_use = MAX_MEMORY;
  jpeg_mem_src(r, j->bytes, (unsigned long)j->n);
  jpeg_read_header(r, TRUE);
  m->height = r->image_height;
  m->width = r->image_width;
  m->bits = r->data_precision;
  m->stored_channels = r->num_components;
  if (!lm_image_check_size(m->height, m->width, j->o, &j->err)) return -1;
  if (!choose_output(j)) return -1;
  if (j->header_only) return 0;
  r->dct_method = JDCT_ISLOW;
  jpeg_start_decompress(r);
  const bool cmyk = r->out_color_space == JCS_CMYK;
  m->channels = cmyk ? (j->o->mode == LM_MODE_RGBA ? 4 : 3) : r->output_components;
  const int64_t row = m->width * m->channels;
  m->buffer = lm_buffer_new(m->height * row, &j->err);
  if (m->buffer == NULL) return -1;
  JSAMPARRAY four = NULL; /* one CMYK row, in libjpeg's pool */
  if (cmyk)
    four = r->mem->alloc_sarray((j_common_ptr)r, JPOOL_IMAGE, (JDIMENSION)(m->width * 4), 1);
  while (r->output_scanline < r->output_height) {
    uint8_t *at = (uint8_t *)m->buffer->data + r->output_scanline * row;
    if (cmyk) {
      jpeg_read_scanlines(r, four, 1);
      cmyk_row(four[0], m->width, at);
      if (m->channels == 4) /* spread from the end */
        for (int64_t x = m->width - 1; x >= 0; x--) {
          memmove(at + 4 * x, at + 3 * x, 3);
          at[4 * x + 3] = 255;
        }
    } else {
      enum { BATCH = 16 };
      JSAMPROW rows[BATCH];
      const int64_t left = r->output_height - r->output_scanline;
      const int count = left < BATCH ? (int)left : BATCH;
      for (int i = 0; i < count; i++) rows[i] = at + i * row;
      jpeg_read_scanlines(r, rows, (JDIMENSION)count);
    }
  }
  jpeg_finish_decompress(r); /* also looks for the end marker */
  return 0;
}

bool lm_jpeg_read(const uint8_t *bytes, int64_t n, const lm_decode_options *o, bool header_only,
                  lm_image *out, lm_err *e) {
  job *j = calloc(1, sizeof *j);
  if (j == NULL) return lm_fail(e, LM_E_MEMORY, "not enough memory");
  j->bytes = bytes;
  j->n = n;
  j->o = o;
  j->header_only = header_only;
  const bool ok = read_job(j) == 0;
  if (j->made) jpeg_destroy_decompress(&j->u.reader);
  *out = j->image;
  out->format = LM_FORMAT_JPEG;
  out->orientation = ok ? lm_exif_of_jpeg(bytes, n) : 1;
  if (!ok && e != NULL) *e = j->err;
  free(j);
  return ok;
}

/* ---- writing: a destination that appends to an lm_bytes ---- */

enum { STEP = 64 << 10 };

static void target_room(job *j) {
  if (!lm_bytes_reserve(j->out, STEP, &j->err)) stop(j);
  j->target.next_output_byte = lm_bytes_data(j->out) + j->out->size;
  j->target.free_in_buffer = (size_t)lm_bytes_room(j->out);
}

static void on_start(j_compress_ptr cinfo) {
  target_room(cinfo->client_data);
}

static boolean on_full(j_compress_ptr cinfo) {
  job *j = cinfo->client_data;
  j->out->size = j->out->buffer->bytes; /* libjpeg filled all of it */
  target_room(j);
  return TRUE;
}

static void on_end(j_compress_ptr cinfo) {
  job *j = cinfo->client_data;
  j->out->size = j->out->buffer->bytes - (int64_t)j->target.free_in_buffer;
}

static int write_job(job *j) {
  struct jpeg_compress_struct *w = &j->u.writer;
  if (setjmp(j->jump) != 0) return -1;
  set_callbacks(j);
  w->err = &j->errors;
  w->client_data = j;
  j->made = true; /* as in reading */
  jpeg_create_compress(w);
  w->progress = &j->progress;
  j->target = (struct jpeg_destination_mgr){
      .init_destination = on_start, .empty_output_buffer = on_full, .term_destination = on_end};
  w->dest = &j->target;
  w->image_width = (JDIMENSION)j->width;
  w->image_height = (JDIMENSION)j->height;
  w->input_components = j->channels;
  w->in_color_space = j->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(w);
  jpeg_set_quality(w, j->quality, TRUE);
  w->dct_method = JDCT_ISLOW;
  if (j->channels == 3) {
    w->comp_info[0].h_samp_factor = j->sub == LM_SUB_444 ? 1 : 2;
    w->comp_info[0].v_samp_factor = j->sub == LM_SUB_420 ? 2 : 1;
  }
  jpeg_start_compress(w, TRUE);
  while (w->next_scanline < w->image_height) {
    JSAMPROW row = (JSAMPROW)(uintptr_t)(j->pixels + w->next_scanline * j->stride);
    jpeg_write_scanlines(w, &row, 1);
  }
  jpeg_finish_compress(w);
  return 0;
}

bool lm_jpeg_encode(const uint8_t *pixels, int64_t height, int64_t width, int channels,
                    int64_t stride, int quality, lm_subsampling sub, lm_bytes *out, lm_err *e) {
  if (height < 1 || width < 1 || height > JPEG_MAX_DIMENSION || width > JPEG_MAX_DIMENSION)
    return lm_fail(e, LM_E_SHAPE, "a JPEG has 1..%ld pixels a side, got %lld x %lld",
                   (long)JPEG_MAX_DIMENSION, (long long)height, (long long)width);
  if (channels != 1 && channels != 3)
    return lm_fail(e, LM_E_SHAPE, "a JPEG has 1 or 3 channels here, got %d", channels);
  if (quality < 1 || quality > 100)
    return lm_fail(e, LM_E_ARGUMENT, "quality must be in 1..100, got %d", quality);
  job *j = calloc(1, sizeof *j);
  if (j == NULL) return lm_fail(e, LM_E_MEMORY, "not enough memory");
  const lm_decode_options strict = {0};
  j->o = &strict;
  j->pixels = pixels;
  j->height = height;
  j->width = width;
  j->stride = stride;
  j->channels = channels;
  j->quality = quality;
  j->sub = sub;
  j->out = out;
  const bool ok = write_job(j) == 0;
  if (j->made) jpeg_destroy_compress(&j->u.writer);
  if (!ok && e != NULL) *e = j->err;
  free(j);
  return ok;
}

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)
const char *lm_jpeg_version(void) {
#ifdef LIBJPEG_TURBO_VERSION
  return "libjpeg-turbo " TEXT_OF(LIBJPEG_TURBO_VERSION);
#else
  return "libjpeg " TEXT_OF(JPEG_LIB_VERSION);
#endif
}
