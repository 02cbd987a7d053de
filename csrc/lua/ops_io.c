/* ops_io.c: weight files at the border: safetensors in and out.
 *
 * A file being read is a userdata (descriptor, parsed header) that closes
 * itself, so that running out of memory between two tensors leaks nothing. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"
#include "io/npy.h"
#include "io/safetensors.h"
#include "io/zip.h"
#include "lua/luma.h"

#define READER "luma.WeightFile"

typedef struct {
  int fd; /* -1: closed */
  int64_t bytes;
  lm_safetensors st;
  lm_buffer *scratch; /* the JSON, then data awaiting conversion */
} reader;

static void close_reader(reader *r) {
  if (r->fd >= 0) close(r->fd);
  r->fd = -1;
  lm_st_free(&r->st);
  lm_buffer_release(r->scratch);
  r->scratch = NULL;
}

static int reader_gc(lua_State *L) {
  close_reader(luaL_checkudata(L, 1, READER));
  return 0;
}

static reader *push_reader(lua_State *L) {
  reader *r = lua_newuserdatauv(L, sizeof *r, 0);
  memset(r, 0, sizeof *r);
  r->fd = -1;
  if (luaL_newmetatable(L, READER)) {
    lua_pushcfunction(L, reader_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
  }
  lua_setmetatable(L, -2);
  return r;
}

/* A file name: a string without a zero byte. */
static const char *check_path(lua_State *L, int arg) {
  if (lua_type(L, arg) != LUA_TSTRING)
    luma_argerror(L, arg, "path: string expected, got %s", luaL_typename(L, arg));
  size_t n;
  const char *path = lua_tolstring(L, arg, &n);
  if (strlen(path) != n) luma_argerror(L, arg, "path holds a zero byte");
  if (n == 0) luma_argerror(L, arg, "path is empty");
  return path;
}

/* nil, "PATH: reason", code. */
static int fail_path(lua_State *L, const char *path, const lm_err *e) {
  char text[LM_PATH_TEXT];
  if (e->code == LM_E_INTERRUPT) luma_checkrun(L, false);
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", lm_path_text(path, text), e->msg);
  lua_pushstring(L, lm_code_name(e->code));
  return 3;
}

/* Opens and parses; on failure the reader is closed and *e says why. */
static bool open_safetensors(reader *r, const char *path, lm_err *e) {
  uint8_t first[8] = {0};
  int64_t n;
  if (!lm_file_open(path, &r->fd, &r->bytes, e)) return false;
  bool ok = lm_file_read(r->fd, 0, first, lm_min64(8, r->bytes), e) &&
            lm_st_header_length(first, lm_min64(8, r->bytes), r->bytes, &n, e);
  if (ok) ok = (r->scratch = lm_buffer_new(n, e)) != NULL;
  if (ok)
    ok = lm_file_read(r->fd, 8, r->scratch->data, n, e) &&
         lm_st_parse(r->scratch->data, n, r->bytes, &r->st, e);
  lm_buffer_release(r->scratch);
  r->scratch = NULL;
  if (!ok) close_reader(r);
  return ok;
}

static void push_metadata(lua_State *L, const lm_safetensors *st) {
  lua_newtable(L);
  for (int64_t i = 0; i < st->metadata_count; i++) {
    lua_pushstring(L, st->metadata[i].value);
    lua_setfield(L, -2, st->metadata[i].key);
  }
}

static bool all_finite(const lm_tensor *t, int64_t *where) {
  const int64_t n = lm_tensor_count(t);
  for (int64_t i = 0; i < n; i++) {
    const bool good = t->dtype == LM_F32   ? isfinite(lm_f32(t)[i])
                      : t->dtype == LM_F64 ? isfinite(lm_f64(t)[i])
                                           : true;
    if (!good) {
      *where = i;
      return false;
    }
  }
  return true;
}

/* Pushes the tensor of one entry; false with *e filled (nothing pushed). */
static bool push_entry(lua_State *L, reader *r, const lm_st_entry *entry, bool finite, lm_err *e) {
  const lm_element_info *info = &lm_elements[entry->dtype];
  if (info->becomes < 0)
    return lm_fail(e, LM_E_UNSUPPORTED, "tensor '%.80s': luma does not read %s", entry->name,
                   info->name);
  const lm_dtype dtype = (lm_dtype)info->becomes;
  const int64_t bytes = entry->end - entry->begin, at = r->st.data_start + entry->begin;
  lm_tensor *t = luma_newtensor(L, dtype, &entry->shape);
  bool ok;
  if (lm_element_native(entry->dtype)) {
    ok = lm_file_read(r->fd, at, lm_tensor_data(t), bytes, e);
  } else {
    ok = (r->scratch = lm_buffer_new(bytes, e)) != NULL &&
         lm_file_read(r->fd, at, r->scratch->data, bytes, e) &&
         lm_element_convert(entry->dtype, entry->name, r->scratch->data, t, e);
    lm_buffer_release(r->scratch);
    r->scratch = NULL;
  }
  int64_t where = 0;
  if (ok && finite && !all_finite(t, &where))
    ok = lm_fail(e, LM_E_DAMAGED, "tensor '%.80s': element %lld is not finite", entry->name,
                 (long long)(where + 1));
  if (!ok) {
    lm_tensor_close(t);
    lua_pop(L, 1);
  }
  return ok;
}

static int l_load(lua_State *L) {
  static const char *const keys[] = {"finite", "names", NULL};
  const char *path = check_path(L, 1);
  luma_checkkeys(L, 2, keys);
  const bool finite = luma_optboolean(L, 2, "finite", false);
  lua_settop(L, 2);
  /* 3: the wanted names as a set, or nil for all */
  lua_pushnil(L);
  if (lua_istable(L, 2) && lua_getfield(L, 2, "names") != LUA_TNIL) {
    if (!lua_istable(L, -1)) luma_argerror(L, 2, "option names must be a list of names");
    lua_newtable(L);
    lua_replace(L, 3);
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
      if (lua_type(L, -1) != LUA_TSTRING)
        luma_argerror(L, 2, "option names must be a list of names");
      lua_pushboolean(L, true);
      lua_rawset(L, 3);
    }
  }
  lua_settop(L, 3);
  lm_err e;
  reader *r = push_reader(L); /* 4 */
  if (!open_safetensors(r, path, &e)) return fail_path(L, path, &e);
  lua_newtable(L); /* 5: the tensors */
  for (int64_t i = 0; i < r->st.count; i++) {
    const lm_st_entry *entry = &r->st.entries[i];
    if (!lua_isnil(L, 3)) {
      if (lua_getfield(L, 3, entry->name) == LUA_TNIL) {
        lua_pop(L, 1);
        continue;
      }
      lua_pop(L, 1);
      lua_pushnil(L);
      lua_setfield(L, 3, entry->name);
    }
    if (!push_entry(L, r, entry, finite, &e)) {
      close_reader(r);
      return fail_path(L, path, &e);
    }
    lua_setfield(L, 5, entry->name);
  }
  lua_pushnil(L);
  if (!lua_isnil(L, 3) && lua_next(L, 3) != 0) {
    close_reader(r);
    lm_fail(&e, LM_E_DAMAGED, "holds no tensor '%.80s'", lua_tostring(L, -2));
    return fail_path(L, path, &e);
  }
  lua_settop(L, 5);
  push_metadata(L, &r->st);
  close_reader(r);
  return 2;
}

