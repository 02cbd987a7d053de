/* luma-h5.c: Keras HDF5 weights -> safetensors, in a process of its own.
 *
 *   luma-h5 ABSOLUTE-PATH > out.safetensors
 *
 * libhdf5 can be crashed and hung by a damaged file, so luma runs it here, under
 * limits of memory, time and output, and turns whatever happens into an error
 * message.  This program opens one file, reads only, follows nothing out of it
 * and writes only to the descriptor it was given.  Exit 0: done; 1: refused,
 * with "CODE: reason" on stderr; a signal: the file broke the library.
 *
 * What it accepts (fault list, W8): hard links only, at every step; groups of
 * bounded number and depth, none reached twice; contiguous, compact or chunked
 * datasets of f16, f32 or f64, compressed by HDF5's own filters if at all, not
 * declaring more than 64 times what they store nor 2 GiB together.  Attributes
 * (layer order, model configuration) are not read: names say it all.
 *
 * Names.  Keras 1:  block1_conv1/block1_conv1_W_1:0       -> block1_conv1.weight
 *         Keras 2:  block1_conv1/block1_conv1/kernel:0    -> block1_conv1.weight
 *         a model:  model_weights/vgg19/block1_conv1/kernel:0, the same
 * W, kernel -> weight; b, bias -> bias; gamma; beta; moving_mean, running_mean
 * -> mean; moving_variance, running_std (Keras 1: it holds the variance) -> var.
 * Kernels stay as Keras has them: (kh, kw, cin, cout), dense (in, out). */
/* The calls of HDF5 1.10, which 1.12 and later still carry: H5O_info_t with an
 * address in place of a token. */
#ifndef H5_USE_110_API
#define H5_USE_110_API
#endif
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_TOTAL (INT64_C(2) << 30)   /* bytes of weights */
#define MAX_CHUNK (INT64_C(512) << 20) /* bytes of one chunk, unpacked */
enum {
  MAX_WEIGHTS = 1200,
  MAX_LINKS = 4096, /* over all groups */
  MAX_DEPTH = 6,
  MAX_RANK = 8,
  MAX_NAME = 128, /* of one link */
  MAX_RATIO = 64,
  CPU_SECONDS = 60
};

typedef struct {
  char name[2 * MAX_NAME + 16]; /* canonical */
  char path[MAX_DEPTH * (MAX_NAME + 1) + 2];
  int rank;
  hsize_t size[MAX_RANK];
  int64_t count;
  int width; /* bytes an element in the output: 4 or 8 */
} weight;

static weight *weights;
static int nweights;
static haddr_t seen[MAX_LINKS]; /* groups already entered */
static int nseen, nlinks;
static int64_t total, file_bytes;

/* The only way out after an error.  _exit: the library's own exit handler can
 * crash on a file it half understood. */
static _Noreturn void refuse(const char *code, const char *where, const char *what) {
  char line[512];
  int n = snprintf(line, sizeof line, "%s: %s%s%s\n", code, where, *where ? ": " : "", what);
  if (n > (int)sizeof line - 1) n = (int)sizeof line - 1;
  if (write(2, line, (size_t)n) < 0) _exit(2);
  _exit(1);
}

static void limit(int what, int64_t value) {
  struct rlimit r;
  if (getrlimit(what, &r) != 0) return;
  if (r.rlim_cur == RLIM_INFINITY || (int64_t)r.rlim_cur > value) r.rlim_cur = (rlim_t)value;
  r.rlim_max = r.rlim_cur;
  setrlimit(what, &r);
}

/* ---- names ---- */

/* Printable ASCII, short, no path of its own: "a/b" would be walked by the
 * library, links and all. */
static bool plain(const char *name) {
  size_t n = 0;
  for (; name[n] != '\0'; n++)
    if (name[n] <= ' ' || name[n] > '~' || name[n] == '/' || name[n] == '"' || name[n] == '\\')
      return false;
  return n > 0 && n < MAX_NAME && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool ends(const char *s, size_t n, const char *tail) {
  const size_t t = strlen(tail);
  return n >= t && memcmp(s + n - t, tail, t) == 0 && (n == t || s[n - t - 1] == '_');
}

/* "block1_conv1_W_1:0" -> "weight"; NULL when the ending is none we know. */
static const char *role(const char *dataset) {
  static const char *const table[][2] = {
      {"W", "weight"},         {"kernel", "weight"},       {"b", "bias"},
      {"bias", "bias"},        {"gamma", "gamma"},         {"beta", "beta"},
      {"moving_mean", "mean"}, {"running_mean", "mean"},   {"moving_variance", "var"},
      {"running_std", "var"},  {"running_variance", "var"}};
  const char *colon = strrchr(dataset, ':');
  size_t n = colon != NULL ? (size_t)(colon - dataset) : strlen(dataset);
  for (int again = 0; again < 2; again++) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
      if (ends(dataset, n, table[i][0])) return table[i][1];
    while (n > 0 && dataset[n - 1] >= '0' && dataset[n - 1] <= '9') n--; /* "_1", TF's counter */
    if (n > 0 && dataset[n - 1] == '_') n--;
  }
  return NULL;
}

