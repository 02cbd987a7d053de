/* luma.h: what every file of the border shares.  Only csrc/lua sees lua.h.
 *
 * A border function is check -> plan -> allocate -> run.  Everything that can
 * raise comes before C owns anything; results are userdata on the Lua stack
 * before their bytes are asked for; kernels cannot fail.  The helpers mirror
 * the grammar of lauxlib (luma_checkX raises, luma_optX has a default). */
#ifndef LUMA_LUA_H
#define LUMA_LUA_H

#include <lauxlib.h>
#include <lua.h>

#include "core/tensor.h"

/* ---- the op table ---- */

/* One row an op: the one source for registration, help, manual, tests, bench.
 * name: "relu" lands in luma.core and, with LUMA_METHOD, in the method table
 * (x:relu()); "image.resize" lands in luma.core.image.  LUMA_UNRECORDED: never
 * seen by a tape, whatever its arguments.  LUMA_SAVES: results beyond the first
 * are what the gradient rule needs; only the tape sees them.  LUMA_RAW: the op
 * changes its table argument and reads it raw.  A table ends with a row whose
 * name is NULL. */
enum {
  LUMA_FUNCTION = 0,
  LUMA_METHOD = 1,
  LUMA_ONLY_METHOD = 3, /* x:name() alone */
  LUMA_UNRECORDED = 4,
  LUMA_SAVES = 8,
  LUMA_RAW = 16
};
typedef struct {
  const char *name;
  const char *signature; /* "(x, w [, b] [, {stride=1}]) -> y" */
  const char *doc;       /* one or more sentences: what, units, ranges, source */
  lua_CFunction fn;
  unsigned flags;
} luma_op;

/* ---- tensors as userdata ---- */

typedef struct {
  lm_tensor t;    /* first, so that the userdata is an lm_tensor */
  bool trainable; /* a leaf whose gradient is wanted */
  uint64_t tape;  /* serial of the tape that recorded it; 0 = none */
} luma_tensor;

#define LUMA_TENSOR "luma.Tensor"

/* The tensor at arg; raises when it is not one, or is closed. */
lm_tensor *luma_checktensor(lua_State *L, int arg);
/* NULL when absent or nil. */
lm_tensor *luma_opttensor(lua_State *L, int arg);
/* NULL when it is no tensor; never raises. */
lm_tensor *luma_totensor(lua_State *L, int idx);

/* Checks the dtype too, and replaces the stack slot by a contiguous copy when
 * the view is not plain memory, so that lm_f32(t) may be indexed flat. */
lm_tensor *luma_checkplain(lua_State *L, int arg, lm_dtype dtype);
lm_tensor *luma_optplain(lua_State *L, int arg, lm_dtype dtype);
/* Rank too: "x must have rank 4 (n, h, w, c), got [3x3]". */
void luma_checkrank(lua_State *L, int arg, const lm_tensor *t, int rank, const char *dims);

/* Pushes a new contiguous tensor (contents undefined).  Raises on overflow or
 * when memory is out even after a full collection. */
lm_tensor *luma_newtensor(lua_State *L, lm_dtype dtype, const lm_shape *shape);
/* Pushes a zero-filled one. */
lm_tensor *luma_newzeros(lua_State *L, lm_dtype dtype, const lm_shape *shape);
/* Pushes a view: retains view->buffer. */
lm_tensor *luma_pushview(lua_State *L, const lm_tensor *view);
/* Pushes scratch bytes, released when collected or by lua_pop and a later
 * collection; call luma_freescratch(L, idx) to release them at once. */
void *luma_newscratch(lua_State *L, int64_t bytes);
void luma_freescratch(lua_State *L, int idx);

/* Marks t as changed in place, so that a tape that saved it can tell. */
void luma_touch(lm_tensor *t);

/* ---- arguments ---- */

int64_t luma_checkint(lua_State *L, int arg, int64_t lo, int64_t hi, const char *what);
double luma_checkfinite(lua_State *L, int arg, const char *what);
/* 1-based dimension, negative from the end -> 0-based. */
int luma_checkdim(lua_State *L, int arg, int rank);
int luma_optdim(lua_State *L, int arg, int rank, int absent);
/* 1-based index, negative from the end -> 0-based, in 0..n-1. */
int64_t luma_checkindex(lua_State *L, int arg, int64_t n);
/* Sizes from a table at arg, or from the integers arg, arg+1, ... top. */
lm_shape luma_checkshape(lua_State *L, int arg);
lm_dtype luma_checkdtype(lua_State *L, int arg);
lm_dtype luma_optdtype(lua_State *L, int arg, lm_dtype absent);

/* Replaces each table among arguments 1..n that has a metatable, at any depth,
 * by a plain copy (own.c); the dispatcher calls it before every op. */
void luma_owntables(lua_State *L, int n);
/* Asks the original of such a copy at idx once for each known option. */
void luma_ownoptions(lua_State *L, int idx, const char *const known[]);

/* Options: one trailing table (nil or absent = all defaults).  Raises
 * "unknown option 'strides' (known: stride, pad)". */
void luma_checkkeys(lua_State *L, int arg, const char *const known[]);
int64_t luma_optint(lua_State *L, int arg, const char *key, int64_t absent, int64_t lo, int64_t hi);
double luma_optnumber(lua_State *L, int arg, const char *key, double absent, double lo, double hi);
bool luma_optboolean(lua_State *L, int arg, const char *key, bool absent);
const char *luma_optstring(lua_State *L, int arg, const char *key, const char *absent);
/* Index into names (NULL-ended). */
int luma_optenum(lua_State *L, int arg, const char *key, int absent, const char *const names[]);

/* ---- errors ---- */

/* "bad argument #2 to 'conv2d' (...)": the name comes from the op table. */
_Noreturn int luma_argerror(lua_State *L, int arg, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "conv2d: ..." */
_Noreturn int luma_error(lua_State *L, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Raises what a core function reported (argerror when e->arg > 0); an
 * interrupt becomes the sentinel. */
_Noreturn int luma_raise(lua_State *L, const lm_err *e);
/* The world's fault: pushes nil, message, code name; returns 3. */
int luma_fail(lua_State *L, const lm_err *e);
/* Raises the interrupt sentinel unless ok: luma_checkrun(L, lm_parallel(...)). */
void luma_checkrun(lua_State *L, bool ok);
/* Name of the running op, from its table row. */
const char *luma_opname(lua_State *L);

/* ---- module ---- */

/* x:close() and __close. */
int luma_close(lua_State *L);
/* __index: upvalues are the method table and the op `get`. */
int luma_index(lua_State *L);

void luma_open_tensor(lua_State *L); /* creates the metatable */
void luma_open_random(lua_State *L); /* core table on top: the metatable of luma.rng */
void luma_open_system(lua_State *L); /* core.system: files, locks, signals; core table on top */
void luma_register(lua_State *L, const luma_op *ops); /* core table on top */

/* Random numbers: the state's seed and a stream number that is new at every
 * call; luma.seed(n) resets both. */
uint64_t luma_seed(lua_State *L);
uint64_t luma_nextstream(lua_State *L);

/* Whether a tape is recording: dropout and batch-norm then train. */
bool luma_taping(lua_State *L);

#endif
