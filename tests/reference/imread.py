#!/usr/bin/env python3
"""What OpenCV and Pillow make of image files: one JSON line for each path on
standard input: rgb (MD5 of cv2.imread's pixels, red first, as stored), gray
(cv2's for JPEG, Pillow's "L" for PNG), jpeg (MD5 of cv2.imwrite at its default
quality, made from those pixels), height, width."""
import hashlib
import json
import sys

import cv2
import numpy as np
from PIL import Image


def md5(data):
    return hashlib.md5(data).hexdigest()


for line in sys.stdin:
    path = line.rstrip("\n")
    bgr = cv2.imread(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    with open(path, "rb") as f:
        is_jpeg = f.read(2) == b"\xff\xd8"
    if is_jpeg:
        gray = cv2.imread(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    else:
        gray = np.asarray(Image.fromarray(bgr[..., ::-1]).convert("L"))
    ok, jpeg = cv2.imencode(".jpg", bgr)
    print(json.dumps(dict(rgb=md5(np.ascontiguousarray(bgr[..., ::-1]).tobytes()), gray=md5(gray.tobytes()),
                          jpeg=md5(jpeg.tobytes()), height=bgr.shape[0], width=bgr.shape[1])), flush=True)
