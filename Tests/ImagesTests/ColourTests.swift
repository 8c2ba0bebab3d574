import Basics
import Foundation
import TestKit
import XCTest

@testable import Images

/// Colour operations against torchvision's and Pillow's bytes: `tools/golden/colour.py`.
final class ColourTests: XCTestCase {
  private let golden = Golden.load("colour")

  func testEveryOperationGivesPillowsBytes() {
    let operations = golden.text("operations").split(separator: "|").map(String.init)
    let names = golden.text("pictures").split(separator: " ").map(String.init)
    XCTAssertGreaterThan(operations.count, 50)
    XCTAssertGreaterThan(names.count, 10)
    for vectorised in [true, false] {
      let maker = ViewMaker(vectorised: vectorised)
      for name in names {
        let source = picture(name)
        let expected = golden.ints("\(name).crc")
        XCTAssertEqual(expected.count, operations.count)
        for (text, crc) in zip(operations, expected) {
          let made = maker.recoloured(source, parsed(text))
          XCTAssertEqual(checksum(made.bytes), crc, "\(text) of \(name), vectorised \(vectorised)")
        }
      }
    }
  }

  func testChainsGivePillowsBytes() {
    let chains = golden.text("operations").split(separator: "|").filter { $0.contains("; ") }
    XCTAssertGreaterThan(chains.count, 3)
    for (i, chain) in chains.enumerated() {
      let made = ViewMaker().recoloured(picture("natural"), parsed(String(chain)))
      let expected = Pixels(width: made.width, height: made.height, bytes: bytes("chain.\(i)"))
      XCTAssertEqual(greatestDifference(made, expected), 0, "\(chain)")
    }
  }

  func testAllColoursBecomePillowsColours() {
    let side = 4096
    let cube = Pixels(
      width: side, height: side,
      bytes: [UInt8](unsafeUninitializedCapacity: 3 * side * side) { bytes, initialised in
        for i in 0..<(side * side) {
          for c in 0..<3 { bytes[3 * i + c] = UInt8(truncatingIfNeeded: i >> (16 - 8 * c)) }
        }
        initialised = 3 * side * side
      })
    let operations = golden.text("cube.operations").split(separator: "|").map(String.init)
    XCTAssertGreaterThan(operations.count, 8)
    let makers = [true, false].map { ViewMaker(vectorised: $0) }
    for (text, crc) in zip(operations, golden.ints("cube.crc")) {
      let made = makers[0].recoloured(cube, parsed(text))
      XCTAssertEqual(checksum(made.bytes), crc, text)
      XCTAssertTrue(made == makers[1].recoloured(cube, parsed(text)), "\(text): vector and scalar loops differ")
    }
  }

  func testAChangedByteChangesTheChecksum() {
    let source = picture("natural")
    var other = source
    other.bytes[100] ^= 1
    XCTAssertEqual(checksum(Array("123456789".utf8)), 0xCBF4_3926)  // the published check value
    XCTAssertNotEqual(checksum(source.bytes), checksum(other.bytes))
  }

  func testTheFourthByteHasNoEffectAndVectorLoopsGiveTheSameBytes() {
    let operations: [ColourOperation] = [
      .brightness(1.37), .brightness(0.31), .contrast(0.6), .contrast(1.4), .saturation(1.4), .saturation(0.2),
      .hue(-0.1), .hue(0.31), .grey, .solarise(threshold: 100), .blur(sigma: 0.3), .blur(sigma: 1.9),
      .blur(sigma: 7),
    ]
    var random = RandomStream(seed: 8, purpose: .probe)
    for (width, height) in [(1, 1), (3, 2), (7, 1), (1, 9), (8, 8), (31, 17), (65, 3), (224, 33)] {
      var source = (0..<(4 * width * height)).map { _ in UInt8(random.integer(below: 256)) }
      for operation in operations {
        let plain = painted(source, width, height, operation, vectorised: false)
        XCTAssertEqual(
          painted(source, width, height, operation, vectorised: true), plain, "\(operation) of \(width)x\(height)")
        for i in stride(from: 3, to: source.count, by: 4) { source[i] = ~source[i] }
        let other = painted(source, width, height, operation, vectorised: false)
        for i in plain.indices where i % 4 != 3 { XCTAssertEqual(other[i], plain[i], "\(operation)") }
      }
    }
  }

  func testNeutralOperationsChangeNothing() {
    let source = texture(21, 14)
    let maker = ViewMaker()
    for operation in [
      ColourOperation.brightness(1), .contrast(1), .saturation(1), .solarise(threshold: 256), .blur(sigma: 0),
    ] {
      XCTAssertEqual(maker.recoloured(source, [operation]), source, "\(operation)")
    }
    XCTAssertEqual(maker.recoloured(source, []), source)
  }

