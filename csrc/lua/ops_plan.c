/* ops_plan.c: compiled chains of convolutions as userdata (luma.nn.compile is
 * the way in; kern/plan.h says what a plan is). */
#include <string.h>

#include "kern/plan.h"
#include "lua/luma.h"
#include "lua/window.h"

#define LUMA_PLAN "luma.Plan"

typedef struct {
  lm_buffer *weights, *bias;
} step_memory;

typedef struct {
  lm_plan plan;
  bool closed;
  int made; /* memory[0 .. made-1] are valid */
  step_memory *memory;
} compiled;

static compiled *check_plan(lua_State *L, int arg) {
  compiled *c = luaL_testudata(L, arg, LUMA_PLAN);
  if (c == NULL) luma_argerror(L, arg, "%s expected, got %s", LUMA_PLAN, luaL_typename(L, arg));
  if (c->closed) luma_error(L, "attempt to use a closed plan");
  return c;
}

static int plan_close(lua_State *L) { /* also __gc and __close: safe to run twice */
  compiled *c = luaL_testudata(L, 1, LUMA_PLAN);
  if (c == NULL) return 0;
  for (int i = 0; i < c->made; i++) {
    lm_buffer_release(c->memory[i].weights);
    lm_buffer_release(c->memory[i].bias);
  }
  c->made = 0;
  c->closed = true;
  return 0;
}

/* The userdata with room for count steps, empty and collectable. */
static compiled *push_plan(lua_State *L, int count) {
  const size_t size = sizeof(compiled) + (size_t)count * (sizeof(lm_step) + sizeof(step_memory));
  compiled *c = lua_newuserdatauv(L, size, 0);
  memset(c, 0, size);
  c->plan.steps = (lm_step *)(c + 1);
  c->memory = (step_memory *)(c->plan.steps + count);
  if (luaL_newmetatable(L, LUMA_PLAN)) {
    lua_pushcfunction(L, plan_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, plan_close);
    lua_setfield(L, -2, "__close");
  }
  lua_setmetatable(L, -2);
  return c;
}

/* Stack: the step being read, where the caller's list was, so that errors name
 * argument 1; what is kept, weight and bias of step i at 2i-1 and 2i; the list. */
enum { STEP = 1, KEPT = 3, STEPS = 4 };

/* Field `key` of the step, an f32 tensor, as plain memory kept at
 * place k of KEPT; NULL when absent.  Each field is read once. */
static const lm_tensor *keep_field(lua_State *L, const char *key, lua_Integer k) {
  lua_pushstring(L, key);
  if (lua_rawget(L, STEP) == LUA_TNIL) {
    lua_pop(L, 1);
    return NULL;
  }
  if (luma_totensor(L, -1) == NULL)
    luma_argerror(L, STEP, "the %s of step %d must be a tensor, got %s", key, (int)(k + 1) / 2,
                  luaL_typename(L, -1));
  const lm_tensor *t = luma_checkplain(L, lua_gettop(L), LM_F32);
  lua_rawseti(L, KEPT, k);
  return t;
}

/* The tensor at place k of KEPT, or NULL. */
static const lm_tensor *kept(lua_State *L, lua_Integer k) {
  lua_rawgeti(L, KEPT, k);
  const lm_tensor *t = luma_totensor(L, -1);
  lua_pop(L, 1); /* KEPT keeps it alive */
  if (t != NULL && t->buffer == NULL) luma_error(L, "attempt to use a closed tensor");
  return t;
}

