import Basics
import Images

/// A generated dataset of ten shapes on coloured grounds, with exact masks: nothing to download, a true answer for
/// every pixel.
///
/// Every image follows from (seed, split, index) through the counter-based generator and integer geometry alone.
/// `hardness` h mixes two regimes: at 0 bright shapes (channels in 0.6 ... 1) on a dark even ground (0 ... 0.4); at 1
/// any two colours whose luma differs by at least 0.25, smaller shapes, and a ground with a gradient. Bounds in between
/// are interpolated. How the images of each split are drawn stands in the files of `ShapeScene`.
/// - Source: spec/evaluation.md section 2.
public struct TinyShapes: Sendable {
  /// The classes, by label.
  public static let classNames = [
    "0-disk", "1-ring", "2-square", "3-frame", "4-triangle", "5-cross", "6-x", "7-hbars", "8-vbars", "9-checker",
  ]
  /// Images.
  public let count: Int
  /// The side of an image.
  public let size: Int
  /// The seed of all images.
  public let seed: UInt64
  /// From 0, easy, to 1.
  public let hardness: Double
  /// The part of the dataset: disjoint images, each kind for a purpose of its own.
  public let split: Split

  static let parameterNames = ["n", "size", "seed", "hardness", "split"]

  /// Makes a dataset.
  ///
  /// - Parameter count: nil for the split's own number.
  public init(
    count: Int? = nil, size: Int = 32, seed: UInt64 = 0, hardness: Double = 0.3, split: Split = .train
  ) {
    let count = count ?? split.defaultCount
    precondition(
      count > 0 && (!split.hasFixedCount || count == split.defaultCount)
        && (split.smallestSize...4096).contains(size) && (0...1).contains(hardness),
      "TinyShapes: \(split) of \(count) images, size \(size), hardness \(hardness)")
    self.count = count
    self.size = size
    self.seed = seed
    self.hardness = hardness
    self.split = split
  }

  /// Reads `synth:tinyshapes?...`.
  init(_ address: DataAddress) throws(Failure) {
    guard address.path == "tinyshapes" else {
      throw .unknownName(address.path, kind: "generated dataset", valid: ["tinyshapes"], place: address.text)
    }
    func value<T>(
      _ key: String, _ fallback: T, _ allowed: String, _ read: (String) -> T?
    ) throws(Failure) -> T {
      guard let text = address.parameters[key] else { return fallback }
      guard let value = read(text) else {
        throw Failure(.badConfig, "\(key)=\(text) is not valid", at: address.text, hint: "\(key) is \(allowed)")
      }
      return value
    }
    let valid = Split.allCases.map(\.rawValue).joined(separator: ", ")
    let split = try value("split", Split.train, "one of \(valid)") { Split(rawValue: $0) }
    let (number, sizes) = (split.defaultCount, split.smallestSize...4096)
    let counts = split.hasFixedCount ? number...number : 1...Int(Int32.max)
    self.init(
      count: try value(
        "n", number, split.hasFixedCount ? "always \(number) here" : "a whole number from 1 to \(counts.upperBound)"
      ) {
        Int($0).flatMap { counts.contains($0) ? $0 : nil }
      },
      size: try value("size", 32, "a whole number from \(sizes.lowerBound) to \(sizes.upperBound)") {
        Int($0).flatMap { sizes.contains($0) ? $0 : nil }
      },
      seed: try value("seed", 0, "a whole number from 0") { UInt64($0) },
      hardness: try value("hardness", 0.3, "a number from 0 to 1") {
        Double($0).flatMap { (0...1).contains($0) ? $0 : nil }
      },
      split: split)
  }

  /// The address with every parameter spelled out.
  public var canonicalAddress: String {
    "synth:tinyshapes?n=\(count)&size=\(size)&seed=\(seed)&hardness=\(hardness)&split=\(split.rawValue)"
  }

  /// The names of the classes of this split, by label; empty where images have no label.
  public var classNames: [String] { split.classes.map { Self.classNames[$0] } }

  /// The label of image `i`, -1 for none.
  public func label(_ i: Int) -> Int32 { split.classes.isEmpty ? -1 : Int32(i % split.classes.count) }

  /// A file name for image `i`; that of an image with a label begins with its class.
  public func name(_ i: Int) -> String {
    switch split {
    case .retr: return "\(RetrievalRole(i).name).jpg"
    case .video: return "\(split.rawValue)-\(i / VideoFrame.perSequence)/\(padded(i % VideoFrame.perSequence, 5)).jpg"
    default: break
    }
    let folder = split.classes.isEmpty ? "" : classNames[Int(label(i))] + "/"
    return "\(folder)\(split.rawValue)-\(padded(i, 6)).jpg"
  }

  /// Image `i` as a JPEG file (quality 95, full colour resolution).
  public func bytes(_ i: Int) -> [UInt8] { JPEG.encode(picture(i), quality: 95) }

  /// Image `i` before encoding.
  public func picture(_ i: Int) -> Pixels { ShapeScene(self, i).picture() }

  /// The exact mask of image `i`: 0 on the ground and on what belongs to no object, 1 + class on a shape; in `video`
  /// 1 and 2 on the two objects of a sequence.
  public func mask(_ i: Int) -> LabelMask { ShapeScene(self, i).mask() }
}

func padded(_ number: Int, _ digits: Int) -> String {
  let text = String(number)
  return String(repeating: "0", count: max(0, digits - text.count)) + text
}
