/* ops_prepare.c: prepare.batch: many radiographs from files to files, one
 * chunk of the pool a file.  Memory is that of the files in hand, whatever
 * their number; no tensor is made. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/pool.h"
#include "image/prepare.h"
#include "image/scan.h"
#include "io/file.h"
#include "lua/luma.h"

enum { MAX_BATCH = 4096 };

/* What a worker keeps from one file to the next. */
typedef struct {
  lm_bytes input, scratch, jpeg;
} bench;

typedef struct {
  const char *from, *to; /* strings of the Lua table */
  bool tried;
  lm_prepare_outcome outcome;
  bool write_failed;
  lm_prepare_report report;
  lm_staged staged;
  lm_err err;
  double seconds;
} item;

typedef struct {
  lm_prepare_options options;
  int64_t count;
  bench benches[LM_MAX_THREADS];
  item items[];
} batch;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the two passes over a batch ---- */

static void prepare_one(void *context, int64_t chunk, int worker) {
  batch *b = context;
  item *it = &b->items[chunk];
  bench *w = &b->benches[worker];
  const double start = now();
  it->outcome = LM_PREPARE_UNREADABLE;
  if (lm_file_load(it->from, 0, &w->input, &it->err))
    it->outcome = lm_prepare(lm_bytes_data(&w->input), w->input.size, &b->options, &w->scratch,
                             &w->jpeg, &it->report, &it->err);
  if (it->outcome == LM_PREPARE_DONE) {
    const lm_span span = {lm_bytes_data(&w->jpeg), w->jpeg.size};
    it->write_failed = !lm_file_stage(it->to, &span, 1, &it->staged, &it->err);
  }
  it->seconds = now() - start;
  it->tried = it->err.code != LM_E_INTERRUPT;
}

static void commit_one(void *context, int64_t chunk, int worker) {
  (void)worker;
  item *it = &((batch *)context)->items[chunk];
  if (it->staged.fd < 0) return;
  it->write_failed = !lm_file_commit(it->to, &it->staged, &it->err);
}

static bool same_folder(const char *a, const char *b) {
  if (a == NULL) return false;
  const char *end_a = strrchr(a, '/'), *end_b = strrchr(b, '/');
  if (end_a == NULL || end_b == NULL) return end_a == end_b;
  return end_a - a == end_b - b && memcmp(a, b, (size_t)(end_a - a)) == 0;
}

/* Flushing and naming must happen for all that was staged, Ctrl-C or not: it
 * takes milliseconds, and the caller then knows exactly what was done. */
static void run_batch(batch *b) {
  lm_parallel(b->count, prepare_one, b);
  uint64_t device = 0;
  for (int64_t i = 0; i < b->count; i++) lm_file_flush(&b->items[i].staged, &device);
  if (lm_interrupted())
    for (int64_t i = 0; i < b->count; i++) commit_one(b, i, 0);
  else
    lm_parallel(b->count, commit_one, b);
  const char *flushed = NULL; /* a file of the folder flushed last */
  for (int64_t i = 0; i < b->count; i++) {
    const item *it = &b->items[i];
    if (it->staged.fd >= 0) commit_one(b, i, 0); /* interrupted between the two */
    if (it->outcome != LM_PREPARE_DONE || it->write_failed || same_folder(flushed, it->to))
      continue;
    lm_folder_flush(it->to);
    flushed = it->to;
  }
}

/* ---- the border ---- */

static const char *check_name(lua_State *L, int64_t i, int k) {
  size_t n;
  if (lua_geti(L, -1, k) != LUA_TSTRING)
    luma_argerror(L, 1, "item %lld must be {input path, output path}", (long long)i);
  const char *s = lua_tolstring(L, -1, &n);
  if (n == 0 || strlen(s) != n)
    luma_argerror(L, 1, "item %lld: a path is empty or contains a NUL byte", (long long)i);
  lua_pop(L, 1); /* stays alive in the table */
  return s;
}

static void set_int(lua_State *L, const char *key, int64_t v) {
  lua_pushinteger(L, v);
  lua_setfield(L, -2, key);
}

