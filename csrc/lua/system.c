/* system.c: core.system: what Lua and luv lack: the interrupt flag, a lock
 * file the kernel frees, and digests (libmd). */
#include <errno.h>
#include <fcntl.h>
#include <md5.h>
#include <sha2.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "core/pool.h"
#include "lua/luma.h"

/* ---- Ctrl-C ----
 * A signal only sets the flag.  Kernels poll it between chunks; plain Lua code
 * is covered by a count hook, which new coroutines inherit from their creator.
 * The flag stays set while the sentinel unwinds, so a pcall that swallows it
 * only delays it to the next op; whoever handles it calls interrupt_clear.
 * Where nobody handles it (a C library that never comes back), a second signal
 * after GRACE seconds ends the process as if luma did not catch it. */

static struct sigaction before_int, before_term, before_hup;
static bool watching;

enum { GRACE = 2 };
static volatile sig_atomic_t last_signal;
static volatile sig_atomic_t first_at; /* seconds, when the flag was last set from clear */

static void on_signal(int number) {
  struct timespec now; /* clock_gettime may be called in a handler */
  clock_gettime(CLOCK_MONOTONIC, &now);
  const sig_atomic_t second = (sig_atomic_t)(now.tv_sec & 0x3fffffff);
  if (!lm_interrupted()) {
    first_at = second;
  } else if (second - first_at >= GRACE) {
    signal(number, SIG_DFL);
    raise(number);
  }
  last_signal = number;
  lm_interrupt_set();
}

enum { HOOK_COUNT = 10000 }; /* instructions between two looks at the flag */
static int swallowed;        /* rounds of sentinels since the flag was cleared */
static int burst;            /* sentinels still to come in this round */

/* A loop around pcall could swallow the sentinel for ever, when the look
 * always falls inside the pcall.  So round k raises k more at the very next
 * instructions: one round leaves one pcall, the next two, and whoever handles
 * the sentinel has the rest of a round's time to clear the flag. */
static void on_count(lua_State *L, lua_Debug *ar) {
  (void)ar;
  if (!lm_interrupted()) {
    if (lua_gethookcount(L) != HOOK_COUNT) lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_COUNT);
    return;
  }
  if (burst > 0)
    burst--;
  else
    burst = swallowed++;
  lua_sethook(L, on_count, LUA_MASKCOUNT, burst > 0 ? 1 : HOOK_COUNT);
  lua_getfield(L, LUA_REGISTRYINDEX, "luma.interrupt");
  lua_error(L);
}

static int l_watch_interrupts(lua_State *L) {
  const bool on = lua_toboolean(L, 1);
  if (on && !watching) {
    struct sigaction act = {.sa_handler = on_signal};
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, &before_int);
    sigaction(SIGTERM, &act, &before_term);
    sigaction(SIGHUP, &act, &before_hup);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    watching = true;
  } else if (!on && watching) {
    sigaction(SIGINT, &before_int, NULL);
    sigaction(SIGTERM, &before_term, NULL);
    sigaction(SIGHUP, &before_hup, NULL);
    watching = false;
  }
  if (on)
    lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_COUNT);
  else
    lua_sethook(L, NULL, 0, 0);
  return 0;
}

static int l_interrupted(lua_State *L) {
  lua_pushboolean(L, lm_interrupted());
  return 1;
}

static int l_last_signal(lua_State *L) {
  if (last_signal == 0) return 0;
  lua_pushinteger(L, last_signal);
  return 1;
}

static int l_interrupt_clear(lua_State *L) {
  lua_pushboolean(L, lm_interrupted());
  lm_interrupt_clear();
  swallowed = burst = 0;
  return 1;
}

static int l_interrupt_set(lua_State *L) {
  (void)L;
  lm_interrupt_set();
  return 0;
}

static int l_interrupt_hold(lua_State *L) {
  lm_interrupt_hold(lua_toboolean(L, 1));
  return 0;
}

/* ---- lock file ---- */

