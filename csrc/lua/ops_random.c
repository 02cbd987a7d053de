/* ops_random.c: random tensors, and the generator object luma.rng.
 *
 * Both are Philox under a 64-bit seed and a 64-bit stream.  Tensors take the
 * next stream of luma.seed (or are drawn from {rng = r}); generators live on
 * streams with the top bit set, so that the two never meet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "kern/random.h"
#include "lua/operand.h"

#define LUMA_RNG "luma.Rng"
static const uint64_t own_streams = (uint64_t)1 << 63;

static lm_rng *check_rng(lua_State *L, int arg) {
  lm_rng *r = luaL_testudata(L, arg, LUMA_RNG);
  if (r == NULL) luma_argerror(L, arg, "%s expected, got %s", LUMA_RNG, luaL_typename(L, arg));
  return r;
}

static lm_rng *push_rng(lua_State *L, uint64_t seed, uint64_t stream) {
  lm_rng *r = lua_newuserdatauv(L, sizeof *r, 0);
  *r = (lm_rng){.seed = seed, .stream = stream};
  luaL_setmetatable(L, LUMA_RNG);
  return r;
}

/* ---- tensors ---- */

typedef struct {
  uint64_t seed, stream;
} source;

/* The options of a random tensor: {rng = r, dtype = "f32"}, the last argument
 * when it is a table and not the only one; it is taken off the stack. */
static source take_source(lua_State *L, int first, lm_dtype *d) {
  static const char *const keys[] = {"rng", "dtype", NULL};
  const int top = lua_gettop(L);
  source s;
  if (top > first && lua_istable(L, top)) {
    luma_checkkeys(L, top, keys);
    const char *name = luma_optstring(L, top, "dtype", NULL);
    if (name != NULL && !lm_dtype_parse(name, d))
      luma_argerror(L, top, "dtype must be f32, f64, u8 or i32, got %.40s", name);
    if (lua_getfield(L, top, "rng") != LUA_TNIL) {
      lm_rng *r = luaL_testudata(L, -1, LUMA_RNG);
      if (r == NULL)
        luma_argerror(L, top, "option rng must be a %s, got %s", LUMA_RNG, luaL_typename(L, -1));
      s.seed = r->seed;
      s.stream = lm_rng_next(r) | own_streams;
      lua_settop(L, top - 1);
      return s;
    }
    lua_settop(L, top - 1);
  }
  s.seed = luma_seed(L);
  s.stream = luma_nextstream(L);
  return s;
}

static void check_float(lua_State *L, lm_dtype d) {
  if (!lm_dtypes[d].is_float) luma_error(L, "%s not supported (f32, f64)", lm_dtypes[d].name);
}

static int l_rand(lua_State *L) {
  lm_dtype d = LM_F32;
  const source s = take_source(L, 1, &d);
  const lm_shape shape = luma_checksizes(L, 1, &d);
  check_float(L, d);
  luma_checkrun(L, lm_random_uniform(luma_newtensor(L, d, &shape), s.seed, s.stream, 0.0, 1.0));
  return 1;
}

static int l_randn(lua_State *L) {
  lm_dtype d = LM_F32;
  const source s = take_source(L, 1, &d);
  const lm_shape shape = luma_checksizes(L, 1, &d);
  check_float(L, d);
  luma_checkrun(L, lm_random_normal(luma_newtensor(L, d, &shape), s.seed, s.stream, 0.0, 1.0));
  return 1;
}

static double check_probability(lua_State *L, int arg) {
  const double p = luma_checkfinite(L, arg, "probability");
  if (!(p >= 0.0 && p <= 1.0)) luma_argerror(L, arg, "probability must be in 0..1, got %g", p);
  return p;
}

static int l_bernoulli(lua_State *L) {
  lm_dtype d = LM_F32;
  const double p = check_probability(L, 1);
  const source s = take_source(L, 2, &d);
  const lm_shape shape = luma_checksizes(L, 2, &d);
  luma_checkrun(L, lm_random_bernoulli(luma_newtensor(L, d, &shape), s.seed, s.stream, p));
  return 1;
}

static int l_randint(lua_State *L) {
  lm_dtype d = LM_I32;
  const int64_t low = luma_checkint(L, 1, INT32_MIN, INT32_MAX, "low");
  const int64_t high = luma_checkint(L, 2, low, INT32_MAX, "high");
  const source s = take_source(L, 3, &d);
  const lm_shape shape = luma_checksizes(L, 3, &d);
  if (lm_dtypes[d].is_float) luma_error(L, "%s not supported (i32, u8)", lm_dtypes[d].name);
  if (d == LM_U8 && (low < 0 || high > 255)) luma_argerror(L, 1, "u8 holds 0..255 only");
  luma_checkrun(L, lm_random_integers(luma_newtensor(L, d, &shape), s.seed, s.stream, low, high));
  return 1;
}

