/* module.c: luaopen_luma_core: registers every op table, and dispatches calls
 * so that a tape can listen.
 *
 * Every op is one closure over its table row.  When no tape is current the
 * dispatcher calls straight through.  When one is, and an argument depends on
 * something trainable, the op runs the same way and, if its result is a
 * tensor,
 *   recorder(name, result, saved, arg1, ...)
 * (a Lua function, see lua/luma/tape.lua) notes the step; saved is a table of
 * what a LUMA_SAVES op returned beyond its result, or nil.  Rows marked
 * LUMA_UNRECORDED (sizes, hooks, knobs) always go straight through; the
 * recorder itself uses only those. */
#include "core/blas.h"
#include "core/cpu.h"
#include "core/pool.h"
#include "image/jpeg.h"
#include "image/png.h"
#include "kern/elem.h"
#include "lua/luma.h"

/* Per state, in the registry under the address of `state_key`. */
typedef struct {
  uint64_t tape;   /* serial of the current tape, 0 = none */
  uint64_t seed;   /* luma.seed */
  uint64_t stream; /* next random stream */
  bool tapes;      /* whether a tape was ever opened */
  lua_State *seen; /* the coroutine for which `tape` was chosen; compared, never followed */
} state;
static const char state_key = 0;
static const char recorder_key = 0;
static const char retarget_key = 0;

static state *get_state(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  state *s = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return s;
}

uint64_t luma_seed(lua_State *L) {
  return get_state(L)->seed;
}
uint64_t luma_nextstream(lua_State *L) {
  return get_state(L)->stream++;
}
/* A tape belongs to a coroutine: when another one runs than the last time, Lua
 * says which tape records now. */
static void retarget(lua_State *L, state *s) {
  if (!s->tapes || s->seen == L) return;
  s->seen = L;
  luaL_checkstack(L, 4, "tape");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &retarget_key);
  lua_call(L, 0, 0);
}

bool luma_taping(lua_State *L) {
  return get_state(L)->tape != 0;
}

static bool tracked(const state *s, lua_State *L, int idx) {
  const luma_tensor *u = luaL_testudata(L, idx, LUMA_TENSOR);
  return u != NULL && (u->trainable || u->tape == s->tape);
}

static bool any_tracked(const state *s, lua_State *L, int n) {
  for (int i = 1; i <= n; i++) {
    if (tracked(s, L, i)) return true;
    if (lua_type(L, i) != LUA_TTABLE) continue;
    for (int k = 1; lua_rawgeti(L, i, k) != LUA_TNIL; k++) { /* concat{a, b}, stack{...} */
      const bool hit = tracked(s, L, -1);
      lua_pop(L, 1);
      if (hit) {
        return true;
      }
    }
    lua_pop(L, 1);
  }
  return false;
}

/* Results beyond the first of a LUMA_SAVES op are for the backward pass: they
 * are packed into a table (or dropped) and the caller sees one result. */
static int plain_call(lua_State *L, const luma_op *op) {
  const int results = op->fn(L);
  if (!(op->flags & LUMA_SAVES)) return results;
  for (int i = 1; i < results; i++) {
    lm_tensor *t = luma_totensor(L, -i);
    if (t != NULL) lm_tensor_close(t);
  }
  lua_pop(L, results - 1);
  return 1;
}

static int dispatch(lua_State *L) {
  const luma_op *op = lua_touserdata(L, lua_upvalueindex(1));
  state *s = lua_touserdata(L, lua_upvalueindex(2));
  if (!(op->flags & LUMA_RAW)) luma_owntables(L, lua_gettop(L));
  if (!(op->flags & LUMA_UNRECORDED)) retarget(L, s);
  if (s->tape == 0 || (op->flags & LUMA_UNRECORDED)) return plain_call(L, op);
  const int n = lua_gettop(L);
  if (!any_tracked(s, L, n)) return plain_call(L, op);
  luaL_checkstack(L, 2 * n + 8, op->name);
  lua_pushvalue(L, lua_upvalueindex(1)); /* the op itself, same upvalues, no dispatcher */
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_pushcclosure(L, op->fn, 2);
  for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
  lua_call(L, n, LUA_MULTRET);
  int results = lua_gettop(L) - n;
  if (results == 0) return 0;
  if (op->flags & LUMA_SAVES) {
    lua_createtable(L, results - 1, 0);
    lua_insert(L, n + 2);
    for (int i = results - 1; i >= 1; i--) lua_rawseti(L, n + 2, i);
    results = 1;
  } else {
    lua_pushnil(L);
    lua_insert(L, n + 2);
  }
  if (luma_totensor(L, n + 1) != NULL || lua_istable(L, n + 1)) { /* a list of views: split */
    const int top = lua_gettop(L);
    luaL_checkstack(L, n + 4, op->name);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &recorder_key);
    lua_pushstring(L, op->name);
    lua_pushvalue(L, n + 1);
    lua_pushvalue(L, n + 2);
    for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
    lua_call(L, n + 3, 0);
    lua_settop(L, top);
  }
  lua_remove(L, n + 2);
  return results;
}

