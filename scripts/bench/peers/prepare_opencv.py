#!/usr/bin/env python3
"""The fastest OpenCV form of preparing gray radiographs: gray decode, slices
instead of index lists where the bars lie at the edges, the same result.
Peer of `luma bench`: reads one JSON request a line,
    {"files": [path, ...], "out": folder}
prepares them all on one thread with file I/O, and answers one line,
    {"ms": [per image], "rows": [...], "cols": [...]}
The first line says that it is ready."""
import json
import os
import sys
import time

import cv2
import numpy as np

cv2.setNumThreads(1)


def kept(counts, length):
    """Indices that stay: more than half black goes, the window stays."""
    n = len(counts)
    lo, hi = (200 * n + 512) // 1024, (800 * n + 512) // 1024
    bad = counts * 2 > length
    bad[lo:hi + 1] = False
    return np.flatnonzero(~bad)


def take(img, keep, axis):
    if len(keep) and keep[-1] - keep[0] + 1 == len(keep):  # one run: a view
        part = slice(keep[0], keep[-1] + 1)
        return img[part] if axis == 0 else img[:, part]
    return np.take(img, keep, axis=axis)


def prepare(path, to):
    img = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    black = cv2.compare(img, 39, cv2.CMP_LE)
    sums = cv2.integral(black)  # its last row and column hold both counts: quicker than two reductions
    rows, cols = np.diff(sums[:, -1]) // 255, np.diff(sums[-1]) // 255
    keep_rows, keep_cols = kept(rows, img.shape[1]), kept(cols, img.shape[0])
    removed = len(rows) - len(keep_rows), len(cols) - len(keep_cols)
    img = take(take(img, keep_rows, 0), keep_cols, 1)
    side = min(img.shape)
    top, left = (img.shape[0] - side) // 2, (img.shape[1] - side) // 2
    img = cv2.resize(img[top:top + side, left:left + side], (224, 224), interpolation=cv2.INTER_LINEAR)
    cv2.imwrite(to, img)
    return removed


print("ready OpenCV", cv2.__version__, flush=True)
for line in sys.stdin:
    request = json.loads(line)
    answer = {"ms": [], "rows": [], "cols": []}
    for i, path in enumerate(request["files"]):
        start = time.perf_counter()
        rows, cols = prepare(path, os.path.join(request["out"], "%d.jpg" % i))
        answer["ms"].append((time.perf_counter() - start) * 1e3)
        answer["rows"].append(int(rows))
        answer["cols"].append(int(cols))
    print(json.dumps(answer), flush=True)
