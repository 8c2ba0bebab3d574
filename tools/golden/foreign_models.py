#!/usr/bin/env python3
"""Makes small models of other programs and what they compute, for the tests of import and export.

With the packages themselves (made with torch 2.15.0, timm 1.0.31, transformers 5.23.0, safetensors 0.8.0):
- Tests/Goldens/timm.json: names, shapes and tokens of timm's VisionTransformer, width 64, 4 blocks, with one and two class
  tokens; the numbers of the weights are given by `sequence`, so that the test makes the same model.
- Tests/Goldens/vitmae.safetensors: a ViTMAEForPreTraining as `save_pretrained` writes it.
- Tests/Goldens/mae_reference.safetensors: a model under the names of MAE's repository, positions not sine-cosine.
- Tests/Goldens/foreign.json: tokens and predictions of both.
Usage: python3 tools/golden/foreign_models.py
"""
import json
import pathlib
import shutil
import tempfile

import safetensors
import timm
import torch
import transformers
from safetensors.torch import load_file, save_file
from timm.models.vision_transformer import VisionTransformer
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from mae import array, sequence

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "Tests/Goldens"
VERSIONS = {p.__name__: p.__version__ for p in (torch, timm, transformers, safetensors)}


def positions(width, grid):
    quarter = width // 4
    frequency = 10000.0 ** (-torch.arange(quarter) / quarter)
    rows, columns = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    x, y = columns.reshape(-1, 1) * frequency, rows.reshape(-1, 1) * frequency
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], 1).float().double()  # [L, width]


def numbers(shape, name, seed):
    """Weights that keep the signal alive: scales around 1, others around 0, rounded to single precision."""
    values = sequence(shape.numel(), seed).reshape(shape)
    is_scale = "norm" in name and name.endswith("weight")
    fan_in = shape[1:].numel() if len(shape) in (2, 4) else 1
    scale = 0.125 if is_scale else 0.0625 if fan_in > 32 else 0.125 if fan_in > 1 else 0.25
    return (values * scale + (1 if is_scale else 0)).float().double()


def timm_golden():
    golden = dict(VERSIONS)
    for registers in (0, 1):
        model = VisionTransformer(
            img_size=32, patch_size=4, embed_dim=64, depth=4, num_heads=4, num_classes=0, reg_tokens=registers,
            no_embed_class=False).eval()
        names = list(model.state_dict())
        weights = {n: numbers(v.shape, n, seed) for seed, (n, v) in enumerate(model.state_dict().items(), 1)}
        weights["pos_embed"] = torch.cat([torch.zeros(1 + registers, 64), positions(64, 8)]).unsqueeze(0)
        model.load_state_dict(weights, strict=True)
        images = 1.5 * sequence(3 * 32 * 32, 1000).reshape(1, 3, 32, 32)
        tokens = model.double().forward_features(images)
        key = f"{1 + registers}/"
        golden[key + "names"] = ",".join(names)
        golden[key + "shapes"] = ";".join(",".join(map(str, model.state_dict()[n].shape)) for n in names)
        golden[key + "tokens"] = rounded(tokens)
    write("timm.json", golden)


def rounded(values):
    return {"shape": list(values.shape), "values": [float(f"{v:.6g}") for v in values.flatten().tolist()]}


def vitmae(golden):
    config = ViTMAEConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=16, patch_size=4,
        decoder_hidden_size=8, decoder_num_hidden_layers=1, decoder_num_attention_heads=2,
        decoder_intermediate_size=32, layer_norm_eps=1e-6)
    model = ViTMAEForPreTraining(config).float()
    with torch.no_grad():  # Files on the hub hold the tables that these compute; a fresh model does not.
        model.vit.embeddings.patch_embeddings.projection._is_hf_initialized = False
        model.vit.embeddings.initialize_weights()
        model.decoder.initialize_weights(num_patches=16)
    state = model.state_dict()
    for seed, (name, value) in enumerate(state.items(), 1):
        if "pos" not in name:
            value.copy_(numbers(value.shape, name, seed))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        shutil.copy(pathlib.Path(folder) / "model.safetensors", GOLDENS / "vitmae.safetensors")
    model = model.double().eval()
    images = 1.5 * sequence(2 * 3 * 16 * 16, 1001).reshape(2, 3, 16, 16)
    noise = torch.stack([sequence(16, 7), sequence(16, 8)])
    order = noise.argsort(1)
    with torch.no_grad():
        golden["hf/prediction"] = array(model(images, noise=noise).logits)
        model.config.mask_ratio = model.vit.config.mask_ratio = 0.0
        model.vit.embeddings.config.mask_ratio = 0.0
        plain = torch.arange(16.0).expand(2, 16)
        golden["hf/tokens"] = array(model.vit(images, noise=plain).last_hidden_state)
    golden["hf/shuffle"] = {"shape": [2, 16], "values": order.flatten().tolist()}


def reference(golden):
    """The names of MAE's repository, written by hand; positions are learned ones, also that of the class token."""
    shapes = {"cls_token": (1, 1, 16), "pos_embed": (1, 17, 16), "patch_embed.proj.weight": (16, 3, 4, 4),
              "patch_embed.proj.bias": (16,)}
    shapes |= blocks("blocks", 2, 16) | norm("norm", 16)
    encoder = list(shapes)
    shapes |= {"mask_token": (1, 1, 8), "decoder_pos_embed": (1, 17, 8)}
    shapes |= linear("decoder_embed", 16, 8) | blocks("decoder_blocks", 1, 8) | norm("decoder_norm", 8)
    shapes |= linear("decoder_pred", 8, 48)
    weights = {n: numbers(torch.Size(s), n, seed) for seed, (n, s) in enumerate(shapes.items(), 1)}
    weights["decoder_pos_embed"] = torch.cat([torch.zeros(1, 8), positions(8, 4)]).unsqueeze(0)
    save_file({n: v.float().contiguous() for n, v in weights.items()}, GOLDENS / "mae_reference.safetensors")
    model = VisionTransformer(
        img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=0).double().eval()
    saved = load_file(GOLDENS / "mae_reference.safetensors")
    model.load_state_dict({n: saved[n].double() for n in encoder}, strict=True)
    images = 1.5 * sequence(2 * 3 * 16 * 16, 1001).reshape(2, 3, 16, 16)
    with torch.no_grad():
        golden["mae/tokens"] = array(model.forward_features(images))


def linear(name, inputs, outputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def blocks(name, depth, width):
    shapes = {}
    for block in range(depth):
        head = f"{name}.{block}"
        shapes |= norm(f"{head}.norm1", width) | linear(f"{head}.attn.qkv", width, 3 * width)
        shapes |= linear(f"{head}.attn.proj", width, width) | norm(f"{head}.norm2", width)
        shapes |= linear(f"{head}.mlp.fc1", width, 4 * width) | linear(f"{head}.mlp.fc2", 4 * width, width)
    return shapes


def write(name, golden):
    path = GOLDENS / name
    path.write_text(json.dumps(golden) + "\n")
    print(path, path.stat().st_size, "bytes")


def main():
    timm_golden()
    golden = dict(VERSIONS)
    vitmae(golden)
    reference(golden)
    write("foreign.json", golden)
    for file in GOLDENS.glob("*.safetensors"):
        file.chmod(0o644)


if __name__ == "__main__":
    main()
