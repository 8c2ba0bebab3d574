import Basics
import Layers

/// What an exported file says about its model in its metadata: all that the shapes of its tensors do not tell.
struct ExportNote {
  let configuration: ViTConfiguration
  /// The model's name in our settings.
  let model: String
  let classTokens: Int
  /// Nil for an encoder alone.
  let decoder: DecoderConfiguration?
  let mean: [Float]
  let std: [Float]
  /// Further members, about where the weights come from.
  let origin: [(String, JSON)]

  /// The key in the metadata.
  static let key = "sslmpi"

  var json: JSON {
    let c = configuration
    let sizes: [(String, JSON)] = [
      ("arch", .string(model)), ("width", .int(c.width)), ("depth", .int(c.depth)), ("heads", .int(c.heads)),
      ("patch", .int(c.patch)), ("img_size", .int(c.imgSize)), ("in_chans", .int(c.inChans)),
    ]
    let decoder = decoder.map { decoder -> [(String, JSON)] in
      let sizes: [(String, JSON)] = [
        ("dim", .int(decoder.width)), ("depth", .int(decoder.depth)), ("heads", .int(decoder.heads)),
      ]
      return [("decoder", .object(sizes))]
    }
    return .object(
      [
        ("model", .object(sizes + (decoder ?? []))), ("class_tokens", .int(classTokens)),
        ("mean", ExportNote.list(mean)), ("std", ExportNote.list(std)),
      ] + origin)
  }

  /// Numbers as short as they were written: 0.485 and not the nearest number of single precision.
  private static func list(_ values: [Float]) -> JSON { .array(values.map { .double(Double("\($0)") ?? Double($0)) }) }

  /// The settings in a note, as `key=value`.
  ///
  /// - Parameter withEncoder: whether the encoder's sizes are wanted.
  /// - Throws: code 65 when the note is no JSON.
  static func words(_ note: String, withEncoder: Bool) throws(Failure) -> [String] {
    let json = try JSON.parse(note)
    var words: [String] = []
    for member in json["model"]?.members ?? [] {
      if let sizes = member.value.members {
        words += sizes.map { "model.\(member.key).\($0.key)=\($0.value.line)" }
      } else if withEncoder {
        words.append("model.\(member.key)=\(member.value.stringValue ?? member.value.line)")
      }
    }
    return words + ["mean", "std"].compactMap { key in json[key].map { "augment.\(key)=\($0.line)" } }
  }
}