static int l_lock(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, strerror(errno));
    lua_pushliteral(L, "io");
    return 3;
  }
  char text[32] = "";
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
    lua_pushnil(L);
    lua_pushfstring(L, "%s: in use by process %s", path, text[0] != '\0' ? text : "?");
    lua_pushliteral(L, "locked");
    return 3;
  }
  if (ftruncate(fd, 0) == 0) dprintf(fd, "%ld\n", (long)getpid());
  lua_pushinteger(L, fd);
  return 1;
}

static int l_unlock(lua_State *L) {
  close((int)luaL_checkinteger(L, 1));
  return 0;
}

/* ---- digests of a string or of a plain file's content ---- */

static int push_hex(lua_State *L, const uint8_t *bytes, int n) {
  static const char hex[] = "0123456789abcdef";
  char text[2 * SHA256_DIGEST_LENGTH];
  for (int i = 0; i < n; i++) {
    text[2 * i] = hex[bytes[i] >> 4];
    text[2 * i + 1] = hex[bytes[i] & 15];
  }
  lua_pushlstring(L, text, (size_t)(2 * n));
  return 1;
}

static int l_md5(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  MD5_CTX c;
  uint8_t digest[MD5_DIGEST_LENGTH];
  MD5Init(&c);
  MD5Update(&c, (const uint8_t *)s, n);
  MD5Final(digest, &c);
  return push_hex(L, digest, MD5_DIGEST_LENGTH);
}

static int l_sha256(lua_State *L) {
  size_t n;
  const char *s = luaL_checklstring(L, 1, &n);
  SHA2_CTX c;
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256Init(&c);
  SHA256Update(&c, (const uint8_t *)s, n);
  SHA256Final(digest, &c);
  return push_hex(L, digest, SHA256_DIGEST_LENGTH);
}

/* A file's digest, read in blocks: weights need not fit in a Lua string. */
static int l_md5_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  uint8_t block[65536], digest[MD5_DIGEST_LENGTH];
  ssize_t n = -1;
  MD5_CTX c;
  MD5Init(&c);
  if (fd >= 0) {
    while ((n = read(fd, block, sizeof block)) > 0) MD5Update(&c, block, (size_t)n);
    const int saved = errno;
    close(fd);
    errno = saved;
  }
  if (n < 0) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, strerror(errno));
    lua_pushliteral(L, "io");
    return 3;
  }
  MD5Final(digest, &c);
  return push_hex(L, digest, MD5_DIGEST_LENGTH);
}

void luma_open_system(lua_State *L) {
  static const luma_op ops[] = {
      {"system.watch_interrupts", "(on)",
       "Turns SIGINT, SIGTERM and SIGHUP into the interrupt flag, for kernels and plain Lua code "
       "alike.",
       l_watch_interrupts, 0},
      {"system.interrupted", "() -> boolean", "Whether the interrupt flag is set.", l_interrupted,
       0},
      {"system.interrupt_clear", "() -> was_set",
       "Clears the flag: call it where the interrupt is handled.", l_interrupt_clear, 0},
      {"system.last_signal", "() -> number | nothing",
       "The number of the signal that set the flag last: 2, 15 or 1.", l_last_signal, 0},
      {"system.interrupt_set", "()", "Sets the flag, as Ctrl-C does.", l_interrupt_set, 0},
      {"system.interrupt_hold", "(on)",
       "Holds interrupts back (true) until as many calls release them (false): for changes that "
       "must be whole, such as an optimiser's step.",
       l_interrupt_hold, 0},
      {"system.lock", "(path) -> handle | nil, message, code",
       "An exclusive lock on a file, freed by the kernel when the process ends.", l_lock, 0},
      {"system.unlock", "(handle)", "Frees a lock.", l_unlock, 0},
      {"system.md5", "(bytes) -> hex", "MD5 of a string.", l_md5, 0},
      {"system.sha256", "(bytes) -> hex", "SHA-256 of a string.", l_sha256, 0},
      {"system.md5_file", "(path) -> hex | nil, message, code", "MD5 of a file, read in blocks.",
       l_md5_file, 0},
      {NULL, NULL, NULL, NULL, 0}};
  luma_register(L, ops);
}