static void push_result(lua_State *L, const item *it) {
  lua_createtable(L, 0, 9);
  const bool written = it->outcome == LM_PREPARE_DONE && !it->write_failed;
  const char *status = written            ? "written"
                       : it->write_failed ? "not written"
                                          : lm_prepare_outcome_name(it->outcome);
  lua_pushstring(L, status);
  lua_setfield(L, -2, "status");
  if (!written) {
    lua_pushstring(L, it->err.msg);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, lm_code_name(it->err.code));
    lua_setfield(L, -2, "code");
  }
  set_int(L, "height", it->report.height);
  set_int(L, "width", it->report.width);
  set_int(L, "rows_removed", it->report.rows_removed);
  set_int(L, "cols_removed", it->report.cols_removed);
  set_int(L, "side", it->report.side);
  set_int(L, "cut", it->report.cut);
  set_int(L, "pad_rows", it->report.pad_rows);
  set_int(L, "pad_cols", it->report.pad_cols);
  lua_pushnumber(L, it->seconds);
  lua_setfield(L, -2, "seconds");
}

static int l_batch(lua_State *L) {
  static const char *const keys[] = {"faithful", "squash", "size", "quality", "level", "fit", NULL};
  static const char *const fits[] = {"crop", "pad", "squash", NULL};
  lua_settop(L, 2);
  if (!lua_istable(L, 1))
    luma_argerror(L, 1, "list of {input path, output path} expected, got %s", luaL_typename(L, 1));
  luma_checkkeys(L, 2, keys);
  const int64_t count = luaL_len(L, 1);
  if (count > MAX_BATCH)
    luma_argerror(L, 1, "at most %d files a batch, got %lld", MAX_BATCH, (long long)count);
  batch *b = luma_newscratch(L, (int64_t)(sizeof *b + (size_t)count * sizeof b->items[0]));
  const int anchor = lua_gettop(L);
  memset(b, 0, sizeof *b + (size_t)count * sizeof b->items[0]);
  b->options = (lm_prepare_options){.faithful = luma_optboolean(L, 2, "faithful", false),
                                    .squash = luma_optboolean(L, 2, "squash", false),
                                    .size = luma_optint(L, 2, "size", 224, 1, 8192),
                                    .quality = (int)luma_optint(L, 2, "quality", 95, 1, 100),
                                    .level = luma_optnumber(L, 2, "level", 40, 0, 256),
                                    .fit = (lm_fit)luma_optenum(L, 2, "fit", LM_FIT_CROP, fits)};
  b->count = count;
  for (int64_t i = 0; i < count; i++) {
    b->items[i].staged.fd = -1;
    if (lua_geti(L, 1, i + 1) != LUA_TTABLE)
      luma_argerror(L, 1, "item %lld must be {input path, output path}", (long long)(i + 1));
    b->items[i].from = check_name(L, i + 1, 1);
    b->items[i].to = check_name(L, i + 1, 2);
    lua_pop(L, 1);
  }
  run_batch(b); /* from here to the frees: no Lua */
  for (int i = 0; i < LM_MAX_THREADS; i++) {
    lm_bytes_free(&b->benches[i].input);
    lm_bytes_free(&b->benches[i].scratch);
    lm_bytes_free(&b->benches[i].jpeg);
  }
  lua_createtable(L, (int)count, 0);
  for (int64_t i = 0; i < count; i++) {
    if (b->items[i].tried)
      push_result(L, &b->items[i]);
    else
      lua_pushboolean(L, false);
    lua_seti(L, -2, i + 1);
  }
  lua_pushboolean(L, lm_interrupted());
  luma_freescratch(L, anchor);
  return 2;
}

/* ---- single steps, for lessons ---- */

/* A u8 image (h, w) or (h, w, c) as plain memory. */
static const lm_tensor *check_image(lua_State *L, int arg) {
  const lm_tensor *x = luma_checkplain(L, arg, LM_U8);
  char text[LM_SHAPE_TEXT];
  if (x->shape.rank != 2 && x->shape.rank != 3)
    luma_argerror(L, arg, "an image (h, w) or (h, w, c) expected, got %s",
                  lm_shape_text(&x->shape, text));
  return x;
}

/* Ascending, distinct 1-based indices at arg -> 0-based ones. */
static void read_lines(lua_State *L, int arg, int64_t size, int32_t *out) {
  const int64_t n = luaL_len(L, arg);
  for (int64_t i = 0, last = 0; i < n; i++) {
    int exact;
    lua_geti(L, arg, i + 1);
    const int64_t v = lua_tointegerx(L, -1, &exact);
    if (!exact || v <= last || v > size)
      luma_argerror(L, arg, "item %lld must be a whole number in %lld..%lld, got %s",
                    (long long)(i + 1), (long long)(last + 1), (long long)size,
                    luaL_tolstring(L, -1, NULL));
    out[i] = (int32_t)(v - 1);
    last = v;
    lua_pop(L, 1);
  }
}

