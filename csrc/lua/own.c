/* own.c: tables that lie.  Before an op runs, if a table among its arguments, or
 * one inside it, has a metatable, every table argument is replaced by a plain
 * copy of what it answers, each entry asked for once.  The op then reads plain
 * tables that nobody else can reach, so no metamethod can run, raise, yield,
 * close a tensor, or change another argument between its checks and its work,
 * and what it was given stays on the Lua stack for as long as C uses it.
 *
 * Entries 1..#t come through __len and __index, named entries from the table
 * itself, or all of them through __pairs where that is defined.  Options behind
 * __index cannot be listed: the copy remembers the original, and luma_checkkeys
 * asks it once for each option that it knows. */
#include "lua/luma.h"

enum { MAX_DEPTH = 16, MAX_ENTRIES = 1 << 26 }; /* no op reads deeper than LM_MAXRANK + 2 */

typedef struct {
  int memo;        /* stack slot: nil, or the tables met: table -> true, or its copy */
  int64_t entries; /* copied so far */
} owning;

static const char origin_key = 0; /* copy[&origin_key] = the original, while options may come */

static _Noreturn void too_deep(lua_State *L) {
  luma_error(L, "tables are nested deeper than %d", MAX_DEPTH);
}

/* Whether the table at the top was met before; notes it when not. */
static bool met(lua_State *L, const owning *o) {
  if (lua_isnil(L, o->memo)) {
    lua_newtable(L);
    lua_replace(L, o->memo);
  }
  lua_pushvalue(L, -1);
  const bool before = lua_rawget(L, o->memo) != LUA_TNIL;
  lua_pop(L, 1);
  if (before) return true;
  lua_pushvalue(L, -1);
  lua_pushboolean(L, true);
  lua_rawset(L, o->memo);
  return false;
}

/* Whether the table at the top, or one in it, has a metatable.  A list that
 * begins with a number or a string is a leaf: ops refuse tables inside it. */
static bool is_strange(lua_State *L, const owning *o, int depth) {
  luaL_checkstack(L, 6, "arguments");
  if (lua_getmetatable(L, -1)) {
    lua_pop(L, 1);
    return true;
  }
  const int first = lua_rawgeti(L, -1, 1);
  lua_pop(L, 1);
  if (first == LUA_TNUMBER || first == LUA_TSTRING) return false;
  if (depth < MAX_DEPTH && met(L, o)) return false;
  if (depth == 0) too_deep(L);
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    if (lua_istable(L, -1) && is_strange(L, o, depth - 1)) {
      lua_pop(L, 2);
      return true;
    }
    lua_pop(L, 1);
  }
  return false;
}

static void copy_top(lua_State *L, owning *o, int depth);

/* copy[key] = value, both at the top; pops the value and keeps the key. */
static void store(lua_State *L, owning *o, int copy, int depth) {
  if (++o->entries > MAX_ENTRIES)
    luma_error(L, "its tables hold more than %d entries", MAX_ENTRIES);
  if (lua_istable(L, -1)) copy_top(L, o, depth - 1);
  lua_pushvalue(L, -2);
  lua_insert(L, -2);
  lua_rawset(L, copy);
}

static void copy_pairs(lua_State *L, owning *o, int source, int copy, int depth) {
  lua_pushvalue(L, source); /* __pairs is below */
  lua_call(L, 1, 3);
  for (;;) { /* iterator, state, control */
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2)) break;
    lua_remove(L, -3); /* the new control takes the old one's slot */
    store(L, o, copy, depth);
  }
}

static void copy_entries(lua_State *L, owning *o, int source, int copy, int depth) {
  const bool plain = !lua_getmetatable(L, source);
  if (!plain) lua_pop(L, 1);
  const lua_Integer n = plain ? 0 : luaL_len(L, source);
  if (n > MAX_ENTRIES) luma_error(L, "a table says it has %lld entries", (long long)n);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_pushinteger(L, i);
    lua_geti(L, source, i);
    store(L, o, copy, depth);
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  while (lua_next(L, source) != 0) {
    if (!plain && lua_isinteger(L, -2))
      lua_pop(L, 1);
    else
      store(L, o, copy, depth);
  }
  if (luaL_getmetafield(L, source, "__index") == LUA_TNIL) return;
  lua_pushvalue(L, source);
  lua_rawsetp(L, copy, &origin_key);
}

/* Replaces the table at the top by a plain copy, the same one at each meeting. */
static void copy_top(lua_State *L, owning *o, int depth) {
  luaL_checkstack(L, 12, "arguments");
  const int source = lua_gettop(L), copy = source + 1;
  lua_pushvalue(L, source);
  if (lua_rawget(L, o->memo) != LUA_TNIL) {
    lua_replace(L, source);
    return;
  }
  lua_pop(L, 1);
  if (depth == 0) too_deep(L);
  lua_newtable(L);
  lua_pushvalue(L, source);
  lua_pushvalue(L, copy);
  lua_rawset(L, o->memo);
  if (luaL_getmetafield(L, source, "__pairs") != LUA_TNIL)
    copy_pairs(L, o, source, copy, depth);
  else
    copy_entries(L, o, source, copy, depth);
  lua_settop(L, copy);
  lua_replace(L, source);
}

void luma_owntables(lua_State *L, int n) {
  int last = n;
  while (last > 0 && lua_type(L, last) != LUA_TTABLE) last--;
  if (last == 0) return;
  luaL_checkstack(L, 8, "arguments");
  lua_pushnil(L);
  owning o = {.memo = n + 1};
  bool strange = false;
  for (int i = 1; i <= last && !strange; i++) {
    if (lua_type(L, i) != LUA_TTABLE) continue;
    lua_pushvalue(L, i);
    strange = is_strange(L, &o, MAX_DEPTH);
    lua_pop(L, 1);
  }
  if (strange) {
    lua_newtable(L);
    lua_replace(L, o.memo);
  }
  for (int i = 1; i <= last && strange; i++) {
    if (lua_type(L, i) != LUA_TTABLE) continue;
    lua_pushvalue(L, i);
    copy_top(L, &o, MAX_DEPTH);
    lua_replace(L, i);
  }
  lua_settop(L, n);
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
  lua_newtable(L);
  owning o = {.memo = origin + 1};
  for (int k = 0; known[k] != NULL; k++) {
    lua_pushstring(L, known[k]);
    if (lua_rawget(L, idx) == LUA_TNIL) {
      lua_pushstring(L, known[k]);
      lua_getfield(L, origin, known[k]);
      if (lua_istable(L, -1)) copy_top(L, &o, MAX_DEPTH);
      lua_rawset(L, idx);
    }
    lua_pop(L, 1);
  }
  lua_settop(L, origin - 1);
  for (int i = 1; i < origin; i++) { /* __index may have closed a tensor that was checked before */
    const lm_tensor *t = luma_totensor(L, i);
    if (t != NULL && t->buffer == NULL) luma_error(L, "attempt to use a closed tensor");
  }
}
