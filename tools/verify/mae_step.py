#!/usr/bin/env python3
"""Recomputes a recorded MAE step with PyTorch in double precision: loss, every gradient, and AdamW's new weights.

    sslmpi trace-step CONFIG --out step.h5
    python3 tools/verify/mae_step.py step.h5

It reads nothing but the record and shares no code with the program: equations of He et al., CVPR 2022. Needs h5py and torch.
Exit code 0 when the loss agrees within 1e-5 relative and every gradient within 1e-4 in norm, else 2.
"""
import json
import math
import sys

import h5py
import torch
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)


def positions(width, grid):
    quarter = width // 4
    frequency = 10000.0 ** (-torch.arange(quarter) / quarter)
    row, column = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    x, y = column.reshape(-1, 1) * frequency, row.reshape(-1, 1) * frequency
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], 1)


class Step:
    def __init__(self, path):
        self.file = h5py.File(path, "r")
        self.config = json.loads(self.file.attrs["config"])
        self.weights = {}
        self.file["weights_before"].visititems(self.take)
        views = sorted(self.file["views"], key=int)
        self.images = torch.cat([self.tensor(f"views/{v}") for v in views])
        self.shuffle = torch.cat([self.tensor(f"draws/mask_order/{v}") for v in views]).long()
        self.ratio = self.config["mae"]["mask_ratio"]
        self.patch = self.weights["patch_embed.proj.weight"].shape[-1]
        self.grid = self.images.shape[-1] // self.patch
        self.keep = int(self.grid**2 * (1 - self.ratio))

    def tensor(self, name):
        return torch.as_tensor(self.file[name][()]).double()

    def take(self, name, item):
        if isinstance(item, h5py.Dataset):
            self.weights[name] = torch.as_tensor(item[()]).double().requires_grad_()

    def linear(self, x, name):
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], 1e-6)

    def blocks(self, x, prefix, heads):
        depth = len({n[len(prefix) :].split(".")[0] for n in self.weights if n.startswith(prefix)})
        for i in range(depth):
            p = f"{prefix}{i}"
            b, n, d = x.shape
            qkv = self.linear(self.norm(x, f"{p}.norm1"), f"{p}.attn.qkv")
            q, k, v = qkv.reshape(b, n, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
            a = (q @ k.transpose(-2, -1) / math.sqrt(d // heads)).softmax(-1) @ v
            x = x + self.linear(a.transpose(1, 2).reshape(b, n, d), f"{p}.attn.proj")
            x = x + self.linear(F.gelu(self.linear(self.norm(x, f"{p}.norm2"), f"{p}.mlp.fc1")), f"{p}.mlp.fc2")
        return x

    def heads(self):
        model = self.config["model"]
        named = {"tiny": 3, "small": 6, "base": 12, "large": 16, "huge": 16}
        return model["heads"] or named[model["arch"].split("_")[1]], model["decoder"]["heads"]

    def loss(self):
        heads, decoder_heads = self.heads()
        w, b = self.weights, len(self.images)
        x = F.conv2d(self.images, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=self.patch)
        x = x.flatten(2).transpose(1, 2) + positions(x.shape[1], self.grid)
        visible = self.shuffle[:, : self.keep, None]
        x = x.gather(1, visible.expand(-1, -1, x.shape[-1]))
        x = torch.cat([w["cls_token"].expand(b, -1, -1), x], 1)
        x = self.norm(self.blocks(x, "blocks.", heads), "norm")

        x = self.linear(x, "decoder.embed")
        width, tokens = x.shape[-1], self.grid**2
        restore = self.shuffle.argsort(1)
        filled = torch.cat([x[:, 1:], w["decoder.mask_token"].expand(b, tokens - self.keep, -1)], 1)
        filled = filled.gather(1, restore[..., None].expand(-1, -1, width)) + positions(width, self.grid)
        x = self.blocks(torch.cat([x[:, :1], filled], 1), "decoder.blocks.", decoder_heads)
        predicted = self.linear(self.norm(x, "decoder.norm"), "decoder.pred")[:, 1:]

        g, p = self.grid, self.patch
        target = self.images.reshape(b, -1, g, p, g, p).permute(0, 2, 4, 3, 5, 1).reshape(b, tokens, -1)
        if self.config["mae"]["norm_pix_loss"]:
            target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
        mask = (restore >= self.keep).double()
        return (((predicted - target) ** 2).mean(-1) * mask).sum() / mask.sum()


def main():
    step = Step(sys.argv[1])
    loss = step.loss()
    loss.backward()
    recorded = float(step.file["loss/total"][()])
    gap = abs(loss.item() - recorded) / abs(loss.item())
    print(f"loss recorded {recorded:.9f}  recomputed {loss.item():.9f}  relative difference {gap:.2e}")
    errors = {}
    for name, weight in step.weights.items():
        difference = (step.tensor(f"gradients/{name}") - weight.grad).norm() / weight.grad.norm()
        errors[name] = difference.item()
    worst = max(errors, key=errors.get)
    print(f"{len(errors)} gradients, largest relative difference {errors[worst]:.2e} in {worst}")

    lr, decay = (float(step.file["schedule"].attrs[k]) for k in ("lr", "weight_decay"))
    first = max(
        ((w.detach() * (1 - lr * decay * (w.dim() > 1 and not n.endswith(".bias")))
          - lr * w.grad / (w.grad.abs() + 1e-8) - step.tensor(f"weights_after/{n}")).norm() / w.norm()).item()
        for n, w in step.weights.items() if w.norm() > 0 and "bias" not in n
    ) if step.file.attrs["step"] == 0 and not step.config["train"]["clip_grad"] else None
    if first is not None:
        print(f"first AdamW update, largest relative difference of new weights {first:.2e}")
    sys.exit(0 if gap < 1e-5 and errors[worst] < 1e-4 else 2)


if __name__ == "__main__":
    main()
