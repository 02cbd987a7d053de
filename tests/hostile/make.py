#!/usr/bin/env python3
"""Writes the hostile image corpus (faults I1-I20) into a folder, with a manifest:
    python3 tests/hostile/make.py FOLDER
One JSON object a line: file, expect (ok, error, any), and what goes with it."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import jpeg_cases  # noqa: E402
import png_cases  # noqa: E402
from corpus import Corpus  # noqa: E402

FOREIGN = {
    "gif.jpg": b"GIF89a\1\0\1\0\0\0\0;", "webp.png": b"RIFF\x24\0\0\0WEBPVP8 ", "tiff.jpg": b"II*\0\x08\0\0\0",
    "html.jpg": b"<!DOCTYPE html><html><title>404</title>", "bmp.png": b"BM" + b"\0" * 60, "nul.jpg": b"\0" * 4096,
    "pointer.png": b"version 1\noid sha256:0\nsize 1\n", "text.jpg": b"not an image\n", "dicom.jpg": b"\0" * 128 + b"DICM",
    "one_byte.png": b"\x89", "two_bytes.jpg": b"\xff\xd8",
}


def main(folder):
    os.makedirs(folder, exist_ok=True)
    corpus = Corpus(folder)
    png_cases.add_all(corpus)
    jpeg_cases.add_all(corpus)
    for name, data in FOREIGN.items():
        corpus.add("other_" + name, data, "error", code="unsupported", says="neither PNG nor JPEG")
    corpus.add("other_empty.png", b"", "error", code="damaged", says="empty")
    corpus.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make.py FOLDER")
    main(sys.argv[1])
