import Basics
import Foundation
import TestKit
import Weights
import XCTest

final class CheckpointTargetTests: XCTestCase {
  func testAFileIsTakenAsItIsAndARunStandsForItsNewestCheckpoint() throws {
    let world = try sharedCommunicator()
    let file = try SmallCheckpoint(world).path
    let run = URL(fileURLWithPath: file).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().path
    let direct = try CheckpointTarget(file, world)
    XCTAssertEqual(direct.path, file)
    XCTAssertNil(direct.run)
    let newest = try CheckpointTarget(run, world)
    XCTAssertEqual(newest.path, file)
    XCTAssertEqual(newest.run, run)
    XCTAssertEqual(newest.notices, [])
  }

  func testWhatIsNotThereIsNamed() throws {
    let world = try sharedCommunicator()
    let empty = try world.broadcast(world.isCoordinator ? temporaryDirectory("target") : "")
    let bare = try world.broadcast(world.isCoordinator ? temporaryDirectory("target") : "")
    if world.isCoordinator {
      try FileManager.default.createDirectory(atPath: "\(bare)/checkpoints", withIntermediateDirectories: false)
    }
    try world.barrier()
    for (target, words) in [
      ("\(empty)/none.h5", "no such checkpoint"), (empty, "is no run"), (bare, "no whole checkpoint"),
    ] {
      XCTAssertThrowsError(try CheckpointTarget(target, world)) { error in
        XCTAssertEqual((error as? Failure)?.code, .inputMissing)
        XCTAssertTrue((error as? Failure)?.what.contains(words) ?? false, "\(error)")
        XCTAssertEqual((error as? Failure)?.place, target)
      }
    }
  }
}
