#!/usr/bin/env python3
"""Writes Tests/Goldens/masks.json: PNG masks of every kind with their numbers, and what Pillow's nearest resize makes of
masks under the geometry of evaluation.

The files are written by hand, so that the numbers in them are known; Pillow must agree where it shows stored numbers.
Made with Pillow 13.0.0 and NumPy; run by hand, never in CI. Bytes are base64; `size` is [width, height].
Usage: python3 tools/golden/masks.py
"""
import base64
import io
import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

GREY, RGB, PALETTE, GREY_ALPHA = 0, 2, 3, 4
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]

out = {}
random = np.random.default_rng(11)


def text(data):
    return base64.b64encode(bytes(data)).decode("ascii")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(rows, bits):
    """Rows of numbers -> filter byte and `bits` a number, each row filled up to whole bytes."""
    lines = []
    for row in rows:
        digits = "".join(format(int(number), f"0{bits}b") for number in row)
        digits += "0" * (-len(digits) % 8)
        lines.append(b"\0" + int(digits, 2).to_bytes(len(digits) // 8, "big"))
    return b"".join(lines)


def png(numbers, bits, colour, interlaced=False):
    height, width = numbers.shape[:2]
    flat = numbers.reshape(height, -1)
    if interlaced:
        data = b"".join(
            packed(numbers[y::down, x::across], bits) for x, y, across, down in ADAM7 if y < height and x < width)
    else:
        data = packed(flat, bits)
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    body = [chunk(b"IHDR", head)]
    if colour == PALETTE:
        # The darkest colour last: the numbers are not an order of the colours.
        body.append(chunk(b"PLTE", bytes((255 - i * 7 * c) % 256 for i in range(1 << bits) for c in (1, 2, 3))))
    body += [chunk(b"IDAT", zlib.compress(data, 9)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def file_case(name, width, height, bits, colour, interlaced=False):
    numbers = random.integers(0, 1 << bits, (height, width))
    data = png(numbers, bits, colour, interlaced)
    seen = np.array(Image.open(io.BytesIO(data)))
    if colour == PALETTE or bits == 8:
        assert (seen == numbers).all(), name
    else:
        assert (seen.astype(int) * ((1 << bits) - 1) // (255 if seen.dtype != bool else 1) == numbers).all(), name
    out[f"{name}.png"] = text(data)
    out[f"{name}.size"] = {"shape": [2], "values": [width, height]}
    out[f"{name}.classes"] = text(numbers.astype(np.uint8).tobytes())
    return name


names = [
    file_case("grey8", 13, 9, 8, GREY),
    file_case("grey4", 7, 5, 4, GREY),
    file_case("grey2", 9, 4, 2, GREY),
    file_case("grey1", 11, 3, 1, GREY),
    file_case("palette8", 6, 8, 8, PALETTE),
    file_case("palette4", 5, 5, 4, PALETTE),
    file_case("palette1", 17, 2, 1, PALETTE),
    file_case("interlaced8", 19, 11, 8, GREY, interlaced=True),
    file_case("interlaced4", 3, 10, 4, PALETTE, interlaced=True),
    file_case("one-pixel", 1, 1, 8, GREY),
]
out["files"] = " ".join(names)
refused = {
    "colour": png(random.integers(0, 256, (4, 4, 3)), 8, RGB),
    "alpha": png(random.integers(0, 256, (4, 4, 2)), 8, GREY_ALPHA),
    "deep": png(random.integers(0, 65536, (4, 4)), 16, GREY),
}
for name, data in refused.items():
    Image.open(io.BytesIO(data)).load()
    out[f"{name}.png"] = text(data)


def evaluation_case(width, height, size):
    """Shorter side to round(size * 256 / 224), centre square, as torchvision's Resize and CenterCrop do with Pillow.

    Sizes at which the middle of no pixel falls between two others: there Pillow's running sum takes either.
    """
    mask = random.integers(0, 11, (height, width)).astype(np.uint8)
    image = Image.fromarray(mask)
    if (width, height) != (size, size):
        short = round(size * 256 / 224)
        long = int(short * max(width, height) / min(width, height))
        image = image.resize((short, long) if width <= height else (long, short), Image.NEAREST)
        left, top = round((image.width - size) / 2), round((image.height - size) / 2)
        image = image.crop((left, top, left + size, top + size))
    name = f"{width}x{height}to{size}"
    out[f"{name}.mask"] = text(mask.tobytes())
    out[f"{name}.seen"] = text(np.array(image).tobytes())
    return name


out["views"] = " ".join(
    evaluation_case(*case) for case in [(32, 32, 32), (40, 30, 14), (31, 57, 20), (9, 7, 21), (64, 64, 28), (101, 33, 13)]
)
path = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "masks.json"
path.write_text(json.dumps(out, indent=0) + "\n")
print(path, path.stat().st_size)
