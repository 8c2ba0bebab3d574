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
  private func missingPieces(types: [String], name: String) -> [String] {
    let files = FileManager.default
    var missing = types.flatMap { ["Sources/Methods/\($0).swift", "Tests/MethodsTests/\($0)Tests.swift"] }.filter {
      !files.fileExists(atPath: root.appendingPathComponent($0).path)
    }
    let folder = root.appendingPathComponent("configs/\(name)").path
    let configs = ((try? files.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".yaml") }
    if configs.isEmpty { missing.append("configs/\(name)/*.yaml") }
    return missing
  }

  func testEveryMethodHasSourceTestAndConfiguration() {
    for entry in MethodRegistry.all {
      XCTAssertEqual(missingPieces(types: entry.types.map { "\($0)" }, name: entry.name), [], entry.name)
    }
    XCTAssertEqual(
      missingPieces(types: ["Imaginary"], name: "imaginary"),
      ["Sources/Methods/Imaginary.swift", "Tests/MethodsTests/ImaginaryTests.swift", "configs/imaginary/*.yaml"],
      "the check can fail")
  }

  func testNamesAreUniqueAndTypesAreFoundByThem() throws {
    XCTAssertEqual(Set(MethodRegistry.names).count, MethodRegistry.all.count)
    for entry in MethodRegistry.all {
      XCTAssertEqual(try MethodRegistry.entry(named: entry.name).name, entry.name)
      XCTAssertEqual(Set(entry.stages.map(\.name)).count, entry.stages.count)
      for stage in entry.stages { XCTAssertTrue(try entry.type(of: stage.name) == stage.type) }
    }
  }

  func testAMethodOfOneTypeHasItForEveryStageAndOthersOnlyForTheirs() throws {
    let mae = try MethodRegistry.entry(named: "mae")
    XCTAssertEqual(mae.stages.count, 0)
    XCTAssertTrue(try mae.type(of: "mae") == mae.types[0])
    let staged = try MethodRegistry.entry(named: "mae-ct")
    XCTAssertTrue(try staged.type(of: "mae") == mae.types[0])
    XCTAssertThrowsError(try staged.type(of: "maee")) { error in
      XCTAssertEqual((error as? Failure)?.code, .badConfig)
      XCTAssertEqual((error as? Failure)?.hint?.contains("did you mean 'mae'?"), true)
    }
  }

  func testAnUnknownNameIsABadConfigurationWithTheNearestOne() {
    XCTAssertThrowsError(try MethodRegistry.entry(named: "mea")) { error in
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
