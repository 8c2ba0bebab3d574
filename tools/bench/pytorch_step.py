#!/usr/bin/env python3
"""One training step in plain PyTorch, as the yardstick for `sslmpi bench step`.

The model is the one sslmpi trains (pre-norm ViT, fixed sin-cos positions, MAE decoder 512 x 8 blocks x 16 heads, loss on
normalised patches); attention is scaled_dot_product_attention, the optimiser fused AdamW. Images are made once: loading is
not part of the step, drawing the masks is.

    pytorch_step.py --workload mae_s16 --batch 32 --threads 2 --steps 5 [--json]
    pytorch_step.py --workload mae_s16 --batch 32 --threads 1 --ranks 2        # DistributedDataParallel over gloo
    pytorch_step.py ... --lockstep                                             # protocol: see tools/bench/compare

Allocators are chosen outside, with LD_PRELOAD.
"""
import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

WIDTHS = {"ti": (192, 3), "s": (384, 6), "b": (768, 12)}
WORKLOADS = {  # size, patch, image side, masked autoencoder?, usual batch
    "mae_s16": ("s", 16, 224, True, 32),
    "mae_b16": ("b", 16, 224, True, 32),
    "vit_s16": ("s", 16, 224, False, 32),
    "vit_b16": ("b", 16, 224, False, 16),
    "ti4_32": ("ti", 4, 32, False, 256),
}
DEPTH, DECODER_WIDTH, DECODER_DEPTH, DECODER_HEADS, KEEP = 12, 512, 8, 16, 0.25


def positions(width, grid):
    """Fixed table [grid * grid, width]: sin and cos of the column, then of the row, at width / 4 frequencies."""
    quarter = width // 4
    frequencies = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    index = torch.arange(grid, dtype=torch.float64)
    column = index.repeat(grid)[:, None] * frequencies
    row = index.repeat_interleave(grid)[:, None] * frequencies
    return torch.cat([column.sin(), column.cos(), row.sin(), row.cos()], dim=1).float()


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x):  # [B, N, D]
        b, n, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d)
        x = x + self.proj(attended)
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Encoder(nn.Module):
    def __init__(self, size, patch, side):
        super().__init__()
        width, heads = WIDTHS[size]
        self.patch, self.grid, self.width = patch, side // patch, width
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.cls = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.register_buffer("positions", positions(width, self.grid), persistent=False)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(DEPTH))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, images, visible=None):
        x = self.embed(images).flatten(2).transpose(1, 2) + self.positions  # [B, L, D]
        if visible is not None:
            x = x.gather(1, visible[:, :, None].expand(-1, -1, self.width))  # [B, k, D]
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1)  # [B, 1+k, D]
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Decoder(nn.Module):
    def __init__(self, width, grid, patch_dim):
        super().__init__()
        self.embed = nn.Linear(width, DECODER_WIDTH)
        self.mask_token = nn.Parameter(torch.randn(1, 1, DECODER_WIDTH) * 0.02)
        self.register_buffer("positions", positions(DECODER_WIDTH, grid), persistent=False)
        self.blocks = nn.ModuleList(Block(DECODER_WIDTH, DECODER_HEADS) for _ in range(DECODER_DEPTH))
        self.norm = nn.LayerNorm(DECODER_WIDTH, eps=1e-6)
        self.pred = nn.Linear(DECODER_WIDTH, patch_dim)

    def forward(self, x, restore):
        x = self.embed(x)  # [B, 1+k, 512]
        b, patches = restore.shape
        hidden = self.mask_token.expand(b, patches - (x.shape[1] - 1), -1)
        tokens = torch.cat([x[:, 1:], hidden], dim=1)
        tokens = tokens.gather(1, restore[:, :, None].expand(-1, -1, DECODER_WIDTH)) + self.positions  # [B, L, 512]
        x = torch.cat([x[:, :1], tokens], dim=1)  # [B, 1+L, 512]
        for block in self.blocks:
            x = block(x)
        return self.pred(self.norm(x))[:, 1:]  # [B, L, 3PP]