static int l_inspect(lua_State *L) {
  const char *path = check_path(L, 1);
  lua_settop(L, 1);
  lm_err e;
  reader *r = push_reader(L);
  if (!open_safetensors(r, path, &e)) return fail_path(L, path, &e);
  lua_newtable(L);
  for (int64_t i = 0; i < r->st.count; i++) {
    const lm_st_entry *entry = &r->st.entries[i];
    lua_createtable(L, 0, 4);
    lua_pushstring(L, entry->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, lm_elements[entry->dtype].name);
    lua_setfield(L, -2, "dtype");
    lua_pushinteger(L, entry->end - entry->begin);
    lua_setfield(L, -2, "bytes");
    lua_createtable(L, entry->shape.rank, 0);
    for (int d = 0; d < entry->shape.rank; d++) {
      lua_pushinteger(L, entry->shape.size[d]);
      lua_rawseti(L, -2, d + 1);
    }
    lua_setfield(L, -2, "shape");
    lua_rawseti(L, -2, i + 1);
  }
  push_metadata(L, &r->st);
  close_reader(r);
  return 2;
}

/* io.write_file(path, head, list): head is a string, list an array of tensors
 * whose bytes follow it in order. */
static int l_write(lua_State *L) {
  const char *path = check_path(L, 1);
  if (lua_type(L, 2) != LUA_TSTRING)
    luma_argerror(L, 2, "string expected, got %s", luaL_typename(L, 2));
  if (!lua_istable(L, 3))
    luma_argerror(L, 3, "list of tensors expected, got %s", luaL_typename(L, 3));
  const int64_t count = (int64_t)lua_rawlen(L, 3);
  lua_settop(L, 3);
  lua_createtable(L, (int)lm_min64(count, 1 << 20), 0); /* 4: keeps contiguous copies alive */
  lm_span *spans = luma_newscratch(L, (count + 1) * (int64_t)sizeof *spans); /* 5 */
  size_t head;
  spans[0].data = lua_tolstring(L, 2, &head);
  spans[0].bytes = (int64_t)head;
  for (int64_t i = 1; i <= count; i++) {
    lua_rawgeti(L, 3, i);
    const lm_tensor *t = luma_totensor(L, 6);
    if (t == NULL) luma_argerror(L, 3, "element %d is not a tensor", (int)i);
    t = luma_checkplain(L, 6, luma_checktensor(L, 6)->dtype);
    spans[i].data = lm_tensor_data(t);
    spans[i].bytes = lm_tensor_bytes(t);
    lua_rawseti(L, 4, i);
  }
  lm_err e;
  const bool ok = lm_file_replace(path, spans, count + 1, &e);
  luma_freescratch(L, 5);
  if (!ok) return fail_path(L, path, &e);
  lua_pushboolean(L, true);
  return 1;
}

