/* onednn_peer.c: runs a chain of 3x3 convolutions (ReLU) and 2x2 maxima with
 * oneDNN's explicit convolution_winograd, as a child of `luma bench`.
 *
 *   onednn_peer N H W C LAYERS weights.f32 input.f32
 * LAYERS: "64,64,p,128": output channels of each convolution (same padding,
 * ReLU), p a 2x2 maximum.  weights.f32: per convolution w (3,3,c,k), then b (k);
 * input.f32: (n,h,w,c).  Where oneDNN has no Winograd for a shape (3 channels)
 * it chooses.  Protocol: see scripts/bench/peer.lua. */
#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(call)                                                                \
  do {                                                                             \
    const dnnl_status_t status = (call);                                           \
    if (status != dnnl_success) {                                                  \
      fprintf(stderr, "onednn_peer: line %d: status %d\n", __LINE__, (int)status); \
      exit(1);                                                                     \
    }                                                                              \
  } while (0)

enum { MAX_STEPS = 128 };
static dnnl_engine_t engine;
static dnnl_stream_t stream;
static struct {
  dnnl_primitive_t primitive;
  dnnl_exec_arg_t args[8];
  int count;
} steps[MAX_STEPS];
static int step_count;

static void *read_file(const char *path) {
  FILE *f = fopen(path, "rb");
  if (f == NULL) {
    perror(path);
    exit(1);
  }
  fseek(f, 0, SEEK_END);
  const long bytes = ftell(f);
  rewind(f);
  void *data = aligned_alloc(64, ((size_t)bytes + 63) / 64 * 64);
  if (fread(data, 1, (size_t)bytes, f) != (size_t)bytes) exit(1);
  fclose(f);
  return data;
}

static dnnl_memory_desc_t desc(int rank, const dnnl_dim_t *dims, dnnl_format_tag_t tag) {
  dnnl_memory_desc_t md;
  CHECK(dnnl_memory_desc_init_by_tag(&md, rank, dims, dnnl_f32, tag));
  return md;
}

static dnnl_memory_t memory(const dnnl_memory_desc_t *md, void *data) {
  dnnl_memory_t m;
  CHECK(dnnl_memory_create(&m, md, engine, data != NULL ? data : DNNL_MEMORY_ALLOCATE));
  return m;
}

static void add_step(dnnl_primitive_desc_t pd, const dnnl_exec_arg_t *args, int count) {
  CHECK(dnnl_primitive_create(&steps[step_count].primitive, pd));
  memcpy(steps[step_count].args, args, (size_t)count * sizeof *args);
  steps[step_count++].count = count;
}

/* m itself when it has the wanted layout, else a copy in it: made at once, or
 * as a step of every run. */
static dnnl_memory_t as(dnnl_memory_t m, const dnnl_memory_desc_t *want, int every_run) {
  const dnnl_memory_desc_t *have;
  CHECK(dnnl_memory_get_memory_desc(m, &have));
  if (dnnl_memory_desc_equal(have, want)) return m;
  dnnl_memory_t copy = memory(want, NULL);
  dnnl_primitive_desc_t pd;
  CHECK(dnnl_reorder_primitive_desc_create(&pd, have, engine, want, engine, NULL));
  const dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, m}, {DNNL_ARG_TO, copy}};
  add_step(pd, args, 2);
  if (!every_run) {
    step_count--;
    CHECK(dnnl_primitive_execute(steps[step_count].primitive, stream, 2, args));
    CHECK(dnnl_stream_wait(stream));
  }
  return copy;
}

static dnnl_memory_t convolution(dnnl_memory_t src, dnnl_dim_t n, dnnl_dim_t h, dnnl_dim_t w,
                                 dnnl_dim_t c, dnnl_dim_t k, float *weight, float *bias) {
  const dnnl_dim_t sd[4] = {n, c, h, w}, wd[4] = {k, c, 3, 3}, bd[1] = {k}, dd[4] = {n, k, h, w},
                   one[2] = {1, 1};
  const dnnl_memory_desc_t sm = desc(4, sd, dnnl_format_tag_any),
                           wm = desc(4, wd, dnnl_format_tag_any), bm = desc(1, bd, dnnl_a),
                           dm = desc(4, dd, dnnl_format_tag_any);
  dnnl_post_ops_t ops;
  dnnl_primitive_attr_t attr;
  CHECK(dnnl_post_ops_create(&ops));
  CHECK(dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0));
  CHECK(dnnl_primitive_attr_create(&attr));
  CHECK(dnnl_primitive_attr_set_post_ops(attr, ops));
  dnnl_primitive_desc_t pd = NULL;
  static const dnnl_alg_kind_t kinds[2] = {dnnl_convolution_winograd, dnnl_convolution_auto};
  for (int i = 0; i < 2 && pd == NULL; i++) {
    dnnl_convolution_desc_t cd;
    CHECK(dnnl_convolution_forward_desc_init(&cd, dnnl_forward_inference, kinds[i], &sm, &wm, &bm,
                                             &dm, one, one, one));
    if (dnnl_primitive_desc_create(&pd, &cd, attr, engine, NULL) != dnnl_success) pd = NULL;
  }
  if (pd == NULL) {
    fprintf(stderr, "onednn_peer: no convolution\n");
    exit(1);
  }
  const dnnl_memory_desc_t user = desc(4, wd, dnnl_hwio);
  dnnl_memory_t weights = as(memory(&user, weight),
                             dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), 0),
                in = as(src, dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0), 1),
                out = memory(dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0), NULL);
  const dnnl_exec_arg_t args[4] = {{DNNL_ARG_SRC, in},
                                   {DNNL_ARG_WEIGHTS, weights},
                                   {DNNL_ARG_BIAS, memory(&bm, bias)},
                                   {DNNL_ARG_DST, out}};
  add_step(pd, args, 4);
  return out;
}