static int64_t check_list(lua_State *L, int arg, int64_t size) {
  if (!lua_istable(L, arg))
    luma_argerror(L, arg, "list of indices expected, got %s", luaL_typename(L, arg));
  const int64_t n = luaL_len(L, arg);
  if (n > size) luma_argerror(L, arg, "%lld indices for %lld lines", (long long)n, (long long)size);
  return n;
}

/* Pushes the box of x as a new tensor. */
static void push_box(lua_State *L, const lm_tensor *x, int64_t top, int64_t left, int64_t height,
                     int64_t width) {
  lm_shape s = x->shape;
  const int64_t c = s.rank == 3 ? s.size[2] : 1, stride = s.size[1] * c;
  s.size[0] = height;
  s.size[1] = width;
  lm_tensor *y = luma_newtensor(L, LM_U8, &s);
  if (width * c == 0) return;
  for (int64_t i = 0; i < height; i++)
    memcpy(lm_u8(y) + i * width * c, lm_u8(x) + (top + i) * stride + left * c, (size_t)(width * c));
}

static int l_remove_lines(lua_State *L) {
  lua_settop(L, 3);
  const lm_tensor *x = check_image(L, 1);
  const int64_t h = x->shape.size[0], w = x->shape.size[1];
  const int64_t c = x->shape.rank == 3 ? x->shape.size[2] : 1;
  const int64_t nr = check_list(L, 2, h), nc = check_list(L, 3, w);
  int32_t *rows = luma_newscratch(L, (nr + nc) * (int64_t)sizeof(int32_t)), *cols = rows + nr;
  const int lines = lua_gettop(L);
  read_lines(L, 2, h, rows);
  read_lines(L, 3, w, cols);
  uint8_t *work = luma_newscratch(L, h * w * c);
  if (h * w * c > 0) memcpy(work, lm_u8(x), (size_t)(h * w * c));
  lm_remove_lines(work, h, w, (int)c, w * c, rows, nr, cols, nc);
  const lm_tensor view = {.buffer = luma_totensor(L, -1)->buffer,
                          .dtype = LM_U8,
                          .shape = x->shape,
                          .stride = {w * c, c, 1}};
  push_box(L, &view, 0, 0, h - nr, w - nc);
  luma_freescratch(L, lines);
  luma_freescratch(L, lines + 1);
  return 1;
}

static int l_cut_square(lua_State *L) {
  static const char *const keys[] = {"faithful", NULL};
  const lm_tensor *x = check_image(L, 1);
  const int64_t h = x->shape.size[0], w = x->shape.size[1];
  const int64_t rows = luma_checkint(L, 2, 0, INT32_MAX, "rows removed");
  const int64_t cols = luma_checkint(L, 3, 0, INT32_MAX, "columns removed");
  luma_checkkeys(L, 4, keys);
  const lm_square q = lm_bars_square(h, w, rows, cols, luma_optboolean(L, 4, "faithful", false));
  push_box(L, x, q.top, q.left, q.height, q.width);
  lua_pushboolean(L, q.square);
  return 2;
}

const luma_op luma_ops_prepare[] = {
    {"image.remove_lines", "(x, rows, cols) -> y",
     "The u8 image without these rows and columns: ascending lists of 1-based indices, as "
     "image.black_bars gives them.",
     l_remove_lines, 0},
    {"image.cut_square", "(x, rows_removed, cols_removed [, {faithful=false}]) -> y, square",
     "Cuts a u8 image square, evenly from both ends of the longer side, the odd line off the "
     "bottom or right. faithful repeats the author's arithmetic on the numbers of removed rows "
     "and columns: a difference of one leaves nothing, and square is false.",
     l_cut_square, 0},
    {"prepare.batch",
     "({{from, to}, ...} [, {faithful=false, squash=false, size=224, quality=95, level=40, "
     "fit=\"crop\"}]) -> "
     "results, interrupted",
     "Prepares files in parallel: decode, [squash], black rows and columns off, square, resize, "
     "JPEG; each result is {status, message, code, height, width, rows_removed, cols_removed, "
     "side, cut, pad_rows, pad_cols, seconds}, or false where Ctrl-C came first. status is "
     "'written', 'unreadable', 'not "
     "square', 'empty' or 'not written'. Files are written whole or not at all.",
     l_batch, 0},
    {NULL, NULL, NULL, NULL, 0}};