class MaskedAutoencoder(nn.Module):
    def __init__(self, size, patch, side):
        super().__init__()
        self.encoder = Encoder(size, patch, side)
        self.decoder = Decoder(self.encoder.width, self.encoder.grid, 3 * patch * patch)

    def targets(self, images):
        b, (g, p) = len(images), (self.encoder.grid, self.encoder.patch)
        patches = images.view(b, 3, g, p, g, p).permute(0, 2, 4, 3, 5, 1).reshape(b, g * g, p * p * 3)
        mean, variance = patches.mean(-1, keepdim=True), patches.var(-1, keepdim=True)
        return (patches - mean) / (variance + 1e-6).sqrt()

    def forward(self, images):
        patches = self.encoder.grid ** 2
        keep = int(patches * KEEP)
        shuffle = torch.rand(len(images), patches).argsort(dim=1)
        restore = shuffle.argsort(dim=1)
        prediction = self.decoder(self.encoder(images, shuffle[:, :keep]), restore)
        removed = (restore >= keep).float()
        error = (prediction - self.targets(images)).square().mean(-1)  # [B, L]
        return (error * removed).sum() / removed.sum()


class FeatureLoss(nn.Module):
    """All tokens forward and backward, with next to nothing behind them."""

    def __init__(self, size, patch, side):
        super().__init__()
        self.encoder = Encoder(size, patch, side)

    def forward(self, images):
        return self.encoder(images).square().mean()


def block_flops(tokens, width):
    """Multiply-adds of one block and image, counted as two operations each: linears and both attention products."""
    return 2 * tokens * 12 * width * width + 4 * tokens * tokens * width


