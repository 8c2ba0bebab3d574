#!/usr/bin/env python3
"""Makes Tests/Goldens/linear.json: three steps of linear heads behind a BatchNorm without weights.

PyTorch in double precision (made with torch 2.13.0): BatchNorm1d(affine=False), Linear, cross-entropy, SGD with
momentum and weight decay; and LARS written from its equations. Logits of every step, then weights, running statistics
and the logits of the last batch in evaluation mode.
Usage: python3 tools/golden/linear.py
"""
import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

from mae import array, sequence

BATCH, WIDTH, CLASSES, STEPS = 12, 6, 5, 3
RATES = [0.4, 0.3, 0.1]
MOMENTUM = 0.9


class LARS(torch.optim.Optimizer):
    """v <- momentum v + q (g + decay w), w <- w - rate v; q = trust |w| / |g + decay w| and decay for matrices only."""

    def __init__(self, parameters, lr, weight_decay, trust=0.001):
        super().__init__(parameters, {"lr": lr, "decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                g = w.grad
                if w.ndim > 1:
                    g = g + group["decay"] * w
                    if w.norm() > 0 and g.norm() > 0:
                        g = g * group["trust"] * w.norm() / g.norm()
                state = self.state[w]
                state["v"] = MOMENTUM * state.get("v", 0) + g
                w -= group["lr"] * state["v"]


def run(golden, name, eps, make):
    head = nn.Sequential(nn.BatchNorm1d(WIDTH, affine=False, eps=eps), nn.Linear(WIDTH, CLASSES))
    head[1].weight.data = (sequence(CLASSES * WIDTH, 1) * 0.3).float().double().reshape(CLASSES, WIDTH)
    head[1].bias.data.zero_()
    optimizer = make(head.parameters())
    head.train()
    for step in range(STEPS):
        x = (sequence(BATCH * WIDTH, 10 + step).reshape(BATCH, WIDTH) * torch.arange(1, WIDTH + 1) + step).float().double()
        labels = (torch.arange(BATCH) * 7 + step) % CLASSES
        logits = head(x)
        optimizer.zero_grad()
        F.cross_entropy(logits, labels).backward()
        for group in optimizer.param_groups:
            group["lr"] = RATES[step]
        golden[f"{name}/{step}/x"] = array(x)
        golden[f"{name}/{step}/labels"] = array(labels)
        golden[f"{name}/{step}/logits"] = array(logits.detach())
        golden[f"{name}/{step}/gradient"] = array(head[1].weight.grad)
        optimizer.step()
    golden[f"{name}/weight"] = array(head[1].weight.detach())
    golden[f"{name}/bias"] = array(head[1].bias.detach())
    golden[f"{name}/mean"] = array(head[0].running_mean)
    golden[f"{name}/variance"] = array(head[0].running_var)
    golden[f"{name}/evaluated"] = array(head.eval()(x).detach())


def main():
    start = (sequence(CLASSES * WIDTH, 1) * 0.3).float().double().reshape(CLASSES, WIDTH)
    golden = {"torch": torch.__version__, "rates": array(torch.tensor(RATES)), "start": array(start)}
    run(golden, "sgd", 1e-5, lambda p: torch.optim.SGD(p, lr=RATES[0], momentum=MOMENTUM))
    run(golden, "decay", 1e-5, lambda p: torch.optim.SGD(p, lr=RATES[0], momentum=MOMENTUM, weight_decay=0.05))
    run(golden, "lars", 1e-6, lambda p: LARS(p, lr=RATES[0], weight_decay=0.05))
    path = pathlib.Path(__file__).resolve().parents[2] / "Tests/Goldens/linear.json"
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