/* Pushes the table that `name` lives in (created on the way) and returns the
 * part of the name after the last dot. */
static const char *push_home(lua_State *L, const char *name) {
  lua_pushvalue(L, -1);
  for (;;) {
    const char *dot = name;
    while (*dot != '\0' && *dot != '.') dot++;
    if (*dot == '\0') return name;
    lua_pushlstring(L, name, (size_t)(dot - name));
    if (lua_gettable(L, -2) != LUA_TTABLE) {
      lua_pop(L, 1);
      lua_newtable(L);
      lua_pushlstring(L, name, (size_t)(dot - name));
      lua_pushvalue(L, -2);
      lua_settable(L, -4);
    }
    lua_remove(L, -2);
    name = dot + 1;
  }
}

void luma_register(lua_State *L, const luma_op *ops) {
  state *s = get_state(L);
  luaL_getsubtable(L, -1, "oplist");
  luaL_getmetatable(L, LUMA_TENSOR);
  lua_getfield(L, -1, "methods");
  lua_remove(L, -2);
  const int methods = lua_gettop(L), list = methods - 1, core = list - 1;
  for (const luma_op *op = ops; op->name != NULL; op++) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)op);
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, dispatch, 2);
    const char *leaf = op->name;
    if (op->flags != LUMA_ONLY_METHOD) {
      lua_pushvalue(L, core);
      leaf = push_home(L, op->name);
      lua_pushvalue(L, -3);
      lua_setfield(L, -2, leaf);
      lua_pop(L, 2);
    }
    if (op->flags & LUMA_METHOD) {
      lua_pushvalue(L, -1);
      lua_setfield(L, methods, leaf);
    }
    lua_createtable(L, 0, 5);
    lua_pushstring(L, op->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, op->signature);
    lua_setfield(L, -2, "signature");
    lua_pushstring(L, op->doc);
    lua_setfield(L, -2, "doc");
    lua_pushboolean(L, (op->flags & LUMA_METHOD) != 0);
    lua_setfield(L, -2, "method");
    lua_insert(L, -2);
    lua_setfield(L, -2, "fn");
    lua_seti(L, list, luaL_len(L, list) + 1);
  }
  lua_settop(L, core);
}

/* ---- knobs: core.* functions that are not ops on tensors ---- */

static int l_threads(lua_State *L) {
  if (!lua_isnoneornil(L, 1))
    lm_pool_set_threads((int)luma_checkint(L, 1, 1, LM_MAX_THREADS, "threads"));
  lua_pushinteger(L, lm_pool_threads());
  return 1;
}

static int l_seed(lua_State *L) {
  state *s = get_state(L);
  if (!lua_isnoneornil(L, 1)) {
    s->seed = (uint64_t)luma_checkint(L, 1, INT64_MIN, INT64_MAX, "seed");
    s->stream = lua_isnoneornil(L, 2) ? 0 : (uint64_t)luma_checkint(L, 2, 0, INT64_MAX, "stream");
  }
  lua_pushinteger(L, (lua_Integer)s->seed);
  lua_pushinteger(L, (lua_Integer)s->stream);
  return 2;
}

