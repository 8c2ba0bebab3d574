import Basics
import Foundation
import Images
import Pipeline
import TestKit
import XCTest

final class DataSourceTests: XCTestCase {
  private func expectFailure(
    _ address: String, labels: Bool = false, _ code: ExitCode, _ words: String, file: StaticString = #filePath,
    line: UInt = #line
  ) {
    XCTAssertThrowsError(try DataSource.open(address, labels: labels), file: file, line: line) { error in
      XCTAssertEqual((error as? Failure)?.code, code, "\(error)", file: file, line: line)
      XCTAssertTrue("\(error)".contains(words), "\(error)", file: file, line: line)
    }
  }

  func testFolderListsJPEGFilesInByteOrder() throws {
    let root = temporaryDirectory("tree")
    let bytes = smallJPEG(1)
    for name in ["b/2.JPG", "a.jpg", "a/x/deep.jpeg", "a-b/1.jpe", "B/1.Jpeg", "ä/1.jpg"] {
      try write(bytes, "\(root)/\(name)")
    }
    for name in ["notes.txt", "a/mask.png", ".hidden.jpg", "b/._2.JPG"] { try write(bytes, "\(root)/\(name)") }
    let source = try DataSource.open(root, labels: false)
    let names = (0..<source.count).map { source.name($0) }
    XCTAssertEqual(names, ["B/1.Jpeg", "a-b/1.jpe", "a.jpg", "a/x/deep.jpeg", "b/2.JPG", "ä/1.jpg"])
    XCTAssertEqual(source.skippedFiles, 2)
    XCTAssertEqual(source.label(0), -1)
    XCTAssertEqual(try source.bytes(3), bytes)
    XCTAssertEqual(try DataSource.open("folder:\(root)/", labels: false).fingerprint, source.fingerprint)

    let labelled = try DataSource.open("folder:\(root)", labels: true)
    XCTAssertEqual(labelled.classNames, ["B", "a", "a-b", "b", "ä"])
    XCTAssertEqual((0..<6).map { labelled.label($0) }, [0, 2, -1, 1, 3, 4])
    XCTAssertNotEqual(labelled.fingerprint, source.fingerprint)
  }

  func testFolderFollowsLinksAndRefusesLoops() throws {
    let target = try smallFolder(2)
    let root = temporaryDirectory("links")
    try FileManager.default.createSymbolicLink(atPath: "\(root)/data", withDestinationPath: target)
    XCTAssertEqual(try DataSource.open(root, labels: false).count, 2)
    try FileManager.default.createSymbolicLink(atPath: "\(root)/loop", withDestinationPath: root)
    XCTAssertThrowsError(try DataSource.open(root, labels: false))
  }

  func testNamesThatAreNotUTF8Work() throws {
    let root = temporaryDirectory("bytes")
    let bytes = smallJPEG(2)
    try write(bytes, "\(root)/plain.jpg")
    let odd = Array("\(root)/".utf8).map { CChar(bitPattern: $0) } + [-1, 46, 106, 112, 103, 0]  // 0xFF .jpg
    rename("\(root)/plain.jpg", odd)
    let source = try DataSource.open(root, labels: false)
    XCTAssertEqual(source.count, 1)
    XCTAssertEqual(try source.bytes(0), bytes)
  }

  func testListResolvesPathsAndLabels() throws {
    let root = try smallFolder(4)
    let text = "# a comment\neven/1000.jpg 3\n\n  odd/1001.jpg\t0\r\n\(root)/even/1002.jpg\nodd/with 7 words.jpg 2\n"
    try write(Array(text.utf8), "\(root)/list.txt")
    let source = try DataSource.open("list:\(root)/list.txt", labels: true)
    XCTAssertEqual(
      (0..<4).map { source.name($0) },
      ["even/1000.jpg", "odd/1001.jpg", "\(root)/even/1002.jpg", "odd/with 7 words.jpg"])
    XCTAssertEqual((0..<4).map { source.label($0) }, [3, 0, -1, 2])
    XCTAssertEqual(source.classNames, ["0", "1", "2", "3"])
    XCTAssertEqual(try source.bytes(2), smallJPEG(2))
    XCTAssertThrowsError(try source.bytes(3)) { XCTAssertEqual(($0 as? Failure)?.code, .inputMissing) }
    XCTAssertEqual(try DataSource.open("\(root)/list.txt", labels: false).label(0), -1)

    let other = temporaryDirectory("list")
    try write(Array("1000.jpg\tcat\n1002.jpg\tant\n".utf8), "\(other)/names.txt")
    let rooted = try DataSource.open("list:\(other)/names.txt?root=\(root)/even", labels: true)
    XCTAssertEqual(rooted.classNames, ["ant", "cat"])
    XCTAssertEqual([rooted.label(0), rooted.label(1)], [1, 0])
    XCTAssertEqual(try rooted.bytes(1), smallJPEG(2))
  }

