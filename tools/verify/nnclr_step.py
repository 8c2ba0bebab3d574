#!/usr/bin/env python3
"""Recomputes a recorded step of MAE-CT's stage head or tune with PyTorch in double precision.

    sslmpi trace-step CONFIG --stage tune --out step.h5
    python3 tools/verify/nnclr_step.py step.h5

From the record alone: both views through encoder, projector, predictor and slow projector, the lookup in the recorded queue, the loss,
every gradient, the queue after the step, the running statistics and both averages. It shares no code with the program: equations of
Lehner et al., 2023. Needs h5py and torch. Exit code 0 when the loss agrees within 1e-5 relative, every gradient within 1e-4 in norm, slots
exactly, and all state within 1e-5, else 2.
"""
import sys

import torch
from torch.nn import functional as F

from mae_step import Step, positions


class ContrastiveStep(Step):
    def __init__(self, path):
        import h5py
        import json

        self.file = h5py.File(path, "r")
        self.config = json.loads(self.file.attrs["config"])
        self.stage = self.file.attrs["stage"]
        self.settings = next((s for s in self.config.get("stages", []) if s["name"] == self.stage), {})
        self.weights = {}
        self.file["weights_before"].visititems(self.take)
        self.views = [self.tensor(f"views/{v}") for v in range(2)]
        self.patch = self.weights["patch_embed.proj.weight"].shape[-1]
        self.grid = self.views[0].shape[-1] // self.patch
        self.running = {}

    def setting(self, *keys):
        for tree in (self.settings, self.config):
            for key in keys:
                tree = tree.get(key) if isinstance(tree, dict) else None
            if tree is not None:
                return tree
        return None

    def heads(self):
        named = {"tiny": 3, "small": 6, "base": 12, "large": 16, "huge": 16}
        return self.setting("model", "heads") or named[self.setting("model", "arch").split("_")[1]]

    def embed(self, images):
        w = self.weights
        x = F.conv2d(images, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=self.patch)
        x = x.flatten(2).transpose(1, 2) + positions(x.shape[1], self.grid)
        x = torch.cat([w["cls_token"].expand(len(x), -1, -1), x], 1)
        x = self.norm(self.blocks(x, "blocks.", self.heads()), "norm")
        pool = self.setting("nnclr", "pool")
        cls = pool == "cls" or (pool in (None, "auto") and x.shape[-1] >= 1024)
        return x[:, 0] if cls else x[:, 1:].mean(1)

    def batch_norm(self, x, name, weights, track):
        if track:
            mean, variance = (self.running.get(f"{name}.{k}", self.tensor(f"state_before/buffers/{name}.{k}"))
                              for k in ("running_mean", "running_var"))
            self.running[f"{name}.running_mean"] = 0.9 * mean + 0.1 * x.detach().mean(0)
            self.running[f"{name}.running_var"] = 0.9 * variance + 0.1 * x.detach().var(0)
        x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def project(self, x, weights, track):
        for layer in (1, 2, 3):
            x = self.batch_norm(x @ weights[f"projector.fc{layer}.weight"].T, f"projector.bn{layer}", weights, track)
            x = x.relu() if layer < 3 else x
        return x

    def predict(self, z):
        hidden = z @ self.weights["predictor.fc1.weight"].T
        return self.batch_norm(hidden, "predictor.bn1", self.weights, True).relu() @ self.weights["predictor.fc2.weight"].T

    def loss(self):
        hidden = [self.embed(v) for v in self.views]
        projected = [self.project(h, self.weights, True) for h in hidden]
        predicted = [F.normalize(self.predict(z), eps=1e-12) for z in projected]
        self.keys = [F.normalize(z, eps=1e-12).detach() for z in projected]
        if "target" in self.file["state_before"]:
            slow = {}
            self.file["state_before/target"].visititems(
                lambda n, i: slow.update({n: torch.as_tensor(i[()]).double()}) if hasattr(i, "shape") else None)
            self.keys = [F.normalize(self.project(h, slow, False), eps=1e-12).detach() for h in hidden]
        queue, ids = self.tensor("state_before/queue/vectors"), self.file["state_before/queue/ids"][()]
        own = torch.as_tensor(ids)[None] == torch.as_tensor(self.file["samples/index"][()])[:, None]
        self.slots_agree = True
        found = []
        for view, keys in enumerate(self.keys):
            similarity = (keys @ queue.T).masked_fill(own, -1.0)
            order = similarity.argsort(dim=1, descending=True, stable=True)
            picks = self.tensor(f"draws/nn_pick/{view}").long()
            slots = order.gather(1, picks[:, None])[:, 0]
            self.slots_agree &= bool((slots == self.tensor(f"draws/nn_slot/{view}").long()).all())
            found.append(queue[slots])
        labels, tau = torch.arange(len(self.keys[0])), self.setting("nnclr", "temperature")
        return (F.cross_entropy(found[0] @ predicted[1].T / tau, labels)
                + F.cross_entropy(found[1] @ predicted[0].T / tau, labels)) / 2

    def state_errors(self):
        """Largest differences of what the step leaves behind."""
        queue, pointer = self.tensor("state_before/queue/vectors"), int(self.file["state_before/queue/counters"][0])
        slots = (pointer + torch.arange(len(self.keys[0]))) % len(queue)
        queue[slots] = self.keys[0]
        errors = {"queue": (queue - self.tensor("state_after/queue/vectors")).abs().max().item()}
        for name, value in self.running.items():
            errors[name] = (value - self.tensor(f"state_after/buffers/{name}")).abs().max().item()
        for part, momentum in (("target", self.setting("nnclr", "target_ema")), ("ema", self.setting("ema", "encoder"))):
            if part not in self.file["state_before"]:
                continue
            names = [n for n in self.weights if f"state_before/{part}/{n}" in self.file]
            errors[part] = max(
                (momentum * self.tensor(f"state_before/{part}/{n}") + (1 - momentum) * self.tensor(f"weights_after/{n}")
                 - self.tensor(f"state_after/{part}/{n}")).abs().max().item() for n in names)
        return errors


def main():
    step = ContrastiveStep(sys.argv[1])
    loss = step.loss()
    loss.backward()
    recorded = float(step.file["loss/total"][()])
    gap = abs(loss.item() - recorded) / abs(loss.item())
    print(f"loss recorded {recorded:.9f}  recomputed {loss.item():.9f}  relative difference {gap:.2e}")
    print(f"slots of the drawn neighbours: {'all equal' if step.slots_agree else 'DIFFERENT'}")
    errors = {}
    for name in (n for n in step.weights if f"gradients/{n}" in step.file):
        gradient = step.weights[name].grad
        errors[name] = ((step.tensor(f"gradients/{name}") - gradient).norm() / gradient.norm()).item()
    worst = max(errors, key=errors.get)
    print(f"{len(errors)} gradients, largest relative difference {errors[worst]:.2e} in {worst}")
    state = step.state_errors()
    largest = max(state, key=state.get)
    print(f"{len(state)} parts of the state after the step, largest difference {state[largest]:.2e} in {largest}")
    sys.exit(0 if gap < 1e-5 and errors[worst] < 1e-4 and state[largest] < 1e-5 and step.slots_agree else 2)


if __name__ == "__main__":
    main()
