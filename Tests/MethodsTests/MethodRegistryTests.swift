import Basics
import Foundation
import Methods
import TestKit
import XCTest

final class MethodRegistryTests: XCTestCase {
  private var root: URL {
    URL(fileURLWithPath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
  }

  /// What a method must bring along and does not.
  private func missingPieces(type: String, name: String) -> [String] {
    let files = FileManager.default
    var missing = ["Sources/Methods/\(type).swift", "Tests/MethodsTests/\(type)Tests.swift"].filter {
      !files.fileExists(atPath: root.appendingPathComponent($0).path)
    }
    let folder = root.appendingPathComponent("configs/\(name)").path
    let configs = ((try? files.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".yaml") }
    if configs.isEmpty { missing.append("configs/\(name)/*.yaml") }
    return missing
  }

  func testEveryMethodHasSourceTestAndConfiguration() {
    for type in MethodRegistry.all {
      XCTAssertEqual(missingPieces(type: String(describing: type), name: type.name), [], type.name)
    }
    XCTAssertEqual(
      missingPieces(type: "Imaginary", name: "imaginary"),
      ["Sources/Methods/Imaginary.swift", "Tests/MethodsTests/ImaginaryTests.swift", "configs/imaginary/*.yaml"],
      "the check can fail")
  }

  func testNamesAreUniqueAndTypesAreFoundByThem() throws {
    XCTAssertEqual(Set(MethodRegistry.names).count, MethodRegistry.all.count)
    for type in MethodRegistry.all { XCTAssertTrue(try MethodRegistry.type(named: type.name) == type) }
  }

  func testAnUnknownNameIsABadConfigurationWithTheNearestOne() {
    XCTAssertThrowsError(try MethodRegistry.type(named: "mea")) { error in
      let failure = error as? Failure
      XCTAssertEqual(failure?.code, .badConfig)
      XCTAssertEqual(failure?.hint?.contains("did you mean mae?"), true)
    }
  }
}

final class DrawRecorderTests: XCTestCase {
  func testMicrobatchesAppend() {
    let draws = DrawRecorder()
    draws.record("mask_order/0", ints: [2, 1, 0], shape: [1, 3])
    draws.record("keep", floats: [0.5], shape: [1])
    draws.record("mask_order/0", ints: [0, 1, 2, 1, 2, 0], shape: [2, 3])
    XCTAssertEqual(draws.entries.map(\.name), ["mask_order/0", "keep"])
    XCTAssertEqual(draws.entries[0].shape, [3, 3])
    XCTAssertEqual(draws.entries[0].values, .ints([2, 1, 0, 0, 1, 2, 1, 2, 0]))
    XCTAssertEqual(draws.entries[1].values, .floats([0.5]))
  }

  func testStepContextFollowsFromTheStepAlone() {
    let step = StepContext(step: 19, totalSteps: 40, stepsPerEpoch: 10, seed: 0)
    XCTAssertEqual(step.epoch, 1)
    XCTAssertEqual(step.progress, 19.0 / 40)
    XCTAssertTrue(step.endsEpoch)
    XCTAssertFalse(StepContext(step: 18, totalSteps: 40, stepsPerEpoch: 10, seed: 0).endsEpoch)
  }
}
