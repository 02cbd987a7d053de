"""What the two case files share: a corpus folder, its manifest, reference pixels."""
import json
import os

import numpy as np


class Corpus:
    """Writes files and one JSON line a case: what a decoder must do with it."""

    def __init__(self, folder):
        self.folder = folder
        self.lines = []

    def add(self, name, data, expect, **more):
        """expect: "ok" (with pixels, an h x w x 3 array), "error" (code, says) or
        "any" (decoded or refused, but quickly and in little memory)."""
        pixels = more.pop("pixels", None)
        with open(os.path.join(self.folder, name), "wb") as f:
            f.write(data)
        row = dict(file=name, expect=expect, **more)
        if pixels is not None:
            row["height"], row["width"] = int(pixels.shape[0]), int(pixels.shape[1])
            row["rgb"] = name + ".rgb"
            with open(os.path.join(self.folder, row["rgb"]), "wb") as f:
                f.write(np.ascontiguousarray(pixels, np.uint8).tobytes())
        self.lines.append(json.dumps(row))

    def close(self):
        with open(os.path.join(self.folder, "manifest.jsonl"), "w") as f:
            f.write("\n".join(self.lines) + "\n")
