#!/usr/bin/env python3
"""PyTorch at its best, as a child of `luma bench` (protocol: scripts/bench/peer.lua).

    torch_peer.py infer|train N H W C LAYERS weights.f32 input.f32 OPTIMIZER BATCH

LAYERS: "64,64,p,d256,d2": 3x3 convolutions with ReLU, 2x2 maxima, dense layers
(ReLU between them).  weights.f32: w (3,3,c,k) and b of each layer in turn, dense
w (in,out); input.f32: (n,h,w,c).  Inference: channels_last, traced, frozen,
optimize_for_inference.  Training: channels_last, allocator tuned by the parent;
classes alternate; the dump holds the losses of the first two passes."""
import os
import sys
import time

import numpy as np
import torch
from torch import nn

mode = sys.argv[1]
n, h, w, c = map(int, sys.argv[2:6])
layers = sys.argv[6].split(",")
weights = np.fromfile(sys.argv[7], dtype="f4")
x = torch.from_numpy(np.fromfile(sys.argv[8], dtype="f4").reshape(n, h, w, c)).permute(0, 3, 1, 2)
optimizer_name, batch = sys.argv[9], int(sys.argv[10])
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


class Flat(nn.Module):
    """Flattens in (h, w, c) order, as luma does."""

    def forward(self, t):
        return t.permute(0, 2, 3, 1).reshape(t.shape[0], -1)


def take(count):
    global weights
    part, weights = weights[:count], weights[count:]
    return torch.from_numpy(part.copy())


net, flat = [], None
for layer in layers:
    if layer == "p":
        net.append(nn.MaxPool2d(2))
        h, w = h // 2, w // 2
    elif layer[0] == "d":
        k, inputs = int(layer[1:]), flat or h * w * c
        net.append(nn.ReLU() if flat else Flat())
        dense = nn.Linear(inputs, k)
        dense.weight.data = take(inputs * k).reshape(inputs, k).t().contiguous()
        dense.bias.data = take(k)
        net.append(dense)
        flat = k
    else:
        k = int(layer)
        conv = nn.Conv2d(c, k, 3, padding=1)
        conv.weight.data = take(9 * c * k).reshape(3, 3, c, k).permute(3, 2, 0, 1).contiguous()
        conv.bias.data = take(k)
        net += [conv, nn.ReLU()]
        c = k
net = nn.Sequential(*net).to(memory_format=torch.channels_last)
x = x.contiguous(memory_format=torch.channels_last)
losses = []

if mode == "infer":
    net.eval()
    with torch.no_grad():
        net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))
        for _ in range(3):
            net(x)

    def run():
        with torch.no_grad():
            return net(x)

    def result():
        y = run()
        return y.permute(0, 2, 3, 1).contiguous().numpy() if y.dim() == 4 else y.numpy()
else:
    if optimizer_name == "adam":
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, eps=1e-7)
    else:
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    parts = [(x[i:i + batch], (torch.arange(i + 1, min(i + batch, n) + 1) + 1) % 2) for i in range(0, n, batch)]

    def run():
        for images, ids in parts:
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(net(images), ids)
            loss.backward()
            optimizer.step()
            if len(losses) < 2:
                losses.append(float(loss))

    def result():
        return np.array(losses, dtype="f4")

print("ready PyTorch", torch.__version__, flush=True)
for line in sys.stdin:
    command = line.split()
    if command[0] == "run":
        start = time.perf_counter()
        run()
        print((time.perf_counter() - start) * 1e3, flush=True)
    elif command[0] == "dump":
        result().astype("f4").tofile(line.split(maxsplit=1)[1].rstrip("\n"))
        print("dumped", flush=True)
