#!/usr/bin/env python3
"""Makes Tests/Goldens/positions.json: position tables resampled to grids of other sides.

PyTorch's bicubic interpolation (made with torch 2.15.0) in double precision: half-pixel centres, no antialiasing.
Usage: python3 tools/golden/positions.py
"""
import json
import pathlib

import torch
from torch.nn import functional as F

from mae import array, sequence

WIDTH = 4
CASES = [(5, 3), (5, 8), (4, 12), (7, 6), (1, 2), (3, 1)]


def resampled(table, side, other):
    image = table.reshape(1, side, side, WIDTH).permute(0, 3, 1, 2)
    image = F.interpolate(image, size=(other, other), mode="bicubic", align_corners=False, antialias=False)
    return image.permute(0, 2, 3, 1).reshape(other * other, WIDTH)


def main():
    golden = {"torch": torch.__version__, "width": WIDTH}
    for seed, (side, other) in enumerate(CASES, 1):
        table = sequence(side * side * WIDTH, seed).reshape(side * side, WIDTH)
        golden[f"{side}/{other}/table"] = array(table)
        golden[f"{side}/{other}/resampled"] = array(resampled(table, side, other))
    path = pathlib.Path(__file__).resolve().parents[2] / "Tests/Goldens/positions.json"
    path.write_text(json.dumps(golden) + "\n")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
