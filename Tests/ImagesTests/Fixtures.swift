import Foundation
import Images
import TestKit
import XCTest

/// Files and pictures of `Tests/Goldens/images.json`.
struct ImageGoldens {
  let golden = Golden.load("images")

  func bytes(_ key: String) -> [UInt8] {
    guard let data = Data(base64Encoded: golden.text(key)) else { preconditionFailure("\(key) is not base64") }
    return [UInt8](data)
  }

  func picture(_ name: String) -> Pixels {
    let size = golden.ints("\(name).size")
    return Pixels(width: size[0], height: size[1], bytes: bytes("\(name).rgb"))
  }
}

/// A picture with smooth parts, noise and edges.
func texture(_ width: Int, _ height: Int, seed: UInt64 = 1) -> Pixels {
  let noise = ExactRandom.floats(3 * width * height, seed: seed)
  var bytes = [UInt8](repeating: 0, count: 3 * width * height)
  for y in 0..<height {
    for x in 0..<width {
      let edge: Float = (x / 9 + y / 7) % 2 == 0 ? 60 : -60
      for c in 0..<3 {
        let i = 3 * (y * width + x) + c
        bytes[i] = UInt8(max(0, min(255, 128 + edge + 20 * Float(c) + 20 * noise[i])))
      }
    }
  }
  return Pixels(width: width, height: height, bytes: bytes)
}

/// The greatest difference of two pictures in grey levels.
func greatestDifference(_ a: Pixels, _ b: Pixels) -> Int {
  guard a.width == b.width, a.height == b.height else { return .max }
  return zip(a.bytes, b.bytes).map { abs(Int($0) - Int($1)) }.max() ?? 0
}
