#!/usr/bin/env python3
"""Compares the JPEG pipeline of sslmpi with Pillow on the same files, crops and flips, on one core, in one run.

usage: jpeg_pillow.py [--rounds N] [--images N] [--augment none|aug] [--program .build/release/sslmpi] DIR

`sslmpi bench jpeg --keep-in DIR` writes the files `I.jpg`, `views.json` and `views.f32`, which Pillow then reads. Colours are
changed by the calls that torchvision's transforms make for Pillow pictures; its blur is another filter, Pillow's is taken.
The two programs run in turn, `--rounds` times; the ratio is the median over turns. Needs Pillow and NumPy.
"""
import argparse
import json
import os
import statistics
import subprocess
import time

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps, __version__ as pillow_version

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
SIZE = 224


def turned(image, turn):
    """torchvision's adjust_hue."""
    hue, saturation, value = image.convert("HSV").split()
    levels = np.array(hue, dtype=np.uint8)
    levels += np.int32(turn * 255).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(levels), saturation, value)).convert("RGB")


COLOUR = {
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "saturation": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "hue": turned,
    "grey": lambda image, _: Image.merge("RGB", [image.convert("L")] * 3),
    "solarise": ImageOps.solarize,
    "blur": lambda image, sigma: image.filter(ImageFilter.GaussianBlur(sigma)),
}


def view(path, entry):
    """Decode, crop, resize, flip, colours: what training frameworks do with Pillow."""
    with Image.open(path) as image:
        image = image.convert("RGB")
    left, top = entry["left"], entry["top"]
    image = image.crop((left, top, left + entry["width"], top + entry["height"]))
    image = image.resize((SIZE, SIZE), Image.BICUBIC)
    if entry["flip"]:
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    for name, value in entry["colour"]:
        image = COLOUR[name](image, value)
    return image


def normalised(image):
    x = np.asarray(image, dtype=np.float32)
    x = x / np.float32(255)
    x -= MEAN
    x /= STD
    return np.ascontiguousarray(x.transpose(2, 0, 1))


def pillow_rate(directory, entries):
    start = time.process_time()
    for entry in entries:
        normalised(view(os.path.join(directory, entry["file"]), entry))
    return len(entries) / (time.process_time() - start)


def compare(directory, entries):
    ours = np.fromfile(os.path.join(directory, "views.f32"), np.float32).reshape(len(entries), 3, SIZE, SIZE)
    worst, different, total = 0, 0, 0
    for entry, planes in zip(entries, ours):
        theirs = np.asarray(view(os.path.join(directory, entry["file"]), entry)).transpose(2, 0, 1).astype(np.int32)
        levels = np.rint(planes * 255).astype(np.int32)
        gap = np.abs(levels - theirs)
        worst = max(worst, int(gap.max()))
        different += int((gap > 0).sum())
        total += gap.size
    return {"max_levels": worst, "different_share": different / total}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--augment", choices=["none", "aug"], default="none")
    parser.add_argument("--program", default=".build/release/sslmpi")
    parser.add_argument("directory")
    options = parser.parse_args()
    os.makedirs(options.directory, exist_ok=True)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # inherited by the benchmark
    ratios, ours, theirs = [], [], []
    for _ in range(options.rounds):
        command = [options.program, "bench", "jpeg", "--json", "--rounds", "3"]
        command += ["--augment", options.augment, "--images", str(options.images), "--keep-in", options.directory]
        line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1]
        result = json.loads(line)
        with open(os.path.join(options.directory, "views.json"), encoding="utf-8") as file:
            entries = json.load(file)
        ours.append(result["images_per_cpu_s"])
        theirs.append(pillow_rate(options.directory, entries))
        ratios.append(ours[-1] / theirs[-1])
    report = {
        "augment": options.augment,
        "pillow": pillow_version,
        "mean_bytes": result["mean_bytes"],
        "sslmpi_images_per_cpu_s": statistics.median(ours),
        "pillow_images_per_cpu_s": statistics.median(theirs),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
    }
    report.update(compare(options.directory, entries))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
