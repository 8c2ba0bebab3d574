import Layers

extension WeightExport {
  /// Lines of Python that load a file with these names, for the user to copy.
  ///
  /// - Parameter path: of the file.
  public func snippet(_ path: String) -> String {
    let sizes = note.configuration
    let tokens =
      "tokens = model.eval().forward_features(images)  # [B, \(note.classTokens) + \(sizes.tokens), \(sizes.width)]"
    let common =
      "img_size=\(sizes.imgSize), patch_size=\(sizes.patch), in_chans=\(sizes.inChans), "
      + "embed_dim=\(sizes.width), depth=\(sizes.depth), num_heads=\(sizes.heads)"
    let load = "model.load_state_dict(load_file(\"\(path)\"), strict=True)"
    let lines: [String]
    switch names {
    case .timm:
      let registers = note.classTokens > 1 ? ", reg_tokens=\(note.classTokens - 1), no_embed_class=False" : ""
      lines = [
        "from timm.models.vision_transformer import VisionTransformer",
        "model = VisionTransformer(\(common), num_classes=0\(registers))", load, tokens,
      ]
    case .dino:
      lines = [
        "from functools import partial", "from torch import nn",
        "from vision_transformer import VisionTransformer  # of the DINO repository",
        "model = VisionTransformer(\(common.replacing("img_size=\(sizes.imgSize)", with: "img_size=[\(sizes.imgSize)]")), "
          + "qkv_bias=True, norm_layer=partial(nn.LayerNorm, eps=1e-6))",
        load,
      ]
    case .mae: lines = maskedAutoencoder(common, load)
    case .huggingFace: lines = huggingFace(path)
    }
    return
      (["from safetensors.torch import load_file"] + lines
      + ["# images: RGB in 0 ... 1, minus \(note.mean), divided by \(note.std)"]).joined(separator: "\n")
  }

  /// The repository's class with a decoder, or its encoder alone.
  private func maskedAutoencoder(_ common: String, _ load: String) -> [String] {
    let norm = "norm_layer=partial(nn.LayerNorm, eps=1e-6)"
    let imports = ["from functools import partial", "from torch import nn"]
    guard let decoder = note.decoder else {
      return imports + [
        "from models_vit import VisionTransformer  # of the MAE repository",
        "model = VisionTransformer(\(common), num_classes=0, \(norm))", load,
      ]
    }
    return imports + [
      "from models_mae import MaskedAutoencoderViT  # of the MAE repository",
      "model = MaskedAutoencoderViT(\(common), decoder_embed_dim=\(decoder.width), decoder_depth=\(decoder.depth), "
        + "decoder_num_heads=\(decoder.heads), \(norm))",
      load,
    ]
  }

  private func huggingFace(_ path: String) -> [String] {
    let c = note.configuration
    let type = note.decoder == nil ? "ViTMAEModel" : "ViTMAEForPreTraining"
    var settings = [
      "hidden_size=\(c.width)", "num_hidden_layers=\(c.depth)", "num_attention_heads=\(c.heads)",
      "intermediate_size=\(c.hidden)", "image_size=\(c.imgSize)", "patch_size=\(c.patch)", "num_channels=\(c.inChans)",
      "layer_norm_eps=1e-6",
    ]
    if let decoder = note.decoder {
      settings += [
        "decoder_hidden_size=\(decoder.width)", "decoder_num_hidden_layers=\(decoder.depth)",
        "decoder_num_attention_heads=\(decoder.heads)", "decoder_intermediate_size=\(4 * decoder.width)",
      ]
    }
    return [
      "from transformers import ViTMAEConfig, \(type)",
      "config = ViTMAEConfig(\(settings.joined(separator: ", ")))",
      "model = \(type).from_pretrained(None, config=config, state_dict=load_file(\"\(path)\"))",
    ]
  }
}
