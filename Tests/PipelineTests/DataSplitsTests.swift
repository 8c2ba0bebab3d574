import Basics
import Pipeline
import TestKit
import XCTest

final class DataSplitsTests: XCTestCase {
  /// A folder with one image for each path.
  private func tree(_ paths: [String]) throws -> String {
    let root = temporaryDirectory("splits")
    for path in paths { try write(smallJPEG(1), "\(root)/\(path)") }
    return root
  }

  func testAFolderIsDividedByItsFoldersTrainAndVal() throws {
    let root = try tree(["train/a/1.jpg", "train/b/1.jpg", "train/b/2.jpg", "val/a/1.jpg", "val/b/1.jpg"])
    for address in [root, "folder:\(root)/"] {
      let splits = try DataSplits.open(address)
      XCTAssertEqual(splits.splits, [.train, .val])
      XCTAssertEqual(try splits.source(.train).count, 3)
      XCTAssertEqual(try splits.source(.val).count, 2)
      XCTAssertEqual(try splits.source(.val).classNames, ["a", "b"])
    }
    let single = try DataSplits.open("\(root)/train")
    XCTAssertEqual(single.splits, [.val])
    XCTAssertThrowsError(try single.source(.train)) { error in
      XCTAssertEqual((error as? Failure)?.code, .inputMissing)
    }
  }

  func testPartsMayBeNamedOneByOne() throws {
    let root = try tree(["x/a/1.jpg", "y/a/1.jpg", "y/a/2.jpg"])
    let splits = try DataSplits.open(nil, train: "\(root)/y", val: "\(root)/x")
    XCTAssertEqual(try splits.source(.train).count, 2)
    XCTAssertEqual(try splits.source(.val).count, 1)
    let mixed = try DataSplits.open("synth:tinyshapes?n=20", val: "synth:tinyshapes?n=10&seed=9")
    XCTAssertEqual(try mixed.source(.train).count, 20)
    XCTAssertEqual(try mixed.source(.val).shapes?.seed, 9)
    XCTAssertThrowsError(try DataSplits.open(nil)) { error in
      XCTAssertEqual((error as? Failure)?.code, .inputMissing)
    }
  }

  func testGeneratedImagesHaveBothParts() throws {
    for (address, counts) in [("synth:tinyshapes", [2000, 500]), ("synth:tinyshapes?n=30&seed=4", [30, 30])] {
      let splits = try DataSplits.open(address)
      XCTAssertEqual(try [Split.train, .val].map { try splits.source($0).count }, counts)
      XCTAssertEqual(try splits.source(.train).shapes?.split, .train)
      XCTAssertEqual(try splits.source(.val).shapes?.split, .val)
    }
    XCTAssertEqual(try DataSplits.open("synth:tinyshapes?split=train").splits, [.train])
    XCTAssertEqual(try DataSplits.open("synth:tinyshapes?split=val&n=10").splits, [.val])
  }

  func testAClassWithoutImagesInOnePartIsNamed() throws {
    let root = try tree(["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/c/1.jpg"])
    XCTAssertThrowsError(try DataSplits.open(root)) { error in
      XCTAssertEqual((error as? Failure)?.code, .badData)
      XCTAssertTrue("\(error)".contains("the class 'b' has images in train and none in val"), "\(error)")
    }
  }

  func testLabelsAreTakenWhereThereAreAny() throws {
    let root = try tree(["1.jpg", "2.jpg"])
    XCTAssertEqual(try DataSource.open(root, labels: nil).classNames, [])
    XCTAssertThrowsError(try DataSource.open(root, labels: true))
    try write(Array("1.jpg 1\n2.jpg 0\n".utf8), "\(root)/labelled.txt")
    try write(Array("1.jpg\n2.jpg\n".utf8), "\(root)/plain.txt")
    XCTAssertEqual(try DataSource.open("list:\(root)/labelled.txt", labels: nil).label(0), 1)
    XCTAssertEqual(try DataSource.open("list:\(root)/plain.txt", labels: nil).label(0), -1)
    XCTAssertEqual(try DataSource.open("synth:tinyshapes", labels: nil).label(3), 3)
  }
}