static void read_step(lua_State *L, int index, lm_step *s) {
  static const char *const kinds[] = {"conv", "max_pool", NULL},
                           *const keys[] = {"op",  "weight",   "bias",   "relu",   "stride",
                                            "pad", "dilation", "groups", "kernel", NULL},
                           *const conv_keys[] = {"op",  "weight",   "bias",   "relu", "stride",
                                                 "pad", "dilation", "groups", NULL},
                           *const pool_keys[] = {"op", "kernel", "stride", "pad", NULL};
  lua_rawgeti(L, STEPS, index);
  lua_replace(L, STEP);
  if (!lua_istable(L, STEP)) luma_argerror(L, STEP, "step %d is not a table", index);
  luma_checkkeys(L, STEP, keys);
  s->is_conv = luma_optenum(L, STEP, "op", 0, kinds) == 0;
  luma_checkkeys(L, STEP, s->is_conv ? conv_keys : pool_keys);
  if (s->is_conv) {
    s->conv = lm_conv2d_default();
    luma_optwindow(L, STEP, &s->conv.window);
    s->conv.groups = luma_optint(L, STEP, "groups", 1, 1, INT32_MAX);
    s->conv.relu = luma_optboolean(L, STEP, "relu", false);
    const lm_tensor *w = keep_field(L, "weight", 2 * index - 1);
    if (w == NULL) luma_argerror(L, STEP, "step %d has no weight", index);
    s->w = w->shape;
    const lm_tensor *b = keep_field(L, "bias", 2 * index);
    if (b != NULL && (b->shape.rank != 1 || s->w.rank != 4 || b->shape.size[0] != s->w.size[3]))
      luma_argerror(L, STEP, "the bias of step %d does not fit its weight", index);
  } else {
    s->pool.window = (lm_window){.kernel = {2, 2}, .dilation = {1, 1}};
    luma_optwindow(L, STEP, &s->pool.window);
  }
}

/* Shares or transforms the weights of kept step i, which was step `index`. */
static void take_weights(lua_State *L, compiled *c, int i, int index) {
  lm_step *s = &c->plan.steps[i];
  step_memory *m = &c->memory[i];
  lm_err err;
  c->made = i + 1;
  if (!s->is_conv) return;
  const lm_tensor *w = kept(L, 2 * index - 1);
  if (s->weight_floats > 0) {
    m->weights = lm_buffer_new(s->weight_floats * (int64_t)sizeof(float), &err);
    if (m->weights == NULL) luma_raise(L, &err);
    s->weights = m->weights->data;
    luma_checkrun(L, lm_plan_weights(s, lm_f32(w), m->weights->data));
  } else {
    m->weights = lm_buffer_retain(w->buffer);
    s->weights = lm_f32(w);
  }
  const lm_tensor *b = kept(L, 2 * index);
  if (b != NULL) {
    m->bias = lm_buffer_retain(b->buffer);
    s->bias = lm_f32(b);
  }
}

static int l_new(lua_State *L) {
  static const char *const keys[] = {"height", "width", "channels", "batch", NULL};
  lua_settop(L, 2);
  if (!lua_istable(L, 1)) return luma_argerror(L, 1, "list of steps expected");
  luma_checkkeys(L, 2, keys);
  const int64_t count = (int64_t)lua_rawlen(L, 1);
  if (count < 1 || count > 10000)
    return luma_argerror(L, 1, "1 to 10000 steps expected, got %lld", (long long)count);
  lua_createtable(L, (int)(2 * count), 0); /* KEPT */
  lua_pushvalue(L, 1);                     /* STEPS */
  compiled *c = push_plan(L, (int)count);
  c->plan.count = (int)count;
  c->plan.batch = luma_optint(L, 2, "batch", 16, 1, 1 << 20);
  c->plan.in = (lm_shape){
      4,
      {1, luma_optint(L, 2, "height", 1, 1, 1 << 20), luma_optint(L, 2, "width", 1, 1, 1 << 20),
       luma_optint(L, 2, "channels", 1, 1, 1 << 20)}};
  for (int i = 0; i < count; i++) read_step(L, i + 1, &c->plan.steps[i]);
  int *source = luma_newscratch(L, count * (int64_t)sizeof *source);
  lm_err err;
  if (!lm_plan_build(&c->plan, source, &err)) return luma_error(L, "%s", err.msg);
  for (int i = 0; i < c->plan.count; i++) take_weights(L, c, i, source[i] + 1);
  luma_freescratch(L, -1);
  lua_pop(L, 1);
  return 1;
}