/* The canonical name of a dataset below the groups names[0 .. depth-1]. */
static void name_weight(weight *w, char names[][MAX_NAME], int depth, const char *dataset) {
  if (depth == 0) refuse("damaged", dataset, "a weight outside every layer's group");
  const char *layer = names[depth - 1];
  if (depth >= 2) { /* layer/layer_1/kernel:0: the inner scope is TensorFlow's, not the layer's */
    const size_t n = strlen(names[depth - 2]);
    if (strncmp(layer, names[depth - 2], n) == 0 && layer[n] == '_' &&
        strspn(layer + n + 1, "0123456789") == strlen(layer + n + 1))
      layer = names[depth - 2];
  }
  const char *kind = role(dataset);
  if (kind != NULL) {
    snprintf(w->name, sizeof w->name, "%s.%s", layer, kind);
  } else {
    snprintf(w->name, sizeof w->name, "%s.%s", layer, dataset);
    char *colon = strrchr(w->name, ':');
    if (colon != NULL) *colon = '\0';
  }
}

/* ---- datasets ---- */

static int float_width(hid_t type, const char *path) {
  if (H5Tget_class(type) == H5T_FLOAT) {
    if (H5Tequal(type, H5T_IEEE_F32LE) > 0 || H5Tequal(type, H5T_IEEE_F32BE) > 0) return 4;
    if (H5Tequal(type, H5T_IEEE_F64LE) > 0 || H5Tequal(type, H5T_IEEE_F64BE) > 0) return 8;
    const hid_t half = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(half, 15, 10, 5, 0, 10);
    H5Tset_size(half, 2);
    H5Tset_ebias(half, 15);
    if (H5Tequal(type, half) > 0) return 4;
  }
  refuse("unsupported", path, "not an array of f16, f32 or f64 numbers");
}

static int64_t times(int64_t a, uint64_t b, const char *path) {
  int64_t product;
  if (b > INT64_MAX || __builtin_mul_overflow(a, (int64_t)b, &product))
    refuse("damaged", path, "overflow: its shape's product is not a size");
  return product;
}

static void check_storage(hid_t dataset, hid_t type, int64_t declared, int rank, const char *path) {
  const hid_t plist = H5Dget_create_plist(dataset);
  if (plist < 0) refuse("damaged", path, "no creation properties");
  if (H5Pget_external_count(plist) != 0)
    refuse("unsupported", path, "its numbers lie in another file (external storage)");
  const H5D_layout_t layout = H5Pget_layout(plist);
  if (layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED && layout != H5D_COMPACT)
    refuse("unsupported", path, "a virtual dataset");
  const int filters = H5Pget_nfilters(plist);
  if (filters < 0 || filters > 4) refuse("unsupported", path, "too many filters");
  for (int i = 0; i < filters; i++) {
    unsigned flags, config;
    size_t n = 0;
    const H5Z_filter_t f = H5Pget_filter2(plist, (unsigned)i, &flags, &n, NULL, 0, NULL, &config);
    if (f != H5Z_FILTER_DEFLATE && f != H5Z_FILTER_SHUFFLE && f != H5Z_FILTER_FLETCHER32)
      refuse("unsupported", path, "compressed by a filter other than gzip");
  }
  if (layout == H5D_CHUNKED) {
    hsize_t chunk[MAX_RANK];
    if (H5Pget_chunk(plist, MAX_RANK, chunk) != rank) refuse("damaged", path, "chunk rank");
    int64_t bytes = (int64_t)H5Tget_size(type);
    for (int d = 0; d < rank; d++) bytes = times(bytes, chunk[d], path);
    if (bytes > MAX_CHUNK) refuse("limit", path, "a chunk of more than 512 MiB");
  }
  const hsize_t stored = H5Dget_storage_size(dataset);
  if (stored > (hsize_t)file_bytes)
    refuse("damaged", path, "declares more bytes than the file has (the file is truncated)");
  if (declared / MAX_RATIO > (int64_t)stored)
    refuse("limit", path, "declares more than 64 times the bytes it stores");
  H5Pclose(plist);
}

