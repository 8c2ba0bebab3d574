import Basics
import Foundation
import Images
import TestKit
import XCTest

final class MaskTests: XCTestCase {
  private let golden = Golden.load("masks")

  private func bytes(_ key: String) -> [UInt8] {
    guard let data = Data(base64Encoded: golden.text(key)) else { preconditionFailure("\(key) is not base64") }
    return [UInt8](data)
  }

  private var names: [String] { golden.text("files").split(separator: " ").map(String.init) }

  func testEveryKindOfMaskGivesItsStoredNumbers() throws {
    XCTAssertEqual(names.count, 10)
    for name in names {
      let mask = try PNG.decodeMask(bytes("\(name).png"))
      XCTAssertEqual([mask.width, mask.height], golden.ints("\(name).size"), name)
      XCTAssertEqual(mask.classes, bytes("\(name).classes"), name)
    }
  }

  func testEncodedMasksComeBack() throws {
    let mask = LabelMask(width: 16, height: 16, classes: (0...255).map { UInt8($0) })
    XCTAssertEqual(try PNG.decodeMask(PNG.encode(mask)), mask)
    XCTAssertEqual(mask[3, 2], 35)
  }

  func testColourAlphaAndSixteenBitsAreNoMasks() {
    for (name, words) in [("colour", "3 channels of 8 bits"), ("alpha", "2 channels"), ("deep", "1 channels of 16")] {
      XCTAssertThrowsError(try PNG.decodeMask(bytes("\(name).png"))) { error in
        XCTAssertEqual((error as? Failure)?.code, .badData)
        XCTAssertTrue("\(error)".contains(words), "\(error)")
      }
    }
  }

  func testEveryTruncationIsAnError() {
    for name in names {
      let whole = bytes("\(name).png")
      for length in 0..<whole.count {
        XCTAssertThrowsError(try PNG.decodeMask(Array(whole[..<length])), "\(name) cut to \(length)") { error in
          XCTAssertEqual((error as? Failure)?.code, .badData)
        }
      }
    }
  }

  func testEveryChangedByteIsAnErrorOrChangesNothing() {
    // Check sums see it, so that no wrong class ever comes out.
    for name in ["grey8", "palette4", "interlaced8"] {
      let whole = bytes("\(name).png")
      let classes = bytes("\(name).classes")
      var errors = 0
      for place in whole.indices {
        var damaged = whole
        damaged[place] ^= 0x15
        let found = try? PNG.decodeMask(damaged)
        errors += found == nil ? 1 : 0
        XCTAssertEqual(found?.classes ?? classes, classes, "\(name), byte \(place)")
      }
      XCTAssertGreaterThan(errors, whole.count * 9 / 10, name)
    }
  }

  func testFilesThatAreNoPNGAndHugeSidesAreErrors() {
    for (bytes, words) in [([], "truncated"), (Array("a line of text\n".utf8), "Not a PNG file")] {
      XCTAssertThrowsError(try PNG.decodeMask(bytes)) { error in
        XCTAssertEqual((error as? Failure)?.code, .badData)
        XCTAssertEqual((error as? Failure)?.what, "cannot decode PNG: \(words)")
      }
    }
    // 60000 x 60000, with a right check sum
    var huge = bytes("grey8.png")
    huge.replaceSubrange(16..<24, with: [0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60])
    huge.replaceSubrange(29..<33, with: checkSum(huge[12..<29]))
    XCTAssertThrowsError(try PNG.decodeMask(huge)) { error in
      XCTAssertTrue("\(error)".contains("more pixels"), "\(error)")
    }
  }

  private func checkSum(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var sum: UInt32 = .max
    for byte in bytes {
      sum ^= UInt32(byte)
      for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
    }
    return withUnsafeBytes(of: (~sum).bigEndian) { Array($0) }
  }

  func testViewsOfMasksAreThoseOfPillow() {
    let cases = golden.text("views").split(separator: " ").map(String.init)
    XCTAssertEqual(cases.count, 6)
    for name in cases {
      let numbers = name.split { !$0.isNumber }.compactMap { Int($0) }
      let mask = LabelMask(width: numbers[0], height: numbers[1], classes: bytes("\(name).mask"))
      let seen = mask.seen(through: .evaluation(width: mask.width, height: mask.height, size: numbers[2]))
      XCTAssertEqual([seen.width, seen.height], [numbers[2], numbers[2]])
      XCTAssertEqual(seen.classes, bytes("\(name).seen"), name)
    }
  }

  func testAMaskFollowsItsPictureThroughCropAndFlip() throws {
    // Halves of one colour each: wherever the view is far from the edge, the class says the colour.
    var picture = Pixels(width: 80, height: 60)
    var mask = LabelMask(width: 80, height: 60, classes: [UInt8](repeating: 0, count: 4800))
    for y in 0..<60 {
      for x in 0..<80 where x + y > 75 {
        mask.classes[80 * y + x] = 7
        for c in 0..<3 { picture.bytes[3 * (80 * y + x) + c] = 255 }
      }
    }
    let request = ViewRequest(box: CropBox(left: 13, top: 5, width: 51, height: 40), size: 32, isFlipped: true)
    let view = try ViewMaker().picture(request, of: JPEG.encode(picture, quality: 100))
    let seen = mask.seen(through: request)
    var differing = 0
    for p in 0..<1024 where (seen.classes[p] == 7) != (view.bytes[3 * p] > 127) { differing += 1 }
    XCTAssertLessThan(differing, 32)  // at most the border itself
    XCTAssertTrue(Set(seen.classes) == [0, 7])
  }
}
