/* operand.h: arguments that may be a tensor or a number.
 *
 * A number becomes a one-element view on a cell beside it, so kernels only
 * ever see tensors.  Which type is computed:
 *   tensor with tensor   the wider of u8 < i32 < f32 < f64; u8 with u8 -> i32
 *   float tensor, number the tensor's type
 *   integer tensor       i32 with a Lua integer, f32 with a Lua float */
#ifndef LUMA_OPERAND_H
#define LUMA_OPERAND_H

#include "lua/luma.h"

typedef struct {
  lm_tensor t; /* what kernels see */
  bool number; /* it was a Lua number ... */
  bool whole;  /* ... of the integer subtype */
  double value;
  lm_buffer one; /* backs t when it was a number */
  union {
    float f32;
    double f64;
    uint8_t u8;
    int32_t i32;
  } cell;
} luma_operand;

/* Raises unless arg is an open tensor or a number. */
void luma_operand_get(lua_State *L, int arg, luma_operand *o);

/* The type that arithmetic on both computes in; raises when neither is a tensor. */
lm_dtype luma_operand_type(lua_State *L, const luma_operand *a, const luma_operand *b);
/* The type in which both can be compared without loss. */
lm_dtype luma_operand_compare_type(lua_State *L, const luma_operand *a, const luma_operand *b);

/* Converts o to dtype (a converted copy takes the stack slot of arg); raises
 * when a number does not fit an integer type. */
void luma_operand_as(lua_State *L, int arg, luma_operand *o, lm_dtype dtype);

/* Sizes at arg.. with an optional trailing dtype name: (2, 3, "f64") or
 * ({2, 3}, "f64"). */
lm_shape luma_checksizes(lua_State *L, int arg, lm_dtype *dtype);

/* A set of dimensions: nil = all, an integer, or a table of them.  Bit d =
 * dimension d. */
unsigned luma_checkdims(lua_State *L, int arg, int rank);

/* The place of t's element on the stack as an integer or a float. */
void luma_pushelement(lua_State *L, const lm_tensor *t, int64_t linear);

/* Contiguous view of t: t itself, or a copy pushed on the stack (then true). */
bool luma_plain(lua_State *L, const lm_tensor *t, lm_tensor *plain);

#endif
