/* ops_loader.c: core.loader: batches made in the background.
 *
 * A job is a userdata that owns, in C, all the workers touch: copies of the
 * paths, references to the buffers.  Lua may collect or close it at any moment;
 * closing cancels what has not begun and waits for what has. */
#include <stdlib.h>
#include <string.h>

#include "image/loader.h"
#include "io/file.h"
#include "lua/image.h"

#define LUMA_LOAD "luma.LoadJob"

typedef struct {
  lm_load_batch batch;
  int64_t count;
  char **paths;      /* one an item; NULL where pixels are used */
  lm_buffer *out;    /* what the workers write */
  lm_buffer *source; /* what they read, for pixels in memory */
  lm_job *job;       /* NULL: not started, or over */
} load_job;

static load_job *check_job(lua_State *L) {
  return luaL_checkudata(L, 1, LUMA_LOAD);
}

/* Frees all; twice is fine. */
static void job_end(load_job *j) {
  if (j->job != NULL) {
    j->batch.cancel = true;
    lm_job_wait(j->job);
    j->job = NULL;
  }
  for (int64_t i = 0; j->paths != NULL && i < j->count; i++) free(j->paths[i]);
  free(j->paths);
  free(j->batch.items);
  lm_buffer_release(j->out);
  lm_buffer_release(j->source);
  memset(j, 0, sizeof *j);
}

static int job_close(lua_State *L) { /* __gc, __close and loader.drop */
  job_end(check_job(L));
  if (lua_getiuservalue(L, 1, 1) == LUA_TUSERDATA) lm_tensor_close(luma_totensor(L, -1));
  lua_pushnil(L);
  lua_setiuservalue(L, 1, 1);
  return 0;
}

static load_job *push_job(lua_State *L) {
  load_job *j = lua_newuserdatauv(L, sizeof *j, 1); /* user value: the batch tensor */
  memset(j, 0, sizeof *j);
  if (luaL_newmetatable(L, LUMA_LOAD)) {
    lua_pushcfunction(L, job_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, job_close);
    lua_setfield(L, -2, "__close");
    lua_pushliteral(L, LUMA_LOAD);
    lua_setfield(L, -2, "__metatable");
  }
  lua_setmetatable(L, -2);
  return j;
}

/* ---- start ---- */

static lm_load_plan check_plan(lua_State *L, int arg) {
  static const char *const keys[] = {"height", "width",  "channels", "scale", "method",
                                     "dtype",  "strict", "source",   NULL};
  static const char *const methods[] = {"bilinear", "nearest", "area", NULL};
  static const char *const dtypes[] = {"f32", "u8", NULL};
  luma_checkkeys(L, arg, keys);
  const lm_load_plan p = {
      .height = luma_optint(L, arg, "height", 224, 1, INT32_MAX),
      .width = luma_optint(L, arg, "width", 224, 1, INT32_MAX),
      .channels = luma_optint(L, arg, "channels", 3, 1, 3),
      .scale = (lm_scale)luma_optenum(L, arg, "scale", LM_SCALE_UNIT, lm_scale_names),
      .method = (lm_resize_method)luma_optenum(L, arg, "method", LM_RESIZE_BILINEAR, methods),
      .bytes = luma_optenum(L, arg, "dtype", 0, dtypes) == 1,
      .lenient = !luma_optboolean(L, arg, "strict", true),
      .read = lm_file_load,
  };
  lm_err err;
  if (!lm_load_check(&p, &err)) luma_argerror(L, arg, "%s", err.msg);
  return p;
}

/* The images in memory (option source), at the stack's top; NULL when absent. */
static lm_tensor *check_source(lua_State *L, int arg, int64_t channels) {
  if (lua_isnoneornil(L, arg) || lua_getfield(L, arg, "source") == LUA_TNIL) {
    lua_settop(L, 3);
    lua_pushnil(L);
    return NULL;
  }
  lm_tensor *t = luma_totensor(L, -1);
  char text[LM_SHAPE_TEXT];
  if (t == NULL || t->buffer == NULL || t->dtype != LM_U8 || t->shape.rank != 4 ||
      (t->shape.size[3] != 1 && t->shape.size[3] != channels) || !lm_tensor_contiguous(t))
    luma_argerror(
        L, arg, "option source must be a contiguous u8 tensor (n, h, w, 1 or %d), got %s",
        (int)channels,
        t != NULL && t->buffer != NULL ? lm_shape_text(&t->shape, text) : luaL_typename(L, -1));
  return t;
}

