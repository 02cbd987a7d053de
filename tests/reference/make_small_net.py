#!/usr/bin/env python3
"""Makes small_net.safetensors: a small conv - batch-norm - residual net in
PyTorch, computed in double and stored in single precision: its weights, an
input, activations, the gradient of every weight and of the input, and ten
losses of SGD with Nesterov momentum and weight decay; a second set of ten with
Adam's Keras form written out.  tests/golden_net_spec.lua reproduces them.

  /usr/bin/python3 tests/reference/make_small_net.py
"""
import json
import os
import struct

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(20)
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(8, eps=1e-5, momentum=0.1)
        self.res_conv1 = torch.nn.Conv2d(8, 8, 3, padding=1)
        self.res_bn = torch.nn.BatchNorm2d(8, eps=1e-5, momentum=0.1)
        self.res_conv2 = torch.nn.Conv2d(8, 8, 1)
        self.conv2 = torch.nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=2)
        self.dense = torch.nn.Linear(12, 3)

    def forward(self, x, keep=None):
        def note(name, v):
            if keep is not None:
                keep[name] = v
            return v
        h = note("bn1", self.bn1(note("conv1", self.conv1(x))))
        h = F.relu(h)
        branch = self.res_conv2(F.relu(self.res_bn(self.res_conv1(h))))
        h = note("residual", F.relu(branch + h))
        h = note("pool", F.max_pool2d(h, 3, 2, 1))
        h = note("conv2", F.leaky_relu(self.conv2(h), 0.1))
        h = h.mean((2, 3))
        return note("logits", self.dense(h))


def nhwc(v):
    return v.permute(0, 2, 3, 1) if v.dim() == 4 else v


def ours(name, v):
    """PyTorch's layout to luma's: kernels OIHW -> HWIO, dense (out, in) -> (in, out)."""
    if v.dim() == 4:
        return v.permute(2, 3, 1, 0)
    return v.t() if name == "dense.weight" else v


tensors = {}


def put(name, v):
    tensors[name] = np.ascontiguousarray(v.detach().numpy().astype(np.float32))


def single(model):
    """Weights that single precision holds exactly."""
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.float().double())


net = Net()
with torch.no_grad():
    net.bn1.weight.uniform_(0.5, 1.5)
    net.bn1.bias.uniform_(-0.5, 0.5)
    net.res_bn.weight.uniform_(0.5, 1.5)
single(net)
start = {k: v.clone() for k, v in net.state_dict().items()}
for name, p in net.named_parameters():
    put("weight." + name, ours(name, p))
x = torch.randn(5, 3, 10, 9).float().double().requires_grad_()
labels = torch.tensor([0, 2, 1, 1, 0])
class_weights = torch.tensor([1.0, 2.0, 0.5])
put("input", nhwc(x))
tensors["labels"] = (labels.numpy() + 1).astype(np.int32)
put("class_weights", class_weights)


def loss_of(model, v, keep=None):
    return F.cross_entropy(model(v, keep), labels, weight=class_weights, label_smoothing=0.1)


keep = {}
loss = loss_of(net, x, keep)
loss.backward()
put("loss", loss)
for name, v in keep.items():
    put("activation." + name, nhwc(v))
for name, p in net.named_parameters():
    put("gradient." + name, ours(name, p.grad))
put("gradient.input", nhwc(x.grad))

x = x.detach()
net.load_state_dict(start)
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-2)
losses = []
for _ in range(10):
    opt.zero_grad()
    loss = loss_of(net, x)
    loss.backward()
    opt.step()
    losses.append(loss.item())
tensors["losses.sgd"] = np.array(losses, np.float32)
for name in ("bn1", "res_bn"):
    put("after." + name + ".running_mean", getattr(net, name).running_mean)
    put("after." + name + ".running_var", getattr(net, name).running_var)
net.eval()
put("after.logits", net(x))

net.train()
net.load_state_dict(start)
m = [torch.zeros_like(p) for p in net.parameters()]
v = [torch.zeros_like(p) for p in net.parameters()]
losses = []
for t in range(1, 11):
    net.zero_grad()
    loss = loss_of(net, x)
    loss.backward()
    rate = 0.01 * (1 - 0.999 ** t) ** 0.5 / (1 - 0.9 ** t)
    with torch.no_grad():
        for i, p in enumerate(net.parameters()):
            m[i] = 0.9 * m[i] + 0.1 * p.grad
            v[i] = 0.999 * v[i] + 0.001 * p.grad ** 2
            p -= rate * m[i] / (v[i].sqrt() + 1e-7)
    losses.append(loss.item())
tensors["losses.adam"] = np.array(losses, np.float32)

head, data = {"__metadata__": {"made_by": "tests/reference/make_small_net.py", "torch": torch.__version__}}, b""
for name in sorted(tensors):
    a = tensors[name]
    head[name] = {"dtype": "I32" if a.dtype == np.int32 else "F32", "shape": list(a.shape),
                  "data_offsets": [len(data), len(data) + a.nbytes]}
    data += a.tobytes()
text = json.dumps(head, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "small_net.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + data)
