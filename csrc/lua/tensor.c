/* tensor.c: the tensor userdata: birth, death, views, checks, and the memory
 * policy that makes Lua's collector see C bytes.
 *
 * Lua counts a tensor as a few dozen bytes, so its collector would let
 * gigabytes pile up.  When live bytes pass a limit, luma_newtensor runs a full
 * collection and sets the limit to twice what survived (at least 64 MiB).  It
 * does so only after the new userdata is anchored on the stack. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/luma.h"

enum { COLLECT_MIN = 64 << 20 };
static int64_t collect_limit = COLLECT_MIN; /* a hint: shared by states on purpose; atomic */

/* LUMA_TORTURE=1: a full collection at every new tensor, so that whatever is
 * not anchored goes away at once. */
static bool torture(void) {
  static int known = -1;
  if (known < 0) {
    const char *wish = getenv("LUMA_TORTURE");
    known = wish != NULL && strcmp(wish, "1") == 0;
  }
  return known;
}

lm_tensor *luma_totensor(lua_State *L, int idx) {
  return luaL_testudata(L, idx, LUMA_TENSOR);
}

lm_tensor *luma_checktensor(lua_State *L, int arg) {
  lm_tensor *t = luma_totensor(L, arg);
  if (t == NULL) {
    const char *got = luaL_getmetafield(L, arg, "__name") == LUA_TSTRING ? lua_tostring(L, -1)
                                                                         : luaL_typename(L, arg);
    luma_argerror(L, arg, "%s expected, got %s", LUMA_TENSOR, got);
  }
  if (t->buffer == NULL) luaL_error(L, "%s: attempt to use a closed tensor", luma_opname(L));
  return t;
}

lm_tensor *luma_opttensor(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? NULL : luma_checktensor(L, arg);
}

lm_tensor *luma_checkplain(lua_State *L, int arg, lm_dtype dtype) {
  lm_tensor *t = luma_checktensor(L, arg);
  if (t->dtype != dtype)
    luma_argerror(L, arg, "%s tensor expected, got %s (convert with x:to('%s'))",
                  lm_dtypes[dtype].name, lm_dtypes[t->dtype].name, lm_dtypes[dtype].name);
  if (lm_tensor_contiguous(t)) return t;
  lm_tensor *copy = luma_newtensor(L, dtype, &t->shape);
  lm_tensor_copy(t, copy);
  lua_replace(L, arg);
  return copy;
}

lm_tensor *luma_optplain(lua_State *L, int arg, lm_dtype dtype) {
  return lua_isnoneornil(L, arg) ? NULL : luma_checkplain(L, arg, dtype);
}

void luma_checkrank(lua_State *L, int arg, const lm_tensor *t, int rank, const char *dims) {
  char text[LM_SHAPE_TEXT];
  if (t->shape.rank != rank)
    luma_argerror(L, arg, "rank %d %s expected, got %s", rank, dims,
                  lm_shape_text(&t->shape, text));
}

/* An empty, valid, collectable tensor; bytes come later (the liolib order). */
static luma_tensor *push_closed(lua_State *L) {
  luma_tensor *u = lua_newuserdatauv(L, sizeof *u, 1);
  memset(u, 0, sizeof *u);
  luaL_setmetatable(L, LUMA_TENSOR);
  return u;
}

lm_tensor *luma_newtensor(lua_State *L, lm_dtype dtype, const lm_shape *shape) {
  luma_tensor *u = push_closed(L);
  lm_err err;
  if (torture() || lm_mem_stats().live > __atomic_load_n(&collect_limit, __ATOMIC_RELAXED)) {
    lua_gc(L, LUA_GCCOLLECT);
    const int64_t next = lm_max64(COLLECT_MIN, 2 * lm_mem_stats().live);
    __atomic_store_n(&collect_limit, next, __ATOMIC_RELAXED);
  }
  if (!lm_tensor_new(&u->t, dtype, shape, &err)) {
    if (err.code == LM_E_MEMORY) lua_gc(L, LUA_GCCOLLECT);
    if (err.code != LM_E_MEMORY || !lm_tensor_new(&u->t, dtype, shape, &err)) luma_raise(L, &err);
  }
  return &u->t;
}