def step_gflops(workload):
    """Operations of one image and step: three times the forward pass; the patch embedding needs no input gradient."""
    size, patch, side, masked, _ = WORKLOADS[workload]
    width, patches, dimension = WIDTHS[size][0], (side // patch) ** 2, 3 * patch * patch
    tokens = 1 + (int(patches * KEEP) if masked else patches)
    total = 3 * DEPTH * block_flops(tokens, width) + 2 * 2 * patches * dimension * width
    if masked:
        total += 3 * (2 * tokens * width * DECODER_WIDTH + DECODER_DEPTH * block_flops(1 + patches, DECODER_WIDTH)
                      + 2 * (1 + patches) * DECODER_WIDTH * dimension)
    return total / 1e9


def sgemm_gflops(repeats=3):
    """Speed of one large matrix product, the machine's measure in the same process."""
    m, k, n = 6304, 768, 3072
    a, b, out = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
    torch.mm(a, b, out=out)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        seconds.append(time.perf_counter() - start)
    return 2 * m * k * n / statistics.median(seconds) / 1e9


class Step:
    def __init__(self, options, rank):
        size, patch, side, masked, usual = WORKLOADS[options.workload]
        torch.manual_seed(rank)
        self.batch = options.batch or usual
        self.share = self.batch // options.ranks
        module = (MaskedAutoencoder if masked else FeatureLoss)(size, patch, side)
        self.parameters = sum(p.numel() for p in module.parameters())
        groups = [{"params": [p for p in module.parameters() if p.ndim > 1], "weight_decay": 0.05},
                  {"params": [p for p in module.parameters() if p.ndim <= 1], "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), fused=True)
        self.model = nn.parallel.DistributedDataParallel(module) if options.ranks > 1 else module
        self.images = torch.randn(self.share, 3, side, side)

    def run(self):
        loss = self.model(self.images)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def group(self, steps):
        """Runs some steps and reports them as one record."""
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        for _ in range(steps):
            loss = self.run()
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        return {
            "steps": steps, "seconds": seconds, "images": steps * self.batch, "loss": loss,
            "minor_faults": after.ru_minflt - before.ru_minflt,
            "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            "peak_rss_mib": after.ru_maxrss / 1024,
        }


def start_ranks(options):
    """Joins the gloo group. Rank 0 starts the others; each gets cores of its own. Returns rank and child processes."""
    rank = int(os.environ.get("RANK", "0"))
    children = []
    if options.ranks > 1:
        if rank == 0:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(probe.getsockname()[1]),
                                  WORLD_SIZE=str(options.ranks), RANK="0")
            children = [subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "RANK": str(other)},
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                        for other in range(1, options.ranks)]
        cores = sorted(os.sched_getaffinity(0))
        own = cores[rank * options.threads:(rank + 1) * options.threads]
        if len(cores) >= options.ranks * options.threads:
            os.sched_setaffinity(0, own)
        torch.set_num_threads(options.threads)
        torch.distributed.init_process_group("gloo")
    else:
        torch.set_num_threads(options.threads)
    return rank, children


def agreed(ranks, value):
    """Rank 0's number on every rank; the other ranks wait in it."""
    if ranks > 1:
        box = torch.tensor([value])
        torch.distributed.broadcast(box, 0)
        value = int(box)
    return value


def follow(options, step):
    """The other ranks: as many steps as rank 0 says, until it says none."""
    while (steps := agreed(options.ranks, 0)) > 0:
        step.group(steps)


def emit(record):
    print(json.dumps(record), flush=True)


def lockstep(options, step, step_seconds):
    emit({"ready": True, "engine": f"PyTorch {torch.__version__}", "workload": options.workload, "batch": step.batch,
          "threads": options.threads, "ranks": options.ranks, "gflops_per_image": step_gflops(options.workload),
          "step_seconds": step_seconds})
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            break
        if words == ["sgemm"]:
            emit({"sgemm_gflops": sgemm_gflops() * options.ranks})
            continue
        if len(words) != 2 or words[0] != "go" or not words[1].isdigit() or int(words[1]) < 1:
            emit({"error": f"not understood: {line.strip()}"})
            agreed(options.ranks, 0)
            return 64
        emit(step.group(agreed(options.ranks, int(words[1]))))
    agreed(options.ranks, 0)
    return 0


def measure(options, step):
    groups = []
    for _ in range(options.steps):
        groups.append(step.group(agreed(options.ranks, 1)))
    agreed(options.ranks, 0)
    seconds = statistics.median(group["seconds"] for group in groups)
    sgemm = sgemm_gflops()
    gflops = step_gflops(options.workload) * step.batch / seconds
    record = {
        "engine": f"PyTorch {torch.__version__}", "workload": options.workload, "batch": step.batch,
        "threads": options.threads, "ranks": options.ranks, "parameters": step.parameters,
        "gflops_per_image": step_gflops(options.workload), "step_seconds": seconds, "images_per_s": step.batch / seconds,
        "gflops": gflops, "sgemm_gflops": sgemm * options.ranks, "fraction_of_sgemm": gflops / (sgemm * options.ranks),
        "minor_faults_per_step": statistics.median(group["minor_faults"] for group in groups),
        "peak_rss_mib": groups[-1]["peak_rss_mib"], "loss": groups[-1]["loss"],
    }
    if options.json:
        emit(record)
    else:
        for key, value in record.items():
            print(f"{key:22} {value:.4g}" if isinstance(value, float) else f"{key:22} {value}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=WORKLOADS, default="mae_s16")
    parser.add_argument("--batch", type=int, default=0, help="global batch (0: the usual one of the workload)")
    parser.add_argument("--threads", type=int, default=2, help="threads per rank")
    parser.add_argument("--ranks", type=int, default=1, help="processes under DistributedDataParallel over gloo")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one JSON line")
    parser.add_argument("--lockstep", action="store_true", help="wait for `go N` on stdin, see tools/bench/compare")
    options = parser.parse_args()
    if options.batch % options.ranks:
        parser.error("--batch must be a multiple of --ranks")

    rank, children = start_ranks(options)
    step = Step(options, rank)
    step_seconds = step.group(options.warmup)["seconds"] / options.warmup
    if rank > 0:
        follow(options, step)
        code = 0
    else:
        code = lockstep(options, step, step_seconds) if options.lockstep else measure(options, step)
    if options.ranks > 1:
        torch.distributed.destroy_process_group()
    return max([code] + [child.wait() for child in children])


if __name__ == "__main__":
    sys.exit(main())