static void visit_dataset(hid_t group, const char *link, char names[][MAX_NAME], int depth,
                          const char *path) {
  if (nweights == MAX_WEIGHTS) refuse("limit", "", "more than 1200 weights");
  weight *w = &weights[nweights];
  const hid_t dataset = H5Dopen2(group, link, H5P_DEFAULT);
  if (dataset < 0) refuse("damaged", path, "cannot be opened");
  const hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
  if (space < 0 || type < 0) refuse("damaged", path, "has no shape or type");
  w->width = float_width(type, path);
  const H5S_class_t class = H5Sget_simple_extent_type(space);
  if (class != H5S_SIMPLE && class != H5S_SCALAR) refuse("unsupported", path, "an empty dataspace");
  w->rank = H5Sget_simple_extent_ndims(space);
  if (w->rank < 0 || w->rank > MAX_RANK) refuse("unsupported", path, "more than 8 dimensions");
  if (H5Sget_simple_extent_dims(space, w->size, NULL) != w->rank)
    refuse("damaged", path, "has no shape");
  w->count = 1;
  for (int d = 0; d < w->rank; d++) w->count = times(w->count, w->size[d], path);
  const int64_t declared = times(w->count, H5Tget_size(type), path);
  check_storage(dataset, type, declared, w->rank, path);
  total +=
      times(w->count, (uint64_t)w->width, path) > MAX_TOTAL ? MAX_TOTAL + 1 : w->count * w->width;
  if (total > MAX_TOTAL) refuse("limit", path, "more than 2 GiB of weights");
  H5Tclose(type);
  H5Sclose(space);
  H5Dclose(dataset);
  snprintf(w->path, sizeof w->path, "%s", path);
  name_weight(w, names, depth, link);
  nweights++;
}

/* ---- the walk: recursion of depth MAX_DEPTH at most ---- */

static void visit_group(hid_t group, char names[][MAX_NAME], int depth, const char *path) {
  H5O_info_t object;
  if (H5Oget_info2(group, &object, H5O_INFO_BASIC) < 0) refuse("damaged", path, "unreadable group");
  for (int i = 0; i < nseen; i++)
    if (seen[i] == object.addr) refuse("damaged", path, "a group that is reached twice");
  if (nseen == MAX_LINKS) refuse("limit", path, "too many groups");
  seen[nseen++] = object.addr;
  H5G_info_t info;
  if (H5Gget_info(group, &info) < 0) refuse("damaged", path, "unreadable group");
  if (info.nlinks > MAX_LINKS || (nlinks += (int)info.nlinks) > MAX_LINKS)
    refuse("limit", path, "more than 4096 names");
  for (hsize_t i = 0; i < info.nlinks; i++) {
    char name[MAX_NAME], below[sizeof weights->path];
    const ssize_t n = H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name,
                                         sizeof name, H5P_DEFAULT);
    if (n <= 0) refuse("damaged", path, "unreadable name");
    if (n >= (ssize_t)sizeof name || !plain(name)) refuse("unsupported", path, "an odd name");
    H5L_info_t link;
    if (H5Lget_info(group, name, &link, H5P_DEFAULT) < 0)
      refuse("damaged", path, "unreadable link");
    const int length = snprintf(below, sizeof below, "%s%s%s", path, depth > 0 ? "/" : "", name);
    if (length < 0 || length >= (int)sizeof below) refuse("limit", path, "a path too long");
    if (link.type != H5L_TYPE_HARD)
      refuse(
          "unsupported", below,
          link.type == H5L_TYPE_EXTERNAL ? "a link into another file" : "a link that is not hard");
    if (depth == 0 &&
        (strcmp(name, "optimizer_weights") == 0 || strcmp(name, "top_level_model_weights") == 0))
      continue;
    if (H5Oget_info_by_name2(group, name, &object, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
      refuse("damaged", below, "unreadable object");
    if (object.type == H5O_TYPE_DATASET) {
      visit_dataset(group, name, names, depth, below);
    } else if (object.type == H5O_TYPE_GROUP) {
      if (depth == MAX_DEPTH - 1) refuse("limit", below, "groups nested more than 6 deep");
      const hid_t child = H5Gopen2(group, name, H5P_DEFAULT);
      if (child < 0) refuse("damaged", below, "unreadable group");
      memcpy(names[depth], name, sizeof name);
      visit_group(child, names, depth + 1, below);
      H5Gclose(child);
    } else {
      refuse("unsupported", below, "neither a group nor a dataset");
    }
  }
}

/* ---- writing ---- */

static void put(const void *bytes, int64_t n) {
  for (int64_t done = 0; done < n;) {
    const int64_t want = n - done < (16 << 20) ? n - done : 16 << 20;
    const ssize_t k = write(1, (const char *)bytes + done, (size_t)want);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) refuse("io", "", strerror(errno));
    done += k;
  }
}

