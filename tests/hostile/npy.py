"""Writes NumPy files into the folder named first, for tests/npy_spec.lua."""
import os
import sys

import numpy as np

out = sys.argv[1]
x = (np.arange(24) - 7).reshape(2, 3, 4)
for name, dtype in {"f2": "<f2", "f4": "<f4", "f8": "<f8", "be4": ">f4", "be8": ">i8", "i1": "i1", "i2": "<i2",
                    "i4": "<i4", "i8": "<i8", "c8": "<c8", "text": "U3"}.items():
    np.save(os.path.join(out, name + ".npy"), x.astype(dtype))
np.save(os.path.join(out, "u1.npy"), (x + 7).astype("u1"))
np.save(os.path.join(out, "b1.npy"), x > 0)
np.save(os.path.join(out, "fortran.npy"), np.asfortranarray(x.astype("f4")))
np.save(os.path.join(out, "scalar.npy"), np.float32(2.5))
np.save(os.path.join(out, "empty.npy"), np.zeros((0, 3), "f4"))
np.save(os.path.join(out, "object.npy"), np.array([{"a": 1}], dtype=object), allow_pickle=True)
np.save(os.path.join(out, "struct.npy"), np.zeros(3, [("a", "f4"), ("b", "i4")]))
np.savez(os.path.join(out, "stored.npz"), a=x.astype("f4"), b=np.arange(5, dtype="i4"))
np.savez_compressed(os.path.join(out, "packed.npz"), a=x.astype("f4"), b=np.asfortranarray(x.astype(">f8")))
np.savez_compressed(os.path.join(out, "bomb.npz"), a=np.zeros(40 << 20, "f4"))