/* 1..n shuffled into an i32 tensor. */
static lm_tensor *push_permutation(lua_State *L, lm_rng *r, int64_t n) {
  const lm_shape shape = {.rank = 1, .size = {n}};
  lm_tensor *t = luma_newtensor(L, LM_I32, &shape);
  lm_rng_permutation(r, lm_i32(t), n);
  for (int64_t i = 0; i < n; i++) lm_i32(t)[i]++;
  return t;
}

static int l_randperm(lua_State *L) {
  const int64_t n = luma_checkint(L, 1, 0, INT32_MAX, "n");
  lm_dtype d = LM_I32;
  const source s = take_source(L, 1, &d);
  if (d != LM_I32) luma_error(L, "%s not supported (i32)", lm_dtypes[d].name);
  lm_rng r = {.seed = s.seed, .stream = s.stream};
  push_permutation(L, &r, n);
  return 1;
}

/* ---- the generator object ---- */

static int l_rng(lua_State *L) {
  const int64_t seed = luma_checkint(L, 1, INT64_MIN, INT64_MAX, "seed");
  const int64_t stream = lua_isnoneornil(L, 2) ? 0 : luma_checkint(L, 2, 0, INT64_MAX, "stream");
  push_rng(L, (uint64_t)seed, (uint64_t)stream | own_streams);
  return 1;
}

static int r_uniform(lua_State *L) {
  lm_rng *r = check_rng(L, 1);
  const double low = lua_isnoneornil(L, 2) ? 0.0 : luma_checkfinite(L, 2, "low");
  const double high = lua_isnoneornil(L, 3) ? 1.0 : luma_checkfinite(L, 3, "high");
  if (low > high) luma_argerror(L, 3, "high %g is below low %g", high, low);
  const double v = low + (high - low) * lm_rng_uniform(r);
  lua_pushnumber(L, v < high ? v : low);
  return 1;
}

static int r_normal(lua_State *L) {
  lm_rng *r = check_rng(L, 1);
  const double mean = lua_isnoneornil(L, 2) ? 0.0 : luma_checkfinite(L, 2, "mean");
  const double deviation = lua_isnoneornil(L, 3) ? 1.0 : luma_checkfinite(L, 3, "deviation");
  uint32_t words[4];
  double two[2];
  lm_philox(r->seed, r->stream, r->counter++, words);
  lm_normal2(words, two);
  lua_pushnumber(L, mean + deviation * two[0]);
  return 1;
}

static int r_int(lua_State *L) {
  lm_rng *r = check_rng(L, 1);
  const int64_t low = luma_checkint(L, 2, INT64_MIN, INT64_MAX, "low");
  const int64_t high = luma_checkint(L, 3, low, INT64_MAX, "high");
  const uint64_t range = (uint64_t)high - (uint64_t)low + 1; /* 0 = all 2^64 */
  const uint64_t v = range == 0 ? lm_rng_next(r) : lm_rng_below(r, range);
  lua_pushinteger(L, (lua_Integer)((uint64_t)low + v));
  return 1;
}

static int r_bernoulli(lua_State *L) {
  lm_rng *r = check_rng(L, 1);
  const double p = check_probability(L, 2);
  lua_pushboolean(L, lm_rng_uniform(r) < p);
  return 1;
}

