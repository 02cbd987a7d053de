#!/usr/bin/env python3
"""cv2.warpAffine on 32 float images, as a child of `luma bench`.

    opencv_peer.py images.f32 matrices.f32

images: (32,224,224,3); matrices: 7 numbers an image, the output-to-input map
as luma.image.affine takes it (rows first), and whether to flip.  The dump holds the
mean of every image and channel."""
import os
import sys
import time

import cv2
import numpy as np

cv2.setNumThreads(int(os.environ.get("OMP_NUM_THREADS", "1")))
x = np.fromfile(sys.argv[1], dtype="f4").reshape(32, 224, 224, 3)
m = np.fromfile(sys.argv[2], dtype="f4").reshape(32, 7).astype("f8")
y = np.empty_like(x)
# (row, column) order to OpenCV's (x, y)
maps = [np.array([[q[4], q[3], q[5]], [q[1], q[0], q[2]]]) for q in m]


def run():
    for i in range(32):
        out = cv2.warpAffine(x[i], maps[i], (224, 224), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                             borderMode=cv2.BORDER_REPLICATE)
        y[i] = out[:, ::-1] if m[i, 6] else out


print("ready OpenCV", cv2.__version__, flush=True)
for line in sys.stdin:
    command = line.split()
    if command[0] == "run":
        start = time.perf_counter()
        run()
        print((time.perf_counter() - start) * 1e3, flush=True)
    elif command[0] == "dump":
        run()
        y.mean(axis=(1, 2)).astype("f4").tofile(line.split(maxsplit=1)[1].rstrip("\n"))
        print("dumped", flush=True)
