/* io_test.c: the readers of weight files as pure functions, without Lua: every
 * prefix and every changed byte of good files is a clean answer, every failing
 * allocation is reported, nothing is leaked; files are replaced whole. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "core/mem.h"
#include "io/file.h"
#include "io/npy.h"
#include "io/safetensors.h"
#include "io/zip.h"

static const char json[] =
    "{\"__metadata__\":{\"k\":\"v\"},"
    "\"w\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[0,8]},"
    "\"i\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[8,16]}}";

/* A whole good file into buf; its size. */
static int64_t good_file(uint8_t *buf) {
  const uint64_t n = sizeof json - 1;
  memcpy(buf, &n, 8);
  memcpy(buf + 8, json, n);
  const uint16_t halves[4] = {0x3c00, 0xc000, 0x0001, 0x7c01}; /* 1, -2, least, NaN */
  const int64_t i = -5;
  memcpy(buf + 8 + n, halves, 8);
  memcpy(buf + 16 + n, &i, 8);
  return (int64_t)n + 24;
}

/* Reads what lies at bytes (n of them) as luma does; true when it is good. */
static bool read_all(const uint8_t *bytes, int64_t n, lm_err *e) {
  int64_t header;
  lm_safetensors st;
  if (!lm_st_header_length(bytes, n, n, &header, e)) return false;
  if (!lm_st_parse(bytes + 8, header, n, &st, e)) return false;
  bool ok = true;
  for (int64_t i = 0; ok && i < st.count; i++) {
    lm_tensor t;
    const int becomes = lm_elements[st.entries[i].dtype].becomes;
    if (becomes < 0 || lm_element_native(st.entries[i].dtype)) continue;
    ok = lm_tensor_new(&t, (lm_dtype)becomes, &st.entries[i].shape, e) &&
         lm_element_convert(st.entries[i].dtype, st.entries[i].name,
                            bytes + st.data_start + st.entries[i].begin, &t, e);
    lm_tensor_close(&t);
  }
  lm_st_free(&st);
  return ok;
}

static void test_safetensors(void) {
  uint8_t file[512], changed[512];
  const int64_t n = good_file(file);
  lm_err e = {0};
  lm_safetensors st;
  CHECK(lm_st_parse(file + 8, (int64_t)sizeof json - 1, n, &st, &e));
  CHECK(st.count == 2 && st.metadata_count == 1);
  CHECK(strcmp(st.entries[0].name, "w") == 0 && st.entries[0].shape.rank == 2);
  lm_tensor t;
  CHECK(lm_tensor_new(&t, LM_F32, &st.entries[0].shape, &e));
  CHECK(lm_element_convert(st.entries[0].dtype, st.entries[0].name, file + st.data_start, &t, &e));
  CHECK(lm_f32(&t)[0] == 1 && lm_f32(&t)[1] == -2 && lm_f32(&t)[2] == 0x1p-24f);
  CHECK(lm_f32(&t)[3] != lm_f32(&t)[3]);
  lm_tensor_close(&t);
  lm_st_free(&st);
  lm_st_free(&st);
  const int64_t live = lm_mem_stats().live;
  for (int64_t cut = 0; cut < n; cut++) {
    uint8_t *part = malloc((size_t)cut + 1); /* its own block, so that sanitizers see overruns */
    memcpy(part, file, (size_t)cut);
    CHECK(!read_all(part, cut, &e));
    free(part);
  }
  for (int64_t at = 0; at < n; at++)
    for (int bit = 0; bit < 8; bit++) {
      memcpy(changed, file, (size_t)n);
      changed[at] ^= (uint8_t)(1 << bit);
      e.msg[0] = '\0';
      if (!read_all(changed, n, &e)) CHECK(e.msg[0] != '\0');
    }
  for (int64_t nth = 1; nth < 20; nth++) {
    lm_mem_fail_nth(nth, false);
    const bool ok = read_all(file, n, &e);
    lm_mem_fail_nth(0, false);
    CHECK(ok || e.code == LM_E_MEMORY);
    if (ok) break;
    CHECK(nth < 10);
  }
  CHECK(lm_mem_stats().live == live);
}

static void test_npy(void) {
  static const char head[] = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 1), }\n";
  uint8_t file[128] = "\x93NUMPY\1\0";
  const int64_t length = sizeof head - 1, n = 10 + length + 4;
  file[8] = (uint8_t)length;
  memcpy(file + 10, head, (size_t)length);
  memcpy(file + 10 + length, "\1\2\377\377", 4);
  lm_npy npy;
  lm_err e = {0};
  CHECK(lm_npy_parse(file, n, &npy, &e));
  CHECK(npy.swapped && npy.fortran && npy.dtype == LM_EL_I16 && npy.shape.size[0] == 2);
  lm_tensor t;
  CHECK(lm_tensor_new(&t, LM_I32, &npy.shape, &e));
  CHECK(lm_npy_fill(&npy, file, "x", &t, &e));
  CHECK(lm_i32(&t)[0] == 0x0102 && lm_i32(&t)[1] == -1);
  lm_tensor_close(&t);
  for (int64_t cut = 0; cut < n; cut++) {
    uint8_t *part = malloc((size_t)cut + 1);
    memcpy(part, file, (size_t)cut);
    CHECK(!lm_npy_parse(part, cut, &npy, &e));
    free(part);
  }
  lm_zip zip;
  for (int64_t cut = 0; cut < n; cut++) CHECK(!lm_zip_open(file, cut, &zip, &e));
}

static void test_replace(void) {
  char path[] = "/tmp/luma-io-test-XXXXXX";
  const int made = mkstemp(path);
  CHECK(made >= 0);
  close(made);
  lm_err e = {0};
  const lm_span spans[] = {{"abc", 3}, {"", 0}, {"defg", 4}};
  CHECK(lm_file_replace(path, spans, 3, &e));
  int fd;
  int64_t bytes;
  char back[8] = "";
  CHECK(lm_file_open(path, &fd, &bytes, &e) && bytes == 7);
  CHECK(lm_file_read(fd, 0, back, 7, &e) && strcmp(back, "abcdefg") == 0);
  CHECK(!lm_file_read(fd, 4, back, 7, &e) && e.code == LM_E_DAMAGED); /* beyond the end */
  close(fd);
  CHECK(!lm_file_replace("/no/such/folder/x", spans, 3, &e) && e.code == LM_E_IO);
  CHECK(!lm_file_open("/dev/null", &fd, &bytes, &e) && e.code == LM_E_IO);
  CHECK(!lm_file_open("/tmp", &fd, &bytes, &e) && e.code == LM_E_IO);
  unlink(path);
  char text[LM_PATH_TEXT], longer[5000];
  memset(longer, 'x', sizeof longer - 1);
  longer[sizeof longer - 1] = '\0';
  longer[4990] = '\n';
  CHECK(strlen(lm_path_text(longer, text)) < LM_PATH_TEXT && strchr(text, '\n') == NULL);
  CHECK(!lm_file_replace(longer, spans, 3, &e) && e.code == LM_E_IO);
}

int main(void) {
  test_safetensors();
  test_npy();
  test_replace();
  return failures != 0;
}
