#!/usr/bin/env python3
"""Imports models of other programs into sslmpi and compares every token; then sends them back.

    python3 tools/verify/foreign_import.py [--program .build/release/sslmpi] [--model small] [--keep DIR]

A ViTMAEForPreTraining of transformers with random weights, saved by `save_pretrained`; a model under the names of
MAE's repository, written by hand, its tokens computed by timm; and a model under DINO's names with `backbone.` in
front. Each comes in by `import`, its tokens from `embed` are compared with the original's, goes out again by `export`
in its own names, and is loaded once more by its own program. Exit code 0 when no token differs by more than 1e-4,
else 2. Needs torch, timm, transformers, safetensors, h5py.
"""
import argparse
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from timm_export import Program, compared, lively, timm_model

SIDE = 224
SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}


def taken_in(program, file, size, *words):
    out = program.folder / "in.h5"
    program.run("import", file, "--model", f"vit_{size}_patch16_224", "--out", out, *words)
    return out


def sent_back(program, checkpoint, names):
    out = program.folder / "back.safetensors"
    program.run("export", checkpoint, "--names", names, "--out", out)
    return load_file(out)


def vitmae_tokens(model, inputs):
    """The encoder's tokens with no patch removed, in their own order."""
    model.vit.config.mask_ratio = model.vit.embeddings.config.mask_ratio = 0.0
    order = torch.arange(196.0).expand(len(inputs), 196)
    return model.vit(inputs, noise=order).last_hidden_state


@torch.no_grad()
def hugging_face(program, size):
    width, depth, heads = SIZES[size]
    config = ViTMAEConfig(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, intermediate_size=4 * width,
        decoder_hidden_size=128, decoder_num_hidden_layers=2, decoder_num_attention_heads=4,
        decoder_intermediate_size=512, layer_norm_eps=1e-6)
    model = ViTMAEForPreTraining(config)
    # Files on the hub hold sine-cosine tables; a fresh model of transformers 5 holds zeros.
    model.vit.embeddings.patch_embeddings.projection._is_hf_initialized = False
    model.vit.embeddings.initialize_weights()
    model.decoder.initialize_weights(num_patches=196)
    tables = {n: p.clone() for n, p in model.named_parameters() if "pos" in n}
    lively(model)
    for name, parameter in model.named_parameters():
        if name in tables:
            parameter.copy_(tables[name])
    folder = program.folder / "vitmae"
    model.save_pretrained(folder)
    checkpoint = taken_in(program, folder / "model.safetensors", size, "model.decoder.heads=4")
    inputs, ours = program.tokens(checkpoint, SIDE)
    back, report = ViTMAEForPreTraining.from_pretrained(
        None, config=config, state_dict=sent_back(program, checkpoint, "hf"), output_loading_info=True)
    keys = [n for n, v in back.state_dict().items() if not torch.equal(v, model.state_dict()[n])]
    print(f"ViTMAE sent back: {len(report['missing_keys'])} missing, {len(report['unexpected_keys'])} unexpected, "
          f"{len(keys)} not bitwise equal")
    yield not keys and not report["missing_keys"] and not report["unexpected_keys"]
    yield compared(f"ViTMAEForPreTraining, {size}", ours, vitmae_tokens(model.eval(), inputs))


def with_decoder(encoder, width):
    """A state in the names of MAE's repository: an encoder in timm's names and a small random decoder."""
    state = dict(encoder)
    dim = 64
    state["mask_token"] = torch.randn(1, 1, dim)
    state["decoder_pos_embed"] = torch.cat([torch.zeros(1, dim), sine_cosine(dim, 14)]).unsqueeze(0)
    shapes = {"decoder_embed.weight": (dim, width), "decoder_embed.bias": (dim,), "decoder_pred.weight": (768, dim),
              "decoder_pred.bias": (768,), "decoder_norm.weight": (dim,), "decoder_norm.bias": (dim,)}
    for name, shape in (("norm1", (dim,)), ("norm2", (dim,)), ("attn.qkv", (3 * dim, dim)), ("attn.proj", (dim, dim)),
                        ("mlp.fc1", (4 * dim, dim)), ("mlp.fc2", (dim, 4 * dim))):
        shapes[f"decoder_blocks.0.{name}.weight"], shapes[f"decoder_blocks.0.{name}.bias"] = shape, shape[:1]
    return state | {name: torch.randn(shape) for name, shape in shapes.items()}


def sine_cosine(width, grid):
    quarter = width // 4
    frequency = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    rows, columns = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    x, y = columns.reshape(-1, 1) * frequency, rows.reshape(-1, 1) * frequency
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], 1).float()


@torch.no_grad()
def plain_names(program, size, names):
    model = lively(timm_model(size, SIDE))
    model.pos_embed.copy_(torch.cat([torch.zeros(1, model.embed_dim), sine_cosine(model.embed_dim, 14)]).unsqueeze(0))
    state = with_decoder(model.state_dict(), model.embed_dim) if names == "mae" else model.state_dict()
    prefix = "backbone." if names == "dino" else ""
    file = program.folder / f"{names}.safetensors"
    save_file({prefix + n: v.contiguous() for n, v in state.items()}, file)
    checkpoint = taken_in(program, file, size, *(["model.decoder.heads=4"] if names == "mae" else []))
    inputs, ours = program.tokens(checkpoint, SIDE)
    yield compared(f"names of {names}, {size}", ours, model.forward_features(inputs))
    back = sent_back(program, checkpoint, names)
    keys = [n for n in set(back) | set(state) if n not in back or n not in state or not torch.equal(back[n], state[n])]
    # Their table and ours are rounded apart.
    worst = max((float((back[n] - state[n]).abs().max()) for n in keys if n in back and n in state), default=0)
    print(f"sent back: {len(keys)} not bitwise equal ({', '.join(keys)}), by {worst:.1e}")
    yield set(keys) <= {"pos_embed", "decoder_pos_embed"} and worst <= 1e-6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=".build/release/sslmpi")
    parser.add_argument("--model", default="small", choices=SIZES)
    parser.add_argument("--keep", help="work in this folder and leave the files there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.keep:
            pathlib.Path(options.keep).mkdir(parents=True, exist_ok=True)
        program = Program(options.program, options.keep or folder)
        results = list(hugging_face(program, options.model))
        for names in ("mae", "dino"):
            results += plain_names(program, options.model, names)
    print(f"{sum(results)} of {len(results)} agree")
    return 0 if all(results) else 2


if __name__ == "__main__":
    sys.exit(main())
