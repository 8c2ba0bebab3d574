#!/usr/bin/env python3
"""Writes Tests/Goldens/images.json: what Pillow makes of small JPEG files and resizes.

Made with Pillow 13.0.0 and NumPy; run by hand, never in CI. Bytes are base64; `size` is [width, height].
"""
import base64
import io
import json
import os
import sys

import numpy as np
from PIL import Image

out = {}
random = np.random.default_rng(7)


def text(data):
    return base64.b64encode(bytes(data)).decode("ascii")


def texture(width, height, channels=3):
    """Smooth colour with some noise and one hard edge."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        128 + 90 * np.sin(x / (3 + c) + c) * np.cos(y / (4 + c)) + random.integers(-12, 13, (height, width))
        for c in range(channels)
    ]
    picture = np.stack(planes, -1)
    picture[height // 3 : height // 2, width // 4 :] += 70
    return np.clip(picture, 0, 255).astype(np.uint8)


def file_case(name, image=None, patch=None, **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    data = bytearray(buffer.getvalue())
    if patch:
        patch(data)
    decoded = Image.open(io.BytesIO(bytes(data))).convert("RGB")
    out[f"{name}.jpeg"] = text(data)
    out[f"{name}.size"] = {"shape": [2], "values": list(decoded.size)}
    out[f"{name}.rgb"] = text(decoded.tobytes())
    return bytes(data), decoded


def to_ycck(data):
    """Marks four inks as luma, chroma and black: Pillow cannot write this kind."""
    at = data.index(b"Adobe")
    data[at + 11] = 2


rgb = Image.fromarray(texture(33, 27))
file_case("grey", Image.fromarray(texture(17, 13)).convert("L"), quality=90)
file_case("full-colour", Image.fromarray(texture(16, 16)), quality=95, subsampling=0)
file_case("half-colour-odd", rgb, quality=85, subsampling=2)
file_case("progressive", Image.fromarray(texture(31, 29)), quality=80, subsampling=1, progressive=True)
file_case("one-pixel", Image.fromarray(texture(1, 1)), quality=90)
file_case("one-row", Image.fromarray(texture(37, 1)), quality=90)
file_case("plain-rgb", rgb, quality=90, keep_rgb=True)
file_case("cmyk", Image.fromarray(texture(19, 11, 4), "CMYK"), quality=90)
file_case("ycck", Image.fromarray(texture(19, 11, 4), "CMYK"), patch=to_ycck, quality=90)
file_case("restarts", rgb, quality=85, restart_marker_blocks=2)
out["files"] = "grey full-colour half-colour-odd progressive one-pixel one-row plain-rgb cmyk ycck restarts"

source = Image.fromarray(texture(29, 41))
out["resize.source"] = text(source.tobytes())
out["resize.source.size"] = {"shape": [2], "values": [29, 41]}
sizes = [(8, 8), (40, 61), (29, 7), (5, 41), (1, 1), (64, 16), (16, 64), (28, 20), (29, 41), (27, 30)]
for width, height in sizes:
    out[f"resize.{width}x{height}"] = text(source.resize((width, height), Image.BICUBIC).tobytes())
    out[f"bilinear.{width}x{height}"] = text(source.resize((width, height), Image.BILINEAR).tobytes())
out["resize.sizes"] = {"shape": [len(sizes), 2], "values": [v for s in sizes for v in s]}

photo, decoded = file_case("photo", Image.fromarray(texture(90, 67)), quality=88, subsampling=2)
boxes = [(0, 0, 90, 67, 0), (13, 5, 40, 51, 1), (49, 33, 41, 34, 0), (1, 1, 7, 60, 1), (60, 17, 30, 3, 0)]
for i, (left, top, width, height, flip) in enumerate(boxes):
    view = decoded.crop((left, top, left + width, top + height)).resize((24, 24), Image.BICUBIC)
    if flip:
        view = view.transpose(Image.FLIP_LEFT_RIGHT)
    out[f"view.{i}"] = text(view.tobytes())
out["view.boxes"] = {"shape": [len(boxes), 5], "values": [v for box in boxes for v in box]}

# Evaluation at 28 pixels: shorter side to 32, longer side truncated, centre square.
width, height = 32 * 90 // 67, 32
left, top = round((width - 28) / 2), round((height - 28) / 2)
resized = decoded.resize((width, height), Image.BICUBIC)
out["evaluation"] = text(resized.crop((left, top, left + 28, top + 28)).tobytes())
resized = decoded.resize((width, height), Image.BILINEAR)
out["evaluation.bilinear"] = text(resized.crop((left, top, left + 28, top + 28)).tobytes())

path = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "../../Tests/Goldens/images.json")
with open(path, "w", encoding="utf-8") as file:
    json.dump(out, file)
    file.write("\n")
