import Basics
import Images
import Pipeline
import XCTest

final class TinyShapesTests: XCTestCase {
  private func luma(_ picture: Pixels, _ i: Int) -> Double {
    0.299 * Double(picture.bytes[3 * i]) + 0.587 * Double(picture.bytes[3 * i + 1])
      + 0.114 * Double(picture.bytes[3 * i + 2])
  }

  func testClassesAreBalancedAndNamed() {
    let shapes = TinyShapes(count: 500)
    var counts = [Int](repeating: 0, count: 10)
    for i in 0..<500 { counts[Int(shapes.label(i))] += 1 }
    XCTAssertEqual(counts, Array(repeating: 50, count: 10))
    XCTAssertEqual(TinyShapes.classNames, TinyShapes.classNames.sorted())
    XCTAssertEqual(shapes.name(12), "2-square/train-000012.jpg")
  }

  func testImagesFollowFromTheirKeyAlone() {
    let shapes = TinyShapes(count: 100, seed: 3)
    let longer = TinyShapes(count: 900, seed: 3)
    XCTAssertEqual(shapes.bytes(41), longer.bytes(41))
    XCTAssertNotEqual(shapes.picture(41), TinyShapes(count: 100, seed: 4).picture(41))
    XCTAssertNotEqual(shapes.picture(41), TinyShapes(count: 100, seed: 3, split: .val).picture(41))
    XCTAssertNotEqual(shapes.picture(41), shapes.picture(51))
  }

  func testMaskIsExact() {
    // Without a gradient the picture has two colours, and the mask says which pixel has which.
    let shapes = TinyShapes(count: 60, size: 40, hardness: 0)
    for i in 0..<60 {
      let picture = shapes.picture(i)
      let mask = shapes.mask(i)
      var colours: [UInt8: Set<[UInt8]>] = [:]
      for p in 0..<1600 { colours[mask.classes[p], default: []].insert(Array(picture.bytes[(3 * p)..<(3 * p + 3)])) }
      XCTAssertEqual(Set(colours.keys), [0, UInt8(shapes.label(i)) + 1], "image \(i)")
      XCTAssertEqual(colours.values.map(\.count), [1, 1], "image \(i)")
      XCTAssertNotEqual(colours[0], colours[UInt8(shapes.label(i)) + 1])
    }
  }

  func testLabelsAndMasksAreTheOnesOfTheShape() {
    let shapes = TinyShapes(count: 200, size: 64, hardness: 0)
    for i in stride(from: 2, to: 200, by: 10) {  // squares: the mask is a full rectangle
      let mask = shapes.mask(i)
      let on = (0..<(64 * 64)).filter { mask.classes[$0] != 0 }
      let rows = on.map { $0 / 64 }
      let columns = on.map { $0 % 64 }
      let side = (rows.max() ?? 0) - (rows.min() ?? 0) + 1
      XCTAssertEqual((columns.max() ?? 0) - (columns.min() ?? 0) + 1, side)
      XCTAssertEqual(on.count, side * side)
      XCTAssertTrue((25...45).contains(side), "side \(side)")
    }
    // Classes of one size have different areas, and every one covers some and not all of its box.
    for label in 0..<10 where label != 2 {
      let share = shapes.mask(label).classes.filter { $0 != 0 }.count
      XCTAssertGreaterThan(share, 100, "class \(label)")
    }
  }

  func testEncodedPicturesStayCloseToThePicture() throws {
    let shapes = TinyShapes(count: 10)
    for i in 0..<10 {
      let decoded = try JPEG.decode(shapes.bytes(i))
      XCTAssertEqual(decoded.width, 32)
      let original = shapes.picture(i)
      let gaps = zip(decoded.bytes, original.bytes).map { abs(Int($0) - Int($1)) }
      XCTAssertLessThan(Double(gaps.reduce(0, +)) / Double(gaps.count), 4, "image \(i)")
    }
  }

  /// Over 60 images: the mean luma gap of shape and ground, the share of the shape, the spread of the ground.
  private func statistics(_ hardness: Double) -> (gap: Double, area: Double, spread: Double) {
    let shapes = TinyShapes(count: 60, hardness: hardness)
    var gap = 0.0
    var area = 0.0
    var spread = 0.0
    for i in 0..<60 {
      let picture = shapes.picture(i)
      let mask = shapes.mask(i)
      let ground = (0..<1024).filter { mask.classes[$0] == 0 }.map { luma(picture, $0) }
      let shape = (0..<1024).filter { mask.classes[$0] != 0 }.map { luma(picture, $0) }
      let level = ground.reduce(0, +) / Double(ground.count)
      gap += abs(shape.reduce(0, +) / Double(shape.count) - level) / 60
      area += Double(shape.count) / 1024 / 60
      spread += ((ground.max() ?? 0) - (ground.min() ?? 0)) / 60
    }
    return (gap, area, spread)
  }

  func testHardnessIsMonotone() {
    let steps = [0, 0.5, 1].map(statistics)
    for (easy, hard) in zip(steps, steps.dropFirst()) {
      XCTAssertGreaterThan(easy.gap, hard.gap)
      XCTAssertGreaterThan(easy.area, hard.area)
      XCTAssertLessThan(easy.spread, hard.spread)
    }
    XCTAssertEqual(steps[0].spread, 0)
    XCTAssertGreaterThan(steps[2].gap, 0.25 * 255 * 0.8)
  }
}
