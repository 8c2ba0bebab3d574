import Basics
import Foundation
import Images
import Pipeline
import TestKit
import XCTest

final class MaskSourceTests: XCTestCase {
  func testPackedMasksAreTheExactOnes() throws {
    let generated = try DataSource.open("synth:tinyshapes?split=scenes-val&n=7&size=24", labels: false)
    let root = temporaryDirectory("masks") + "/out"
    try packAsFolder(generated, to: root)
    let folder = try DataSource.open("\(root)/images", labels: false)
    let packed = try MaskSource(folder: "\(root)/masks", of: folder)
    let exact = try MaskSource(of: generated)
    XCTAssertEqual([packed.count, exact.count], [7, 7])
    for i in 0..<7 {
      XCTAssertEqual(folder.name(i), generated.name(i))
      XCTAssertEqual(try packed.mask(i), try exact.mask(i))
      XCTAssertEqual(try evaluationMask(packed, index: i, size: 24), try exact.mask(i))
      let small = try evaluationMask(packed, index: i, size: 14)
      XCTAssertEqual([small.width, small.height], [14, 14])
      XCTAssertTrue(Set(small.classes).isSubset(of: Set(try exact.mask(i).classes)))
    }
  }

  private func expectFailure(
    _ code: ExitCode, _ words: String, line: UInt = #line, _ body: () throws -> Void
  ) {
    XCTAssertThrowsError(try body(), line: line) { error in
      XCTAssertEqual((error as? Failure)?.code, code, "\(error)", line: line)
      XCTAssertTrue("\(error)".contains(words), "\(error)", line: line)
    }
  }

  func testMasksThatAreMissingOrWrongAreNamed() throws {
    let root = try smallFolder(4)
    let data = try DataSource.open(root, labels: false)
    expectFailure(.inputMissing, "the images have no masks") { _ = try MaskSource(of: data) }
    expectFailure(.inputMissing, "does not exist") { _ = try MaskSource(folder: "\(root)/gone", of: data) }

    let masks = temporaryDirectory("masks")
    let size = try JPEG.size(of: data.bytes(0))
    let good = LabelMask(
      width: size.width, height: size.height, classes: [UInt8](repeating: 3, count: size.width * size.height))
    try write(PNG.encode(good), "\(masks)/even/1000.png")
    try write(Array(PNG.encode(good).dropLast(20)), "\(masks)/even/1002.png")
    try write(PNG.encode(LabelMask(width: 2, height: 1, classes: [0, 1])), "\(masks)/odd/1001.png")
    let source = try MaskSource(folder: masks, of: data)
    XCTAssertEqual(try source.mask(0), good)
    expectFailure(.badData, "even/1002.png") { _ = try source.mask(1) }
    expectFailure(.badData, "the mask is 2x1, its image") { _ = try source.mask(2) }
    expectFailure(.inputMissing, "odd/1003.jpg has no mask") { _ = try source.mask(3) }
  }
}
