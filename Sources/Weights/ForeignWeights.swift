import Basics
import Tensors

/// The tensors of a file under our names, whatever the program that wrote it calls them.
struct ForeignWeights {
  let file: SafetensorsFile
  /// Whose names they are.
  let names: WeightNames
  /// The names in the file for one of ours, in order: one, or query, key and value; nil where one is missing.
  private var sources: [String: [String?]] = [:]

  /// Recognises the convention by the name of the class token, and what stands in front of all names by it, too.
  ///
  /// - Throws: code 65 when there is no class token, or more than one encoder.
  init(_ file: SafetensorsFile) throws(Failure) {
    self.file = file
    let short = "embeddings.cls_token"
    let isHuggingFace = file.names.contains { $0 == short || $0.hasSuffix(".\(short)") }
    let anchor = isHuggingFace ? short : "cls_token"
    let found = file.names.filter { $0 == anchor || $0.hasSuffix(".\(anchor)") }
    guard let first = found.first else {
      throw Failure(
        .badData, "the file holds no Vision Transformer with a class token: nothing in it is called 'cls_token'",
        at: file.path, hint: "its names begin with \(file.names.prefix(3).joined(separator: ", "))")
    }
    guard found.count == 1 else {
      throw Failure(
        .badData, "the file holds several encoders: \(found.joined(separator: ", "))", at: file.path,
        hint: "write the one you want into a file of its own")
    }
    var prefix = String(first.dropLast(anchor.count))
    // An encoder saved alone has lost the name of the part that it is.
    var missingPrefix = ""
    if isHuggingFace {
      if prefix.hasSuffix("vit.") { prefix = String(prefix.dropLast(4)) } else { missingPrefix = "vit." }
    }
    let hasDecoder = file.names.contains("\(prefix)decoder_embed.weight")
    names = isHuggingFace ? .huggingFace : hasDecoder ? .mae : .timm
    for name in file.names where name.hasPrefix(prefix) {
      let bare = name.dropFirst(prefix.count)
      guard let own = names.own((bare.hasPrefix("decoder.") ? "" : missingPrefix) + bare) else { continue }
      sources[own.name, default: Array(repeating: nil, count: own.parts)][own.part] = name
    }
  }

  /// Our names for which the file has at least a part.
  var ownNames: Set<String> { Set(sources.keys) }

  /// The names in the file for one of ours; none unless all parts are there.
  func files(of own: String) -> [String] {
    let parts = sources[own] ?? []
    return parts.contains(nil) ? [] : parts.compactMap { $0 }
  }

  /// The extents of one of our tensors, its parts joined; nil when one is missing or they do not fit each other.
  func shape(_ own: String) -> [Int]? {
    let parts = files(of: own).compactMap(file.shape)
    guard let first = parts.first, parts.allSatisfy({ $0 == first }) else { return nil }
    return parts.count == 1 ? first : first.isEmpty ? nil : [parts.count * first[0]] + first.dropFirst()
  }

  /// The numbers of one of our tensors: query, key and value one below the other.
  ///
  /// - Throws: as `SafetensorsFile.tensor`.
  func tensor(_ own: String) throws(Failure) -> Tensor {
    guard let shape = shape(own) else { preconditionFailure("ForeignWeights: \(own) is not whole") }
    let result = Tensor(uninitialized: Shape(shape))
    var place = 0
    for name in files(of: own) {
      let part = try file.tensor(name)
      (result.pointer + place).update(from: part.pointer, count: part.count)
      place += part.count
    }
    return result
  }

  /// The number of blocks below `prefix`, such as `blocks.` or `decoder.blocks.`.
  func depth(_ prefix: String) -> Int {
    let numbers = ownNames.compactMap { name -> Int? in
      guard name.hasPrefix(prefix) else { return nil }
      return Int(name.dropFirst(prefix.count).prefix { $0 != "." })
    }
    return (numbers.max() ?? -1) + 1
  }
}
