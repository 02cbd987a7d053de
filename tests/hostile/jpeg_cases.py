"""JPEG cases.  Legal files are made by cjpeg and Pillow and their pixels read
by Pillow; faults are patched into them or written out by hand."""
import io
import shutil
import struct
import subprocess

import numpy as np
from PIL import Image


def scene(h, w, seed=1):
    """Smooth colour with edges and noise: every coefficient gets used."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w]
    base = np.stack([128 + 100 * np.sin(x / 5), 128 + 90 * np.cos(y / 7), (x * 3 + y * 5) % 256], -1)
    return np.clip(base + rng.normal(0, 12, base.shape), 0, 255).astype(np.uint8)


def rgb_of(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def pillow(array, mode="RGB", **options):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, "JPEG", **options)
    return out.getvalue()


def cjpeg(array, *options):
    """None when cjpeg is not installed."""
    if shutil.which("cjpeg") is None:
        return None
    gray = array.ndim == 2
    head = b"P%d %d %d 255\n" % (5 if gray else 6, array.shape[1], array.shape[0])
    return subprocess.run(["cjpeg", *options], input=head + array.tobytes(), stdout=subprocess.PIPE, check=True).stdout


def segments(data):
    """(marker, start, end) of every segment up to the first scan."""
    at, out = 2, []
    while data[at] == 0xFF:
        length = struct.unpack(">H", data[at + 2:at + 4])[0]
        out.append((data[at + 1], at, at + 2 + length))
        if data[at + 1] == 0xDA:
            break
        at += 2 + length
    return out


def find(data, *markers):
    return next(s for s in segments(data) if s[0] in markers)


def patch(data, at, new):
    return data[:at] + new + data[at + len(new):]


def segment(marker, body):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def legal(corpus):
    gray = scene(37, 41)[..., 0]
    made = {
        "gray": pillow(gray, "L"), "q30": pillow(scene(37, 41), quality=30), "q100": pillow(scene(37, 41), quality=100),
        "progressive": pillow(scene(64, 51), progressive=True), "optimized": pillow(scene(20, 33), optimize=True),
        "gray_progressive": pillow(gray, "L", progressive=True), "1x1": pillow(scene(1, 1)),
        "1x300": pillow(scene(1, 300)), "300x1": pillow(scene(300, 1)), "65500x1": pillow(scene(65500, 1)),
        "1x65500": pillow(scene(1, 65500)),
    }
    for i, name in enumerate(["444", "422", "420"]):
        made["sub" + name] = pillow(scene(35, 43), subsampling=i)
    for name, options in {
        "411": ["-sample", "4x1"], "1x4": ["-sample", "1x4"], "3x1": ["-sample", "3x1"], "1x2": ["-sample", "1x2"],
        "chroma_larger": ["-sample", "1x1,2x2,2x2"], "mixed": ["-sample", "2x2,1x2,2x1"],
        "arithmetic": ["-arithmetic"], "arithmetic_progressive": ["-arithmetic", "-progressive"],
        "restart": ["-restart", "1"], "restart_blocks": ["-restart", "3B"], "rgb": ["-rgb"],
        "float_dct": ["-dct", "float"], "gray_from_colour": ["-grayscale"],
    }.items():
        data = cjpeg(scene(45, 61), *options)
        if data:
            made[name] = data
    for name, data in made.items():
        corpus.add(f"jpeg_{name}.jpg", data, "ok", pixels=rgb_of(data))
    data = made["sub420"]
    corpus.add("jpeg_as.png", data, "ok", pixels=rgb_of(data))
    corpus.add("jpeg_trailing.jpg", data + b"\0" * 5000 + data, "ok", pixels=rgb_of(data))
    start = data[:2]
    corpus.add("jpeg_jfif_major.jpg", patch(data, 11, b"\x07"), "ok", pixels=rgb_of(data))
    comments = segment(0xFE, b"x" * 60000) * 20
    corpus.add("jpeg_comments.jpg", start + comments + data[2:], "ok", pixels=rgb_of(data), memory_mib=20)
    corpus.add("jpeg_fill_bytes.jpg", start + b"\xff" * 900000 + data[2:], "ok", pixels=rgb_of(data))


def cmyk(corpus):
    four = np.dstack([scene(30, 29), 255 - scene(30, 29, 5)[..., :1]])
    data = pillow(np.ascontiguousarray(four), "CMYK")
    adobe = find(data, 0xEE)
    ycck = patch(data, adobe[2] - 1, b"\x02")
    bare = data[:adobe[1]] + data[adobe[2]:]
    for name, d in {"cmyk": data, "ycck": ycck, "cmyk_no_adobe": bare}.items():
        corpus.add(f"jpeg_{name}.jpg", d, "ok", pixels=rgb_of(d))


def sizes(corpus):
    data = pillow(scene(16, 16))
    sof = find(data, 0xC0)[1]
    corpus.add("jpeg_height0.jpg", patch(data, sof + 5, b"\0\0"), "error", code="damaged")
    corpus.add("jpeg_width0.jpg", patch(data, sof + 7, b"\0\0"), "error", code="damaged")
    corpus.add("jpeg_65535.jpg", patch(data, sof + 5, b"\xff\xff\xff\xff"), "error", memory_mib=4)
    corpus.add("jpeg_65500.jpg", patch(data, sof + 5, b"\xff\xdc\xff\xdc"), "error", code="limit", memory_mib=4)
    corpus.add("jpeg_taller.jpg", patch(data, sof + 5, b"\x10\0"), "error", code="damaged", says="premature end")
    progressive = pillow(scene(16, 16), progressive=True)
    sof = find(progressive, 0xC2)[1]
    corpus.add("jpeg_progressive_65500.jpg", patch(progressive, sof + 5, b"\xff\xdc\xff\xdc"), "error", code="limit",
               memory_mib=4)


def unsupported(corpus):
    data = pillow(scene(16, 16), subsampling=0)
    sof = find(data, 0xC0)[1]
    for precision in (12, 16, 2, 0):
        corpus.add(f"jpeg_precision{precision}.jpg", patch(data, sof + 4, bytes([precision])), "error",
                   code="unsupported")
    for marker in (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7):
        corpus.add(f"jpeg_sof_{marker:x}.jpg", patch(data, sof + 1, bytes([marker])), "error", code="unsupported")
    for n in (0, 2, 5, 255):
        corpus.add(f"jpeg_components{n}.jpg", patch(data, sof + 9, bytes([n])), "error")
    body = struct.pack(">BHHB", 8, 8, 8, 2) + bytes([1, 0x11, 0, 2, 0x11, 0])
    tables = b"".join(data[s[1]:s[2]] for s in segments(data) if s[0] in (0xDB, 0xC4))
    scan = segment(0xDA, bytes([2, 1, 0, 2, 0, 0, 63, 0])) + b"\0" * 30 + b"\xff\xd9"
    corpus.add("jpeg_two_components.jpg", b"\xff\xd8" + tables + segment(0xC0, body) + scan, "error",
               code="unsupported", says="2 components")
    for sampling in (0x00, 0x55, 0x10, 0x01):
        corpus.add(f"jpeg_sampling{sampling:x}.jpg", patch(data, sof + 11, bytes([sampling])), "error")
    corpus.add("jpeg_2000.jpg", b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 100, "error", code="unsupported",
               says="neither PNG nor JPEG")


def damaged(corpus):
    data = pillow(scene(32, 32), subsampling=0)
    sos = find(data, 0xDA)
    dht, dqt, sof = find(data, 0xC4), find(data, 0xDB), find(data, 0xC0)
    start = data[:2]
    corpus.add("jpeg_no_eoi.jpg", data[:-2], "error", code="damaged", says="premature end", lenient=1)
    corpus.add("jpeg_half.jpg", data[: (sos[2] + len(data)) // 2], "error", code="damaged", says="premature end", lenient=1)
    corpus.add("jpeg_no_entropy.jpg", data[:sos[2]] + b"\xff\xd9", "error", code="damaged", lenient=1)
    corpus.add("jpeg_cut_in_header.jpg", data[:sof[1] + 6], "error", code="damaged")
    corpus.add("jpeg_flipped.jpg", patch(data, sos[2] + 40, b"\xff\x00\xff\x01\xff\x02"), "error", code="damaged")
    corpus.add("jpeg_dht_long.jpg", patch(data, dht[1] + 5, b"\xff" * 16), "error", code="damaged")
    corpus.add("jpeg_dqt_id4.jpg", patch(data, dqt[1] + 4, b"\x04"), "error", code="damaged")
    corpus.add("jpeg_zero_quantiser.jpg", patch(data, dqt[1] + 5, b"\0" * 64), "any")
    corpus.add("jpeg_no_dht.jpg", data[:dht[1]] + data[dht[2]:], "any")  # the standard tables serve
    corpus.add("jpeg_no_dqt.jpg", data[:dqt[1]] + data[dqt[2]:], "error", code="damaged")
    corpus.add("jpeg_two_sof.jpg", data[:sof[2]] + data[sof[1]:], "error", code="damaged")
    corpus.add("jpeg_sos_lies.jpg", patch(data, sos[1] + 4, b"\x04"), "error", code="damaged")
    corpus.add("jpeg_sos_component.jpg", patch(data, sos[1] + 5, b"\x63"), "error", code="damaged")
    corpus.add("jpeg_length0.jpg", start + b"\xff\xe1\0\0" + data[2:], "any")
    corpus.add("jpeg_length1.jpg", start + b"\xff\xe1\0\1" + data[2:], "any")
    corpus.add("jpeg_200000_markers.jpg", start + b"\xff\xe5\0\2" * 200000 + data[2:], "ok", pixels=rgb_of(data))
    corpus.add("jpeg_ff.jpg", start + b"\xff" * 900000, "error", code="damaged")
    corpus.add("jpeg_soi_only.jpg", b"\xff\xd8\xff", "error", code="damaged")
    restart = cjpeg(scene(64, 64), "-restart", "1B")
    if restart:
        at = restart.index(b"\xff\xd2")
        corpus.add("jpeg_restart_order.jpg", patch(restart, at, b"\xff\xd5"), "error", code="damaged")
        corpus.add("jpeg_restart_missing.jpg", restart[:at] + restart[at + 2:], "error", code="damaged")
    arithmetic = cjpeg(scene(40, 40), "-arithmetic")
    if arithmetic:
        dac = segment(0xCC, b"\x00\x0f") # lower bound above the upper one
        at = find(arithmetic, 0xC9)[1]
        corpus.add("jpeg_dac_range.jpg", arithmetic[:at] + dac + arithmetic[at:], "error", code="damaged")


def scan_bomb(side, levels):
    """A legal progressive gray JPEG: one DC scan, then every AC coefficient by
    itself, bit by bit, all of it zero: 1 + 63 * levels scans of a few bytes."""
    blocks = ((side + 7) // 8) ** 2
    out = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    out += segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0]))
    out += segment(0xC4, b"\x00" + bytes([1] + [0] * 15) + b"\0")  # DC: category 0 is "0"
    out += segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\xe0")  # AC: "0" is EOB14
    dc = b"\0" * ((blocks + 7) // 8)

    def bits_of(n):
        """n >= 16384 blocks without a coefficient, as end-of-band runs of 16384 and more."""
        runs = [16384] * (n // 16384)
        runs[0] += n % 16384
        bits = "".join("0" + format(run - 16384, "014b") for run in runs)
        bits += "1" * (-len(bits) % 8)
        data = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
        return data.replace(b"\xff", b"\xff\0")

    out += segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + dc
    ac = bits_of(blocks)
    for k in range(1, 64):
        for level in range(levels):
            low = levels - 1 - level
            high = 0 if level == 0 else low + 1
            out += segment(0xDA, bytes([1, 1, 0, k, k, high << 4 | low])) + ac
    return out + b"\xff\xd9"


def bombs(corpus):
    data = scan_bomb(2048, 11)
    corpus.add("jpeg_bomb_legal.jpg", data, "error", code="limit", says="100 scans")
    fine = scan_bomb(1024, 1)
    corpus.add("jpeg_64_scans.jpg", fine, "ok", pixels=np.full((1024, 1024, 3), 128, np.uint8))
    progressive = pillow(scene(512, 512)[..., 0], "L", progressive=True)
    last = progressive.rindex(b"\xff\xda")
    corpus.add("jpeg_bomb_illegal.jpg", progressive[:-2] + progressive[last:-2] * 3000 + b"\xff\xd9", "error")


def exif(corpus):
    data = pillow(scene(16, 24), quality=90)
    pixels = rgb_of(data)

    def tiff(value, order="<", count=1, kind=3, entries=None, offset=8):
        head = b"II*\0" if order == "<" else b"MM\0*"
        body = struct.pack(order + "H", 1 if entries is None else entries)
        body += struct.pack(order + "HHIHH", 0x0112, kind, count, value, 0) + b"\0" * 4
        return head + struct.pack(order + "I", offset) + body

    def add(name, block, orientation):
        app1 = segment(0xE1, b"Exif\0\0" + block)
        corpus.add(f"jpeg_exif_{name}.jpg", data[:2] + app1 + data[2:], "ok", pixels=pixels, orientation=orientation)

    for order, letter in (("<", "le"), (">", "be")):
        for value in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65535):
            add(f"{letter}_{value}", tiff(value, order), value if 1 <= value <= 8 else 1)
    add("loop", tiff(6, entries=0)[:-4] + struct.pack("<I", 8), 1)
    add("count65535", tiff(1, entries=65535), 1)
    add("offset", tiff(6, offset=0xFFFFFFF0), 1)
    add("cut", tiff(6)[:15], 1)
    add("type", tiff(6, kind=2), 1)
    two = segment(0xE1, b"Exif\0\0" + tiff(3)) + segment(0xE1, b"Exif\0\0" + tiff(6))
    corpus.add("jpeg_exif_twice.jpg", data[:2] + two + data[2:], "ok", pixels=pixels, orientation=3)


def add_all(corpus):
    for group in (legal, cmyk, sizes, unsupported, damaged, bombs, exif):
        group(corpus)
