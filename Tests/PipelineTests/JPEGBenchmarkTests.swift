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
    XCTAssertEqual(entry["colour"]?.arrayValue?.count, 0)
    let view = try ViewMaker().picture(ViewRequest(box: box, size: 224, isFlipped: isFlipped), of: file)
    let planes = try Data(contentsOf: URL(fileURLWithPath: "\(root)/views.f32")).withUnsafeBytes {
      Array($0.bindMemory(to: Float.self))
    }
    XCTAssertEqual(planes.count, 3 * 224 * 224)
    for i in stride(from: 0, to: 224 * 224, by: 97) {
      for c in 0..<3 { XCTAssertEqual(planes[c * 224 * 224 + i], Float(view.bytes[3 * i + c]) / 255) }
    }
  }

  func testTheColoursItKeepsAreThoseItMade() throws {
    let roots = [temporaryDirectory("plain"), temporaryDirectory("aug")]
    for (root, augment) in zip(roots, JPEGBenchmark.Augment.allCases) {
      XCTAssertEqual(try JPEGBenchmark.run(images: 3, rounds: 1, augment: augment, keepIn: root).augment, augment)
    }
    let planes = try roots.map { root in
      try Data(contentsOf: URL(fileURLWithPath: "\(root)/views.f32")).withUnsafeBytes {
        Array($0.bindMemory(to: Float.self))
      }
    }
    let entries = try XCTUnwrap(
      JSON.parse(String(contentsOfFile: "\(roots[1])/views.json", encoding: .utf8)).arrayValue)
    let area = 224 * 224
    for (image, entry) in entries.enumerated() {
      let operations = try XCTUnwrap(entry["colour"]?.arrayValue).map(operation)
      if image % 2 == 0 { XCTAssertTrue(operations.contains { if case .blur = $0 { true } else { false } }) }
      let made = (0..<2).map { source in
        let first = 3 * area * image
        let bytes = (0..<(3 * area)).map { UInt8((planes[source][first + $0 % 3 * area + $0 / 3] * 255).rounded()) }
        return Pixels(width: 224, height: 224, bytes: bytes)
      }
      XCTAssertEqual(made[1], ViewMaker().recoloured(made[0], operations))
    }
  }

  private func operation(_ record: JSON) throws -> ColourOperation {
    let parts = try XCTUnwrap(record.arrayValue)
    let value = try XCTUnwrap(parts[1].doubleValue)
    switch parts[0].stringValue {
    case "brightness": return .brightness(value)
    case "contrast": return .contrast(value)
    case "saturation": return .saturation(value)
    case "hue": return .hue(value)
    case "grey": return .grey
    case "solarise": return .solarise(threshold: Int(value))
    case "blur": return .blur(sigma: value)
    default: throw Failure(.badData, "no operation \(record.line)")
    }
  }
}
