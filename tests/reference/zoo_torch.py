"""The zoo's networks in PyTorch, from luma's own weight files: the judge of tests/zoo_spec.lua.

usage: zoo_torch.py vgg16|vgg19|tiny|resnet50 WEIGHTS.safetensors INPUT.npy OUTPUT.npy
WEIGHTS holds luma's canonical names, kernels (kh, kw, cin, cout); INPUT is (n, h, w, 3).
"""
import json
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(2)
network, weights, source, target = sys.argv[1:]
data = open(weights, "rb").read()
(length,) = struct.unpack("<Q", data[:8])
w = {}
for name, row in json.loads(data[8:8 + length]).items():
    if name == "__metadata__":
        continue
    a, b = row["data_offsets"]
    count = int(np.prod(row["shape"], dtype=int))
    x = np.frombuffer(data, "<f4" if row["dtype"] == "F32" else "<f8", offset=8 + length + a, count=count)
    w[name] = torch.from_numpy(x.astype("f4").reshape(row["shape"]))


def conv(x, name, **how):
    return F.conv2d(x, w[name + ".weight"].permute(3, 2, 0, 1).contiguous(), w[name + ".bias"], **how)


def norm(x, name):
    return F.batch_norm(x, w[name + ".mean"], w[name + ".var"], w[name + ".gamma"], w[name + ".beta"], eps=1.001e-5)


def vgg(x, plan):
    for block, count in enumerate(plan, 1):
        for i in range(1, count + 1):
            x = F.relu(conv(x, "block%d_conv%d" % (block, i), padding=1))
        x = F.max_pool2d(x, 2)
    return x


def resnet50(x):
    x = F.relu(norm(conv(F.pad(x, (3, 3, 3, 3)), "conv1_conv", stride=2), "conv1_bn"))
    x = F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)
    for stage, count in zip((2, 3, 4, 5), (3, 4, 6, 3)):
        for b in range(1, count + 1):
            name = "conv%d_block%d" % (stage, b)
            stride = 2 if b == 1 and stage > 2 else 1
            short = norm(conv(x, name + "_0_conv", stride=stride), name + "_0_bn") if b == 1 else x
            y = F.relu(norm(conv(x, name + "_1_conv", stride=stride), name + "_1_bn"))
            y = F.relu(norm(conv(y, name + "_2_conv", padding=1), name + "_2_bn"))
            x = F.relu(norm(conv(y, name + "_3_conv"), name + "_3_bn") + short)
    return x


plans = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4), "tiny": (2, 2, 2, 2, 2)}
with torch.no_grad():
    x = torch.from_numpy(np.load(source)).permute(0, 3, 1, 2).contiguous()
    y = resnet50(x) if network == "resnet50" else vgg(x, plans[network])
    if network == "resnet50" and "predictions.weight" in w:
        y = torch.softmax(y.mean((2, 3)) @ w["predictions.weight"] + w["predictions.bias"], 1)
    elif "predictions.weight" in w:
        y = y.permute(0, 2, 3, 1).flatten(1)
        for name in ("fc1", "fc2"):
            y = F.relu(y @ w[name + ".weight"] + w[name + ".bias"])
        y = torch.softmax(y @ w["predictions.weight"] + w["predictions.bias"], 1)
    else:
        y = y.permute(0, 2, 3, 1)
np.save(target, y.contiguous().numpy())
