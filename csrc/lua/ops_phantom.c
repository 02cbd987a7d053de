/* ops_phantom.c: image.phantom and image.phantom_files: drawn radiographs as a
 * tensor, or many at once as JPEG files. */
#include <stdio.h>
#include <string.h>

#include "core/pool.h"
#include "image/codec.h"
#include "image/phantom.h"
#include "io/file.h"
#include "lua/luma.h"

/* The drawing described by the table at idx. */
static lm_phantom check_phantom(lua_State *L, int idx, int arg) {
  static const char *const keys[] = {"seed", "patient", "image",    "size",         "female",
                                     "ap",   "opacity", "effusion", "cardiomegaly", "nodule",
                                     "top",  "left",    "bottom",   "right",        NULL};
  luaL_checktype(L, idx, LUA_TTABLE);
  luma_checkkeys(L, idx, keys);
  lm_phantom p = {
      .seed = (uint64_t)luma_optint(L, idx, "seed", 0, INT64_MIN, INT64_MAX),
      .patient = (uint64_t)luma_optint(L, idx, "patient", 1, 0, INT64_C(1) << 40),
      .image = (uint64_t)luma_optint(L, idx, "image", 1, 0, INT64_C(1) << 40),
      .size = luma_optint(L, idx, "size", 1024, 64, 4096),
      .female = luma_optboolean(L, idx, "female", false),
      .anteroposterior = luma_optboolean(L, idx, "ap", false),
      .opacity = luma_optnumber(L, idx, "opacity", 0, 0, 1),
      .effusion = luma_optnumber(L, idx, "effusion", 0, 0, 1),
      .cardiomegaly = luma_optnumber(L, idx, "cardiomegaly", 0, 0, 1),
      .nodule = luma_optnumber(L, idx, "nodule", 0, 0, 1),
      .top = luma_optint(L, idx, "top", 0, 0, 4096),
      .left = luma_optint(L, idx, "left", 0, 0, 4096),
      .bottom = luma_optint(L, idx, "bottom", 0, 0, 4096),
      .right = luma_optint(L, idx, "right", 0, 0, 4096),
  };
  lm_err err;
  if (!lm_phantom_check(&p, &err)) luma_argerror(L, arg, "%s", err.msg);
  return p;
}

static int l_phantom(lua_State *L) {
  const lm_phantom p = check_phantom(L, 1, 1);
  const lm_shape s = {.rank = 3, .size = {p.size, p.size, 1}};
  lm_tensor *y = luma_newtensor(L, LM_U8, &s);
  void *scratch = luma_newscratch(L, lm_phantom_scratch());
  lm_phantom_draw(&p, lm_u8(y), scratch);
  luma_freescratch(L, -1);
  lua_pop(L, 1);
  return 1;
}

/* ---- many, as files ---- */

typedef struct {
  lm_phantom p;
  const char *path; /* anchored in the caller's table */
  lm_staged staged; /* written, without its name yet */
  bool open;        /* staged is */
  bool failed;
  lm_err err;
} task;

typedef struct {
  task *tasks;
  uint8_t *scratch; /* one slice a worker */
  int64_t slice;
  int quality;
} batch;

static void draw_one(void *context, int64_t chunk, int worker) {
  const batch *b = context;
  task *t = &b->tasks[chunk];
  uint8_t *pixels = b->scratch + worker * b->slice;
  const int64_t n = t->p.size, area = (n * n + 63) / 64 * 64;
  lm_phantom_draw(&t->p, pixels, pixels + area);
  lm_bytes jpeg = {0};
  t->failed = !lm_jpeg_encode(pixels, n, n, 1, n, b->quality, LM_SUB_420, &jpeg, &t->err);
  if (!t->failed) {
    const lm_span span = {lm_bytes_data(&jpeg), jpeg.size};
    t->failed = !lm_file_stage(t->path, &span, 1, &t->staged, &t->err);
    t->open = !t->failed;
  }
  lm_bytes_free(&jpeg);
}

/* Staged files get their names together, so that they share the disk's waits. */
static void name_one(void *context, int64_t chunk, int worker) {
  (void)worker;
  task *t = &((const batch *)context)->tasks[chunk];
  if (!t->open) return;
  t->open = false;
  t->failed = !lm_file_commit(t->path, &t->staged, &t->err);
}

static int l_phantom_files(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  const int quality = (int)(lua_isnoneornil(L, 3) ? 90 : luma_checkint(L, 3, 1, 100, "quality"));
  lua_settop(L, 2);
  const int64_t n = luaL_len(L, 1);
  if (luaL_len(L, 2) != n)
    luma_argerror(L, 2, "%lld paths for %lld drawings", (long long)luaL_len(L, 2), (long long)n);
  if (n > INT32_MAX / (int64_t)sizeof(task)) luma_argerror(L, 1, "too many drawings at once");
  task *tasks = luma_newscratch(L, n * (int64_t)sizeof *tasks + 1);
  int64_t largest = 64;
  for (int64_t i = 0; i < n; i++) {
    lua_geti(L, 1, i + 1);
    tasks[i] = (task){.p = check_phantom(L, lua_gettop(L), 1)};
    lua_pop(L, 1);
    if (lua_geti(L, 2, i + 1) != LUA_TSTRING)
      luma_argerror(L, 2, "path %lld is no string", (long long)i + 1);
    tasks[i].path = lua_tostring(L, -1);
    lua_pop(L, 1);
    largest = lm_max64(largest, tasks[i].p.size);
  }
  batch b = {.tasks = tasks,
             .slice = (largest * largest + lm_phantom_scratch() + 127) / 64 * 64,
             .quality = quality};
  b.scratch = luma_newscratch(L, b.slice * lm_pool_threads());
  bool whole = lm_parallel(n, draw_one, &b);
  uint64_t device = 0;
  for (int64_t i = 0; i < n && whole; i++)
    if (tasks[i].open) lm_file_flush(&tasks[i].staged, &device);
  whole = whole && lm_parallel(n, name_one, &b);
  for (int64_t i = 0; i < n; i++)
    if (tasks[i].open) lm_file_discard(&tasks[i].staged);
  if (whole && n > 0) lm_folder_flush(tasks[n - 1].path);
  luma_freescratch(L, -1);
  luma_checkrun(L, whole);
  for (int64_t i = 0; i < n; i++)
    if (tasks[i].failed) return luma_fail(L, &tasks[i].err);
  lua_pushinteger(L, n);
  return 1;
}

const luma_op luma_ops_phantom[] = {
    {"image.phantom", "({seed=0, patient=1, image=1, size=1024, opacity=0, ...}) -> x",
     "Draws a chest radiograph, u8 (size, size, 1).  The build follows from (seed, patient), "
     "posture, exposure and grain from (seed, image).  Findings opacity, effusion, cardiomegaly "
     "and nodule go from 0 (none) to 1; female and ap (lying) change the anatomy; top, left, "
     "bottom "
     "and right are black bars in pixels, and the anatomy is drawn in what they leave.",
     l_phantom, LUMA_FUNCTION},
    {"image.phantom_files", "(drawings, paths [, quality=90]) -> count | nil, message, code",
     "Draws many radiographs at once (tables as for image.phantom) and writes each as a gray JPEG, "
     "whole or not at all.  The bytes do not depend on the number of threads.",
     l_phantom_files, LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