lm_tensor *luma_newzeros(lua_State *L, lm_dtype dtype, const lm_shape *shape) {
  lm_tensor *t = luma_newtensor(L, dtype, shape);
  memset(lm_tensor_data(t), 0, (size_t)lm_tensor_bytes(t));
  return t;
}

lm_tensor *luma_pushview(lua_State *L, const lm_tensor *view) {
  luma_tensor *u = push_closed(L);
  u->t = *view;
  lm_buffer_retain(u->t.buffer);
  return &u->t;
}

void *luma_newscratch(lua_State *L, int64_t bytes) {
  const lm_shape s = {.rank = 1, .size = {bytes}};
  return lm_tensor_data(luma_newtensor(L, LM_U8, &s));
}

void luma_freescratch(lua_State *L, int idx) {
  lm_tensor_close(luma_totensor(L, idx));
}

void luma_touch(lm_tensor *t) {
  t->buffer->version++;
}

/* ---- metamethods ---- */

static int tensor_gc(lua_State *L) { /* safe to run twice */
  lm_tensor *t = luma_totensor(L, 1);
  if (t != NULL) lm_tensor_close(t);
  return 0;
}

/* A finalizer may run in the middle of an op, whenever Lua allocates.  If it
 * closed a tensor that the op is reading, the op would read freed memory; so
 * inside finalizers (where lua_gc answers -1) closing is left to the collector. */
int luma_close(lua_State *L) {
  if (lua_gc(L, LUA_GCCOUNT) < 0) return 0;
  return tensor_gc(L);
}

static int tensor_len(lua_State *L) {
  const lm_tensor *t = luma_totensor(L, 1);
  if (t == NULL || t->buffer == NULL) return luaL_error(L, "attempt to use a closed tensor");
  lua_pushinteger(L, t->shape.rank > 0 ? t->shape.size[0] : 0);
  return 1;
}

/* pairs(x) is ipairs(x): a table of rows, not of fields. */
static int next_row(lua_State *L) {
  const lua_Integer i = luaL_checkinteger(L, 2) + 1;
  lua_settop(L, 1);
  lua_pushinteger(L, i);
  lua_pushinteger(L, i);
  if (lua_gettable(L, 1) == LUA_TNIL) return 1;
  return 2;
}

static int tensor_pairs(lua_State *L) {
  lua_settop(L, 1);
  lua_pushcfunction(L, next_row);
  lua_insert(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

int luma_index(lua_State *L) { /* x.name or x[i] */
  const lm_tensor *t = luma_totensor(L, 1);
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_settop(L, 2);
    lua_gettable(L, lua_upvalueindex(1));
    return 1;
  }
  if (t == NULL || t->buffer == NULL) return luaL_error(L, "attempt to use a closed tensor");
  lua_settop(L, 2);
  const lm_tensor *key = lua_isuserdata(L, 2) ? luma_totensor(L, 2) : NULL;
  if (key != NULL) { /* a mask selects elements, a list of indices rows: the ops, so that a tape
                        sees them */
    const bool mask = key->dtype == LM_U8;
    lua_getfield(L, lua_upvalueindex(1), mask ? "masked_select" : "index_select");
    lua_insert(L, 1);
    if (!mask) {
      lua_pushinteger(L, 1);
      lua_insert(L, 3);
    }
    lua_call(L, mask ? 2 : 3, 1);
    return 1;
  }
  /* One past the end is nil, so that ipairs(x) ends; other indices out of range raise. */
  if (lua_isinteger(L, 2) && t->shape.rank > 0 && lua_tointeger(L, 2) == t->shape.size[0] + 1)
    return 0;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, 2, 1);
  return 1;
}

void luma_open_tensor(lua_State *L) {
  luaL_newmetatable(L, LUMA_TENSOR);
  static const luaL_Reg meta[] = {{"__gc", tensor_gc},
                                  {"__close", luma_close},
                                  {"__len", tensor_len},
                                  {"__pairs", tensor_pairs},
                                  {NULL, NULL}};
  luaL_setfuncs(L, meta, 0);
  lua_pushliteral(L, "luma.Tensor");
  lua_setfield(L, -2, "__metatable"); /* getmetatable(x) shows the name, not the table */
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  lua_setfield(L, -2, "methods"); /* filled by luma_register */
  lua_pop(L, 1);
}
