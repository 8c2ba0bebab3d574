import Basics
import Features
import Foundation
import Messaging
import Storage
import TestKit
import Tensors
import XCTest

final class FeatureFileTests: XCTestCase {
  private static let origin = FeatureOrigin(
    checkpoint: "runs/a/step-1.h5", checkpointHash: "ab12", weights: "ema", transform: "eval(8, bicubic)",
    data: "folder:x", dataHash: "77")
  private let cls = Tensor(ExactRandom.floats(7 * 5, seed: 1), [7, 5])
  private let tokens = Tensor(ExactRandom.floats(7 * 4 * 3, seed: 2), [7, 4, 3])
  private let labels: [Int32] = [2, 0, 1, 1, 0, 2, 0]
  private let indices: [Int64] = [10, 11, 12, 14, 15, 16, 17]

  private func directory(_ world: Communicator) throws -> String {
    try world.broadcast(world.isCoordinator ? temporaryDirectory("features") : "")
  }

  /// Writes both kinds; every rank puts its block of rows, a row at a time.
  private func write(_ path: String, _ format: FeatureFormat, _ world: Communicator) throws {
    let manifest = FeatureManifest(origin: Self.origin, classNames: ["a", "b \"c\"", "ö"], count: 7)
    try FeatureFileWriter.write(
      path, format, manifest, labels: labels, indices: indices,
      itemShapes: [("cls", [5]), ("patches:1,2", [4, 3]), ("inputs", [4, 3])], communicator: world
    ) { (writer) throws(Failure) in
      try world.agreed { () throws(Failure) in
        for row in blockRange(count: 7, part: world.rank, of: world.size) {
          try writer.put("cls", rows: row..<row + 1, self.cls.rows(row..<row + 1))
          for name in ["patches:1,2", "inputs"] {
            try writer.put(name, rows: row..<row + 1, self.tokens.rows(row..<row + 1))
          }
        }
      }
    }
  }

  func testBothFormatsGiveBackWhatWasStored() throws {
    let world = try sharedCommunicator()
    let root = try directory(world)
    for format in FeatureFormat.allCases {
      let path = "\(root)/new/features.\(format)"
      try write(path, format, world)
      XCTAssertFalse(FileManager.default.fileExists(atPath: path + ".partial"))
      let file = try FeatureFile(path, communicator: world)
      XCTAssertEqual(file.kinds.map(\.description), ["cls", "patches:1,2"])
      XCTAssertEqual(file.manifest.origin, Self.origin)
      for (kind, whole) in zip(file.kinds, [cls, tokens]) {
        let set = try file.features(kind, communicator: world)
        XCTAssertEqual(set.range, blockRange(count: 7, part: world.rank, of: world.size))
        XCTAssertEqual(set.rows.shape.dims, [set.range.count] + whole.shape.dims.dropFirst())
        XCTAssertEqual(set.rows.array, whole.rows(set.range).array, "\(format) \(kind)")
        XCTAssertEqual(set.labels, labels)
        XCTAssertEqual(set.indices, indices)
        XCTAssertEqual(set.classNames, ["a", "b \"c\"", "ö"])
        XCTAssertEqual(set.origin.feature, kind.description)
      }
      for kind in [nil, FeatureKind(.patchMean)] {
        XCTAssertThrowsError(try file.features(kind, communicator: world)) { error in
          XCTAssertEqual((error as? Failure)?.code, .usage)
          XCTAssertEqual((error as? Failure)?.hint, "--feature may be cls, patches:1,2")
        }
      }
    }
  }

  func testAFailureLeavesNothingAndAFullFolderIsRefused() throws {
    let world = try sharedCommunicator()
    let root = try directory(world)
    let manifest = FeatureManifest(origin: Self.origin, classNames: [], count: 7)
    for format in FeatureFormat.allCases {
      let path = "\(root)/broken.\(format)"
      XCTAssertThrowsError(
        try FeatureFileWriter.write(
          path, format, manifest, labels: labels, indices: indices, itemShapes: [("cls", [5])], communicator: world
        ) { (_) throws(Failure) in
          try world.agreed { () throws(Failure) in
            if world.rank == world.size - 1 { throw Failure(.nonFinite, "no number") }
          }
        }
      ) { XCTAssertEqual(($0 as? Failure)?.code, .nonFinite) }
      try world.barrier()
      XCTAssertEqual(Directory.entries(root), [])
      try world.barrier()
    }
    try write("\(root)/full", .npy, world)
    XCTAssertThrowsError(try write("\(root)/full", .npy, world)) {
      XCTAssertEqual(($0 as? Failure)?.code, .cannotCreate)
    }
    XCTAssertThrowsError(try write("\(root)/full", .h5, world)) {
      XCTAssertEqual(($0 as? Failure)?.code, .cannotCreate)
    }
    XCTAssertNoThrow(try FeatureFile("\(root)/full", communicator: world))
    try write("\(root)/again.h5", .h5, world)
    XCTAssertNoThrow(try write("\(root)/again.h5", .h5, world))
  }