  func testMissingAndEmptyDataIsExplained() throws {
    let empty = temporaryDirectory("empty")
    expectFailure("\(empty)/nothing", .inputMissing, "does not exist")
    expectFailure("folder:\(empty)/nothing", .inputMissing, "does not exist")
    expectFailure("/no/such/place/train", .inputMissing, "mounted")
    expectFailure(empty, .inputMissing, "no JPEG files")
    try write([0], "\(empty)/picture.png")
    expectFailure(empty, .inputMissing, "1 other files")
    expectFailure("folder:\(empty)/picture.png", .inputMissing, "not a directory")
    expectFailure("list:\(empty)", .inputMissing, "use folder:")
    expectFailure("list:\(empty)/picture.png", .badData, "not a text file")
    try write(Array("# nothing\n".utf8), "\(empty)/list.txt")
    expectFailure("list:\(empty)/list.txt", .inputMissing, "names no files")
    expectFailure("list:\(empty)/list.txt?root=\(empty)/gone", .inputMissing, "does not exist")
    expectFailure("", .inputMissing, "no data address")
    try write(smallJPEG(1), "\(empty)/a.jpg")
    expectFailure(empty, labels: true, .badData, "no class folders")
    try write(Array("a.jpg\n".utf8), "\(empty)/list.txt")
    expectFailure("list:\(empty)/list.txt", labels: true, .badData, "the list has none")
  }

  func testUnknownSchemesAndParametersNameTheNearest() {
    expectFailure("folders:/data", .badConfig, "did you mean folder?")
    expectFailure("h5:/data/train.h5", .badConfig, "valid: folder, list, synth")
    expectFailure("synth:tinyshape", .badConfig, "did you mean tinyshapes?")
    expectFailure("synth:tinyshapes?sizes=3", .badConfig, "did you mean size?")
    expectFailure("synth:tinyshapes?size=3", .badConfig, "from 8 to 4096")
    expectFailure("synth:tinyshapes?n=0", .badConfig, "n=0")
    expectFailure("synth:tinyshapes?n=", .badConfig, "no value")
    expectFailure("synth:tinyshapes?n=3&n=4", .badConfig, "twice")
    expectFailure("synth:tinyshapes?hardness=1.5", .badConfig, "from 0 to 1")
    expectFailure("synth:tinyshapes?split=test", .badConfig, "train, val")
    expectFailure("list:/data/x.txt?rot=/data", .badConfig, "did you mean root?")
    expectFailure("folder:", .badConfig, "nothing follows")
  }

  func testPackedShapesComeBackAsAFolder() throws {
    let shapes = try DataSource.open("synth:tinyshapes?n=12&size=16", labels: true)
    let root = temporaryDirectory("pack") + "/out"
    try packAsFolder(shapes, to: root)
    let folder = try DataSource.open("\(root)/images", labels: true)
    XCTAssertEqual(folder.count, 12)
    XCTAssertEqual(folder.skippedFiles, 0)
    XCTAssertEqual(folder.classNames, TinyShapes.classNames)
    for i in 0..<12 {
      let j = try XCTUnwrap((0..<12).first { folder.name($0) == shapes.name(i) })
      XCTAssertEqual(try folder.bytes(j), try shapes.bytes(i))
      XCTAssertEqual(folder.label(j), shapes.label(i))
    }
    let generator = try XCTUnwrap(shapes.shapes)
    let mask = try Data(contentsOf: URL(fileURLWithPath: "\(root)/masks/\(shapes.name(4).dropLast(4)).png"))
    XCTAssertEqual([UInt8](mask), PNG.encode(generator.mask(4)))
    let manifest = try JSON.parse(String(contentsOfFile: "\(root)/manifest.json", encoding: .utf8))
    XCTAssertEqual(manifest["images"]?.intValue, 12)
    XCTAssertThrowsError(try packAsFolder(shapes, to: root)) { error in
      XCTAssertEqual((error as? Failure)?.code, .cannotCreate)
    }
  }
}
