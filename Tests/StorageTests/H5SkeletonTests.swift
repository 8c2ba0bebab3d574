import Basics
import Foundation
import Storage
import TestKit
import XCTest

final class H5SkeletonTests: XCTestCase {
  func testElementsWrittenByPositionAreReadByTheLibrary() throws {
    let path = "\(temporaryDirectory())/skeleton.h5"
    let values = ExactRandom.floats(50_000, seed: 1)
    let skeleton = try H5Skeleton.create(
      path,
      [
        DatasetInfo(name: "a/x", kind: .float32, shape: [100, 500], offset: nil),
        DatasetInfo(name: "none", kind: .int32, shape: [0], offset: nil),
        DatasetInfo(name: "one", kind: .int64, shape: [], offset: nil),
      ], userBlock: 4096, alignment: 4096
    ) { file throws(Failure) in try file.setAttribute("note", .string("text"), of: "a/x") }
    XCTAssertTrue(skeleton.offsets[0].isMultiple(of: 4096))
    XCTAssertEqual(skeleton.offsets[1], 0)
    // The elements are not part of it: it stays small.
    XCTAssertLessThan(skeleton.metadata.reduce(0) { $0 + $1.bytes.count }, 20_000)
    XCTAssertGreaterThan(skeleton.length, 200_000)

    let target = try ByteFile.open(path, writable: true)
    XCTAssertEqual(try target.length(), skeleton.length)
    try target.write(values.withUnsafeBytes { Array($0) }, at: skeleton.offsets[0])
    try target.write([5, 0, 0, 0, 0, 0, 0, 0], at: skeleton.offsets[2])

    let file = try H5File.open(path)
    let outcome = Result {
      var back = [Float](repeating: 0, count: values.count)
      try file.read("a/x", .float32, into: &back)
      XCTAssertEqual(back, values)
      var one: [Int64] = [0]
      try file.read("one", .int64, into: &one)
      XCTAssertEqual(one, [5])
      XCTAssertEqual(try file.attributes(of: "a/x").map(\.value), [.string("text")])
      XCTAssertEqual(try file.datasets().map(\.name), ["a/x", "none", "one"])
    }
    try file.close()
    try outcome.get()
  }

  func testGapsAreWhatIsNotKnown() {
    XCTAssertEqual(H5Skeleton.gaps(from: 2, to: 20, except: [5..<7, 0..<3, 7..<7, 18..<20]), [3..<5, 7..<18])
    XCTAssertEqual(H5Skeleton.gaps(from: 0, to: 10, except: []), [0..<10])
    XCTAssertEqual(H5Skeleton.gaps(from: 0, to: 0, except: []), [])
    XCTAssertEqual(
      H5Skeleton.gaps(from: 1, to: 9 << 20, except: []),
      [1..<(4 << 20) + 1, (4 << 20) + 1..<(8 << 20) + 1, (8 << 20) + 1..<9 << 20])
  }

  func testANameThatIsTakenIsAnError() {
    let twice = [("a", [2]), ("a/b", [2])].map {
      DatasetInfo(name: $0.0, kind: .float32, shape: $0.1, offset: nil)
    }
    XCTAssertThrowsError(try H5Skeleton.create("\(temporaryDirectory())/twice.h5", twice) { _ in }) { error in
      XCTAssertEqual((error as? Failure)?.code, .ioError)
    }
  }
}
