"""Writes small good safetensors files into the folder named first: seeds for the fuzzer."""
import json
import os
import struct
import sys

out = sys.argv[1]


def write(name, tensors, metadata=None):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for key, (dtype, shape, content) in tensors.items():
        header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, ensure_ascii=name == "escaped").encode()
    with open(os.path.join(out, name), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


write("plain", {"w": ("F32", [2, 1], struct.pack("<2f", 1.5, -2)), "i": ("I64", [1], struct.pack("<q", -5))},
      {"format": "pt"})
write("halves", {"h": ("F16", [2], b"\x00\x3c\x01\x00"), "b": ("BF16", [1], b"\x80\x3f"), "n": ("F64", [0, 3], b"")})
write("escaped", {"é\n😀": ("U8", [3], b"abc"), "c": ("BOOL", [], b"\1")}, {"k": "ü\"\\"})
