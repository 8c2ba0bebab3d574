#!/usr/bin/env python3
"""Makes Tests/Goldens/mae.json: loss, every gradient and ViT features of a tiny masked autoencoder.

Written with PyTorch in double precision from the equations of He et al., CVPR 2022 (made with torch 2.13.0).
Usage: python3 tools/golden/mae.py
"""
import json
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

BATCH, SIDE, PATCH, CHANNELS, KEEP = 3, 16, 4, 3, 4
WIDTH, DEPTH, HEADS = 16, 2, 2
DECODER_WIDTH, DECODER_DEPTH, DECODER_HEADS = 8, 1, 2
GRID = SIDE // PATCH
TOKENS = GRID * GRID
torch.set_default_dtype(torch.float64)


def sequence(count, seed):
    """Numbers in [-1, 1) that are exact in single precision: a 32-bit linear congruential generator."""
    state, values = (seed * 2654435761 + 12345) % 2**32, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((state >> 8) / 2**23 - 1)
    return torch.tensor(values)


def positions(width):
    quarter = width // 4
    frequency = 10000.0 ** (-torch.arange(quarter) / quarter)
    rows, columns = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    x, y = columns.reshape(-1, 1) * frequency, rows.reshape(-1, 1) * frequency
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], 1)  # [L, width]


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(d // self.heads)
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(b, n, d))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp = Attention(width, heads), Mlp(width)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Conv2d(CHANNELS, WIDTH, PATCH, PATCH)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(WIDTH, DECODER_WIDTH)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, DECODER_WIDTH))
        self.blocks = nn.ModuleList(Block(DECODER_WIDTH, DECODER_HEADS) for _ in range(DECODER_DEPTH))
        self.norm = nn.LayerNorm(DECODER_WIDTH, eps=1e-6)
        self.pred = nn.Linear(DECODER_WIDTH, CHANNELS * PATCH * PATCH)

    def forward(self, latent, restore):
        x = self.embed(latent)
        filled = torch.cat([x[:, 1:], self.mask_token.expand(len(x), TOKENS - KEEP, -1)], 1)
        filled = filled.gather(1, restore[..., None].expand(-1, -1, DECODER_WIDTH)) + positions(DECODER_WIDTH)
        x = torch.cat([x[:, :1], filled], 1)
        for block in self.blocks:
            x = block(x)
        return self.pred(self.norm(x))[:, 1:]


class MAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.patch_embed = PatchEmbed()
        self.blocks = nn.ModuleList(Block(WIDTH, HEADS) for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        self.decoder = Decoder()

    def encode(self, images, visible=None):
        x = self.patch_embed(images) + positions(WIDTH)
        if visible is not None:
            x = x.gather(1, visible[..., None].expand(-1, -1, WIDTH))
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def loss(self, images, shuffle):
        restore = shuffle.argsort(1)
        predicted = self.decoder(self.encode(images, shuffle[:, :KEEP]), restore)
        patches = images.reshape(BATCH, CHANNELS, GRID, PATCH, GRID, PATCH)
        patches = patches.permute(0, 2, 4, 3, 5, 1).reshape(BATCH, TOKENS, -1)  # channel fastest
        target = (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6).sqrt()
        mask = (restore >= KEEP).double()
        return (((predicted - target) ** 2).mean(-1) * mask).sum() / mask.sum()


def array(tensor):
    return {"shape": list(tensor.shape), "values": [float(f"{v:.8g}") for v in tensor.flatten().tolist()]}


def main():
    model = MAE()
    golden = {}
    names = [name for name, _ in model.named_parameters()]
    for seed, (name, parameter) in enumerate(model.named_parameters()):
        centre, scale = (1, 0.1) if "norm" in name and name.endswith("weight") else (0, 0.25)
        values = (sequence(parameter.numel(), seed + 1) * scale + centre).float().double()
        parameter.data = values.reshape(parameter.shape)
    images = (1.5 * sequence(BATCH * CHANNELS * SIDE * SIDE, 1000)).reshape(BATCH, CHANNELS, SIDE, SIDE)
    shuffle = torch.stack([sequence(TOKENS, 2000 + i).argsort() for i in range(BATCH)])
    loss = model.loss(images, shuffle)
    loss.backward()
    golden["torch"] = torch.__version__
    golden["parameters"] = ",".join(names)
    golden["loss"] = loss.item()
    golden["shuffle"] = {"shape": list(shuffle.shape), "values": shuffle.flatten().tolist()}
    golden["tokens"] = array(model.encode(images).detach())
    for name, parameter in model.named_parameters():
        golden[f"gradient/{name}"] = array(parameter.grad)
    path = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "mae.json"
    path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items()) + "\n}\n")


if __name__ == "__main__":
    main()