  func testFeaturesThatAreNoNumbersAreRefused() throws {
    let world = try sharedCommunicator()
    let root = try directory(world)
    cls.pointer[4 * 5 + 2] = .nan
    for format in FeatureFormat.allCases {
      try write("\(root)/\(format)", format, world)
      let file = try FeatureFile("\(root)/\(format)", communicator: world)
      XCTAssertThrowsError(try file.features(FeatureKind(.classToken(0)), communicator: world)) { error in
        XCTAssertEqual((error as? Failure)?.code, .nonFinite)
        XCTAssertTrue("\(error)".contains("the feature of image 15 is not a number"), "\(error)")
      }
    }
  }

  func testFilesOfOtherProgramsNeedNothingButOneKind() throws {
    let world = try sharedCommunicator()
    let root = try directory(world)
    if world.isCoordinator {
      // numpy.save("cls.npy", doubles [2, 3]) and numpy.save("labels.npy", int64 [2]), as NumPy writes them.
      let wide: [Double] = [0.5, -1, 2, 3, 4, 5]
      let head = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }"
      try npy(head, wide.withUnsafeBytes { Array($0) }, "\(root)/cls.npy")
      let labels: [Int64] = [1, 0]
      let labelHead = "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }"
      try npy(labelHead, labels.withUnsafeBytes { Array($0) }, "\(root)/labels.npy")
    }
    try world.barrier()
    let set = try FeatureFile(root, communicator: world).features(nil, communicator: world)
    XCTAssertEqual(set.rows.array, Array([0.5, -1, 2, 3, 4, 5][3 * set.range.lowerBound..<3 * set.range.upperBound]))
    XCTAssertEqual(set.labels, [1, 0])
    XCTAssertEqual(set.indices, [0, 1])
    XCTAssertEqual(set.origin, FeatureOrigin(feature: "cls"))
  }

  func testDamagedArraysAreNamed() throws {
    let world = try sharedCommunicator()
    let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
    let bytes = [UInt8](repeating: 0, count: 24)
    let cases: [(name: String, head: String, bytes: [UInt8])] = [
      ("short", good, Array(bytes.dropLast())), ("long", good, bytes + [0]),
      ("fortran", good.replacingOccurrences(of: "False", with: "True"), bytes),
      ("big-endian", good.replacingOccurrences(of: "<", with: ">"), bytes),
      ("no dictionary", "{'descr': '<f4'", bytes),
      ("another length", good.replacingOccurrences(of: "(2, 3)", with: "(3, 2)"), bytes),
    ]
    for (name, head, bytes) in cases {
      let root = try directory(world)
      if world.isCoordinator {
        try npy(head, bytes, "\(root)/cls.npy")
        try npy(good, [UInt8](repeating: 0, count: 24), "\(root)/patchmean.npy")
      }
      try world.barrier()
      XCTAssertThrowsError(try FeatureFile(root, communicator: world), name) { error in
        XCTAssertEqual((error as? Failure)?.code, .badData, "\(error)")
      }
    }
    let empty = try directory(world)
    XCTAssertThrowsError(try FeatureFile(empty, communicator: world)) {
      XCTAssertTrue("\($0)".contains("there are no features"), "\($0)")
    }
    XCTAssertThrowsError(try FeatureFile(empty + "/nothing.h5", communicator: world)) {
      XCTAssertEqual(($0 as? Failure)?.code, .inputMissing)
    }
  }

  private func npy(_ head: String, _ elements: [UInt8], _ path: String) throws {
    let padded = head + String(repeating: " ", count: 117 - head.utf8.count) + "\n"
    let bytes = [0x93] + Array("NUMPY".utf8) + [1, 0, 118, 0] + Array(padded.utf8) + elements
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }
}