static int r_permutation(lua_State *L) {
  lm_rng *r = check_rng(L, 1);
  const int64_t n = luma_checkint(L, 2, 0, INT32_MAX, "n");
  static const char *const keys[] = {"tensor", NULL};
  luma_checkkeys(L, 3, keys);
  const bool tensor = luma_optboolean(L, 3, "tensor", false);
  const lm_tensor *t = push_permutation(L, r, n);
  if (tensor) return 1;
  lua_createtable(L, (int)n, 0);
  for (int64_t i = 0; i < n; i++) {
    lua_pushinteger(L, lm_i32(t)[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int r_shuffle(lua_State *L) {
  lm_rng *r = check_rng(L, 1);
  if (!lua_istable(L, 2)) luma_argerror(L, 2, "table expected, got %s", luaL_typename(L, 2));
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, 2); i > 1; i--) {
    const lua_Integer j = (lua_Integer)lm_rng_below(r, (uint64_t)i) + 1;
    lua_rawgeti(L, 2, i);
    lua_rawgeti(L, 2, j);
    lua_rawseti(L, 2, i);
    lua_rawseti(L, 2, j);
  }
  lua_settop(L, 2);
  return 1;
}

/* FNV-1a over a tag and the label's bytes: "1" and 1 name different children. */
static uint64_t label_hash(lua_State *L, int arg) {
  uint64_t h = 14695981039346656037u;
  char number[9] = "i";
  const char *bytes = number;
  size_t n = sizeof number;
  if (lua_type(L, arg) == LUA_TSTRING) {
    h = (h ^ 's') * 1099511628211u;
    bytes = lua_tolstring(L, arg, &n);
  } else {
    const int64_t v = luma_checkint(L, arg, INT64_MIN, INT64_MAX, "label (an integer or a string)");
    for (int k = 0; k < 8; k++) number[k + 1] = (char)((uint64_t)v >> (8 * k) & 255);
  }
  for (size_t i = 0; i < n; i++) h = (h ^ (uint8_t)bytes[i]) * 1099511628211u;
  return h;
}

static int r_fork(lua_State *L) {
  const lm_rng *r = check_rng(L, 1);
  const uint64_t h = label_hash(L, 2);
  uint32_t words[4]; /* the child's seed and stream: Philox under another key */
  lm_philox(r->seed ^ 0x666f726b00000000u, r->stream, h, words);
  push_rng(L, (uint64_t)words[0] << 32 | words[1],
           ((uint64_t)words[2] << 32 | words[3]) | own_streams);
  return 1;
}

static void set_hex(lua_State *L, const char *key, uint64_t v) {
  char text[20];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)v);
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

static int r_state(lua_State *L) {
  const lm_rng *r = check_rng(L, 1);
  lua_createtable(L, 0, 3);
  set_hex(L, "seed", r->seed);
  set_hex(L, "stream", r->stream);
  set_hex(L, "counter", r->counter);
  return 1;
}

static uint64_t get_hex(lua_State *L, const char *key) {
  const char *text = luma_optstring(L, 2, key, "");
  if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
    luma_argerror(L, 2, "%s must be 16 hexadecimal digits, got '%.40s'", key, text);
  return strtoull(text, NULL, 16);
}

static int r_set_state(lua_State *L) {
  lm_rng *r = check_rng(L, 1);
  static const char *const keys[] = {"seed", "stream", "counter", NULL};
  if (!lua_istable(L, 2)) luma_argerror(L, 2, "table expected, got %s", luaL_typename(L, 2));
  luma_checkkeys(L, 2, keys);
  const lm_rng next = {
      .seed = get_hex(L, "seed"), .stream = get_hex(L, "stream"), .counter = get_hex(L, "counter")};
  *r = next;
  lua_settop(L, 1);
  return 1;
}

void luma_open_random(lua_State *L) { /* core table on top */
  luaL_newmetatable(L, LUMA_RNG);
  lua_getfield(L, -2, "Rng");
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, LUMA_RNG);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

#define SOURCE " The numbers follow luma.seed, or the generator given as {rng = r}."

const luma_op luma_ops_random[];
const luma_op luma_ops_random[] = {
    {"rand", "(n, ... [, dtype] [, {rng=r, dtype=\"f32\"}]) -> x",
     "Uniform in [0, 1), f32 or f64." SOURCE, l_rand, LUMA_FUNCTION},
    {"randn", "(n, ... [, dtype] [, {rng=r, dtype=\"f32\"}]) -> x",
     "Standard normal, f32 or f64." SOURCE, l_randn, LUMA_FUNCTION},
    {"bernoulli", "(p, n, ... [, dtype] [, {rng=r, dtype=\"f32\"}]) -> x",
     "Gives 1 with probability p, else 0; any type." SOURCE, l_bernoulli, LUMA_FUNCTION},
    {"randint", "(low, high, n, ... [, dtype] [, {rng=r, dtype=\"i32\"}]) -> x",
     "Whole numbers in low..high, both included; i32 or u8." SOURCE, l_randint, LUMA_FUNCTION},
    {"randperm", "(n [, {rng=r}]) -> ids", "The numbers 1..n in random order (i32)." SOURCE,
     l_randperm, LUMA_FUNCTION},
    {"rng", "(seed [, stream]) -> r",
     "A generator of its own: the same seed and stream give the same numbers everywhere.", l_rng,
     LUMA_FUNCTION},
    {"Rng.uniform", "(r [, low=0, high=1]) -> number", "Uniform in [low, high).", r_uniform,
     LUMA_FUNCTION},
    {"Rng.normal", "(r [, mean=0, deviation=1]) -> number", "Normally distributed.", r_normal,
     LUMA_FUNCTION},
    {"Rng.int", "(r, low, high) -> integer",
     "A whole number in low..high, both included, without bias.", r_int, LUMA_FUNCTION},
    {"Rng.bernoulli", "(r, p) -> boolean", "Gives true with probability p.", r_bernoulli,
     LUMA_FUNCTION},
    {"Rng.permutation", "(r, n [, {tensor=false}]) -> ids",
     "The numbers 1..n in random order, as a table or as an i32 tensor.", r_permutation,
     LUMA_FUNCTION},
    {"Rng.shuffle", "(r, list) -> list", "Shuffles a table's entries 1..#list in place.", r_shuffle,
     LUMA_RAW},
    {"Rng.fork", "(r, label) -> child",
     "An independent generator named by an integer or a string. It depends on r's seed, stream and "
     "the label only, not on what was drawn from r: sample i gets fork(i) in any order of work.",
     r_fork, LUMA_FUNCTION},
    {"Rng.state", "(r) -> table",
     "The seed, stream and counter as hexadecimal strings, fit for JSON.", r_state, LUMA_FUNCTION},
    {"Rng.set_state", "(r, table) -> r", "Continues from a state.", r_set_state, LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