static int l_memory(lua_State *L) {
  lua_settop(L, 1);
  if (!lua_isnil(L, 1)) {
    luaL_checktype(L, 1, LUA_TTABLE);
    static const char *const keys[] = {"limit", "reset_peak", "trim", NULL};
    luma_checkkeys(L, 1, keys);
    const int64_t limit = luma_optint(L, 1, "limit", -1, 0, INT64_MAX);
    if (limit >= 0) lm_mem_set_limit(limit);
    if (luma_optboolean(L, 1, "reset_peak", false)) lm_mem_reset_peak();
    if (luma_optboolean(L, 1, "trim", false)) lm_mem_trim();
  }
  const lm_mem m = lm_mem_stats();
  lua_createtable(L, 0, 5);
  const struct {
    const char *key;
    int64_t value;
  } rows[] = {{"live", m.live},
              {"peak", m.peak},
              {"buffers", m.buffers},
              {"cached", m.cached},
              {"limit", m.limit}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    lua_pushinteger(L, rows[i].value);
    lua_setfield(L, -2, rows[i].key);
  }
  return 1;
}

static int l_info(lua_State *L) {
  lua_createtable(L, 0, 7);
  lua_pushstring(L, lm_isa_name(lm_cpu_isa()));
  lua_setfield(L, -2, "isa");
  lua_pushstring(L, lm_elem_isa());
  lua_setfield(L, -2, "loops");
  lua_pushinteger(L, lm_pool_threads());
  lua_setfield(L, -2, "threads");
  lua_pushstring(L, lm_blas_core());
  lua_setfield(L, -2, "blas_core");
  lua_pushstring(L, lm_blas_config());
  lua_setfield(L, -2, "blas_config");
  lua_pushinteger(L, lm_cpu_l2_bytes());
  lua_setfield(L, -2, "l2_bytes");
  lua_pushstring(L, lm_png_version());
  lua_setfield(L, -2, "png");
  lua_pushstring(L, lm_jpeg_version());
  lua_setfield(L, -2, "jpeg");
  return 1;
}

/* The tape's side: core.tape_serial(n), core.recorder(f), core.trainable(x, on),
 * core.tape_of(x, serial), core.grad(x, g), core.version(x). */
static int l_tape_serial(lua_State *L) {
  state *s = get_state(L);
  if (!lua_isnoneornil(L, 1)) {
    s->tape = (uint64_t)luma_checkint(L, 1, 0, INT64_MAX, "serial");
    s->tapes = s->tapes || s->tape != 0;
    s->seen = L;
  }
  lua_pushinteger(L, (lua_Integer)s->tape);
  return 1;
}

static int l_recorder(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &recorder_key);
  return 0;
}

static int l_retarget(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &retarget_key);
  return 0;
}

static int l_trainable(lua_State *L) {
  luma_tensor *u = (luma_tensor *)luma_checktensor(L, 1);
  if (!lua_isnoneornil(L, 2)) u->trainable = lua_toboolean(L, 2);
  lua_pushboolean(L, u->trainable);
  return 1;
}

static int l_tape_of(lua_State *L) {
  luma_tensor *u = (luma_tensor *)luma_checktensor(L, 1);
  if (!lua_isnoneornil(L, 2)) u->tape = (uint64_t)luma_checkint(L, 2, 0, INT64_MAX, "serial");
  lua_pushinteger(L, (lua_Integer)u->tape);
  return 1;
}

static int l_grad(lua_State *L) { /* core.grad(x [, g]): g may be a tensor or false to clear */
  luma_checktensor(L, 1);
  if (!lua_isnoneornil(L, 2)) {
    if (lua_isboolean(L, 2))
      lua_pushnil(L);
    else
      luma_checktensor(L, 2), lua_pushvalue(L, 2);
    lua_setiuservalue(L, 1, 1);
  }
  lua_getiuservalue(L, 1, 1);
  return 1;
}

static int l_version(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)luma_checktensor(L, 1)->buffer->version);
  return 1;
}

static int l_requires_grad(lua_State *L) {
  luma_tensor *u = (luma_tensor *)luma_checktensor(L, 1);
  const bool on = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
  if (on && !lm_dtypes[u->t.dtype].is_float)
    return luma_argerror(L, 1, "only f32 and f64 tensors have gradients, got %s",
                         lm_dtypes[u->t.dtype].name);
  u->trainable = on;
  lua_settop(L, 1);
  return 1;
}

static int l_tracked(lua_State *L) {
  const state *s = lua_touserdata(L, lua_upvalueindex(2));
  lua_pushboolean(L, s->tape != 0 && tracked(s, L, 1));
  return 1;
}

