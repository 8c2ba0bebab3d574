#!/usr/bin/env python3
"""Makes Tests/Goldens/mae_adamw.json: ten steps of torch.optim.AdamW with two parameter groups.

Made with torch 2.13.0 in double precision. Usage: python3 tools/golden/mae_adamw.py
"""
import json
import pathlib

import torch

from mae import array, sequence

SHAPES = {"a.weight": (5, 7), "a.bias": (5,), "token": (1, 1, 9)}


def main():
    parameters = {
        name: torch.nn.Parameter((0.5 * sequence(torch.Size(shape).numel(), seed + 1)).reshape(shape))
        for seed, (name, shape) in enumerate(SHAPES.items())
    }
    decayed = [p for p in parameters.values() if p.ndim > 1]
    plain = [p for p in parameters.values() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], betas=(0.9, 0.95), eps=1e-8)
    golden = {"torch": torch.__version__}
    for name, parameter in parameters.items():
        golden[f"{name}/0"] = array(parameter.detach())
    for step in range(10):
        for seed, (name, parameter) in enumerate(parameters.items()):
            parameter.grad = (0.1 * sequence(parameter.numel(), 100 + 10 * step + seed)).reshape(parameter.shape)
            golden[f"{name}/gradient/{step + 1}"] = array(parameter.grad)
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * (step + 1)
        optimizer.step()
        for name, parameter in parameters.items():
            golden[f"{name}/{step + 1}"] = array(parameter.detach())
    path = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "mae_adamw.json"
    path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items()) + "\n}\n")


if __name__ == "__main__":
    main()