static dnnl_memory_t maximum(dnnl_memory_t src, dnnl_dim_t n, dnnl_dim_t h, dnnl_dim_t w,
                             dnnl_dim_t c) {
  const dnnl_dim_t dd[4] = {n, c, h, w}, two[2] = {2, 2}, none[2] = {0, 0};
  const dnnl_memory_desc_t *sm, dm = desc(4, dd, dnnl_format_tag_any);
  CHECK(dnnl_memory_get_memory_desc(src, &sm));
  dnnl_pooling_desc_t d;
  dnnl_primitive_desc_t pd;
  CHECK(dnnl_pooling_forward_desc_init(&d, dnnl_forward_inference, dnnl_pooling_max, sm, &dm, two,
                                       two, none, none));
  CHECK(dnnl_primitive_desc_create(&pd, &d, NULL, engine, NULL));
  dnnl_memory_t out = memory(dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0), NULL);
  const dnnl_exec_arg_t args[2] = {{DNNL_ARG_SRC, src}, {DNNL_ARG_DST, out}};
  add_step(pd, args, 2);
  return out;
}

static double milliseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void run(void) {
  for (int i = 0; i < step_count; i++)
    CHECK(dnnl_primitive_execute(steps[i].primitive, stream, steps[i].count, steps[i].args));
  CHECK(dnnl_stream_wait(stream));
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fprintf(stderr, "usage: onednn_peer N H W C LAYERS weights.f32 input.f32\n");
    return 2;
  }
  dnnl_dim_t n = atol(argv[1]), h = atol(argv[2]), w = atol(argv[3]), c = atol(argv[4]);
  float *weights = read_file(argv[6]), *input = read_file(argv[7]);
  CHECK(dnnl_engine_create(&engine, dnnl_cpu, 0));
  CHECK(dnnl_stream_create(&stream, engine, dnnl_stream_in_order));
  dnnl_dim_t dims[4] = {n, c, h, w};
  dnnl_memory_desc_t md = desc(4, dims, dnnl_nhwc);
  dnnl_memory_t at = memory(&md, input);
  for (char *layer = strtok(argv[5], ","); layer != NULL; layer = strtok(NULL, ",")) {
    if (strcmp(layer, "p") == 0) {
      h /= 2, w /= 2;
      at = maximum(at, n, h, w, c);
      continue;
    }
    const dnnl_dim_t k = atol(layer);
    at = convolution(at, n, h, w, c, k, weights, weights + 9 * c * k);
    weights += 9 * c * k + k;
    c = k;
  }
  dnnl_dim_t last[4] = {n, c, h, w};
  md = desc(4, last, dnnl_nhwc);
  at = as(at, &md, 1);
  run();
  const dnnl_version_t *v = dnnl_version();
  printf("ready oneDNN %d.%d.%d\n", v->major, v->minor, v->patch);
  fflush(stdout);
  char line[4096];
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strncmp(line, "run", 3) == 0) {
      const double start = milliseconds();
      run();
      printf("%.6f\n", milliseconds() - start);
    } else if (strncmp(line, "dump ", 5) == 0) {
      line[strcspn(line, "\n")] = '\0';
      void *data;
      CHECK(dnnl_memory_get_data_handle(at, &data));
      FILE *f = fopen(line + 5, "wb");
      if (f == NULL ||
          fwrite(data, sizeof(float), (size_t)(n * c * h * w), f) != (size_t)(n * c * h * w))
        return 1;
      fclose(f);
      printf("dumped\n");
    } else {
      break;
    }
    fflush(stdout);
  }
  return 0;
}