static int l_is_tensor(lua_State *L) {
  lua_pushboolean(L, luma_totensor(L, 1) != NULL);
  return 1;
}

static int l_shared(lua_State *L) {
  const lm_tensor *t = luma_checktensor(L, 1);
  const int64_t refs = __atomic_load_n(&t->buffer->refs, __ATOMIC_ACQUIRE);
  lua_pushboolean(L, refs > 1 || !lm_tensor_contiguous(t));
  return 1;
}

static int l_closed(lua_State *L) {
  const lm_tensor *t = luma_totensor(L, 1);
  lua_pushboolean(L, t != NULL && t->buffer == NULL);
  return 1;
}

static int l_info_of(lua_State *L) {
  const lm_tensor *t = luma_totensor(L, 1);
  char text[LM_SHAPE_TEXT];
  if (t == NULL) luma_checktensor(L, 1);
  lua_pushstring(L, lm_dtypes[t->dtype].name);
  lua_pushinteger(L, lm_tensor_bytes(t));
  lua_pushstring(L, lm_shape_text(&t->shape, text));
  return 3;
}

static int l_fail_nth(lua_State *L) { /* test hook */
  lm_mem_fail_nth(luma_checkint(L, 1, 0, INT64_MAX, "n"), lua_toboolean(L, 2));
  return 0;
}

static const luma_op knobs[] = {
    {"threads", "([n]) -> n", "Threads in use; sets them first when n is given (1..64).", l_threads,
     0},
    {"seed", "([seed [, stream]]) -> seed, stream",
     "The random seed and the next stream; sets them when given.", l_seed, 0},
    {"memory", "([{limit=bytes, reset_peak=false, trim=false}]) -> table",
     "Bytes luma holds: live, peak, cached, limit, and the number of buffers.", l_memory, 0},
    {"cpu_info", "() -> table",
     "Instruction set (isa: of the tuned kernels; loops: of the plain loops), threads, OpenBLAS "
     "kernels and build, L2 bytes, versions of libpng and "
     "libjpeg.",
     l_info, 0},
    {NULL, NULL, NULL, NULL, 0}};

static const luma_op tape_hooks[] = {
    {"hook.tape_serial", "([n]) -> n", "The current tape's serial; 0 is none.", l_tape_serial,
     LUMA_UNRECORDED},
    {"hook.recorder", "(f)", "Sets the function that notes recorded ops.", l_recorder,
     LUMA_UNRECORDED},
    {"hook.retarget", "(f)", "Sets the function that chooses the tape of the running coroutine.",
     l_retarget, LUMA_UNRECORDED},
    {"hook.trainable", "(x [, on]) -> on", "Whether x is a leaf that wants a gradient.",
     l_trainable, LUMA_UNRECORDED},
    {"hook.tape_of", "(x [, serial]) -> serial", "The tape that recorded x.", l_tape_of,
     LUMA_UNRECORDED},
    {"hook.grad", "(x [, g|false]) -> g",
     "The gradient that tape:backward left with x, or nil.  It is replaced (and closed) by the "
     "next backward: clone it to keep it.",
     l_grad, LUMA_METHOD | LUMA_UNRECORDED},
    {"hook.version", "(x) -> n", "How often x's buffer was changed in place.", l_version,
     LUMA_UNRECORDED},
    {"hook.requires_grad", "(x [, on=true]) -> x",
     "Marks x as a leaf whose gradient a tape computes (x:grad() after tape:backward).",
     l_requires_grad, LUMA_METHOD | LUMA_UNRECORDED},
    {"hook.tracked", "(x) -> boolean",
     "Whether x is a tensor that the current tape follows: trainable, or computed from such.",
     l_tracked, LUMA_UNRECORDED},
    {"hook.is_tensor", "(x) -> boolean", "Whether x is a tensor.", l_is_tensor, LUMA_UNRECORDED},
    {"hook.shared", "(x) -> boolean",
     "Whether another view holds x's buffer, or x is itself a partial or strided view.", l_shared,
     LUMA_UNRECORDED},
    {"hook.closed", "(x) -> boolean", "Whether x was closed.", l_closed, LUMA_UNRECORDED},
    {"hook.info", "(x) -> dtype, bytes, shape",
     "What print(tape) shows of x: its type, bytes and \"[2x3]\".", l_info_of, LUMA_UNRECORDED},
    {"hook.fail_nth", "(n [, forever])", "Test hook: the nth allocation from now fails.",
     l_fail_nth, LUMA_UNRECORDED},
    {NULL, NULL, NULL, NULL, 0}};