/* ---- NumPy ---- */

/* Pushes the array that the n bytes of an npy file hold; false with *e filled
 * (the stack as before). */
static bool push_npy(lua_State *L, uint8_t *bytes, int64_t n, const char *name, lm_err *e) {
  lm_npy npy;
  if (!lm_npy_parse(bytes, n, &npy, e)) return false;
  lm_shape shape = npy.shape;
  int order[LM_MAXRANK];
  for (int d = 0; d < shape.rank; d++) {
    order[d] = shape.rank - 1 - d;
    if (npy.fortran) shape.size[d] = npy.shape.size[order[d]];
  }
  lm_tensor *t = luma_newtensor(L, (lm_dtype)lm_elements[npy.dtype].becomes, &shape);
  if (!lm_npy_fill(&npy, bytes, name, t, e)) {
    lua_pop(L, 1);
    return false;
  }
  if (npy.fortran) {
    lm_tensor turned;
    lm_tensor_permute(t, order, &turned);
    lm_tensor *plain = luma_newtensor(L, turned.dtype, &turned.shape);
    lm_tensor_copy(&turned, plain);
    lua_remove(L, -2);
  }
  return true;
}

/* Pushes a reader whose scratch holds the whole file. */
static reader *read_whole(lua_State *L, const char *path, lm_err *e) {
  reader *r = push_reader(L);
  if (lm_file_open(path, &r->fd, &r->bytes, e) &&
      (r->scratch = lm_buffer_new(lm_max64(1, r->bytes), e)) != NULL &&
      lm_file_read(r->fd, 0, r->scratch->data, r->bytes, e))
    return r;
  close_reader(r);
  return NULL;
}

static int l_load_npy(lua_State *L) {
  const char *path = check_path(L, 1);
  lua_settop(L, 1);
  lm_err e;
  reader *r = read_whole(L, path, &e);
  if (r == NULL) return fail_path(L, path, &e);
  const bool ok = push_npy(L, r->scratch->data, r->bytes, "array", &e);
  close_reader(r);
  return ok ? 1 : fail_path(L, path, &e);
}

/* The arrays of an archive into the table at the top; *scratch belongs to the
 * reader. */
