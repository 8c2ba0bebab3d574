import Basics
import Foundation
import Storage
import TestKit
import XCTest

/// Calls `body` with a new file and closes it.
private func withFile(_ path: String, userBlock: Int = 0, _ body: (H5File) throws -> Void) throws {
  let file = try H5File.create(path, userBlock: userBlock)
  let outcome = Result { try body(file) }
  try file.close()
  try outcome.get()
}

private func reading<R>(_ path: String, _ body: (H5File) throws -> R) throws -> R {
  let file = try H5File.open(path)
  let outcome = Result { try body(file) }
  try file.close()
  return try outcome.get()
}

private func failure(_ body: () throws -> Void, file: StaticString = #filePath, line: UInt = #line) -> Failure? {
  do { try body() } catch let error as Failure { return error } catch { XCTFail("\(error)", file: file, line: line) }
  return nil
}

final class H5FileTests: XCTestCase {
  func testEveryKindComesBack() throws {
    let path = "\(temporaryDirectory())/kinds.h5"
    let floats: [Float] = [1.5, -.infinity, .leastNonzeroMagnitude, 4, 5, 6]
    let doubles = [Double.pi, 1e-300]
    let small: [Int32] = [.min, -1, .max]
    let wide: [Int64] = [.min, 0, .max]
    let bytes: [UInt8] = [0, 127, 255]
    try withFile(path) { file in
      try file.createDataset("a/b.c.0/floats", .float32, shape: [2, 3])
      try file.write("a/b.c.0/floats", .float32, from: floats)
      try file.createDataset("a/doubles", .float64, shape: [2])
      try file.write("a/doubles", .float64, from: doubles)
      try file.createDataset("small", .int32, shape: [3, 1])
      try file.write("small", .int32, from: small)
      try file.createDataset("wide", .int64, shape: [1, 3])
      try file.write("wide", .int64, from: wide)
      try file.createDataset("bytes", .uint8, shape: [3])
      try file.write("bytes", .uint8, from: bytes)
      try file.createDataset("one", .float64, shape: [])
      try file.write("one", .float64, from: [2.5])
      try file.createDataset("none", .float32, shape: [0, 4])
    }
    let infos = try reading(path) { try $0.datasets() }
    XCTAssertEqual(infos.map(\.name), ["a/b.c.0/floats", "a/doubles", "bytes", "none", "one", "small", "wide"])
    XCTAssertEqual(infos.map(\.kind), [.float32, .float64, .uint8, .float32, .float64, .int32, .int64])
    XCTAssertEqual(infos.map(\.shape), [[2, 3], [2], [3], [0, 4], [], [3, 1], [1, 3]])
    XCTAssertNil(infos[3].offset)
    try reading(path) { file in
      var floatsBack = [Float](repeating: 0, count: 6)
      try file.read("a/b.c.0/floats", .float32, into: &floatsBack)
      XCTAssertEqual(floatsBack, floats)
      var doublesBack = [0.0, 0]
      try file.read("a/doubles", .float64, into: &doublesBack)
      XCTAssertEqual(doublesBack, doubles)
      var smallBack = [Int32](repeating: 0, count: 3)
      try file.read("small", .int32, into: &smallBack)
      XCTAssertEqual(smallBack, small)
      var wideBack = [Int64](repeating: 0, count: 3)
      try file.read("wide", .int64, into: &wideBack)
      XCTAssertEqual(wideBack, wide)
      var bytesBack = [UInt8](repeating: 0, count: 3)
      try file.read("bytes", .uint8, into: &bytesBack)
      XCTAssertEqual(bytesBack, bytes)
      var one = [0.0]
      try file.read("one", .float64, into: &one)
      XCTAssertEqual(one, [2.5])
    }
  }

