/* file.c: see file.h.  Faults S3, D1-D6, I21, I22 of the fault list. */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/pool.h"

enum { BLOCK = 16 << 20, TEMP_TRIES = 100, PATH_LIMIT = 4096, TEMP_LIMIT = PATH_LIMIT + 48 };
_Static_assert(sizeof((lm_staged *)0)->temp == TEMP_LIMIT, "a staged file's name must fit");

static bool fail_errno(lm_err *e, const char *doing) {
  char text[128];
  /* the GNU strerror_r: returns the text, thread-safe */
  return lm_fail(e, LM_E_IO, "%s: %s", doing, strerror_r(errno, text, sizeof text));
}

bool lm_file_open(const char *path, int *fd, int64_t *bytes, lm_err *e) {
  *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (*fd < 0) return fail_errno(e, "cannot open");
  struct stat st;
  bool ok = fstat(*fd, &st) == 0 || fail_errno(e, "cannot stat");
  if (ok && !S_ISREG(st.st_mode))
    ok = lm_fail(e, LM_E_IO, S_ISDIR(st.st_mode) ? "is a folder" : "is not a regular file");
  if (ok) {
    *bytes = st.st_size;
    return true;
  }
  close(*fd);
  *fd = -1;
  return false;
}

bool lm_file_read(int fd, int64_t offset, void *into, int64_t bytes, lm_err *e) {
  for (int64_t done = 0; done < bytes;) {
    if (lm_interrupted()) return lm_fail(e, LM_E_INTERRUPT, "interrupted");
    const int64_t want = lm_min64(bytes - done, BLOCK);
    const ssize_t got = pread(fd, (uint8_t *)into + done, (size_t)want, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(e, "cannot read");
    if (got == 0) return lm_fail(e, LM_E_DAMAGED, "the file shrank while it was read");
    done += got;
  }
  return true;
}

static bool load_all(int fd, int64_t size, int64_t max_bytes, lm_bytes *out, lm_err *e) {
  if (max_bytes <= 0) max_bytes = LM_MAX_FILE;
  if (size > max_bytes)
    return lm_fail(e, LM_E_LIMIT, "%lld bytes are more than the limit of %lld", (long long)size,
                   (long long)max_bytes);
  out->size = 0;
  if (!lm_bytes_reserve(out, size + 1, e)) return false;
  while (out->size <= size) { /* one byte more is asked for, to see a file that grew */
    const ssize_t got = read(fd, lm_bytes_data(out) + out->size, (size_t)(size + 1 - out->size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(e, "cannot read");
    if (got == 0) break;
    out->size += got;
  }
  if (out->size == size) return true;
  return lm_fail(e, LM_E_IO, "the file %s while it was read", out->size > size ? "grew" : "shrank");
}

bool lm_file_load(const char *path, int64_t max_bytes, lm_bytes *out, lm_err *e) {
  int fd;
  int64_t size = 0;
  if (!lm_file_open(path, &fd, &size, e)) return false;
  const bool ok = load_all(fd, size, max_bytes, out, e);
  close(fd);
  return ok;
}

static bool write_all(int fd, const lm_span *spans, int64_t count, lm_err *e) {
  for (int64_t i = 0; i < count; i++)
    for (int64_t done = 0; done < spans[i].bytes;) {
      const int64_t want = lm_min64(spans[i].bytes - done, BLOCK);
      const ssize_t put = write(fd, (const uint8_t *)spans[i].data + done, (size_t)want);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return fail_errno(e, "cannot write");
      done += put;
    }
  return true;
}

/* Folder part of path ("." when none, "/" for the root) into buf. */
static const char *folder_of(const char *path, char *buf) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL) return ".";
  const size_t n = slash == path ? 1 : (size_t)(slash - path);
  memcpy(buf, path, n);
  buf[n] = '\0';
  return buf;
}

/* The kth temporary name in the folder; the pattern that luma.files sweeps up
 * after a killed process. */
static void temp_name(const char *folder, int k, char temp[TEMP_LIMIT]) {
  snprintf(temp, TEMP_LIMIT, "%s/.luma-%ld-%d.tmp", folder, (long)getpid(), 900000 + k);
}

/* An anonymous file (gone by itself if we are killed) where the system has
 * them, else an exclusive new one.  *named: temp already exists. */
static int open_temp(const char *folder, char *temp, bool *named, lm_err *e) {
  *named = false;
  int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  for (int k = 0; fd < 0 && k < TEMP_TRIES; k++) {
    temp_name(folder, k, temp);
    fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    *named = fd >= 0;
    if (fd < 0 && errno != EEXIST) break;
  }
  if (fd < 0) fail_errno(e, "cannot create");
  return fd;
}

/* Gives the anonymous file a name. */
static bool name_temp(int fd, const char *folder, char *temp, lm_err *e) {
  char self[64];
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
  for (int k = 0; k < TEMP_TRIES; k++) {
    temp_name(folder, k, temp);
    if (linkat(AT_FDCWD, self, AT_FDCWD, temp, AT_SYMLINK_FOLLOW) == 0) return true;
    if (errno != EEXIST) break;
  }
  return fail_errno(e, "cannot create");
}

void lm_file_discard(lm_staged *s) {
  if (s->fd >= 0) close(s->fd);
  if (s->named) unlink(s->temp);
  s->fd = -1;
  s->named = false;
}

bool lm_file_stage(const char *path, const lm_span *spans, int64_t count, lm_staged *s, lm_err *e) {
  char buf[PATH_LIMIT];
  struct stat st;
  s->fd = -1;
  s->named = s->flushed = false;
  if (strlen(path) >= PATH_LIMIT)
    return lm_fail(e, LM_E_IO, "the path is longer than %d bytes", PATH_LIMIT - 1);
  if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) return lm_fail(e, LM_E_IO, "is a folder");
  s->fd = open_temp(folder_of(path, buf), s->temp, &s->named, e);
  if (s->fd < 0) return false;
  if (write_all(s->fd, spans, count, e)) {
    sync_file_range(s->fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* the disk starts meanwhile */
    return true;
  }
  lm_file_discard(s);
  return false;
}

/* One syncfs for all files of a file system instead of an fsync each, which
 * waits for the disk every time (measured: 0.2 ms of 3.4 a prepared radiograph,
 * on a fast disk). */
void lm_file_flush(lm_staged *s, uint64_t *device) {
  struct stat st;
  if (s->fd < 0 || fstat(s->fd, &st) != 0) return;
  if (*device != (uint64_t)st.st_dev) {
    if (syncfs(s->fd) != 0) return; /* lm_file_commit flushes it, or says why not */
    *device = (uint64_t)st.st_dev;
  }
  s->flushed = true;
}

bool lm_file_commit(const char *path, lm_staged *s, lm_err *e) {
  char buf[PATH_LIMIT];
  bool ok = s->flushed || fsync(s->fd) == 0 || fail_errno(e, "cannot flush");
  if (ok && !s->named) ok = s->named = name_temp(s->fd, folder_of(path, buf), s->temp, e);
  if (close(s->fd) != 0 && ok) ok = fail_errno(e, "cannot close");
  s->fd = -1;
  if (ok && rename(s->temp, path) != 0) ok = fail_errno(e, "cannot rename");
  if (ok) s->named = false;
  lm_file_discard(s);
  return ok;
}

void lm_folder_flush(const char *path) {
  char buf[PATH_LIMIT];
  const int dir = open(folder_of(path, buf), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return;
  fsync(dir); /* some file systems refuse this; the data itself is safe */
  close(dir);
}

bool lm_file_replace(const char *path, const lm_span *spans, int64_t count, lm_err *e) {
  lm_staged s;
  if (!lm_file_stage(path, spans, count, &s, e) || !lm_file_commit(path, &s, e)) return false;
  lm_folder_flush(path);
  return true;
}

char *lm_path_text(const char *path, char buf[LM_PATH_TEXT]) {
  const size_t n = strlen(path), keep = 200;
  size_t at = 0;
  if (n > keep) {
    memcpy(buf, "...", 3);
    at = 3;
    path += n - keep;
  }
  for (; *path != '\0'; path++) {
    const unsigned char c = (unsigned char)*path;
    buf[at++] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
  }
  buf[at] = '\0';
  return buf;
}
