import Basics
import Foundation
import TestKit
import XCTest

final class AtomicFileTests: XCTestCase {
  func testReplacesAFileAndLeavesNothingElse() throws {
    let directory = temporaryDirectory()
    let path = directory + "/status.json"
    try AtomicFile.write("one", to: path)
    try AtomicFile.write("two", to: path)
    XCTAssertEqual(try String(contentsOfFile: path, encoding: .utf8), "two")
    XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: directory), ["status.json"])
  }

  func testAMissingDirectoryIsNamed() {
    XCTAssertThrowsError(try AtomicFile.write("x", to: "/nowhere/at/all")) { error in
      XCTAssertEqual((error as? Failure)?.code, .inputMissing)
      XCTAssert((error as? Failure)?.place?.contains("/nowhere/at/all") ?? false)
    }
  }

  func testFailureReadsAsUpToThreeLines() {
    let failure = Failure(.badData, "the file is cut", at: "a.h5", hint: "restore it")
    XCTAssertEqual(failure.description, "error: the file is cut\n  at: a.h5\n  hint: restore it")
    XCTAssertEqual(failure.prefixed("rank 2: ").what, "rank 2: the file is cut")
  }
}
