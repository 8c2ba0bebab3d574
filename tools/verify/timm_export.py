#!/usr/bin/env python3
"""Loads exports of sslmpi into timm with strict=True and compares every token.

    python3 tools/verify/timm_export.py [--program .build/release/sslmpi] [--models tiny,small,base] [--keep DIR]

For each model, image side and number of class tokens: a checkpoint (one step of `pretrain`, and for two class tokens a
random model of timm through `import`), then `export --names timm`, timm loads it strictly, and the tokens and inputs
of `embed --tokens all --save-inputs` are compared with what timm computes from the inputs. With --size an encoder of
224 pixels is written for 96. Exit code 0 when no token differs by more than 1e-4, else 2.
Needs torch, timm, safetensors, h5py.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import h5py
import timm
import torch
from safetensors.torch import load_file, save_file

LIMIT = 1e-4
IMAGES = 4


class Program:
    """The program under test, and a place for its files."""

    def __init__(self, path, folder):
        self.path, self.folder = pathlib.Path(path).resolve(), pathlib.Path(folder)

    def run(self, *words):
        done = subprocess.run([str(self.path), *map(str, words)], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"sslmpi {' '.join(map(str, words))}\nended with {done.returncode}:\n{done.stderr}{done.stdout}")
        return done.stdout

    def pretrained(self, name, *settings):
        """A checkpoint after one step on generated images."""
        out = self.folder / name
        self.run("pretrain", "--out", out, "--overwrite", "method=mae", "train.max_steps=1", "train.batch_size=2",
                 "data.train=synth:tinyshapes?n=8&size=32", "model.decoder.depth=1", "model.decoder.dim=64",
                 "model.decoder.heads=2", "checkpoint.every=null", "eval.every=null", "log.images.every=null", *settings)
        return out

    def tokens(self, target, side, *options):
        """The inputs and all tokens of some images."""
        out = self.folder / "tokens.h5"
        self.run("embed", target, "--data", f"synth:tinyshapes?n={IMAGES}&size={side}&split=val", "--out", out,
                 "--tokens", "all", "--save-inputs", *options)
        with h5py.File(out) as file:
            return torch.tensor(file["inputs"][:IMAGES]), torch.tensor(file["tokens"][:IMAGES])


def lively(model):
    """Random weights that leave no parameter at its first value, where a mistake would not show."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.eval()


def compared(name, ours, theirs):
    """Prints the largest difference of a token and returns whether it is small enough."""
    if ours.shape != theirs.shape:
        print(f"{name}: tokens {tuple(ours.shape)} and {tuple(theirs.shape)}")
        return False
    error = (ours - theirs).abs().max().item()
    good = error <= LIMIT and theirs.abs().max().item() > 0.1
    print(f"{name}: largest difference {error:.2e} of tokens up to {theirs.abs().max().item():.2f} {'ok' if good else 'TOO LARGE'}",
          flush=True)
    return good


def timm_model(size, side, registers=0):
    return timm.create_model(f"vit_{size}_patch16_224", img_size=side, num_classes=0, reg_tokens=registers,
                             no_embed_class=False).eval()


def exported(program, target, *options):
    out = program.folder / "export.safetensors"
    program.run("export", target, "--names", "timm", "--out", out, *options)
    return load_file(out)


@torch.no_grad()
def check(program, name, target, size, side, registers, *options):
    model = timm_model(size, side, registers)
    model.load_state_dict(exported(program, target, *options), strict=True)
    inputs, ours = program.tokens(target, side, *options)
    return compared(name, ours, model.forward_features(inputs))


def checks(program, sizes):
    for size in sizes:
        for side in (224, 96):
            run = program.pretrained(f"{size}-{side}", f"model.arch=vit_{size}_patch16_224", f"model.img_size={side}")
            yield check(program, f"vit_{size}_patch16 {side} px, 1 class token", run, size, side, 0)
            if side == 224:
                yield check(program, f"vit_{size}_patch16 224 px for 96 px", run, size, 96, 0, "--size", 96)
            # timm's own random weights, its positions included: they come in and go out again.
            theirs = lively(timm_model(size, side, registers=1))
            file, checkpoint = program.folder / "timm.safetensors", program.folder / "two.h5"
            save_file(theirs.state_dict(), file)
            program.run("import", file, "--model", f"vit_{size}_patch16_224", f"model.img_size={side}", "--out", checkpoint)
            yield check(program, f"vit_{size}_patch16 {side} px, 2 class tokens", checkpoint, size, side, 1)
            with torch.no_grad():
                inputs, ours = program.tokens(checkpoint, side)
                yield compared("  the model that it came from", ours, theirs.forward_features(inputs))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=".build/release/sslmpi")
    parser.add_argument("--models", default="tiny,small,base")
    parser.add_argument("--keep", help="work in this folder and leave the files there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.keep:
            pathlib.Path(options.keep).mkdir(parents=True, exist_ok=True)
        results = list(checks(Program(options.program, options.keep or folder), options.models.split(",")))
    print(f"{sum(results)} of {len(results)} agree within {LIMIT}")
    return 0 if all(results) else 2


if __name__ == "__main__":
    sys.exit(main())
