#!/usr/bin/env python3
"""Writes Tests/Goldens/dense.json: prompt segmentation and similarity distributions of small random images.

A plain transcription of spec/evaluation.md E8 and E9 with NumPy 2.4, bilinear maps from PyTorch 2.15, connected parts from
SciPy 1.17, histograms from numpy.histogram; run by hand, never in CI. Masks are base64 of [images, size, size] bytes.
Usage: python3 tools/golden/dense.py
"""
import base64
import json
import pathlib

import numpy as np
import torch
from scipy import ndimage

IGNORED = 255
THRESHOLDS = [t / 10 for t in range(10)]
out = {}


def array(values):
    values = np.asarray(values)
    return {"shape": list(values.shape), "values": values.reshape(-1).tolist()}


def images(count, grid, side, width, seed):
    """Masks of a few rectangles, some thin, with ignored rims; tokens that follow the masks with noise."""
    random = np.random.default_rng(seed)
    size = grid * side
    masks = np.zeros((count, size, size), np.uint8)
    for mask in masks:
        for _ in range(5):
            label = random.integers(1, 5)
            y, x = random.integers(0, size - side, 2)
            h, w = random.integers(1, size // 2, 2)
            if random.random() < 0.4:
                mask[max(0, y - 1) : y + h + 1, max(0, x - 1) : x + w + 1] = IGNORED
            mask[y : y + h, x : x + w] = label
        mask[0, 0] = 9  # smaller than a patch
    directions = random.normal(size=(256, width))
    tokens = np.zeros((count, grid * grid, width))
    for image, mask in enumerate(masks):
        middles = mask[side // 2 :: side, side // 2 :: side].reshape(-1)
        tokens[image] = directions[middles] + 1.2 * random.normal(size=(grid * grid, width))
    return masks, np.round(tokens, 3).astype(np.float32)


def patches_of(numbers, grid):
    """[size, size] -> [grid * grid, pixels of a patch]"""
    side = numbers.shape[0] // grid
    return numbers.reshape(grid, side, grid, side).transpose(0, 2, 1, 3).reshape(grid * grid, side * side)


def majority(numbers, grid):
    """The label of each patch, -1 without one, and its share of the patch's pixels; ignored pixels are negative."""
    labels, shares = [], []
    for patch in patches_of(numbers, grid):
        found, counts = np.unique(patch[patch >= 0], return_counts=True)
        labels.append(found[counts.argmax()] if len(found) else -1)  # the first of equal ones is the lower
        shares.append(counts.max() / len(patch) if len(found) else 0)
    return np.array(labels), np.array(shares)


def regions(mask, unit, background):
    numbers = np.where(mask == IGNORED, -1, mask.astype(int))
    if unit == "category":
        return numbers
    parts = np.where(mask == IGNORED, -1, 0)
    found = []
    for label in np.unique(mask):
        if label in (IGNORED, background):
            continue
        named, count = ndimage.label(mask == label, structure=np.ones((3, 3)))
        found += [named == part for part in range(1, count + 1)]
    for number, part in enumerate(sorted(found, key=lambda part: part.reshape(-1).argmax()), 1):
        parts[part] = number
    return parts


def cosines(tokens):
    tokens = tokens.astype(np.float64)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    return tokens @ tokens.T


def upsampled(similarity, grid, size, how):
    image = torch.from_numpy(similarity.reshape(1, 1, grid, grid))
    options = {"align_corners": False} if how == "bilinear" else {}
    return torch.nn.functional.interpolate(image, size=(size, size), mode=how, **options).numpy()[0, 0]


def promptseg(masks, tokens, grid, unit, how, background):
    size = masks.shape[1]
    objects, small, thin = [], 0, 0
    for mask, token in zip(masks, tokens):
        numbers = regions(mask, unit, background)
        labels, _ = majority(numbers, grid)
        similarity = cosines(token)
        known = numbers >= 0
        for number in np.unique(numbers[known & (mask != background)]):
            truth = numbers == number
            if truth.sum() < (size // grid) ** 2:
                small += 1
                continue
            own = np.flatnonzero(labels == number)
            if not len(own):
                thin += 1
                continue
            others = np.flatnonzero(labels != number)
            y, x = np.divmod(own[:, None], grid), np.divmod(others[None], grid)
            distance = ((y[0] - x[0]) ** 2 + (y[1] - x[1]) ** 2).min(1) if len(others) else np.zeros(len(own))
            prompt = own[distance.argmax()]
            up = upsampled(similarity[prompt], grid, size, how)
            filled = upsampled((labels == number).astype(float), grid, size, "nearest") > 0.5

            def overlap(chosen):
                return int((chosen & truth & known).sum()), int(((chosen | truth) & known).sum())

            objects.append((int(mask[truth][0]), [overlap(up > t) for t in THRESHOLDS], overlap(filled),
                            overlap(np.ones_like(truth))))
    shares = np.array([[a / b for a, b in found] for _, found, _, _ in objects])  # [objects, thresholds]
    classes = np.array([label for label, *_ in objects])
    by_class = np.array([shares[classes == label].mean(0) for label in np.unique(classes)]).mean(0)
    means = shares.mean(0)
    return {
        "objects": len(objects),
        "objects_too_small": small,
        "objects_without_patch": thin,
        "miou": array(100 * means),
        "class_miou": array(100 * by_class),
        "common": array([sum(found[t][0] for _, found, _, _ in objects) for t in range(10)]),
        "either": array([sum(found[t][1] for _, found, _, _ in objects) for t in range(10)]),
        "best_T": THRESHOLDS[int(means.argmax())],
        "oracleT": float(100 * shares.max(1).mean()),
        "ceiling": float(100 * np.mean([a / b for _, _, (a, b), _ in objects])),
        "everything": float(100 * np.mean([a / b for _, _, _, (a, b) in objects])),
    }


def simdist(masks, tokens, grid, excluded):
    intra, inter = [], []
    for mask, token in zip(masks, tokens):
        labels, shares = majority(np.where(mask == IGNORED, -1, mask.astype(int)), grid)
        kept = np.flatnonzero((labels >= 0) & (shares >= 0.5) & (labels != excluded))
        similarity = cosines(token)
        for place, i in enumerate(kept):
            for j in kept[place + 1 :]:
                (intra if labels[i] == labels[j] else inter).append(similarity[i, j])
    counts = [np.histogram(np.clip(part, -1, 1), bins=200, range=(-1, 1))[0] for part in (intra, inter)]
    p, q = (part / part.sum() for part in counts)
    return {
        "overlap": float(np.minimum(p, q).sum()),
        "intra_mean": float(np.mean(intra)),
        "inter_mean": float(np.mean(inter)),
        "intra_counts": array(counts[0]),
        "inter_counts": array(counts[1]),
    }


for name, count, grid, side, width, seed in [("small", 14, 4, 4, 5, 1), ("odd", 7, 7, 5, 9, 2)]:
    masks, tokens = images(count, grid, side, width, seed)
    out[f"{name}.masks"] = base64.b64encode(masks.tobytes()).decode("ascii")
    out[f"{name}.tokens"] = {"shape": list(tokens.shape), "values": [round(float(t), 3) for t in tokens.reshape(-1)]}
    out[f"{name}.side"] = side
    for unit, how, background in [
        ("category", "bilinear", 0), ("category", "nearest", 0), ("instance", "bilinear", 0), ("category", "bilinear", -1),
    ]:
        found = promptseg(masks, tokens, grid, unit, how, background)
        assert found["objects_too_small"] > 0 and found["objects"] > 10, found
        out.update({f"{name}.promptseg.{unit}.{how}.{background}.{key}": value for key, value in found.items()})
    for label, excluded in [("all", -2), ("objects", 0)]:
        found = simdist(masks, tokens, grid, excluded)
        out.update({f"{name}.simdist.{label}.{key}": value for key, value in found.items()})

path = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "dense.json"
path.write_text(json.dumps(out) + "\n")
print(path, path.stat().st_size)
for key, value in out.items():
    if not isinstance(value, (dict, str)):
        print(key, value)
