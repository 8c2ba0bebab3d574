import Basics
import Foundation
import TestKit
import Tensors
import XCTest

@testable import Weights

final class SafetensorsTests: XCTestCase {
  /// A file with this header and so many bytes of numbers.
  private func file(_ header: String, bytes: [UInt8]) throws -> String {
    try file([UInt8](withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }) + header.utf8 + bytes)
  }

  private func file(_ bytes: [UInt8]) throws -> String {
    let path = temporaryDirectory("safetensors") + "/file.safetensors"
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return path
  }

  private func entry(_ name: String, _ dtype: String, _ shape: String, _ start: Int, _ end: Int) -> String {
    "\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":[\(start),\(end)]}"
  }

  func testWhatIsWrittenIsRead() throws {
    let directory = temporaryDirectory("safetensors")
    let path = directory + "/a.safetensors"
    let values = ["b/x": ExactRandom.floats(6, seed: 1), "a": ExactRandom.floats(5, seed: 2), "empty": []]
    let tensors: [(name: String, value: Tensor)] = [
      ("b/x", Tensor(values["b/x"] ?? [], [2, 3])), ("a", Tensor(values["a"] ?? [], [5])),
      ("empty", Tensor([], [0, 4])),
    ]
    for _ in 0..<2 {  // The second time it replaces the first file.
      try SafetensorsWriter.write(tensors, metadata: [("format", "pt"), ("text", "ü \"quoted\"")], to: path)
    }
    let read = try SafetensorsFile(path)
    XCTAssertEqual(Set(read.names), ["b/x", "a", "empty"])
    XCTAssertEqual(read.metadata, ["format": "pt", "text": "ü \"quoted\""])
    for (name, value) in tensors {
      XCTAssertEqual(read.shape(name), value.shape.dims)
      XCTAssertEqual(try read.tensor(name).array, value.array)
    }
    XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: directory), ["a.safetensors"])
  }

  func testTheLayoutIsThatOfTheFormat() throws {
    let path = temporaryDirectory("safetensors") + "/a.safetensors"
    try SafetensorsWriter.write(
      [("a", Tensor([1, -2], [2])), ("b", Tensor([0.5], [1, 1]))], metadata: [("format", "pt")], to: path)
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    let length = Int(bytes[0]) + Int(bytes[1]) << 8
    XCTAssertEqual(bytes[2..<8], [0, 0, 0, 0, 0, 0])
    XCTAssertEqual((8 + length) % 8, 0)
    let header = String(decoding: bytes[8..<8 + length], as: UTF8.self)
    XCTAssertEqual(
      header.trimmingCharacters(in: .whitespaces),
      #"{"__metadata__":{"format":"pt"},"# + entry("a", "F32", "[2]", 0, 8) + "," + entry("b", "F32", "[1,1]", 8, 12)
        + "}")
    XCTAssertEqual(Array(bytes[(8 + length)...]), [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0, 0, 0x3F])
  }

  func testHalfPrecisionsAreWidenedExactly() throws {
    let header = "{" + entry("h", "F16", "[4]", 0, 8) + "," + entry("b", "BF16", "[2]", 8, 12) + "}"
    // 1, -2, the smallest subnormal and the largest number; 1 and -3.140625.
    Team.run {}  // from here on this thread flushes subnormals, as in every command
    let words: [UInt16] = [0x3C00, 0xC000, 0x0001, 0x7BFF, 0x3F80, 0xC049]
    let read = try SafetensorsFile(try file(header, bytes: words.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }))
    XCTAssertEqual(try read.tensor("h").array, [1, -2, 5.960464477539063e-08, 65504])
    XCTAssertEqual(try read.tensor("b").array, [1, -3.140625])
  }

  func testOtherNumbersAreRefusedByName() throws {
    let header = "{" + entry("i", "I64", "[1]", 0, 8) + "," + entry("n", "F32", "[2]", 8, 16) + "}"
    let notANumber: [UInt8] = [0, 0, 0xC0, 0x7F, 0, 0, 0, 0]
    let read = try SafetensorsFile(try file(header, bytes: [UInt8](repeating: 0, count: 8) + notANumber))
    XCTAssertEqual(read.names, ["i", "n"])
    for (name, words) in [("i", "I64"), ("n", "not finite"), ("x", "no tensor")] {
      let failure = thrown { _ = try read.tensor(name) }
      XCTAssertEqual(failure?.code, .badData)
      XCTAssertTrue(
        failure?.what.contains("'\(name)'") == true && failure?.what.contains(words) == true, "\(failure?.what ?? "")")
    }
  }

  func testDamagedFilesAreRefusedWithWords() throws {
    let numbers = [UInt8](repeating: 0, count: 16)
    let cases: [(header: String, words: String)] = [
      ("{" + entry("a", "F32", "[5]", 0, 20) + "}", "cut off"),
      ("{" + entry("a", "F32", "[3]", 0, 12) + "}", "the file has 16"),
      ("{" + entry("a", "F32", "[2]", 0, 8) + "," + entry("b", "F32", "[3]", 4, 16) + "}", "overlaps"),
      ("{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("b", "F32", "[2]", 8, 16) + "}", "gap"),
      ("{" + entry("a", "F32", "[2]", 0, 8) + "," + entry("a", "F32", "[2]", 8, 16) + "}", "twice"),
      ("{" + entry("a", "F32", "[5]", 0, 16) + "}", "20 bytes"),
      ("{" + entry("a", "F33", "[4]", 0, 16) + "}", "F33"),
      ("{" + entry("a", "F32", "[-4]", 0, 16) + "}", "shape"),
      ("{" + entry("a", "F32", "[4.5]", 0, 16) + "}", "shape"),
      ("{" + entry("a", "F32", "[4611686018427387904,4]", 0, 16) + "}", "shape"),
      ("{" + entry("a", "F32", "[4]", 16, 0) + "}", "place"),
      ("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,16]}}", "shape"),
      ("{\"a\":{\"dtype\":\"F32\",\"shape\":[4]}}", "place"), ("{\"a\":[]}", "dtype"), ("[1]", "no JSON object"),
      ("{\"a\":", "JSON"), (String(repeating: "[", count: 100_000), "deeply"), ("\u{7F}", "JSON"),
    ]
    for (header, words) in cases {
      let failure = thrown { _ = try SafetensorsFile(try self.file(header, bytes: numbers)) }
      XCTAssertEqual(failure?.code, .badData, header)
      XCTAssertTrue(failure?.description.contains(words) == true, "\(header.prefix(90)): \(failure?.description ?? "")")
    }
    for (bytes, words) in [
      ([1, 2, 3], "it has 3 bytes"), ([255, 255, 255, 255, 255, 255, 255, 255, 1], "header would be"),
      ([9, 0, 0, 0, 0, 0, 0, 0, 1], "cut off"), ([2, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFE], "UTF-8"),
      ([0x50, 0x4B, 3, 4, 0, 0, 8, 8], "pickled"), ([0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46], "pickled"),
      ([0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A], "HDF5"),
    ] as [([UInt8], String)] {
      let failure = thrown { _ = try SafetensorsFile(try self.file(bytes)) }
      XCTAssertEqual(failure?.code, .badData)
      XCTAssertTrue(failure?.description.contains(words) == true, failure?.description ?? "")
    }
    XCTAssertEqual(thrown { _ = try SafetensorsFile("/nowhere/a.safetensors") }?.code, .inputMissing)
  }

  func testNothingOfAFailedWriteIsLeft() throws {
    let directory = temporaryDirectory("safetensors")
    try FileManager.default.createDirectory(atPath: directory + "/taken", withIntermediateDirectories: true)
    let failure = thrown {
      try SafetensorsWriter.write([("a", Tensor([1], [1]))], metadata: [], to: directory + "/taken")
    }
    XCTAssertEqual(failure?.code, .ioError)
    XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: directory), ["taken"])
    XCTAssertEqual(
      thrown { try SafetensorsWriter.write([], metadata: [], to: "/nowhere/a") }?.code, .cannotCreate)
  }
}

/// The failure that `body` throws; nil when it throws none.
func thrown(_ body: () throws -> Void) -> Failure? {
  do { try body() } catch { return error as? Failure ?? Failure(.internalError, "\(error)") }
  return nil
}
