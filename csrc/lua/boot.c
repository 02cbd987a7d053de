/* boot.c: luma.boot, loaded before luma.core and without BLAS.
 *
 * OpenBLAS picks its kernels once, while it is being loaded, and does not know
 * newer processors: it then runs its generic ones, several times slower.  The
 * choice can only be corrected from the environment before that moment.
 * luma.boot() sets OPENBLAS_CORETYPE (when the user has not) and
 * OPENBLAS_NUM_THREADS=1; luma.boot(true), after the load, takes both away
 * again so that child programs see the user's own environment.
 *
 * luma.boot() also arranges that require "luma.core" loads the library that was
 * compiled for the instruction set in use (core/wide.h), luma/core_avx512.so say;
 * luma/core.so is the one for any processor.
 *
 * Loading it also opens /dev/null in place of a standard stream that the
 * caller closed: the next file opened would otherwise become that stream. */
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cpu.h"

static const char *const names[2] = {"OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS"};
static int ours[2]; /* 1: we set it and it was absent before */
static char *threads_before;

/* package.preload["luma.core"] = the opener in luma/core_ISA.so, where there is one. */
static void choose_core(lua_State *L) {
  const lm_isa isa = lm_cpu_isa();
  if (isa == LM_ISA_PLAIN) return;
  const int top = lua_gettop(L);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchpath");
  lua_pushfstring(L, "luma.core_%s", lm_isa_name(isa));
  lua_getfield(L, top + 1, "cpath");
  lua_call(L, 2, 1);
  if (lua_type(L, -1) == LUA_TSTRING) {
    lua_getfield(L, top + 1, "loadlib");
    lua_insert(L, -2);
    lua_pushliteral(L, "luaopen_luma_core");
    lua_call(L, 2, 1);
    if (lua_isfunction(L, -1)) {
      lua_getfield(L, top + 1, "preload");
      lua_insert(L, -2);
      lua_setfield(L, -2, "luma.core");
    }
  }
  lua_settop(L, top);
}

/* A variable that means nothing is an error, not a default. */
static void check_isa(lua_State *L) {
  const char *wish = getenv("LUMA_ISA");
  if (wish == NULL || *wish == '\0') return;
  for (int i = LM_ISA_PLAIN; i <= LM_ISA_AVX512; i++)
    if (strcmp(wish, lm_isa_name((lm_isa)i)) == 0) return;
  luaL_error(L, "LUMA_ISA must be plain, avx2 or avx512, got '%s'", wish);
}

static void check_threads(lua_State *L) {
  const char *wish = getenv("LUMA_THREADS");
  char *end;
  if (wish == NULL || *wish == '\0') return;
  strtol(wish, &end, 10);
  if (end == wish || *end != '\0')
    luaL_error(L, "LUMA_THREADS must be a whole number, got '%s'", wish);
}

static int l_boot(lua_State *L) {
  if (lua_toboolean(L, 1)) {
    for (int i = 0; i < 2; i++)
      if (ours[i]) unsetenv(names[i]);
    ours[0] = ours[1] = 0;
    if (threads_before != NULL) setenv(names[1], threads_before, 1);
    return 0;
  }
  check_isa(L);
  check_threads(L);
  choose_core(L);
  const char *core = lm_cpu_blas_core();
  ours[0] = core != NULL && getenv(names[0]) == NULL && setenv(names[0], core, 0) == 0;
  const char *before = getenv(names[1]);
  free(threads_before);
  threads_before = before != NULL ? strdup(before) : NULL;
  ours[1] = before == NULL;
  setenv(names[1], "1", 1);
  return 0;
}

static void open_standard_streams(void) {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) == -1 && open("/dev/null", O_RDWR) != fd) return;
}

__attribute__((visibility("default"))) int luaopen_luma_boot(lua_State *L);
int luaopen_luma_boot(lua_State *L) {
  open_standard_streams();
  lua_pushcfunction(L, l_boot);
  return 1;
}
