"""Writes odd and hostile HDF5 files into the folder named first (fault list, W8, W9, W11).

The good ones hold small numbers that the spec knows: kernel[i] = i / 8, bias[i] = -i.
"""
import os
import random
import sys

import h5py
import numpy as np

out = sys.argv[1]
flips = int(sys.argv[2]) if len(sys.argv) > 2 else 30


def kernel(shape=(3, 3, 2, 4), dtype="f4"):
    return (np.arange(np.prod(shape)) / 8).astype(dtype).reshape(shape)


def bias(n=4):
    return -np.arange(n).astype("f4")


def new(name):
    return h5py.File(os.path.join(out, name), "w")


def layer(f, path="conv/conv", **how):
    g = f.create_group(path)
    g.create_dataset("kernel:0", data=kernel(), **how)
    g.create_dataset("bias:0", data=bias())
    return g


# ---- good ----
with new("new.h5") as f:
    f.attrs["layer_names"] = np.array([b"conv"])
    layer(f)
with new("old.h5") as f:
    g = f.create_group("conv")
    g.attrs["weight_names"] = np.array([b"conv_W_1:0", b"conv_b_1:0"])
    g.create_dataset("conv_W_1:0", data=kernel())
    g.create_dataset("conv_b_1:0", data=bias())
with new("counted.h5") as f:  # TensorFlow's scope counter inside the layer's group
    layer(f, "conv/conv_2")
with new("model.h5") as f:  # a whole model, with a Lambda layer whose code must never run
    f.attrs["model_config"] = '{"class_name": "Lambda", "config": {"function": "os.system(\'touch /tmp/owned\')"}}'
    f.create_dataset("optimizer_weights/iter:0", data=np.int64(3))
    layer(f, "model_weights/vgg/conv")
    f.create_group("model_weights/flatten")
with new("norm.h5") as f:
    g = f.create_group("bn/bn")
    for i, name in enumerate(["gamma", "beta", "moving_mean", "moving_variance"]):
        g.create_dataset(name + ":0", data=np.full(3, i, "f4"))
    g = f.create_group("bn_old")
    for i, name in enumerate(["gamma", "beta", "running_mean", "running_std"]):
        g.create_dataset("bn_old_%s_1:0" % name, data=np.full(3, i, "f4"))
with new("gzip.h5") as f:
    layer(f, compression="gzip", shuffle=True, fletcher32=True)
with new("double.h5") as f:
    f.create_dataset("conv/conv/kernel:0", data=kernel(dtype="f8"))
with new("half.h5") as f:
    f.create_dataset("conv/conv/kernel:0", data=kernel(dtype="f2"))
with new("big.h5") as f:
    f.create_dataset("conv/conv/kernel:0", data=kernel(dtype=">f4"))

# ---- refused ----
raw = os.path.join(out, "secret")
with open(raw, "wb") as s:
    s.write(b"root:x:0:0:root:/root:/bin/sh\n" * 16)
with new("external_storage.h5") as f:
    f.create_dataset("conv/conv/kernel:0", (8,), "f4", external=[(raw, 0, 32)])
with new("external_link.h5") as f:
    f["conv"] = h5py.ExternalLink("new.h5", "/conv")
with new("external_link_in_middle.h5") as f:
    f.create_group("model_weights")["conv"] = h5py.ExternalLink("new.h5", "/conv")
with new("external_root.h5") as f:
    f["model_weights"] = h5py.ExternalLink("new.h5", "/")
with new("soft_link.h5") as f:
    layer(f)
    f["conv/alias:0"] = h5py.SoftLink("/conv/conv/kernel:0")
with new("soft_cycle.h5") as f:
    layer(f)
    f["conv/loop"] = h5py.SoftLink("/conv")
with new("hard_cycle.h5") as f:
    layer(f)
    f["conv/conv/again"] = f["conv"]
with new("virtual.h5") as f:
    layout = h5py.VirtualLayout(shape=(3, 3, 2, 4), dtype="f4")
    layout[...] = h5py.VirtualSource(os.path.join(out, "new.h5"), "conv/conv/kernel:0", shape=(3, 3, 2, 4))
    f.create_group("conv/conv").create_virtual_dataset("kernel:0", layout)
with new("string.h5") as f:
    f.create_dataset("conv/conv/kernel:0", data=["a", "b"], dtype=h5py.string_dtype())
with new("compound.h5") as f:
    f.create_dataset("conv/conv/kernel:0", data=np.zeros(3, [("a", "f4"), ("b", "i4")]))
with new("vlen.h5") as f:
    f.create_dataset("conv/conv/kernel:0", (3,), dtype=h5py.vlen_dtype(np.float32))
with new("integers.h5") as f:
    f.create_dataset("conv/conv/kernel:0", data=np.arange(4))
with new("lzf.h5") as f:
    layer(f, compression="lzf")
with new("sparse_4tb.h5") as f:
    f.create_dataset("conv/conv/kernel:0", (1 << 40,), "f4", chunks=(1 << 20,))
with new("late_4tb.h5") as f:  # contiguous, storage never written
    f.create_dataset("conv/conv/kernel:0", (1 << 40,), "f4")
with new("bomb.h5") as f:  # 100 MB of zeros in 100 kB
    f.create_dataset("conv/conv/kernel:0", data=np.zeros(25 << 20, "f4"), chunks=(1 << 20,),
                     compression="gzip")
with new("names.h5") as f:
    for i in range(1500):
        f.create_dataset("layer_%04d/kernel:0" % i, data=np.zeros(1, "f4"))
with new("deep.h5") as f:
    layer(f, "/".join("abcdefgh"))
with new("odd_name.h5") as f:
    f.create_dataset('conv/conv/ker"nel:0', data=bias())
with new("long_name.h5") as f:
    f.create_dataset("conv/" + "x" * 300, data=bias())
with new("twice.h5") as f:
    layer(f)
    f.create_dataset("conv/conv_W_1:0", data=kernel())
with new("rank9.h5") as f:
    f.create_dataset("conv/conv/kernel:0", data=np.zeros([1] * 9, "f4"))
with new("no_space.h5") as f:
    f.create_dataset("conv/conv/kernel:0", data=h5py.Empty("f4"))
with new("empty.h5") as f:
    f.create_group("conv")
with new("at_root.h5") as f:
    f.create_dataset("kernel:0", data=bias())
whole = open(os.path.join(out, "new.h5"), "rb").read()
for name, part in {"zero.h5": b"", "magic.h5": whole[:8], "half_file.h5": whole[: len(whole) // 2],
                   "short.h5": whole[:-64], "text.h5": b"<!DOCTYPE html>\n<title>404</title>\n"}.items():
    with open(os.path.join(out, name), "wb") as s:
        s.write(part)

# ---- one byte that makes libhdf5 1.10.8 read outside its memory (found by this script's damage) ----
crash = bytearray(open(os.path.join(out, "gzip.h5"), "rb").read())
crash[3120] = 0xFF
with open(os.path.join(out, "crash.h5"), "wb") as s:
    s.write(crash)

# ---- random damage: any clean answer will do ----
rng = random.Random(7)
sources = [open(os.path.join(out, n), "rb").read() for n in ("new.h5", "old.h5", "gzip.h5", "norm.h5")]
for i in range(flips):
    bytes_ = bytearray(rng.choice(sources))
    for _ in range(rng.choice([1, 4, 16, 64])):
        bytes_[rng.randrange(len(bytes_))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
    with open(os.path.join(out, "flip_%03d.h5" % i), "wb") as s:
        s.write(bytes_)