  func testOffsetIsWhereTheBytesAre() throws {
    for userBlock in [0, 512, 4096] {
      let path = "\(temporaryDirectory())/offset.h5"
      let values = ExactRandom.floats(1000, seed: 3)
      try withFile(path, userBlock: userBlock) { file in
        try file.createDataset("first", .float32, shape: [7])
        try file.createDataset("group/values", .float32, shape: [10, 100])
        try file.write("group/values", .float32, from: values)
      }
      let info = try reading(path) { try $0.dataset("group/values") }
      let bytes = try ByteFile.open(path).bytes(info.bytes, at: try XCTUnwrap(info.offset))
      XCTAssertEqual(bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }, values)
      XCTAssertGreaterThanOrEqual(info.offset ?? 0, userBlock)
    }
  }

  func testBoxes() throws {
    let path = "\(temporaryDirectory())/boxes.h5"
    let shape = [4, 5, 3]
    let values = (0..<60).map { Int32($0) }
    try withFile(path) { file in
      try file.createDataset("x", .int32, shape: shape)
      for range in [0..<7, 7..<7, 7..<38, 38..<60] {
        try values.withUnsafeBytes { bytes in
          let start = try XCTUnwrap(bytes.baseAddress) + range.lowerBound * 4
          try file.write("x", .int32, from: start, boxes: Hyperslab.covering(range, of: shape))
        }
      }
      var all = [Int32](repeating: -1, count: 60)
      try file.read("x", .int32, into: &all)
      XCTAssertEqual(all, values)
      var some = [Int32](repeating: -1, count: 23)
      try file.read("x", .int32, into: &some, boxes: Hyperslab.covering(11..<34, of: shape))
      XCTAssertEqual(some, Array(values[11..<34]))
      var rows = [Int32](repeating: -1, count: 6)
      try file.read("x", .int32, into: &rows, boxes: [Hyperslab(start: [1, 2, 0], count: [2, 1, 3])])
      XCTAssertEqual(rows, [21, 22, 23, 36, 37, 38])
    }
  }

  func testAttributes() throws {
    let path = "\(temporaryDirectory())/attributes.h5"
    let long = String(repeating: "ä long text ", count: 20_000)
    try withFile(path) { file in
      try file.setAttribute("whole", .int(-5))
      try file.setAttribute("real", .double(0.1))
      try file.setAttribute("text", .string("first"))
      try file.setAttribute("text", .string(long))
      try file.setAttribute("empty", .string(""))
      try file.createGroup("some/group")
      try file.setAttribute("of group", .int(.max), of: "some/group")
    }
    try reading(path) { file in
      XCTAssertEqual(try file.attributes().map(\.name), ["empty", "real", "text", "whole"])
      XCTAssertEqual(try file.attribute("whole"), .int(-5))
      XCTAssertEqual(try file.attribute("real"), .double(0.1))
      XCTAssertEqual(try file.attribute("text"), .string(long))
      XCTAssertEqual(try file.attribute("empty"), .string(""))
      XCTAssertNil(try file.attribute("missing"))
      XCTAssertEqual(try file.attributes(of: "some/group").map(\.value), [.int(.max)])
    }
  }

  func testEqualContentGivesEqualBytes() throws {
    let paths = ["a", "b"].map { "\(temporaryDirectory())/\($0).h5" }
    for path in paths {
      try withFile(path) { file in
        try file.setAttribute("text", .string("same"))
        try file.createDataset("group/x", .float32, shape: [3])
        try file.write("group/x", .float32, from: [1, 2, 3] as [Float])
      }
    }
    let listing = try XCTUnwrap(output(["h5ls", "-rv", paths[0]]))
    XCTAssertTrue(listing.contains("/group/x"))
    XCTAssertFalse(listing.contains("Modified"), "the file holds the time of its creation")
    XCTAssertEqual(FileManager.default.contents(atPath: paths[0]), FileManager.default.contents(atPath: paths[1]))
  }

  func testFailuresNameCallPathAndReason() throws {
    let folder = temporaryDirectory()
    let missing = failure { _ = try H5File.open("\(folder)/missing.h5") }
    XCTAssertEqual(missing?.code, .inputMissing)
    XCTAssertEqual(missing?.place, "\(folder)/missing.h5")

    let text = "\(folder)/text.h5"
    try AtomicFile.write("this is no HDF5 file", to: text)
    let foreign = failure { _ = try H5File.open(text) }
    XCTAssertEqual(foreign?.code, .badData)
    XCTAssertEqual(foreign?.what, "HDF5 open failed: file signature not found")
    XCTAssertEqual(foreign?.place, text)

    let nowhere = failure { _ = try H5File.create("\(folder)/no/such/folder.h5") }
    XCTAssertEqual(nowhere?.code, .cannotCreate)
    XCTAssertTrue(nowhere?.what.contains("No such file or directory") ?? false, "\(nowhere?.what ?? "")")

    try withFile("\(folder)/file.h5") { file in
      try file.createDataset("x", .int32, shape: [2])
      let twice = failure { try file.createDataset("x", .int32, shape: [2]) }
      XCTAssertEqual(twice?.code, .ioError)
      XCTAssertEqual(twice?.place, "\(folder)/file.h5, x")
      let unknown = failure { _ = try file.dataset("y") }
      XCTAssertEqual(unknown?.code, .badData)
      XCTAssertEqual(unknown?.place, "\(folder)/file.h5, y")
      var values: [Int32] = [0, 0]
      let outside = failure {
        try file.read("x", .int32, into: &values, boxes: [Hyperslab(start: [1], count: [2])])
      }
      XCTAssertEqual(outside?.code, .badData)
    }
  }

  func testOtherProgramsReadTheFile() throws {
    let path = "\(temporaryDirectory())/other.h5"
    try withFile(path, userBlock: 4096) { file in
      try file.createDataset("student/blocks.0.attn.qkv.weight", .float32, shape: [6, 2])
      try file.createDataset("count", .int64, shape: [])
      try file.setAttribute("config", .string("{}"))
    }
    let tree = try XCTUnwrap(output(["h5dump", "-n", "1", path]), "h5dump does not read the file")
    for part in ["dataset    /student/blocks.0.attn.qkv.weight", "dataset    /count", "attribute  /config"] {
      XCTAssertTrue(tree.contains(part), "\(part) not in \(tree)")
    }
  }

  func testThreadsMayUseFilesAtTheSameTime() throws {
    let folder = temporaryDirectory()
    DispatchQueue.concurrentPerform(iterations: 8) { thread in
      let path = "\(folder)/\(thread).h5"
      let values = (0..<100).map { Int32($0 * thread) }
      do {
        try withFile(path) { file in
          for name in 0..<20 {
            try file.createDataset("group/\(name)", .int32, shape: [100])
            try file.write("group/\(name)", .int32, from: values)
          }
        }
        try reading(path) { file in
          var back = [Int32](repeating: 0, count: 100)
          try file.read("group/7", .int32, into: &back)
          XCTAssertEqual(back, values)
        }
      } catch { XCTFail("thread \(thread): \(error)") }
    }
  }
}