static bool load_entries(lua_State *L, reader *r, lm_buffer **content, lm_err *e) {
  enum { FREE = 64 << 20, RATIO = 64, MOST = 10000 };
  lm_zip zip;
  lm_zip_entry entry;
  bool more = true;
  int64_t total = 0;
  if (!lm_zip_open(r->scratch->data, r->bytes, &zip, e)) return false;
  if (zip.left > MOST) return lm_fail(e, LM_E_LIMIT, "more than %d arrays", MOST);
  while (lm_zip_next(&zip, &entry, &more, e) && more) {
    char *dot = strrchr(entry.name, '.');
    if (dot == NULL || strcmp(dot, ".npy") != 0)
      return lm_fail(e, LM_E_UNSUPPORTED, "'%s' in it is not an npy file", entry.name);
    *dot = '\0';
    if (!lm_add(total, entry.size, &total) || (total > FREE && total / RATIO > r->bytes))
      return lm_fail(e, LM_E_LIMIT, "'%s': its arrays unpack to more than %d times the file",
                     entry.name, RATIO);
    *content = lm_buffer_new(lm_max64(1, entry.size), e);
    if (*content == NULL || !lm_zip_extract(&zip, &entry, (*content)->data, e)) return false;
    if (lua_getfield(L, -1, entry.name) != LUA_TNIL)
      return lm_fail(e, LM_E_DAMAGED, "two arrays are named '%s'", entry.name);
    lua_pop(L, 1);
    lm_err inner;
    if (!push_npy(L, (*content)->data, entry.size, entry.name, &inner))
      return lm_fail(e, inner.code, "'%.100s': %.300s", entry.name, inner.msg);
    lua_setfield(L, -2, entry.name);
    lm_buffer_release(*content);
    *content = NULL;
  }
  return !more;
}

static int l_load_npz(lua_State *L) {
  const char *path = check_path(L, 1);
  lua_settop(L, 1);
  lm_err e;
  reader *r = read_whole(L, path, &e); /* 2 */
  if (r == NULL) return fail_path(L, path, &e);
  reader *content = push_reader(L); /* 3: closes what is unpacked, also after a raise */
  lua_newtable(L);                  /* 4 */
  const bool ok = load_entries(L, r, &content->scratch, &e);
  lua_settop(L, 4);
  close_reader(content);
  close_reader(r);
  return ok ? 1 : fail_path(L, path, &e);
}

/* Where the programs that belong to luma lie: beside the core when installed,
 * one folder up in a checkout's build/. */
static int l_tool(lua_State *L) {
  const char *name = check_path(L, 1);
  Dl_info info;
  char path[4096] = "";
  for (int up = 0; up < 2; up++) {
    if (dladdr((void *)(uintptr_t)&l_tool, &info) == 0 || info.dli_fname == NULL) break;
    const char *slash = strrchr(info.dli_fname, '/');
    const int n = slash == NULL ? 1 : (int)(slash - info.dli_fname);
    snprintf(path, sizeof path, "%.*s/%s%s", n, slash == NULL ? "." : info.dli_fname,
             up ? "../" : "", name);
    if (access(path, X_OK) == 0) break;
  }
  lua_pushstring(L, path);
  return 1;
}

extern const luma_op luma_ops_io[];
const luma_op luma_ops_io[] = {
    {"io.load_safetensors",
     "(path [, {finite=false, names=nil}]) -> tensors, metadata | nil, message, code",
     "Reads a safetensors file into a table name -> tensor, and its metadata (strings). F16 and "
     "BF16 become f32, BOOL becomes u8, other integers become i32 where every value fits; F8 is "
     "refused by name. finite refuses NaN and infinities; names reads only those named.",
     l_load, LUMA_FUNCTION},
    {"io.inspect_safetensors", "(path) -> list, metadata | nil, message, code",
     "What a safetensors file holds, without reading its data: a list of {name, dtype, shape, "
     "bytes} in the order of the file.",
     l_inspect, LUMA_FUNCTION},
    {"io.write_file", "(path, head, tensors) -> true | nil, message, code",
     "Writes the string head and then the bytes of each tensor (little-endian, C order) to a new "
     "file, flushed and renamed over path: readers see the old file or the new one, never a part.",
     l_write, LUMA_FUNCTION},
    {"io.load_npy", "(path) -> x | nil, message, code",
     "Reads a NumPy array. Types become as in load_safetensors; big-endian and Fortran order are "
     "honoured; Python objects and structures are refused, nothing in the file is ever evaluated.",
     l_load_npy, LUMA_FUNCTION},
    {"io.load_npz", "(path) -> tensors | nil, message, code",
     "Reads a NumPy archive (stored or deflated) into a table name -> tensor, checking each CRC.",
     l_load_npz, LUMA_FUNCTION},
    {"io.tool", "(name) -> path",
     "The path of a program that belongs to luma (luma-h5), beside the core or one folder up; it "
     "need not exist.",
     l_tool, LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