static int by_name(const void *a, const void *b) {
  const weight *x = a, *y = b;
  if (x->width != y->width) return y->width - x->width; /* the widest first: all aligned */
  return strcmp(x->name, y->name);
}

static void write_header(void) {
  const size_t room = 64 + (size_t)nweights * (sizeof weights->name + 64 + MAX_RANK * 21 + 42);
  char *json = malloc(room);
  if (json == NULL) refuse("memory", "", "not enough memory");
  size_t n = 0;
  int64_t at = 0;
  n += (size_t)snprintf(json, room, "{");
  for (int i = 0; i < nweights; i++) {
    const weight *w = &weights[i];
    n += (size_t)snprintf(json + n, room - n, "%s\"%s\":{\"dtype\":\"F%d\",\"shape\":[",
                          i > 0 ? "," : "", w->name, w->width * 8);
    for (int d = 0; d < w->rank; d++)
      n += (size_t)snprintf(json + n, room - n, "%s%llu", d > 0 ? "," : "",
                            (unsigned long long)w->size[d]);
    const int64_t end = at + w->count * w->width;
    n += (size_t)snprintf(json + n, room - n, "],\"data_offsets\":[%lld,%lld]}", (long long)at,
                          (long long)end);
    at = end;
  }
  n += (size_t)snprintf(json + n, room - n, "}");
  while (n % 8 != 0) json[n++] = ' ';
  const uint64_t length = n;
  put(&length, 8); /* little-endian, as every machine luma runs on */
  put(json, (int64_t)n);
  free(json);
}

static void write_data(hid_t file) {
  int64_t largest = 0;
  for (int i = 0; i < nweights; i++)
    if (weights[i].count * weights[i].width > largest)
      largest = weights[i].count * weights[i].width;
  void *buffer = malloc((size_t)largest + 1);
  if (buffer == NULL) refuse("memory", "", "not enough memory");
  for (int i = 0; i < nweights; i++) {
    const weight *w = &weights[i];
    const hid_t dataset = H5Dopen2(file, w->path, H5P_DEFAULT);
    if (dataset < 0 || H5Dread(dataset, w->width == 8 ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT,
                               H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer) < 0)
      refuse("damaged", w->path, "its numbers cannot be read");
    H5Dclose(dataset);
    put(buffer, w->count * w->width);
  }
  free(buffer);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: luma-h5 FILE.h5 > FILE.safetensors\n");
    return 2;
  }
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, CPU_SECONDS);
  limit(RLIMIT_NOFILE, 16);
  limit(RLIMIT_FSIZE, MAX_TOTAL + (4 << 20));
#if !defined(__SANITIZE_ADDRESS__) /* the sanitizer reserves terabytes */
  limit(RLIMIT_AS, MAX_TOTAL + (INT64_C(1) << 30));
#endif
  const int fd = open(argv[1], O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  struct stat st;
  static const unsigned char magic[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  unsigned char first[8];
  if (fd < 0 || fstat(fd, &st) != 0) refuse("io", "", strerror(errno));
  if (!S_ISREG(st.st_mode)) refuse("io", "", "not a regular file");
  if (read(fd, first, 8) != 8 || memcmp(first, magic, 8) != 0)
    refuse("damaged", "", "not an HDF5 file");
  file_bytes = st.st_size;
  H5dont_atexit();
  if (H5open() < 0) refuse("io", "", "the HDF5 library does not start");
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  H5PLset_loading_state(0);
  const hid_t file = H5Fopen(argv[1], H5F_ACC_RDONLY, H5P_DEFAULT);
  if (file < 0) refuse("damaged", "", "damaged HDF5 file");
  weights = calloc(MAX_WEIGHTS, sizeof *weights);
  if (weights == NULL) refuse("memory", "", "not enough memory");
  char names[MAX_DEPTH][MAX_NAME];
  hid_t root = H5Gopen2(file, "/", H5P_DEFAULT);
  if (root < 0) refuse("damaged", "", "damaged HDF5 file");
  visit_group(root, names, 0, "");
  if (nweights == 0) refuse("damaged", "", "holds no weights");
  qsort(weights, (size_t)nweights, sizeof *weights, by_name);
  for (int i = 1; i < nweights; i++)
    for (int k = 0; k < i; k++)
      if (strcmp(weights[k].name, weights[i].name) == 0)
        refuse("damaged", weights[i].path, "two weights of one name");
  write_header();
  write_data(file);
  _exit(0);
}