  func testABlurHasTheDeviationOfItsGaussian() {
    // A bright cross-section in the middle spreads with the variance of the Gaussian, and keeps its sum, up to rounding.
    let (side, middle) = (61, 30)
    for sigma in [0.8, 1.5, 2, 4] {
      var source = Pixels(width: side, height: 1)
      for c in 0..<3 { source.bytes[3 * middle + c] = 255 }
      let made = ViewMaker().recoloured(source, [.blur(sigma: sigma)])
      let values = (0..<side).map { Double(made.bytes[3 * $0]) }
      let sum = values.reduce(0, +)
      let variance = zip(0..<side, values).reduce(0) { $0 + Double(($1.0 - middle) * ($1.0 - middle)) * $1.1 } / sum
      XCTAssertEqual(sum, 255, accuracy: 12, "sigma \(sigma)")
      XCTAssertEqual(variance.squareRoot(), sigma, accuracy: 0.12 * sigma, "sigma \(sigma)")
    }
  }

  func testAViewIsColouredAfterItIsResizedAndMirrored() throws {
    let bytes = JPEG.encode(texture(60, 45), quality: 92)
    let box = CropBox(left: 4, top: 3, width: 50, height: 37)
    let colour: [ColourOperation] = [.hue(0.2), .contrast(1.3), .blur(sigma: 1.2), .solarise(threshold: 128)]
    let maker = ViewMaker()
    let plain = try maker.picture(ViewRequest(box: box, size: 24, isFlipped: true), of: bytes)
    let coloured = ViewRequest(box: box, size: 24, isFlipped: true, colour: colour)
    XCTAssertEqual(try maker.picture(coloured, of: bytes), maker.recoloured(plain, colour))
    XCTAssertNotEqual(try maker.picture(coloured, of: bytes), plain)

    // Two views of one decode: the operations of the first touch the first alone.
    var planes = [Float](repeating: 0, count: 2 * 3 * 24 * 24)
    try planes.withUnsafeMutableBufferPointer { buffer in
      let base = try XCTUnwrap(buffer.baseAddress)
      let targets = [0, 1].map {
        ViewTarget(planes: base + $0 * 3 * 24 * 24, mean: [0, 0, 0], deviation: [1, 1, 1])
      }
      try maker.make(bytes, into: targets) { _, _ in [coloured, ViewRequest(box: box, size: 24, isFlipped: true)] }
    }
    for (v, picture) in [maker.recoloured(plain, colour), plain].enumerated() {
      for i in 0..<(24 * 24) {
        for c in 0..<3 {
          XCTAssertEqual(planes[(v * 3 + c) * 24 * 24 + i], Float(picture.bytes[3 * i + c]) / 255)
        }
      }
    }
  }

  private func bytes(_ key: String) -> [UInt8] {
    guard let data = Data(base64Encoded: golden.text(key)) else { preconditionFailure("\(key) is not base64") }
    return [UInt8](data)
  }

  private func picture(_ name: String) -> Pixels {
    let size = golden.ints("\(name).size")
    return Pixels(width: size[0], height: size[1], bytes: bytes("\(name).rgb"))
  }

  /// `hue -0.1; grey` as operations.
  private func parsed(_ text: String) -> [ColourOperation] {
    text.components(separatedBy: "; ").map { word in
      let parts = word.split(separator: " ")
      let value = parts.count > 1 ? Double(parts[1]) ?? .nan : 0
      switch parts[0] {
      case "brightness": return .brightness(value)
      case "contrast": return .contrast(value)
      case "saturation": return .saturation(value)
      case "hue": return .hue(value)
      case "grey": return .grey
      case "solarise": return .solarise(threshold: Int(value))
      case "blur": return .blur(sigma: value)
      default: preconditionFailure("no operation \(word)")
      }
    }
  }

  private func painted(
    _ source: [UInt8], _ width: Int, _ height: Int, _ operation: ColourOperation, vectorised: Bool
  ) -> [UInt8] {
    var pixels = source
    pixels.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      ColourPainter(vectorised: vectorised).apply([operation], to: base, width: width, height: height)
    }
    return pixels
  }
}

/// CRC-32 as zlib computes it.
private func checksum(_ bytes: [UInt8]) -> Int {
  var table: [UInt32] = []
  for byte in 0..<256 {
    var value = UInt32(byte)
    for _ in 0..<8 { value = value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
    table.append(value)
  }
  var crc = UInt32.max
  table.withUnsafeBufferPointer { table in
    for byte in bytes {
      let place = UInt8(truncatingIfNeeded: crc) ^ byte
      crc = table[Int(place)] ^ (crc >> 8)
    }
  }
  return Int(~crc)
}
