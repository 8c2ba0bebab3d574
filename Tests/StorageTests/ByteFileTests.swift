import Basics
import Foundation
import Storage
import TestKit
import XCTest

final class ByteFileTests: XCTestCase {
  func testBytesComeBackFromTheirPlace() throws {
    let path = "\(temporaryDirectory())/bytes"
    try AtomicFile.write([UInt8](repeating: 7, count: 10), to: path)
    let file = try ByteFile.open(path, writable: true)
    try file.write([1, 2, 3], at: 20)
    try file.sync()
    XCTAssertEqual(try file.length(), 23)
    XCTAssertEqual(try file.bytes(5, at: 8), [7, 7, 0, 0, 0])
    XCTAssertEqual(try file.bytes(3, at: 20), [1, 2, 3])
    XCTAssertEqual(try file.bytes(0, at: 20), [])
  }

  func testShortFileIsNamed() throws {
    let path = "\(temporaryDirectory())/short"
    try AtomicFile.write([1, 2, 3], to: path)
    let file = try ByteFile.open(path)
    do {
      _ = try file.bytes(10, at: 1)
      XCTFail("read beyond the end")
    } catch {
      XCTAssertEqual(error, Failure(.badData, "the file ends at byte 3 and should go on", at: path))
    }
  }

  func testAllocationTakesSpaceAndFreeBytesAreKnown() throws {
    let path = "\(temporaryDirectory())/allocated"
    try AtomicFile.write([1], to: path)
    let file = try ByteFile.open(path, writable: true)
    try file.allocate(1 << 20)
    XCTAssertEqual(try file.bytes(1, at: 0), [1])
    XCTAssertGreaterThan(Directory.freeBytes(temporaryDirectory()) ?? 0, 0)
    XCTAssertNil(Directory.freeBytes("/no/such/folder"))
  }

  func testFoldersAreMadeAndListed() throws {
    let root = temporaryDirectory()
    try Directory.create("\(root)/a/b/c")
    try Directory.create("\(root)/a/b/c")
    try Directory.create("\(root)/a/d")
    XCTAssertEqual(Directory.entries("\(root)/a"), ["b", "d"])
    XCTAssertEqual(Directory.entries("\(root)/none"), [])
    try AtomicFile.write("file", to: "\(root)/file")
    XCTAssertThrowsError(try Directory.create("\(root)/file/below")) { error in
      XCTAssertEqual((error as? Failure)?.code, .cannotCreate)
    }
  }
}