static int l_run(lua_State *L) {
  compiled *c = check_plan(L, 1);
  const lm_tensor *x = luma_checkplain(L, 2, LM_F32);
  luma_checkrank(L, 2, x, 4, "(n, h, w, c)");
  char a[LM_SHAPE_TEXT], b[LM_SHAPE_TEXT];
  lm_shape in = c->plan.in, out = c->plan.out;
  in.size[0] = out.size[0] = x->shape.size[0];
  if (!lm_shape_equal(&in, &x->shape))
    return luma_argerror(L, 2, "compiled for images of shape %s, got %s", lm_shape_text(&in, a),
                         lm_shape_text(&x->shape, b));
  void *arena = luma_newscratch(L, lm_plan_arena(&c->plan, in.size[0]));
  lm_tensor *y = luma_newtensor(L, LM_F32, &out);
  const bool ok = lm_plan_run(&c->plan, in.size[0], lm_f32(x), arena, lm_f32(y));
  luma_freescratch(L, -2);
  luma_checkrun(L, ok);
  return 1;
}

static int l_info(lua_State *L) {
  const compiled *c = check_plan(L, 1);
  lua_newtable(L);
  int64_t bytes = 0;
  for (int i = 0; i < c->plan.count; i++) {
    const lm_step *s = &c->plan.steps[i];
    lua_createtable(L, 0, 6);
    lua_pushstring(L, s->is_conv ? "conv" : "max_pool");
    lua_setfield(L, -2, "op");
    if (s->is_conv) {
      lua_pushstring(L, lm_conv_algo_name(s->conv.algo[LM_CONV_FORWARD]));
      lua_setfield(L, -2, "algorithm");
      lua_pushboolean(L, s->conv.relu);
      lua_setfield(L, -2, "relu");
      lua_pushboolean(L, s->pooled);
      lua_setfield(L, -2, "pooled");
    }
    lua_pushinteger(L, s->group);
    lua_setfield(L, -2, "group");
    lua_pushinteger(L, s->out);
    lua_setfield(L, -2, "floats");
    lua_seti(L, -2, i + 1);
    if (s->weight_floats > 0) bytes += c->memory[i].weights->bytes;
  }
  lua_pushinteger(L, bytes);
  lua_setfield(L, -2, "weight_bytes");
  lua_pushinteger(L, lm_plan_arena(&c->plan, c->plan.batch));
  lua_setfield(L, -2, "arena_bytes");
  for (int d = 1; d <= 3; d++) {
    static const char *const names[] = {"height", "width", "channels"};
    lua_pushinteger(L, c->plan.out.size[d]);
    lua_setfield(L, -2, names[d - 1]);
  }
  return 1;
}

extern const luma_op luma_ops_plan[];
const luma_op luma_ops_plan[] = {
    {"plan.new", "(steps, {height=, width=, channels=, batch=16}) -> plan",
     "Compiles a chain of convolutions and maxima for images of one size; see nn.compile. Each "
     "step is {op=\"conv\", weight=, bias=, relu=, stride=, pad=, dilation=, groups=} or "
     "{op=\"max_pool\", kernel=, stride=, pad=}.",
     l_new, LUMA_FUNCTION},
    {"plan.run", "(plan, x) -> y", "Runs a compiled plan on x (n, h, w, c), for any n.", l_run,
     LUMA_FUNCTION},
    {"plan.info", "(plan) -> table",
     "What became of the steps: algorithm, fusion and images in hand; bytes of weights and arena.",
     l_info, LUMA_FUNCTION},
    {"plan.close", "(plan)", "Releases the plan's weights now.", plan_close, LUMA_FUNCTION},
    {NULL, NULL, NULL, NULL, 0}};
