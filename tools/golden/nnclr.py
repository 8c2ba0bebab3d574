#!/usr/bin/env python3
"""Makes Tests/Goldens/nnclr.json: two steps of a tiny NNCLR head with given neighbours.

Projector, predictor and loss of MAE-CT with PyTorch in double precision (made with torch 2.13.0): predictions, loss, all
gradients and the running buffers of each step; between the steps every parameter moves by -RATE times its gradient.
Usage: python3 tools/golden/nnclr.py
"""
import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

from mae import array, sequence

BATCH, INPUTS, HIDDEN, OUTPUTS, PREDICTOR = 12, 10, 16, 8, 20
TEMPERATURE, RATE = 0.15, 0.1


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.projector = nn.ModuleDict()
        for layer, (inputs, outputs) in enumerate([(INPUTS, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, OUTPUTS)], 1):
            self.projector[f"fc{layer}"] = nn.Linear(inputs, outputs, bias=False)
            self.projector[f"bn{layer}"] = nn.BatchNorm1d(outputs)
        self.predictor = nn.ModuleDict({
            "fc1": nn.Linear(OUTPUTS, PREDICTOR, bias=False),
            "bn1": nn.BatchNorm1d(PREDICTOR),
            "fc2": nn.Linear(PREDICTOR, OUTPUTS, bias=False),
        })

    def project(self, x):
        g = self.projector
        x = g["bn1"](g["fc1"](x)).relu()
        x = g["bn2"](g["fc2"](x)).relu()
        return g["bn3"](g["fc3"](x))

    def predict(self, z):
        p = self.predictor
        return p["fc2"](p["bn1"](p["fc1"](z)).relu())


def nnclr(predictions, neighbours):
    labels = torch.arange(BATCH)
    s01 = neighbours[0] @ predictions[1].T / TEMPERATURE
    s10 = neighbours[1] @ predictions[0].T / TEMPERATURE
    return (F.cross_entropy(s01, labels) + F.cross_entropy(s10, labels)) / 2


def matrix(rows, columns, seed):
    return sequence(rows * columns, seed).reshape(rows, columns)


def main():
    head = Head().train()
    golden = {"torch": torch.__version__, "temperature": TEMPERATURE, "rate": RATE}
    for seed, (name, parameter) in enumerate(head.named_parameters()):
        scale = 0.25 if ".bn" in name else (3 / parameter.shape[1]) ** 0.5
        centre = 1 if ".bn" in name and name.endswith("weight") else 0
        values = (sequence(parameter.numel(), seed + 1) * scale + centre).float().double()
        parameter.data = values.reshape(parameter.shape)
        golden[f"start/{name}"] = array(parameter.detach())
    for step in range(2):
        inputs = [(2 * matrix(BATCH, INPUTS, 100 * step + 10 + view) + 0.5).requires_grad_() for view in range(2)]
        neighbours = [F.normalize(matrix(BATCH, OUTPUTS, 100 * step + 20 + view)).float().double() for view in range(2)]
        embeddings = [head.project(x) for x in inputs]
        predictions = [F.normalize(head.predict(z)) for z in embeddings]
        loss = nnclr(predictions, neighbours)
        head.zero_grad()
        loss.backward()
        golden[f"{step}/loss"] = loss.item()
        for view in range(2):
            golden[f"{step}/input/{view}"] = array(inputs[view].detach())
            golden[f"{step}/neighbours/{view}"] = array(neighbours[view])
            golden[f"{step}/embedding/{view}"] = array(embeddings[view].detach())
            golden[f"{step}/prediction/{view}"] = array(predictions[view].detach())
            golden[f"{step}/input_gradient/{view}"] = array(inputs[view].grad)
        for name, parameter in head.named_parameters():
            golden[f"{step}/gradient/{name}"] = array(parameter.grad)
            parameter.data -= RATE * parameter.grad
        for name, buffer in head.named_buffers():
            golden[f"{step}/buffer/{name}"] = array(buffer.reshape(-1))
    head.eval()
    golden["evaluated"] = array(head.predict(head.project(inputs[0])).detach())
    path = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "nnclr.json"
    path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items()) + "\n}\n")


if __name__ == "__main__":
    main()
