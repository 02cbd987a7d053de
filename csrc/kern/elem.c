/* elem.c: the rows of the elementwise kernels, and the tables that find them. */
#include "kern/elem.h"

#include <math.h>
#include <string.h>

#include "core/walk.h"
#include "core/wide.h"

const char *lm_elem_isa(void) {
  return LM_WIDE_NAME;
}

/* Elements a chunk: about 20 us of plain arithmetic, 100 us of pow. */
enum { GRAIN_LIGHT = 1 << 16, GRAIN_HEAVY = 1 << 13 };

/* ---- f32 functions of our own: plain arithmetic that vectorises ---- */

static inline float power_of_two(int32_t n) { /* -126..127 */
  const uint32_t bits = (uint32_t)(n + 127) << 23;
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

/* exp: x = n ln 2 + r with |r| <= 0.35, then the Taylor polynomial of degree
 * 7 (error 6e-9) times 2^n in two factors, so that subnormals come out. */
static inline float exp_parts(float x, int32_t *n) {   /* -> e^r - 1 */
  const float shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
  const float whole = shifted - 12582912.0f;
  uint32_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  *n = (int32_t)(bits - 0x4B400000u);
  float r = x - whole * 0.693359375f; /* ln 2 in two parts; the product is exact */
  r = r + whole * 2.12194440e-4f;
  float p = 1.0f / 5040.0f;
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  return p * r * r + r;
}

static inline float own_exp(float v) {
  float x = v > 89.0f ? 89.0f : v;
  x = x < -104.0f ? -104.0f : x;
  int32_t n;
  const float p = exp_parts(x, &n);
  const int32_t half = n >> 1;
  return (1.0f + p) * power_of_two(half) * power_of_two(n - half);
}

/* tanh = m / (m + 2) with m = e^2|x| - 1 = (2^n - 1) + 2^n (e^r - 1), which
 * loses nothing near 0. */
static inline float own_tanh(float v) {
  float x = v < 0.0f ? -2.0f * v : 2.0f * v;
  x = x > 40.0f ? 40.0f : x;
  int32_t n;
  const float p = exp_parts(x, &n), scale = power_of_two(n);
  const float m = (scale - 1.0f) + scale * p, t = m / (m + 2.0f);
  return v < 0.0f ? -t : t;
}

/* exp(-|x|) never overflows; either branch keeps full relative precision. */
static inline float own_sigmoid(float x) {
  const float e = own_exp(x < 0.0f ? x : -x), s = 1.0f / (1.0f + e);
  return x < 0.0f ? e * s : s;
}

static inline double own_sigmoid_f64(double x) {
  const double e = exp(-fabs(x)), s = 1.0 / (1.0 + e);
  return x < 0.0 ? e * s : s;
}

float lm_expf(float x) {
  return own_exp(x);
}
float lm_sigmoidf(float x) {
  return own_sigmoid(x);
}

/* ---- integer arithmetic: wraps, floors as Lua does ---- */

#define WRAP(a, op, b) ((int32_t)((uint32_t)(a)op(uint32_t)(b)))

static inline int32_t floor_div(int32_t a, int32_t b) {
  if (b == -1) return WRAP(0, -, a); /* INT32_MIN / -1 would trap */
  const int32_t q = b != 0 ? a / b : 0;
  return q - (b != 0 && a % b != 0 && (a % b < 0) != (b < 0));
}
static inline int32_t floor_mod(int32_t a, int32_t b) {
  if (b == -1 || b == 0) return 0;
  const int32_t m = a % b;
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}
static inline float lua_modf(float a, float b) {
  const float m = fmodf(a, b);
  return (m > 0.0f ? b < 0.0f : m < 0.0f && b > 0.0f) ? m + b : m;
}
static inline double lua_mod(double a, double b) {
  const double m = fmod(a, b);
  return (m > 0.0 ? b < 0.0 : m < 0.0 && b > 0.0) ? m + b : m;
}

/* ---- rows ---- */

#define BINARY(name, T, R, expr)                                                      \
  static void name(const void *context, char *const q[LM_WALK_MAX],                   \
                   const int64_t stride[LM_WALK_MAX], int64_t n) {                    \
    (void)context;                                                                    \
    R *y = (R *)(void *)q[0];                                                         \
    const T *pa = (const T *)(const void *)q[1], *pb = (const T *)(const void *)q[2]; \
    const int64_t sy = stride[0], sa = stride[1], sb = stride[2];                     \
    if (sy == 1 && sa == 1 && sb == 1) {                                              \
      LM_IVDEP for (int64_t i = 0; i < n; i++) {                                      \
        const T a = pa[i], b = pb[i];                                                 \
        y[i] = (R)(expr);                                                             \
      }                                                                               \
    } else if (sy == 1 && sa == 1 && sb == 0) {                                       \
      const T b = pb[0];                                                              \
      LM_IVDEP for (int64_t i = 0; i < n; i++) {                                      \
        const T a = pa[i];                                                            \
        y[i] = (R)(expr);                                                             \
      }                                                                               \
    } else if (sy == 1 && sa == 0 && sb == 1) {                                       \
      const T a = pa[0];                                                              \
      LM_IVDEP for (int64_t i = 0; i < n; i++) {                                      \
        const T b = pb[i];                                                            \
        y[i] = (R)(expr);                                                             \
      }                                                                               \
    } else {                                                                          \
      for (int64_t i = 0; i < n; i++) {                                               \
        const T a = pa[i * sa], b = pb[i * sb];                                       \
        y[i * sy] = (R)(expr);                                                        \
      }                                                                               \
    }                                                                                 \
  }

#define UNARY(name, T, R, expr)                                     \
  static void name(const void *context, char *const q[LM_WALK_MAX], \
                   const int64_t stride[LM_WALK_MAX], int64_t n) {  \
    (void)context;                                                  \
    R *y = (R *)(void *)q[0];                                       \
    const T *pa = (const T *)(const void *)q[1];                    \
    const int64_t sy = stride[0], sa = stride[1];                   \
    if (sy == 1 && sa == 1) {                                       \
      LM_IVDEP for (int64_t i = 0; i < n; i++) {                    \
        const T a = pa[i];                                          \
        y[i] = (R)(expr);                                           \
      }                                                             \
    } else {                                                        \
      for (int64_t i = 0; i < n; i++) {                             \
        const T a = pa[i * sa];                                     \
        y[i * sy] = (R)(expr);                                      \
      }                                                             \
    }                                                               \
  }

BINARY(add_f32, float, float, a + b)
BINARY(add_f64, double, double, a + b)
BINARY(add_i32, int32_t, int32_t, WRAP(a, +, b))
BINARY(sub_f32, float, float, a - b)
BINARY(sub_f64, double, double, a - b)
BINARY(sub_i32, int32_t, int32_t, WRAP(a, -, b))
BINARY(mul_f32, float, float, a *b)
BINARY(mul_f64, double, double, a *b)
BINARY(mul_i32, int32_t, int32_t, WRAP(a, *, b))
BINARY(div_f32, float, float, a / b)
BINARY(div_f64, double, double, a / b)
BINARY(pow_f32, float, float, powf(a, b))
BINARY(pow_f64, double, double, pow(a, b))
BINARY(idiv_f32, float, float, floorf(a / b))
BINARY(idiv_f64, double, double, floor(a / b))
BINARY(idiv_i32, int32_t, int32_t, floor_div(a, b))
BINARY(mod_f32, float, float, lua_modf(a, b))
BINARY(mod_f64, double, double, lua_mod(a, b))
BINARY(mod_i32, int32_t, int32_t, floor_mod(a, b))
/* A comparison with NaN is false, so NaN in either place survives. */
BINARY(min_f32, float, float, a < b || a != a ? a : b)
BINARY(min_f64, double, double, a < b || a != a ? a : b)
BINARY(min_i32, int32_t, int32_t, a < b ? a : b)
BINARY(min_u8, uint8_t, uint8_t, a < b ? a : b)
BINARY(max_f32, float, float, a > b || a != a ? a : b)
BINARY(max_f64, double, double, a > b || a != a ? a : b)
BINARY(max_i32, int32_t, int32_t, a > b ? a : b)
BINARY(max_u8, uint8_t, uint8_t, a > b ? a : b)

static const lm_walk_row binary_rows[LM_NBINARY][LM_NDTYPE] = {
    [LM_ADD] = {[LM_F32] = add_f32, [LM_F64] = add_f64, [LM_I32] = add_i32},
    [LM_SUB] = {[LM_F32] = sub_f32, [LM_F64] = sub_f64, [LM_I32] = sub_i32},
    [LM_MUL] = {[LM_F32] = mul_f32, [LM_F64] = mul_f64, [LM_I32] = mul_i32},
    [LM_DIV] = {[LM_F32] = div_f32, [LM_F64] = div_f64},
    [LM_POW] = {[LM_F32] = pow_f32, [LM_F64] = pow_f64},
    [LM_IDIV] = {[LM_F32] = idiv_f32, [LM_F64] = idiv_f64, [LM_I32] = idiv_i32},
    [LM_MOD] = {[LM_F32] = mod_f32, [LM_F64] = mod_f64, [LM_I32] = mod_i32},
    [LM_MINIMUM] = {[LM_F32] = min_f32, [LM_F64] = min_f64, [LM_U8] = min_u8, [LM_I32] = min_i32},
    [LM_MAXIMUM] = {[LM_F32] = max_f32, [LM_F64] = max_f64, [LM_U8] = max_u8, [LM_I32] = max_i32},
};

#define COMPARE(op, expr)                 \
  BINARY(op##_f32, float, uint8_t, expr)  \
  BINARY(op##_f64, double, uint8_t, expr) \
  BINARY(op##_u8, uint8_t, uint8_t, expr) \
  BINARY(op##_i32, int32_t, uint8_t, expr)
COMPARE(eq, a == b)
COMPARE(ne, a != b)
COMPARE(lt, a < b)
COMPARE(le, a <= b)
COMPARE(gt, a > b)
COMPARE(ge, a >= b)

#define FOUR(op) \
  { [LM_F32] = op##_f32, [LM_F64] = op##_f64, [LM_U8] = op##_u8, [LM_I32] = op##_i32 }
static const lm_walk_row compare_rows[LM_NCOMPARE][LM_NDTYPE] = {
    [LM_EQ] = FOUR(eq), [LM_NE] = FOUR(ne), [LM_LT] = FOUR(lt),
    [LM_LE] = FOUR(le), [LM_GT] = FOUR(gt), [LM_GE] = FOUR(ge),
};

#define FLOATS(op, expr32, expr64)      \
  UNARY(op##_f32, float, float, expr32) \
  UNARY(op##_f64, double, double, expr64)
FLOATS(neg, -a, -a)
FLOATS(abs, fabsf(a), fabs(a))
FLOATS(sign, (float)((a > 0.0f) - (a < 0.0f)) + (a != a ? a : 0.0f),
       (double)((a > 0.0) - (a < 0.0)) + (a != a ? a : 0.0))
FLOATS(square, a *a, a *a)
FLOATS(sqrt, sqrtf(a), sqrt(a))
FLOATS(reciprocal, 1.0f / a, 1.0 / a)
FLOATS(exp, own_exp(a), exp(a))
FLOATS(expm1, expm1f(a), expm1(a))
FLOATS(log, logf(a), log(a))
FLOATS(log1p, log1pf(a), log1p(a))
FLOATS(sin, sinf(a), sin(a))
FLOATS(cos, cosf(a), cos(a))
FLOATS(tanh, own_tanh(a), tanh(a))
FLOATS(sigmoid, own_sigmoid(a), own_sigmoid_f64(a))
FLOATS(floor, floorf(a), floor(a))
FLOATS(ceil, ceilf(a), ceil(a))
FLOATS(round, nearbyintf(a), nearbyint(a))
/* The limits are locals: read through the context, they would be read again after
 * every store, and the loop would not be vectorised.  C: the type they are kept in. */
#define CLAMP(name, T, C)                                           \
  static void name(const void *context, char *const q[LM_WALK_MAX], \
                   const int64_t stride[LM_WALK_MAX], int64_t n) {  \
    const double *p = context;                                      \
    const C lo = (C)p[0], hi = (C)p[1];                             \
    T *y = (T *)(void *)q[0];                                       \
    const T *pa = (const T *)(const void *)q[1];                    \
    const int64_t sy = stride[0], sa = stride[1];                   \
    if (sy == 1 && sa == 1) {                                       \
      LM_IVDEP for (int64_t i = 0; i < n; i++) {                    \
        const C a = pa[i];                                          \
        y[i] = (T)(a < lo ? lo : (a > hi ? hi : a));                \
      }                                                             \
    } else {                                                        \
      for (int64_t i = 0; i < n; i++) {                             \
        const C a = pa[i * sa];                                     \
        y[i * sy] = (T)(a < lo ? lo : (a > hi ? hi : a));           \
      }                                                             \
    }                                                               \
  }
CLAMP(clamp_f32, float, float)
CLAMP(clamp_f64, double, double)
CLAMP(clamp_i32, int32_t, double)
CLAMP(clamp_u8, uint8_t, double)
UNARY(neg_i32, int32_t, int32_t, WRAP(0, -, a))
UNARY(abs_i32, int32_t, int32_t, a < 0 ? WRAP(0, -, a) : a)
UNARY(sign_i32, int32_t, int32_t, (a > 0) - (a < 0))
UNARY(square_i32, int32_t, int32_t, WRAP(a, *, a))

#define TWO(op) \
  { [LM_F32] = op##_f32, [LM_F64] = op##_f64 }
#define THREE(op) \
  { [LM_F32] = op##_f32, [LM_F64] = op##_f64, [LM_I32] = op##_i32 }
static const struct {
  lm_walk_row row[LM_NDTYPE];
  bool heavy;
} unary_rows[LM_NUNARY] = {
    [LM_NEG] = {THREE(neg), false},   [LM_ABS] = {THREE(abs), false},
    [LM_SIGN] = {THREE(sign), false}, [LM_SQUARE] = {THREE(square), false},
    [LM_SQRT] = {TWO(sqrt), false},   [LM_RECIPROCAL] = {TWO(reciprocal), false},
    [LM_EXP] = {TWO(exp), true},      [LM_EXPM1] = {TWO(expm1), true},
    [LM_LOG] = {TWO(log), true},      [LM_LOG1P] = {TWO(log1p), true},
    [LM_SIN] = {TWO(sin), true},      [LM_COS] = {TWO(cos), true},
    [LM_TANH] = {TWO(tanh), true},    [LM_SIGMOID] = {TWO(sigmoid), true},
    [LM_FLOOR] = {TWO(floor), false}, [LM_CEIL] = {TWO(ceil), false},
    [LM_ROUND] = {TWO(round), false}, [LM_CLAMP] = {FOUR(clamp), false},
};

UNARY(isnan_f32, float, uint8_t, a != a)
UNARY(isnan_f64, double, uint8_t, a != a)
UNARY(isnan_u8, uint8_t, uint8_t, ((void)a, 0))
UNARY(isnan_i32, int32_t, uint8_t, ((void)a, 0))
UNARY(isfinite_f32, float, uint8_t, a - a == 0.0f)
UNARY(isfinite_f64, double, uint8_t, a - a == 0.0)
UNARY(isfinite_u8, uint8_t, uint8_t, ((void)a, 1))
UNARY(isfinite_i32, int32_t, uint8_t, ((void)a, 1))
UNARY(not_f32, float, uint8_t, a == 0.0f)
UNARY(not_f64, double, uint8_t, a == 0.0)
UNARY(not_u8, uint8_t, uint8_t, a == 0)
UNARY(not_i32, int32_t, uint8_t, a == 0)
static const lm_walk_row test_rows[LM_NTEST][LM_NDTYPE] = {
    [LM_ISNAN] = FOUR(isnan), [LM_ISFINITE] = FOUR(isfinite), [LM_NOT] = FOUR(not )};

#define WHERE(name, T)                                                                            \
  static void name(const void *context, char *const q[LM_WALK_MAX], const int64_t s[LM_WALK_MAX], \
                   int64_t n) {                                                                   \
    (void)context;                                                                                \
    T *y = (T *)(void *)q[0];                                                                     \
    const uint8_t *m = (const uint8_t *)q[1];                                                     \
    const T *a = (const T *)(const void *)q[2], *b = (const T *)(const void *)q[3];               \
    LM_IVDEP for (int64_t i = 0; i < n; i++) {                                                    \
      const T u = a[i * s[2]], v = b[i * s[3]];                                                   \
      y[i * s[0]] = m[i * s[1]] ? u : v;                                                          \
    }                                                                                             \
  }
WHERE(where_f32, float)
WHERE(where_f64, double)
WHERE(where_u8, uint8_t)
WHERE(where_i32, int32_t)
static const lm_walk_row where_rows[LM_NDTYPE] = FOUR(where);

/* ---- doors ---- */

bool lm_binary_has(lm_binary_op op, lm_dtype dtype) {
  return binary_rows[op][dtype] != NULL;
}
bool lm_unary_has(lm_unary_op op, lm_dtype dtype) {
  return unary_rows[op].row[dtype] != NULL;
}

static bool walk2(lm_walk_row row, bool heavy, const lm_tensor *a, const double *p, lm_tensor *y) {
  lm_walk w;
  lm_walk_plan(&w, 2, (const lm_tensor *const[]){y, a});
  return lm_walk_run(&w, heavy ? GRAIN_HEAVY : GRAIN_LIGHT, row, p);
}
static bool walk3(lm_walk_row row, bool heavy, const lm_tensor *a, const lm_tensor *b,
                  lm_tensor *y) {
  lm_walk w;
  lm_walk_plan(&w, 3, (const lm_tensor *const[]){y, a, b});
  return lm_walk_run(&w, heavy ? GRAIN_HEAVY : GRAIN_LIGHT, row, NULL);
}

bool lm_binary(lm_binary_op op, const lm_tensor *a, const lm_tensor *b, lm_tensor *y) {
  LM_ASSERT(lm_binary_has(op, y->dtype) && a->dtype == y->dtype && b->dtype == y->dtype);
  return walk3(binary_rows[op][y->dtype], op == LM_POW || op == LM_MOD, a, b, y);
}

bool lm_compare(lm_compare_op op, const lm_tensor *a, const lm_tensor *b, lm_tensor *y) {
  LM_ASSERT(a->dtype == b->dtype && y->dtype == LM_U8);
  return walk3(compare_rows[op][a->dtype], false, a, b, y);
}

bool lm_unary(lm_unary_op op, const lm_tensor *a, const double *p, lm_tensor *y) {
  LM_ASSERT(lm_unary_has(op, y->dtype) && a->dtype == y->dtype);
  return walk2(unary_rows[op].row[y->dtype], unary_rows[op].heavy, a, p, y);
}

bool lm_test(lm_test_op op, const lm_tensor *a, lm_tensor *y) {
  LM_ASSERT(y->dtype == LM_U8);
  return walk2(test_rows[op][a->dtype], false, a, NULL, y);
}

bool lm_where(const lm_tensor *mask, const lm_tensor *a, const lm_tensor *b, lm_tensor *y) {
  LM_ASSERT(mask->dtype == LM_U8 && a->dtype == y->dtype && b->dtype == y->dtype);
  lm_walk w;
  lm_walk_plan(&w, 4, (const lm_tensor *const[]){y, mask, a, b});
  return lm_walk_run(&w, GRAIN_LIGHT, where_rows[y->dtype], NULL);
}

bool lm_has_zero(const lm_tensor *t) {
  const int64_t n = lm_tensor_count(t);
  for (int64_t i = 0; i < n; i++)
    if (lm_tensor_get(t, i) == 0.0) return true;
  return false;
}
