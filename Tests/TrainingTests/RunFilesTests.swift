import Basics
import Foundation
import TestKit
import XCTest

@testable import Training

final class RunFilesTests: XCTestCase {
  func testAResumedLogDropsWhatCameAfterTheCheckpoint() throws {
    let path = temporaryDirectory() + "/metrics.jsonl"
    let first = try MetricLog(path: path, stage: "mae", keepingThrough: nil, attempt: 1)
    for step in 1...6 { try first.append(kind: "train", step: step, [("loss", .double(1 / Double(step)))]) }
    let second = try MetricLog(path: path, stage: "mae", keepingThrough: 3, attempt: 2)
    try second.append(kind: "train", step: 4, [("loss", .double(.nan))])
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      try JSON.parse(String($0))
    }
    XCTAssertEqual(lines.map { $0["step"]?.intValue }, [1, 2, 3, 4])
    XCTAssertEqual(lines.map { $0["attempt"]?.intValue }, [1, 1, 1, 2])
    XCTAssertEqual(lines.last?["loss"], .null)
  }

  func testAnExistingRunIsRefusedResumedOrReplaced() throws {
    let path = temporaryDirectory() + "/run"
    do {
      let fresh = try RunDirectory(path: path, resuming: false, overwrite: false)
      try fresh.updateStatus("running", [])
      XCTAssertThrowsError(try RunDirectory(path: path, resuming: true, overwrite: false)) { error in
        XCTAssertEqual((error as? Failure)?.what, "another process is using this run directory")
      }
    }
    XCTAssertThrowsError(try RunDirectory(path: path, resuming: false, overwrite: false)) { error in
      XCTAssertEqual((error as? Failure)?.code, .cannotCreate)
      XCTAssert((error as? Failure)?.hint?.contains("--resume auto") ?? false)
    }
    XCTAssertEqual(try RunDirectory(path: path, resuming: true, overwrite: false).attempt, 2)
    try "keep".write(toFile: path + "/mine.txt", atomically: true, encoding: .utf8)
    XCTAssertEqual(try RunDirectory(path: path, resuming: false, overwrite: true).attempt, 1)
    XCTAssert(FileManager.default.fileExists(atPath: path + "/mine.txt"))
    XCTAssertFalse(FileManager.default.fileExists(atPath: path + "/status.json"))
  }

  func testAPathThatCannotBeMadeIsNamed() {
    XCTAssertThrowsError(try RunDirectory(path: "/proc/nowhere/run", resuming: false, overwrite: false)) { error in
      XCTAssertEqual((error as? Failure)?.code, .cannotCreate)
      XCTAssert((error as? Failure)?.place?.contains("/proc/nowhere/run") ?? false)
    }
  }

  func testDeadlineTakesTheNearerEnd() {
    XCTAssertFalse(Deadline(timeLimit: nil, deadline: nil).isNear(step: 1e9, save: 1e9))
    XCTAssertFalse(Deadline(timeLimit: 1000, deadline: nil).isNear(step: 1, save: 1))
    XCTAssertTrue(Deadline(timeLimit: 1000, deadline: nil).isNear(step: 600, save: 1))
    XCTAssertTrue(Deadline(timeLimit: 1000, deadline: Double(time(nil)) + 2).isNear(step: 1, save: 1))
  }

  func testDurationsReadLikeClocks() {
    XCTAssertEqual([5, 65, 3_700, 200_000].map { duration(Double($0)) }, ["5 s", "1 m 05 s", "1 h 01 m", "2 d 7 h"])
    XCTAssertEqual(duration(.nan), "unknown")
  }
}