/* Fills item i from the value at the top of the stack. */
static void read_item(lua_State *L, load_job *j, int64_t i, const lm_tensor *source) {
  lm_load_item *item = &j->batch.items[i];
  if (source != NULL) {
    int exact;
    const lua_Integer k = lua_tointegerx(L, -1, &exact);
    const int64_t *size = source->shape.size;
    if (!exact || k < 1 || k > size[0])
      luma_argerror(L, 2, "item %lld: row 1..%lld of the source expected, got %s", (long long)i + 1,
                    (long long)size[0], luaL_tolstring(L, -1, NULL));
    item->pixels = lm_u8(source) + (k - 1) * size[1] * size[2] * size[3];
    item->from = (lm_warp_size){size[1], size[2], size[3]};
    return;
  }
  size_t n = 0;
  const char *path = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
  if (path == NULL)
    luma_argerror(L, 2, "item %lld: path expected, got %s", (long long)i + 1, luaL_typename(L, -1));
  if (n == 0 || strlen(path) != n)
    luma_argerror(L, 2, "item %lld: path is empty or holds a NUL byte", (long long)i + 1);
  j->paths[i] = strdup(path);
  if (j->paths[i] == NULL) luma_error(L, "not enough memory");
  item->path = j->paths[i];
}

static int l_start(lua_State *L) {
  lua_settop(L, 3);
  const lm_load_plan plan = check_plan(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  if (!lua_isnil(L, 3)) luaL_checktype(L, 3, LUA_TTABLE);
  const lm_tensor *source = check_source(L, 1, plan.channels);
  const int64_t n = luaL_len(L, 2);
  const lm_shape shape = {.rank = 4, .size = {n, plan.height, plan.width, plan.channels}};
  load_job *j = push_job(L);
  const int job = lua_gettop(L);
  const lm_tensor *x = luma_newtensor(L, plan.bytes ? LM_U8 : LM_F32, &shape);
  j->batch.plan = plan;
  j->batch.out = lm_tensor_data(x);
  j->out = lm_buffer_retain(x->buffer);
  if (source != NULL) j->source = lm_buffer_retain(source->buffer);
  lua_setiuservalue(L, job, 1);
  j->count = n;
  j->paths = calloc((size_t)n + 1, sizeof *j->paths);
  j->batch.items = calloc((size_t)n + 1, sizeof *j->batch.items);
  if (j->paths == NULL || j->batch.items == NULL) return luma_error(L, "not enough memory");
  for (int64_t i = 0; i < n; i++) {
    lua_geti(L, 2, i + 1);
    read_item(L, j, i, source);
    lua_settop(L, job);
    if (lua_isnil(L, 3)) continue;
    lua_geti(L, 3, i + 1);
    if (lua_toboolean(L, -1)) {
      luma_towarp(L, 3, lua_gettop(L), &j->batch.items[i].warp);
      j->batch.items[i].warped = true;
    }
    lua_settop(L, job);
  }
  lm_err err;
  j->job = lm_job_start(n, lm_load_sample, &j->batch, &err);
  if (j->job == NULL) return luma_raise(L, &err);
  return 1;
}

/* ---- wait ---- */

static int l_wait(lua_State *L) {
  load_job *j = check_job(L);
  if (j->job == NULL) return luma_error(L, "the batch was already taken or dropped");
  lm_job *job = j->job;
  j->job = NULL;
  const bool whole = lm_job_wait(job);
  if (!whole) {
    job_end(j);
    luma_checkrun(L, false);
  }
  lua_getiuservalue(L, 1, 1);
  lua_newtable(L);
  for (int64_t i = 0, k = 0; i < j->count; i++) {
    const lm_load_item *item = &j->batch.items[i];
    if (!item->failed) continue;
    if (item->err.code == LM_E_INTERRUPT) luma_checkrun(L, false);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, i + 1);
    lua_setfield(L, -2, "item");
    lua_pushstring(L, item->err.msg);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, lm_code_name(item->err.code));
    lua_setfield(L, -2, "code");
    lua_seti(L, -2, ++k);
  }
  job_end(j);
  lua_pushnil(L);
  lua_setiuservalue(L, 1, 1); /* the job keeps nothing alive */
  return 2;
}

static int l_done(lua_State *L) {
  const load_job *j = check_job(L);
  lua_pushboolean(L, j->job == NULL || lm_job_done(j->job));
  return 1;
}

const luma_op luma_ops_loader[];
const luma_op luma_ops_loader[] = {
    {"loader.start",
     "({height=224, width=224, channels=3, scale=\"unit\", method=\"bilinear\", dtype=\"f32\", "
     "strict=true [, source=]}, items [, warps]) -> job",
     "Starts making a batch in the background: each item, a path or (with source, a u8 tensor "
     "(n, h, w, c)) a row number, is decoded, resized, warped by its record in warps (see "
     "image.warp_batch; false: not at all) and scaled as image.scale_input does.  dtype=\"u8\" "
     "keeps the pixels.  A sample depends on its own item only.",
     l_start, LUMA_FUNCTION},
    {"loader.wait", "(job) -> x, failures",
     "Helps to finish the batch and gives it: (n, height, width, channels), and a list of {item=, "
     "message=, code=} for samples that could not be read; their places hold zeros.  Once a job.",
     l_wait, LUMA_FUNCTION},
    {"loader.done", "(job) -> boolean", "Whether loader.wait would return at once.", l_done,
     LUMA_FUNCTION},
    {"loader.drop", "(job)", "Gives a batch up: what has not begun is left out.  Twice is fine.",
     job_close, LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
