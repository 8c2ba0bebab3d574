import Basics
import Foundation
import Images
import Pipeline
import TestKit
import XCTest

final class JPEGBenchmarkTests: XCTestCase {
  func testItKeepsWhatAnotherProgramNeedsToDoTheSame() throws {
    let root = temporaryDirectory("bench") + "/kept"
    let result = try JPEGBenchmark.run(images: 1, rounds: 1, keepIn: root)
    XCTAssertEqual(result.images, 1)
    XCTAssertGreaterThan(result.imagesPerCPUSecond, 0)
    XCTAssertTrue((30_000...80_000).contains(result.meanBytes), "\(result.meanBytes) bytes")

    let file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(root)/0.jpg")))
    let entry = try XCTUnwrap(
      JSON.parse(String(contentsOfFile: "\(root)/views.json", encoding: .utf8)).arrayValue?.first)
    func number(_ key: String) throws -> Int { try XCTUnwrap(entry[key]?.intValue) }
    let box = CropBox(
      left: try number("left"), top: try number("top"), width: try number("width"), height: try number("height"))
    let isFlipped = entry["flip"]?.line == "true"
    let view = try ViewMaker().picture(ViewRequest(box: box, size: 224, isFlipped: isFlipped), of: file)
    let planes = try Data(contentsOf: URL(fileURLWithPath: "\(root)/views.f32")).withUnsafeBytes {
      Array($0.bindMemory(to: Float.self))
    }
    XCTAssertEqual(planes.count, 3 * 224 * 224)
    for i in stride(from: 0, to: 224 * 224, by: 97) {
      for c in 0..<3 { XCTAssertEqual(planes[c * 224 * 224 + i], Float(view.bytes[3 * i + c]) / 255) }
    }
  }
}
