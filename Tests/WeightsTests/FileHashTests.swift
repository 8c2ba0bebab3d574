import Basics
import Foundation
import TestKit
import Weights
import XCTest

final class FileHashTests: XCTestCase {
  private func hash(_ bytes: [UInt8]) throws -> String {
    let path = temporaryDirectory("hash") + "/file"
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return try FileHash.sha256(path)
  }

  func testKnownDigests() throws {
    XCTAssertEqual(try hash([]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    XCTAssertEqual(
      try hash(Array("abc".utf8)), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    // Longer than what is read at once, and no multiple of it.
    XCTAssertEqual(
      try hash((0..<(2 << 20) + 3).map { UInt8($0 % 251) }),
      "9d5bd11e1a0db7e737b58c7b3c0eaabeab2d7adb4b328b455607f2c50ad029d2")
  }

  func testAMissingFileIsNamed() {
    XCTAssertThrowsError(try FileHash.sha256("/nowhere/file")) { error in
      XCTAssertEqual((error as? Failure)?.code, .inputMissing)
      XCTAssertEqual((error as? Failure)?.place, "/nowhere/file")
    }
  }
}