/* Every op table of the border, one line a file. */
/* clang-format off */
extern const luma_op luma_ops_codec[];
extern const luma_op luma_ops_conv[];
extern const luma_op luma_ops_create[];
extern const luma_op luma_ops_elem[];
extern const luma_op luma_ops_gather[];
extern const luma_op luma_ops_hash[];
extern const luma_op luma_ops_image[];
extern const luma_op luma_ops_warp[];
extern const luma_op luma_ops_color[];
extern const luma_op luma_ops_index[];
extern const luma_op luma_ops_io[];
extern const luma_op luma_ops_join[];
extern const luma_op luma_ops_learn[];
extern const luma_op luma_ops_linalg[];
extern const luma_op luma_ops_loss[];
extern const luma_op luma_ops_nn[];
extern const luma_op luma_ops_norm[];
extern const luma_op luma_ops_loader[];
extern const luma_op luma_ops_phantom[];
extern const luma_op luma_ops_plan[];
extern const luma_op luma_ops_prepare[];
extern const luma_op luma_ops_random[];
extern const luma_op luma_ops_reduce[];
extern const luma_op luma_ops_step[];
extern const luma_op luma_ops_window[];

static const luma_op *const tables[] = {
    knobs,
    tape_hooks,
    luma_ops_codec,
    luma_ops_conv,
    luma_ops_create,
    luma_ops_elem,
    luma_ops_gather,
    luma_ops_hash,
    luma_ops_image,
    luma_ops_warp,
    luma_ops_color,
    luma_ops_index,
    luma_ops_io,
    luma_ops_join,
    luma_ops_learn,
    luma_ops_linalg,
    luma_ops_loss,
    luma_ops_nn,
    luma_ops_norm,
    luma_ops_loader,
    luma_ops_phantom,
    luma_ops_plan,
    luma_ops_prepare,
    luma_ops_random,
    luma_ops_reduce,
    luma_ops_step,
    luma_ops_window,
};
/* clang-format on */

/* x + y and friends are the ops themselves, so that a tape sees them too. */
static void bind_operators(lua_State *L) { /* core table on top */
  static const char *const pairs[][2] = {
      {"__add", "add"},      {"__sub", "sub"},          {"__mul", "mul"},   {"__div", "div"},
      {"__pow", "pow"},      {"__mod", "mod"},          {"__idiv", "idiv"}, {"__unm", "neg"},
      {"__newindex", "set"}, {"__tostring", "tostring"}};
  const int core = lua_gettop(L);
  luaL_getmetatable(L, LUMA_TENSOR);
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    lua_getfield(L, core, pairs[i][1]);
    lua_setfield(L, -2, pairs[i][0]);
  }
  lua_getfield(L, -1, "methods");
  lua_getfield(L, core, "get");
  lua_pushcclosure(L, luma_index, 2);
  lua_setfield(L, -2, "__index");
  lua_settop(L, core);
}

static int interrupt_text(lua_State *L) {
  lua_pushliteral(L, "interrupted");
  return 1;
}

__attribute__((visibility("default"))) int luaopen_luma_core(lua_State *L);
int luaopen_luma_core(lua_State *L) {
  lm_blas_init();
  state *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (state){0};
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  lua_newtable(L); /* the interrupt sentinel: one table a state, compared by identity */
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, interrupt_text);
  lua_setfield(L, -2, "__tostring");
  lua_setmetatable(L, -2);
  lua_setfield(L, LUA_REGISTRYINDEX, "luma.interrupt");
  luma_open_tensor(L);
  lua_newtable(L); /* the module */
  lua_getfield(L, LUA_REGISTRYINDEX, "luma.interrupt");
  lua_setfield(L, -2, "interrupt");
  luaL_getmetatable(L, LUMA_TENSOR);
  lua_getfield(L, -1, "methods");
  lua_setfield(L, -3, "methods");
  lua_pop(L, 1);
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) luma_register(L, tables[i]);
  bind_operators(L);
  luma_open_random(L);
  luma_open_system(L);
  return 1;
}
