/* own.c: tables that lie.  Before an op runs, every table argument that has a
 * metatable, at any depth, is replaced by a plain copy of what it answers, each
 * entry asked for once.  The op then reads plain tables, so no metamethod can
 * run, raise, yield or close a tensor between its checks and its work, and what
 * it was given stays on the Lua stack for as long as C uses it.
 *
 * Entries 1..#t come through __len and __index, named entries from the table
 * itself, or all of them through __pairs where that is defined.  Options behind
 * __index cannot be listed: the copy remembers the original, and luma_checkkeys
 * asks it once for each option that it knows. */
#include "lua/luma.h"

enum { MAX_DEPTH = 32, MAX_ENTRIES = 1 << 26 };

static const char origin_key = 0; /* copy[&origin_key] = the original, while options may come */

static bool has_metatable(lua_State *L, int idx) {
  if (!lua_getmetatable(L, idx)) return false;
  lua_pop(L, 1);
  return true;
}

/* Whether the table at the top, or one in it, has a metatable.  A list that
 * begins with a number or a string is a leaf: ops refuse tables inside it. */
static bool is_strange(lua_State *L, int depth) {
  if (has_metatable(L, -1)) return true;
  if (depth == 0) return false; /* deeper than any op reads */
  luaL_checkstack(L, 4, "arguments");
  const int first = lua_rawgeti(L, -1, 1);
  lua_pop(L, 1);
  if (first == LUA_TNUMBER || first == LUA_TSTRING) return false;
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    if (lua_istable(L, -1) && is_strange(L, depth - 1)) {
      lua_pop(L, 2);
      return true;
    }
    lua_pop(L, 1);
  }
  return false;
}

static void copy_top(lua_State *L, int depth);

/* Value at the top -> what the copy holds for it. */
static void own_value(lua_State *L, int depth) {
  if (!lua_istable(L, -1) || !is_strange(L, depth)) return;
  if (depth == 0) luma_error(L, "tables are nested deeper than %d", MAX_DEPTH);
  copy_top(L, depth);
}

/* copy[key] = value, both at the top; pops the value and keeps the key. */
static void store(lua_State *L, int copy, int depth) {
  own_value(L, depth - 1);
  lua_pushvalue(L, -2);
  lua_insert(L, -2);
  lua_rawset(L, copy);
}

static void copy_pairs(lua_State *L, int source, int copy, int depth) {
  lua_pushvalue(L, source); /* __pairs is below */
  lua_call(L, 1, 3);
  for (int64_t n = 0;; n++) { /* iterator, state, control */
    if (n > MAX_ENTRIES) luma_error(L, "__pairs gives more than %d entries", MAX_ENTRIES);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2)) break;
    lua_remove(L, -3); /* the new control takes the old one's slot */
    store(L, copy, depth);
  }
}

static void copy_entries(lua_State *L, int source, int copy, int depth) {
  const lua_Integer n = luaL_len(L, source);
  if (n > MAX_ENTRIES) luma_error(L, "a table says it has %lld entries", (long long)n);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_pushinteger(L, i);
    lua_geti(L, source, i);
    store(L, copy, depth);
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  while (lua_next(L, source) != 0) {
    if (lua_isinteger(L, -2))
      lua_pop(L, 1);
    else
      store(L, copy, depth);
  }
  if (luaL_getmetafield(L, source, "__index") == LUA_TNIL) return;
  lua_pushvalue(L, source);
  lua_rawsetp(L, copy, &origin_key);
}

/* Replaces the table at the top by a plain copy. */
static void copy_top(lua_State *L, int depth) {
  luaL_checkstack(L, 12, "arguments");
  const int source = lua_gettop(L), copy = source + 1;
  lua_newtable(L);
  if (luaL_getmetafield(L, source, "__pairs") != LUA_TNIL)
    copy_pairs(L, source, copy, depth);
  else
    copy_entries(L, source, copy, depth);
  lua_settop(L, copy);
  lua_replace(L, source);
}

void luma_owntables(lua_State *L, int n) {
  for (int i = 1; i <= n; i++) {
    if (lua_type(L, i) != LUA_TTABLE) continue;
    lua_pushvalue(L, i);
    own_value(L, MAX_DEPTH);
    lua_replace(L, i);
  }
}

void luma_ownoptions(lua_State *L, int idx, const char *const known[]) {
  idx = lua_absindex(L, idx);
  if (lua_rawgetp(L, idx, &origin_key) == LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  lua_pushnil(L);
  lua_rawsetp(L, idx, &origin_key);
  const int origin = lua_gettop(L);
  for (int k = 0; known[k] != NULL; k++) {
    lua_pushstring(L, known[k]);
    if (lua_rawget(L, idx) == LUA_TNIL) {
      lua_pushstring(L, known[k]);
      lua_getfield(L, origin, known[k]);
      own_value(L, MAX_DEPTH);
      lua_rawset(L, idx);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  for (int i = 1; i < origin; i++) { /* __index may have closed a tensor that was checked before */
    const lm_tensor *t = luma_totensor(L, i);
    if (t != NULL && t->buffer == NULL) luma_error(L, "attempt to use a closed tensor");
  }
}
