/* npy.h: NumPy's .npy, over bytes in memory.
 *
 * A file is "\x93NUMPY", a version (1, 2 or 3), a header length and a Python
 * dictionary literal {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}.
 * The literal is parsed for exactly these three keys and never evaluated;
 * objects (pickles), structures, strings, complex and dates are refused by
 * name; big-endian and Fortran order are honoured.  The size that the shape
 * asks for is compared with the bytes at hand before anything is allocated. */
#ifndef LM_NPY_H
#define LM_NPY_H

#include "io/element.h"

enum { LM_NPY_MAX_HEADER = 1 << 16 };

typedef struct {
  lm_element dtype; /* lm_elements[dtype].becomes says what it is read as */
  bool swapped;     /* big-endian */
  bool fortran;     /* the data is that of the reversed shape, in C order */
  lm_shape shape;
  int64_t data_start, data_bytes;
} lm_npy;

/* Reads the header of the n bytes of a whole file.  LM_E_DAMAGED when they are
 * not what the header promises, LM_E_UNSUPPORTED for element types luma lacks. */
bool lm_npy_parse(const uint8_t *bytes, int64_t n, lm_npy *out, lm_err *e);

/* Fills t: contiguous, dtype as `becomes` says, and the shape of the header,
 * reversed when fortran (the caller permutes).  bytes may be changed (byte
 * order).  LM_E_UNSUPPORTED when an integer does not fit i32. */
bool lm_npy_fill(const lm_npy *npy, uint8_t *bytes, const char *name, lm_tensor *t, lm_err *e);

#endif
