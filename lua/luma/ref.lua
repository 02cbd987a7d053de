--- luma.ref: reference kernels in double precision, as plain loops.  They are
-- the tests' oracle and the versions to read first; see csrc/ref.
return require("luma.core").ref
