#!/usr/bin/env python3
"""Writes Tests/Goldens/colour.json: what torchvision's transforms of Pillow pictures make of small pictures and of all colours.

Made with Pillow 13.0.0, torchvision 0.28.0 and NumPy; run by hand, never in CI. Brightness, contrast, saturation, hue and solarise
are torchvision's functions, grey is Pillow's L, blur is Pillow's GaussianBlur (torchvision's own blur is another filter).

A case is a picture, operations with their factors in their order, and the CRC-32 of the resulting RGB bytes; the chains on
one picture hold the bytes too. `cube.*` are all 2^24 colours as one picture of 4096 x 4096, red slowest and blue fastest.
"""
import base64
import importlib.util
import json
import os
import sys
import types
import zlib

import numpy as np
from PIL import Image, ImageFilter

# The package itself loads compiled operators, which must fit the installed torch; its transforms do not need them.
package = types.ModuleType("torchvision")
package.__path__ = importlib.util.find_spec("torchvision").submodule_search_locations
sys.modules["torchvision"] = package
from torchvision.transforms import functional  # noqa: E402

random = np.random.default_rng(11)
out = {}

OPERATIONS = {
    "brightness": functional.adjust_brightness,
    "contrast": functional.adjust_contrast,
    "saturation": functional.adjust_saturation,
    "hue": functional.adjust_hue,
    "grey": lambda picture, _: picture.convert("L").convert("RGB"),
    "solarise": functional.solarize,
    "blur": lambda picture, sigma: picture.filter(ImageFilter.GaussianBlur(sigma)),
}


def apply(picture, operations):
    for word in operations.split("; "):
        name, _, value = word.partition(" ")
        picture = OPERATIONS[name](picture, float(value or 0))
    return picture


def natural(width, height):
    """Smooth colour with some noise and one hard edge."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        120 + 80 * np.sin(x / (5 + 2 * c) + c) * np.cos(y / (6 + c)) + random.integers(-9, 10, (height, width)) for c in range(3)
    ]
    picture = np.stack(planes, -1)
    picture[height // 3 : height // 2, width // 4 :] += 60
    return np.clip(picture, 0, 255).astype(np.uint8)


def saturated(width, height):
    """Channels at their ends, or next to them."""
    return random.choice(np.array([0, 0, 1, 127, 128, 254, 255, 255], np.uint8), (height, width, 3))


def grey(width, height):
    return np.repeat(random.integers(0, 256, (height, width, 1), dtype=np.uint8), 3, -1)


PICTURES = {
    "natural": natural(33, 27),
    "wide": natural(37, 5),
    "noise": random.integers(0, 256, (13, 16, 3), dtype=np.uint8),
    "saturated": saturated(17, 12),
    "grey": grey(11, 9),
    "dark": random.integers(0, 3, (7, 9, 3), dtype=np.uint8),
    "pixel": np.array([[[200, 30, 90]]], np.uint8),
    "black": np.zeros((1, 1, 3), np.uint8),
    "row": natural(23, 1),
    "column": natural(1, 19),
    "two": saturated(2, 2),
}
FACTORS = {
    "brightness": [0, 0.25, 0.6, 0.999, 1, 1.001, 1.4, 3],
    "contrast": [0, 0.25, 0.6, 0.999, 1, 1.4, 3],
    "saturation": [0, 0.3, 0.6, 0.8, 1, 1.2, 1.4, 3],
    "hue": [-0.5, -0.25, -0.1, -0.004, -0.003, 0, 0.003, 0.004, 0.0371, 0.1, 1 / 3, 0.5],
    "grey": [None],
    "solarise": [0, 1, 64, 128, 255, 256],
    "blur": [0.01, 0.1, 0.5, 0.8, 1, 1.37, 1.99, 2, 3.5, 9, 60],
}
CHAINS = [
    "brightness 1.23; contrast 0.71; saturation 1.38; hue -0.08",
    "hue 0.099; saturation 0.62; contrast 1.4; brightness 0.6",
    "contrast 1.31; hue 0.05; brightness 0.9; saturation 1.1; blur 0.7; grey; solarise 128",
    "saturation 0.75; brightness 1.17; hue -0.03; contrast 1.09; blur 1.9; solarise 128",
    "grey; blur 0.4",
]
CUBE = ["hue -0.1", "hue 0", "hue 0.0371", "hue 0.5", "saturation 0.613", "saturation 1.39", "grey", "contrast 1.27", "brightness 0.77"]


def text(data):
    return base64.b64encode(bytes(data)).decode("ascii")


def main():
    for name, pixels in PICTURES.items():
        out[f"{name}.size"] = {"shape": [2], "values": [pixels.shape[1], pixels.shape[0]]}
        out[f"{name}.rgb"] = text(pixels.tobytes())
    out["pictures"] = " ".join(PICTURES)
    singles = [name if f is None else f"{name} {f!r}" for name, factors in FACTORS.items() for f in factors]
    out["operations"] = "|".join(singles + CHAINS)
    for name, pixels in PICTURES.items():
        results = [apply(Image.fromarray(pixels), operations).tobytes() for operations in singles + CHAINS]
        out[f"{name}.crc"] = {"shape": [len(results)], "values": [zlib.crc32(data) for data in results]}
    for i, operations in enumerate(CHAINS):
        out[f"chain.{i}"] = text(apply(Image.fromarray(PICTURES["natural"]), operations).tobytes())
    levels = np.arange(256, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(4096, 4096, 3)
    out["cube.operations"] = "|".join(CUBE)
    values = [zlib.crc32(apply(Image.fromarray(cube), operations).tobytes()) for operations in CUBE]
    out["cube.crc"] = {"shape": [len(CUBE)], "values": values}
    path = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "../../Tests/Goldens/colour.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(out, file)
        file.write("\n")


main()
