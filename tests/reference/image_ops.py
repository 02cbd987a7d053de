"""Writes image_ops.json: warps by SciPy, colour by OpenCV and colorsys.

Run: /usr/bin/python3 tests/reference/image_ops.py > tests/reference/image_ops.json
Made with SciPy 1.10, OpenCV 4.6.  Images are u8, pixel k the top byte of the
k-th number of x -> 6364136223846793005 x + 1442695040888963407 mod 2^64 started
at the case's seed.
"""
import colorsys
import json
import sys

import cv2
import numpy as np
from scipy.fft import dctn
from scipy.ndimage import affine_transform

FILLS = ["nearest", "constant", "grid-constant", "reflect", "mirror", "wrap", "grid-wrap"]


def pixels(seed, shape):
    n = int(np.prod(shape))
    out = np.empty(n, np.uint8)
    x = seed
    for k in range(n):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        out[k] = x >> 56
    return out.reshape(shape)


def numbers(a):
    return [float("%.7g" % v) for v in np.asarray(a, float).ravel()]


def warps():
    rng = np.random.default_rng(7)
    shapes = [(5, 7, 3, 6, 6), (6, 4, 1, 5, 9), (1, 1, 3, 3, 3), (1, 6, 3, 4, 4), (6, 1, 1, 4, 4), (4, 4, 4, 3, 5)]
    seed = 100
    for fill in FILLS:
        for k, (h, w, c, oh, ow) in enumerate(shapes):
            seed += 1
            a = np.round(rng.standard_normal((2, 2)) * (0.4 + 0.5 * (k % 3)), 3)
            o = np.round(rng.standard_normal(2) * 4, 3)
            if k == 5:  # the degenerate map: every output pixel looks at one line
                a = np.array([[1.0, 0.5], [2.0, 1.0]])
            x = pixels(seed, (h, w, c)).astype(np.float64)
            y = np.stack([affine_transform(x[:, :, i], a, o, output_shape=(oh, ow), order=1, mode=fill, cval=77.5)
                          for i in range(c)], 2)
            yield {"seed": seed, "h": h, "w": w, "c": c, "oh": oh, "ow": ow, "fill": fill,
                   "m": [a[0, 0], a[0, 1], o[0], a[1, 0], a[1, 1], o[1]], "y": numbers(y)}


def colors():
    x = pixels(5, (6, 8, 3))
    x[0, :4] = [[0, 0, 0], [255, 255, 255], [9, 9, 9], [255, 0, 255]]
    f = x.astype(np.float64) / 255
    hsv = np.array([colorsys.rgb_to_hsv(*p) for p in f.reshape(-1, 3)])
    sat = np.array([colorsys.hsv_to_rgb(h, min(1.0, s * 3), v) for h, s, v in hsv])
    return {"x": x.ravel().tolist(), "gray": cv2.cvtColor(x, cv2.COLOR_RGB2GRAY).ravel().tolist(),
            "hsv": numbers(hsv), "saturated": numbers(sat)}


def keras():
    """Keras's matrices: keras-preprocessing 1.1.0 (centre + 0.5) and HEAD (centre - 0.5, axes exchanged)."""
    rng = np.random.default_rng(11)
    for k in range(6):
        h, w = int(rng.integers(5, 40)), int(rng.integers(5, 40))
        theta, tx, ty = np.round(rng.uniform(-20, 20, 3), 3)
        shear = round(float(rng.uniform(-10, 10)), 3) if k % 2 else 0.0
        zx, zy = np.round(rng.uniform(0.8, 1.2, 2), 3) if k > 2 else (1.0, 1.0)
        a, b = np.deg2rad(theta), np.deg2rad(shear)
        m = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        m = m @ np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
        m = m @ np.array([[1, -np.sin(b), 0], [0, np.cos(b), 0], [0, 0, 1]]) @ np.diag([zx, zy, 1])
        out = {}
        for name, off in (("keras-1.1.0", 0.5), ("keras-head", -0.5)):
            c = np.array([[1, 0, h / 2 + off], [0, 1, w / 2 + off], [0, 0, 1]])
            t = c @ m @ np.linalg.inv(c)
            if name == "keras-head":
                t[[0, 1]] = t[[1, 0]]
                t[:, [0, 1]] = t[:, [1, 0]]
            out[name] = numbers(t[:2])
        yield {"h": h, "w": w, "draws": {"theta": theta, "tx": tx, "ty": ty, "shear": shear, "zx": zx, "zy": zy},
               "matrix": out}


def hashes():
    """DCT and difference hashes with OpenCV's INTER_AREA and SciPy's DCT; correlations with NumPy."""
    for k, (h, w, c) in enumerate([(40, 50, 3), (32, 32, 1), (9, 12, 1), (64, 33, 3), (1, 1, 1)]):
        x = pixels(500 + k, (h, w, c))
        if k == 0:  # smooth, as pictures are
            x = cv2.GaussianBlur(x, (0, 0), 4)
            x = ((x.astype(int) - x.min()) * 255 // max(1, int(x.max()) - int(x.min()))).astype(np.uint8)
        f = x.astype(np.float32)
        gray = f[:, :, 0] if c == 1 else (
            np.float32(0.299) * f[:, :, 0] + np.float32(0.587) * f[:, :, 1] + np.float32(0.114) * f[:, :, 2])
        cells = cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA).astype(float)
        low = dctn(cells, type=2, norm=None)[:8, :8] / 4
        low[abs(low) <= 1e-6 * abs(low).max()] = 0
        bits = (low > np.median(low)).ravel()
        d = cv2.resize(gray, (9, 8), interpolation=cv2.INTER_AREA)
        diff = (d[:, :-1] < d[:, 1:]).ravel()
        y = pixels(600 + k, (h, w, c))
        with np.errstate(all="ignore"):
            r = float(np.corrcoef(x.ravel(), (x // 2 + y // 4).ravel())[0, 1]) if x.size > 1 else 0.0
        yield {"h": h, "w": w, "c": c, "x": x.ravel().tolist(), "seed": 600 + k, "correlation": r,
               "dct": "%016x" % int("".join("01"[int(b)] for b in bits), 2),
               "difference": "%016x" % int("".join("01"[int(b)] for b in diff), 2)}


json.dump({"warps": list(warps()), "colors": colors(), "keras": list(keras()), "hashes": list(hashes())}, sys.stdout, separators=(",", ":"))
print()
