import Basics

// The safetensors format: 8 bytes with the length n of a JSON header (little-endian), the header, then one buffer with
// all numbers, row-major and little-endian. The header maps each name to its dtype, shape and place in the buffer.
// Source: https://github.com/huggingface/safetensors, section "Format".

/// The words of the format that reader and writer share.
enum Safetensors {
  /// A header longer than this is refused, as the reference implementation does.
  static let maximumHeaderBytes = 100_000_000
  /// The key of the texts that belong to no tensor.
  static let metadataKey = "__metadata__"
  /// The bytes before the header.
  static let lengthBytes = 8

  /// The bytes of one number of each dtype; a dtype that is not here is none of the format.
  static let bytes: [String: Int] = [
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8, "C64": 8,
  ]

  /// One tensor of a file.
  struct Entry: Sendable, Equatable {
    let name: String
    /// A key of `bytes`.
    let dtype: String
    let shape: [Int]
    /// Where its bytes are, counted from the end of the header.
    let range: Range<Int>

    var count: Int { shape.reduce(1, *) }
  }

  /// The entries of a header, each checked, in the order of their bytes.
  ///
  /// - Parameter dataBytes: how long the buffer is: the entries must cover it without gap and overlap.
  /// - Throws: code 65 that names the tensor.
  static func entries(
    _ header: JSON, dataBytes: Int, path: String
  ) throws(Failure) -> (entries: [Entry], metadata: [String: String]) {
    guard let members = header.members else { throw damaged("the header is no JSON object", path) }
    var metadata: [String: String] = [:]
    var entries: [Entry] = []
    for member in members {
      if member.key == metadataKey {
        for text in member.value.members ?? [] { metadata[text.key] = text.value.stringValue }
      } else {
        entries.append(try entry(member, path))
      }
    }
    guard Set(members.map(\.key)).count == members.count else {
      throw damaged("the header has a name twice", path)
    }
    entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
    var end = 0
    for entry in entries {
      guard entry.range.lowerBound == end else {
        let how = entry.range.lowerBound < end ? "overlaps another tensor" : "leaves a gap before it"
        throw damaged("'\(entry.name)' begins at byte \(entry.range.lowerBound) and \(how), which ends at \(end)", path)
      }
      end = entry.range.upperBound
    }
    guard end == dataBytes else {
      throw damaged(
        "the header describes \(end) bytes of numbers and the file has \(dataBytes)", path,
        hint: end > dataBytes ? "the file is cut off: copy or download it again" : nil)
    }
    return (entries, metadata)
  }

  private static func entry(_ member: JSON.Member, _ path: String) throws(Failure) -> Entry {
    let name = member.key
    guard let dtype = member.value["dtype"]?.stringValue, let size = bytes[dtype] else {
      let word = member.value["dtype"]?.line ?? "nothing"
      throw damaged("'\(name)' has the dtype \(word), which is none of the format", path)
    }
    let shape = (member.value["shape"]?.arrayValue ?? [.null]).map(\.intValue)
    let offsets = (member.value["data_offsets"]?.arrayValue ?? []).compactMap(\.intValue)
    var length = size
    var isWhole = true
    for extent in shape {
      let (product, overflow) = length.multipliedReportingOverflow(by: extent ?? -1)
      isWhole = isWhole && (extent ?? -1) >= 0 && !overflow
      length = isWhole ? product : 0
    }
    guard isWhole else { throw damaged("'\(name)' has no shape of whole numbers that fit in memory", path) }
    guard offsets.count == 2, 0 <= offsets[0], offsets[0] <= offsets[1], offsets[1] - offsets[0] == length else {
      throw damaged(
        "'\(name)' is \(dtype)\(shape.compactMap { $0 }), \(length) bytes, and its place is \(offsets)", path)
    }
    return Entry(name: name, dtype: dtype, shape: shape.compactMap { $0 }, range: offsets[0]..<offsets[1])
  }

  static func damaged(_ what: String, _ path: String, hint: String? = nil) -> Failure {
    Failure(.badData, "not a whole safetensors file: \(what)", at: path, hint: hint)
  }
}
