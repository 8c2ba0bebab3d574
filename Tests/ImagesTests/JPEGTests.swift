import Basics
import TestKit
import XCTest

@testable import Images

final class JPEGTests: XCTestCase {
  private let goldens = ImageGoldens()

  func testEveryKindOfFileDecodesToPillowsPixels() throws {
    let names = goldens.golden.text("files").split(separator: " ").map(String.init)
    XCTAssertEqual(names.count, 10)
    for name in names {
      let decoded = try JPEG.decode(goldens.bytes("\(name).jpeg"))
      XCTAssertEqual(greatestDifference(decoded, goldens.picture(name)), 0, name)
    }
  }

  func testScaledDecodeHasTheStatedSize() throws {
    let bytes = goldens.bytes("half-colour-odd.jpeg")
    for eighths in 1...8 {
      let picture = try JPEG.decode(bytes, eighths: eighths)
      XCTAssertEqual(picture.width, (33 * eighths + 7) / 8)
      XCTAssertEqual(picture.height, (27 * eighths + 7) / 8)
    }
  }

  func testPartialDecodeEqualsFullDecode() throws {
    for (fullColour, size) in [(true, (61, 43)), (false, (61, 43)), (false, (64, 48)), (false, (130, 97))] {
      let bytes = JPEG.encode(texture(size.0, size.1), quality: 90, fullColour: fullColour)
      for eighths in [8, 4, 2, 1] {
        try checkParts(of: bytes, eighths: eighths)
      }
    }
    try checkParts(of: goldens.bytes("progressive.jpeg"), eighths: 8)
    try checkParts(of: goldens.bytes("cmyk.jpeg"), eighths: 8)
    try checkParts(of: goldens.bytes("grey.jpeg"), eighths: 8)
  }

  private func checkParts(of bytes: [UInt8], eighths: Int) throws {
    let full = try JPEG.decode(bytes, eighths: eighths)
    var random = RandomStream(seed: 3, purpose: .probe)
    for _ in 0..<12 {
      let left = random.integer(below: full.width)
      let top = random.integer(below: full.height)
      let box = CropBox(
        left: left, top: top, width: 1 + random.integer(below: full.width - left),
        height: 1 + random.integer(below: full.height - top))
      var out = [UInt8](repeating: 0, count: JPEG.regionBytes(box, channels: 4))
      let place = try out.withUnsafeMutableBufferPointer {
        try JPEG.decodeRegion(bytes, box, eighths: eighths, channels: 4, into: $0)
      }
      var part: [UInt8] = []
      for y in 0..<box.height {
        for x in 0..<box.width {
          let i = 4 * (y * place.columns + box.left - place.first + x)
          part += out[i..<(i + 3)]
        }
      }
      XCTAssertEqual(part, full.cropped(to: box).bytes, "\(box) at \(eighths)/8 of \(full.width)x\(full.height)")
    }
  }

  func testEncodedPicturesComeBack() throws {
    let picture = texture(20, 14)
    let back = try JPEG.decode(JPEG.encode(picture, quality: 100))
    XCTAssertLessThanOrEqual(greatestDifference(back, picture), 4)
    let grey = GreyPixels(width: 9, height: 9, bytes: (0..<81).map { UInt8($0 * 3) })
    let greyBack = try JPEG.decode(JPEG.encode(grey, quality: 100))
    for i in 0..<81 { XCTAssertLessThanOrEqual(abs(Int(greyBack.bytes[3 * i]) - Int(grey.bytes[i])), 3) }
  }

  func testEveryTruncationIsAnError() throws {
    for name in ["half-colour-odd", "progressive", "cmyk", "grey"] {
      let bytes = goldens.bytes("\(name).jpeg")
      for length in 0..<bytes.count {
        XCTAssertThrowsError(try JPEG.decode(Array(bytes[..<length])), "\(name) cut to \(length)") { error in
          XCTAssertEqual((error as? Failure)?.code, .badData)
        }
      }
    }
  }

  func testFilesThatAreNoJPEGAreErrors() {
    let picture = texture(8, 8)
    let png = PNG.encode(picture)
    for bytes in [[], [0xFF], Array("a line of text\n".utf8), png, [0xFF, 0xD8, 0xFF, 0xD9]] {
      XCTAssertThrowsError(try JPEG.decode(bytes)) { error in
        XCTAssertEqual((error as? Failure)?.code, .badData)
        XCTAssertTrue((error as? Failure)?.what.hasPrefix("cannot decode JPEG: ") ?? false)
      }
    }
  }

  func testAHeaderWithHugeSidesIsRefused() throws {
    var bytes = goldens.bytes("half-colour-odd.jpeg")
    let frame = try XCTUnwrap((0..<bytes.count).first { bytes[$0] == 0xFF && bytes[$0 + 1] == 0xC0 })
    for i in 0..<4 { bytes[frame + 5 + i] = 0xFD }
    XCTAssertThrowsError(try JPEG.decode(bytes)) { error in
      XCTAssertTrue("\(error)".contains("more pixels"), "\(error)")
    }
  }

  func testDamagedBytesNeverCrash() {
    var random = RandomStream(seed: 11, purpose: .probe)
    var errors = 0
    for name in ["half-colour-odd", "progressive", "cmyk", "restarts"] {
      let whole = goldens.bytes("\(name).jpeg")
      for _ in 0..<200 {
        var bytes = whole
        for _ in 0...random.integer(below: 3) {
          bytes[random.integer(below: bytes.count)] = UInt8(random.integer(below: 256))
        }
        do {
          let picture = try JPEG.decode(bytes)
          XCTAssertEqual(picture.bytes.count, 3 * picture.width * picture.height)
        } catch {
          errors += 1
        }
      }
    }
    XCTAssertGreaterThan(errors, 100)
  }

  func testPNGHasSignatureAndSize() {
    let png = PNG.encode(GreyPixels(width: 5, height: 3, bytes: Array(0..<15)))
    XCTAssertEqual(Array(png[..<8]), [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
    XCTAssertEqual(Array(png[16..<26]), [0, 0, 0, 5, 0, 0, 0, 3, 8, 0])  // width, height, 8 bits, grey
    let colour = PNG.encode(texture(7, 2))
    XCTAssertEqual(Array(colour[16..<26]), [0, 0, 0, 7, 0, 0, 0, 2, 8, 2])
  }
}
