"""PNG cases: every legal kind with its pixels, every fault with its verdict.

The encoder below is written from the specification, so that what it makes and
the pixels it promises do not come from the library under test."""
import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(kind, body, crc=None):
    crc = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)


def ihdr(w, h, depth, kind, interlace=0, compression=0, filtering=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, kind, compression, filtering, interlace))


def pack_rows(samples, depth):
    """samples (h, w, c) -> filtered rows (filter 0)."""
    out = b""
    for row in samples:
        flat = row.reshape(-1).astype(np.uint32)
        if depth == 16:
            out += b"\0" + flat.astype(">u2").tobytes()
        elif depth == 8:
            out += b"\0" + flat.astype(np.uint8).tobytes()
        else:
            bits = ((flat[:, None] >> np.arange(depth - 1, -1, -1)) & 1).reshape(-1).astype(np.uint8)
            out += b"\0" + np.packbits(bits).tobytes()
    return out


def raw_image(samples, depth, interlace):
    if not interlace:
        return pack_rows(samples, depth)
    out = b""
    for x0, y0, dx, dy in ADAM7:
        part = samples[y0::dy, x0::dx]
        if part.shape[0] and part.shape[1]:
            out += pack_rows(part, depth)
    return out


def png(samples, depth, kind, interlace=0, before=b"", idat=None):
    h, w = samples.shape[:2]
    data = zlib.compress(raw_image(samples, depth, interlace)) if idat is None else idat
    return SIGNATURE + ihdr(w, h, depth, kind, interlace) + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def expected(samples, depth, kind, palette=None):
    """The 8-bit RGB that a reader must give: high byte of 16, alpha dropped."""
    if kind == 3:
        table = np.zeros((256, 3), np.uint8)
        table[: len(palette)] = palette
        return table[samples[..., 0]]
    colour = samples[..., :1] if kind in (0, 4) else samples[..., :3]
    if depth == 16:
        colour = colour >> 8
    elif depth < 8:
        colour = colour * (255 // ((1 << depth) - 1))
    return np.broadcast_to(colour, colour.shape[:2] + (3,)) if colour.shape[2] == 1 else colour


def legal(corpus, rng):
    kinds = [(0, d) for d in (1, 2, 4, 8, 16)] + [(3, d) for d in (1, 2, 4, 8)]
    kinds += [(k, d) for k in (2, 4, 6) for d in (8, 16)]
    sizes = [(1, 1), (2, 3), (5, 4), (8, 8), (9, 7), (33, 17)]
    for kind, depth in kinds:
        for interlace in (0, 1):
            for h, w in sizes:
                samples = rng.integers(0, 1 << depth, (h, w, CHANNELS[kind]), dtype=np.uint32)
                before, palette = b"", None
                if kind == 3:
                    palette = rng.integers(0, 256, (1 << depth, 3), dtype=np.uint8)
                    before = chunk(b"PLTE", palette.tobytes())
                name = f"png_k{kind}_d{depth}_i{interlace}_{h}x{w}.png"
                corpus.add(name, png(samples, depth, kind, interlace, before), "ok",
                           pixels=expected(samples, depth, kind, palette))
    # transparency: dropped, never composited
    gray = rng.integers(0, 256, (6, 5, 1), dtype=np.uint32)
    corpus.add("png_gray_trns.png", png(gray, 8, 0, 0, chunk(b"tRNS", b"\0\x10")), "ok", pixels=expected(gray, 8, 0))
    rgb = rng.integers(0, 256, (6, 5, 3), dtype=np.uint32)
    corpus.add("png_rgb_trns.png", png(rgb, 8, 2, 0, chunk(b"tRNS", b"\0\x10\0\x20\0\x30")), "ok",
               pixels=expected(rgb, 8, 2))
    index = rng.integers(0, 4, (6, 5, 1), dtype=np.uint32)
    palette = rng.integers(0, 256, (4, 3), dtype=np.uint8)
    before = chunk(b"PLTE", palette.tobytes())
    corpus.add("png_palette_trns.png", png(index, 8, 3, 0, before + chunk(b"tRNS", b"\0\x80\xff")), "ok",
               pixels=expected(index, 8, 3, palette))
    white = np.full((2, 2, 1), 65535, np.uint32)
    corpus.add("png_white16.png", png(white, 16, 0), "ok", pixels=np.full((2, 2, 3), 255, np.uint8))
    # after IEND: anything; between: private and animation chunks
    plain = png(rgb, 8, 2)
    corpus.add("png_trailing.png", plain + b"\0" * 1000 + b"PK\3\4", "ok", pixels=expected(rgb, 8, 2))
    actl = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", b"\0" * 26)
    corpus.add("png_apng.png", png(rgb, 8, 2, 0, actl + chunk(b"fdAT", b"\0\0\0\1junk")), "ok",
               pixels=expected(rgb, 8, 2))
    corpus.add("png_as.jpg", plain, "ok", pixels=expected(rgb, 8, 2))
    split = zlib.compress(raw_image(rgb, 8, 0))
    many = SIGNATURE + ihdr(5, 6, 8, 2) + b"".join(chunk(b"IDAT", split[i:i + 1]) for i in range(len(split)))
    corpus.add("png_idat_by_byte.png", many + chunk(b"IEND", b""), "ok", pixels=expected(rgb, 8, 2))


def headers(corpus, rng):
    body = zlib.compress(b"\0" * 100)
    tail = chunk(b"IDAT", body) + chunk(b"IEND", b"")
    for w, h, code in [(0, 5, "damaged"), (5, 0, "damaged"), (1 << 31, 1, "limit"), (1, 2**32 - 1, "limit"),
                       (65535, 65535, "limit"), (715827883, 2, "limit"), (65536, 1, "limit"), (1, 65536, "limit"),
                       (60000, 60000, "limit"), (30000, 30000, "limit"), (8193, 8192, "limit")]:
        corpus.add(f"png_size_{w}x{h}.png", SIGNATURE + ihdr(w, h, 8, 2) + tail, "error", code=code, memory_mib=2)
    for depth, kind in [(3, 0), (99, 0), (0, 2), (4, 2), (16, 3), (8, 1), (8, 5), (8, 7), (1, 6)]:
        corpus.add(f"png_depth{depth}_kind{kind}.png", SIGNATURE + ihdr(4, 4, depth, kind) + tail, "error",
                   code="damaged")
    for name, more in [("filter64", dict(filtering=64)), ("interlace2", dict(interlace=2)),
                       ("compression1", dict(compression=1))]:
        corpus.add(f"png_{name}.png", SIGNATURE + ihdr(4, 4, 8, 0, **more) + tail, "error", code="damaged")
    rgb = rng.integers(0, 256, (4, 4, 3), dtype=np.uint32)
    good = png(rgb, 8, 2)
    corpus.add("png_cgbi.png", good[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + good[8:], "error", code="unsupported",
               says="CgBI")
    corpus.add("png_no_ihdr.png", good[:8] + good[33:], "error", code="damaged")
    corpus.add("png_two_ihdr.png", good[:33] + good[8:], "error", code="damaged")
    corpus.add("png_signature_only.png", SIGNATURE, "error", code="damaged", says="truncated")


def palettes(corpus, rng):
    index = rng.integers(0, 4, (5, 5, 1), dtype=np.uint32)
    plte = chunk(b"PLTE", bytes(range(12)))
    idat = chunk(b"IDAT", zlib.compress(raw_image(index, 8, 0)))
    head, end = SIGNATURE + ihdr(5, 5, 8, 3), chunk(b"IEND", b"")
    corpus.add("png_palette_missing.png", head + idat + end, "error", code="damaged")
    corpus.add("png_palette_257.png", head + chunk(b"PLTE", b"\1" * 771) + idat + end, "error", code="damaged")
    corpus.add("png_palette_odd.png", head + chunk(b"PLTE", b"\1" * 10) + idat + end, "error", code="damaged")
    corpus.add("png_palette_twice.png", head + plte + plte + idat + end, "error", code="damaged")
    corpus.add("png_palette_late.png", head + idat + plte + end, "error", code="damaged")
    corpus.add("png_palette_short.png", head + chunk(b"PLTE", bytes(range(6))) + idat + end, "any")


def streams(corpus, rng):
    gray = rng.integers(0, 256, (9, 9, 1), dtype=np.uint32)
    raw = raw_image(gray, 8, 0)
    good = zlib.compress(raw)
    bad = {
        "adler": good[:-4] + b"\1\2\3\4",
        "short_rows": zlib.compress(raw[:50]),
        "fdict": b"\x78\xbb" + b"\0\0\0\1" + good[2:],
        "random": rng.integers(0, 256, 200, dtype=np.uint8).tobytes(),
        "empty": b"",
        "half": good[: len(good) // 2],
        "filter9": zlib.compress(b"\x09" + raw[1:]),
        "method": b"\x77" + good[1:],
    }
    for name, idat in bad.items():
        corpus.add(f"png_zlib_{name}.png", png(gray, 8, 0, idat=idat), "error", code="damaged")
    corpus.add("png_zlib_extra_rows.png", png(gray, 8, 0, idat=zlib.compress(raw * 40)), "any")
    corpus.add("png_zlib_extra_bytes.png", png(gray, 8, 0, idat=good + b"x" * 500), "any")


def bombs(corpus, rng):
    rgb = rng.integers(0, 256, (4, 4, 3), dtype=np.uint32)
    pixels = expected(rgb, 8, 2)
    big = zlib.compress(b"\0" * (100 << 20), 9)

    def with_chunks(name, chunks, expect="ok"):
        more = dict(pixels=pixels) if expect == "ok" else {}
        corpus.add(name, png(rgb, 8, 2, 0, chunks), expect, memory_mib=20, **more)

    with_chunks("png_bomb_ztxt.png", chunk(b"zTXt", b"a\0\0" + big))
    with_chunks("png_bomb_itxt.png", chunk(b"iTXt", b"a\0\1\0\0\0" + big))
    with_chunks("png_bomb_iccp.png", chunk(b"iCCP", b"a\0\0" + big))
    with_chunks("png_bomb_text.png", chunk(b"tEXt", b"a\0b") * 60000)
    with_chunks("png_bomb_splt.png", b"".join(chunk(b"sPLT", b"%d\0\10" % i + b"\0" * 60) for i in range(5000)))
    with_chunks("png_bomb_idat.png", chunk(b"IDAT", b"") * 60000, "any")
    head = SIGNATURE + ihdr(4, 4, 8, 2)
    for kind in (b"sCAL", b"zTXt", b"IDAT", b"tRNS", b"PLTE", b"eXIf", b"pCAL"):
        for length in (0x3fffffff, 0x7fffffff, 0xffffffff):
            corpus.add(f"png_length_{kind.decode()}_{length:x}.png", head + struct.pack(">I", length) + kind + b"1",
                       "error", code="damaged", memory_mib=4)
    adam = SIGNATURE + ihdr(20000, 20000, 1, 0, 1) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    corpus.add("png_bomb_adam7.png", adam, "error", code="limit", memory_mib=2)


def add_all(corpus):
    rng = np.random.default_rng(20)
    for group in (legal, headers, palettes, streams, bombs):
        group(corpus, rng)
