import Basics
import Foundation
import Images
import Pipeline
import TestKit
import XCTest

final class TinyShapesSplitTests: XCTestCase {
  private func fingerprint(_ shapes: TinyShapes) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for i in 0..<20 {
      for byte in shapes.picture(i).bytes + shapes.mask(i).classes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }
    return hash
  }

  func testPixelsOfEverySplitStayWhatTheyAre() {
    let found = TinyShapes.Split.allCases.map { fingerprint(TinyShapes(size: 16, seed: 5, split: $0)) }
    XCTAssertEqual(
      found.map { String($0, radix: 16) },
      [
        "36c832414540e04c", "319f0dab4edfd62d", "ad40b0bde8071d21", "8e1194729b82b9e3", "aaf346f21751d773",
        "18b7d30c42f2a2e", "57a09c602fcf7e39", "3687cbf7b882337f", "bf01746b2078e394", "d103eeadcde555f9",
      ])
  }

  private func shapes(in mask: LabelMask) -> Set<UInt8> { Set(mask.classes).subtracting([0]) }

  func testScenesHoldTwoOrThreeShapesOfDistinctClasses() {
    for (split, count) in [(TinyShapes.Split.scenesTrain, 600), (.scenesVal, 200)] {
      let set = TinyShapes(split: split)
      XCTAssertEqual(set.count, count)
      var threes = 0
      var occurrences = [Int](repeating: 0, count: 11)
      for i in 0..<200 {
        let seen = shapes(in: set.mask(i))
        XCTAssertTrue((2...3).contains(seen.count) && seen.allSatisfy { (1...10).contains($0) }, "\(split) \(i)")
        XCTAssertTrue(seen.contains(UInt8(i % 10) + 1), "\(split) \(i)")
        threes += seen.count - 2
        for number in seen { occurrences[Int(number)] += 1 }
      }
      XCTAssertTrue((60...140).contains(threes), "\(threes)")
      XCTAssertTrue(occurrences.dropFirst().allSatisfy { $0 > 25 }, "\(occurrences)")
      XCTAssertEqual(set.label(3), -1)
      XCTAssertEqual(set.classNames, [])
    }
    XCTAssertNotEqual(TinyShapes(split: .scenesTrain).picture(0), TinyShapes(split: .scenesVal).picture(0))
  }

  func testScenesMaskEveryPixelOfEveryShape() {
    // Without a gradient each mask number has one colour of its own.
    let set = TinyShapes(size: 40, hardness: 0, split: .scenesVal)
    for i in 0..<40 {
      let picture = set.picture(i)
      let mask = set.mask(i)
      var colours: [UInt8: Set<[UInt8]>] = [:]
      for p in 0..<1600 { colours[mask.classes[p], default: []].insert(Array(picture.bytes[(3 * p)..<(3 * p + 3)])) }
      XCTAssertTrue(colours.values.allSatisfy { $0.count == 1 }, "image \(i)")
      XCTAssertEqual(Set(colours.values.map { $0 }).count, colours.count, "image \(i)")
    }
  }

  func testShiftsKeepTheShapeAndChangeThePicture() {
    for split in [TinyShapes.Split.shiftV2, .shiftRend, .shiftSketch, .shiftAdv] {
      let set = TinyShapes(split: split)
      XCTAssertEqual(set.count, 200)
      let names = split == .shiftSketch || split == .shiftAdv ? [0, 2, 4, 6, 8] : Array(0..<10)
      XCTAssertEqual(set.classNames, names.map { TinyShapes.classNames[$0] })
      for i in 0..<20 {
        XCTAssertEqual(shapes(in: set.mask(i)), [UInt8(names[Int(set.label(i))]) + 1], "\(split) \(i)")
        XCTAssertTrue(set.name(i).hasPrefix(set.classNames[Int(set.label(i))] + "/shift-"))
      }
    }
  }

  func testOutlinesAreThinAndOfOneColour() {
    for split in [TinyShapes.Split.shiftRend, .shiftSketch] {
      let set = TinyShapes(size: 64, split: split)
      for i in 0..<20 {
        let picture = set.picture(i)
        let mask = set.mask(i)
        let ground = Array(picture.bytes[..<3]) == Array(picture.bytes.suffix(3)) ? Array(picture.bytes[..<3]) : []
        XCTAssertEqual(ground.count, 3)
        let drawn = (0..<4096).filter { Array(picture.bytes[(3 * $0)..<(3 * $0 + 3)]) != ground }
        XCTAssertEqual(Set(drawn.map { Array(picture.bytes[(3 * $0)..<(3 * $0 + 3)]) }).count, 1)
        XCTAssertTrue(drawn.allSatisfy { mask.classes[$0] != 0 })
        // every drawn pixel lies within two of the shape's edge, and every edge pixel is drawn
        for p in 0..<4096 where mask.classes[p] != 0 {
          let (x, y) = (p % 64, p / 64)
          func nearest(_ reach: Int) -> Bool {
            (-reach...reach).contains { dy in
              (-reach...reach).contains { dx in
                abs(dx) + abs(dy) <= reach
                  && (!(0..<64).contains(x + dx) || !(0..<64).contains(y + dy) || mask[x + dx, y + dy] == 0)
              }
            }
          }
          XCTAssertEqual(drawn.contains(p), nearest(2), "\(split) \(i): \(x), \(y)")
        }
        if split == .shiftSketch { XCTAssertEqual(ground, [255, 255, 255]) }
      }
    }
  }

  func testFaintShapesDifferLittleFromTheirGround() {
    let set = TinyShapes(size: 32, hardness: 0, split: .shiftAdv)
    for i in 0..<20 {
      let picture = set.picture(i)
      let mask = set.mask(i)
      let shape = (0..<1024).filter { mask.classes[$0] != 0 }
      let colour = Array(picture.bytes[(3 * shape[0])..<(3 * shape[0] + 3)]).map(Int.init)
      let gaps = (0..<1024).filter { mask.classes[$0] == 0 }.map { p in
        (0..<3).map { abs(Int(picture.bytes[3 * p + $0]) - colour[$0]) }
      }
      let isFaint = { (gap: [Int]) in gap.allSatisfy { (24...52).contains($0) } }
      XCTAssertGreaterThan(gaps.filter(isFaint).count, gaps.count / 3, "image \(i)")
      XCTAssertGreaterThan(gaps.filter { !isFaint($0) }.count, 20, "image \(i) has no clutter")
    }
  }

  func testRetrievalHasItsQueriesAndAnswers() throws {
    let set = TinyShapes(split: .retr)
    XCTAssertEqual(set.count, 20 * (1 + 4 + 3 + 2) + 200)
    let truth = set.retrievalTruth
    XCTAssertEqual(truth.map(\.query), Array(0..<20))
    XCTAssertTrue(truth.allSatisfy { $0.easy.count == 4 && $0.hard.count == 3 && $0.junk.count == 2 })
    let answers = truth.flatMap { $0.easy + $0.hard + $0.junk }
    XCTAssertEqual(Set(answers).count, 20 * 9)
    let area = { (i: Int) in set.mask(i).classes.filter { $0 != 0 }.count }
    for entry in truth {
      let wanted = shapes(in: set.mask(entry.query))
      XCTAssertEqual(wanted.count, 2)
      XCTAssertTrue((entry.easy + entry.hard).allSatisfy { shapes(in: set.mask($0)) == wanted })
      XCTAssertTrue(entry.junk.allSatisfy { shapes(in: set.mask($0)).isSubset(of: wanted) })
      let easy = entry.easy.map(area).reduce(0, +) / 4
      XCTAssertLessThan(entry.hard.map(area).reduce(0, +) / 3, easy)
      XCTAssertLessThan(entry.junk.map(area).max() ?? 0, easy / 2)
    }
    XCTAssertEqual(Set((0..<set.count).map { set.name($0) }).count, set.count)
    XCTAssertEqual(TinyShapes(split: .val).retrievalTruth, [])

    let root = temporaryDirectory("retrieval") + "/out"
    try packAsFolder(try DataSource.open("synth:tinyshapes?split=retr&size=16", labels: false), to: root)
    let json = try JSON.parse(String(contentsOfFile: "\(root)/retrieval.json", encoding: .utf8))
    let names = json["imlist"]?.arrayValue?.compactMap(\.stringValue) ?? []
    XCTAssertEqual(names.count, 380)
    XCTAssertEqual(json["qimlist"]?.arrayValue?.compactMap(\.stringValue), (0..<20).map { set.name($0) })
    for (query, entry) in try XCTUnwrap(json["gnd"]?.arrayValue).enumerated() {
      for (kind, images) in [("easy", truth[query].easy), ("hard", truth[query].hard), ("junk", truth[query].junk)] {
        let listed = entry[kind]?.arrayValue?.compactMap(\.intValue).map { names[$0] }
        XCTAssertEqual(listed, images.map { set.name($0) })
      }
    }
  }

  func testVideosMoveByAtMostTwoPixels() {
    let set = TinyShapes(hardness: 0, split: .video)
    XCTAssertEqual(set.count, 80)
    XCTAssertEqual(set.name(23), "video-2/00003.jpg")
    /// The box of what an object shows: complete when nothing is in front of it.
    func corner(_ mask: LabelMask, _ number: UInt8) -> (x: Int, y: Int) {
      let on = mask.classes.indices.filter { mask.classes[$0] == number }
      return (on.map { $0 % 32 }.min() ?? -1, on.map { $0 / 32 }.min() ?? -1)
    }
    for sequence in 0..<8 {
      let frames = (0..<10).map { set.mask(10 * sequence + $0) }
      XCTAssertEqual(shapes(in: frames[0]), [1, 2])
      let path = frames.map { corner($0, 2) }  // the object in front is always whole
      for (a, b) in zip(path, path.dropFirst()) {
        XCTAssertTrue(abs(a.x - b.x) <= 2 && abs(a.y - b.y) <= 2, "sequence \(sequence)")
      }
      XCTAssertGreaterThan(Set(path.map { $0.x }).count, 2, "sequence \(sequence)")
      let front = Set(frames.map { $0.classes.filter { $0 == 2 }.count })
      XCTAssertEqual(front.count, 1, "sequence \(sequence): the object in front keeps its area")
    }
  }

  func testSplitsWithoutLabelsSayIt() throws {
    XCTAssertThrowsError(try DataSource.open("synth:tinyshapes?split=scenes-val", labels: true)) { error in
      XCTAssertEqual((error as? Failure)?.code, .badData)
      XCTAssertTrue("\(error)".contains("split=scenes-val"), "\(error)")
    }
    let source = try DataSource.open("synth:tinyshapes?split=shift-adv", labels: true)
    XCTAssertEqual(source.classNames.count, 5)
    XCTAssertEqual(source.label(9), 4)
  }

  func testSizesAndNumbersThatASplitCannotHaveAreRefused() {
    for (parameters, words) in [
      ("split=video&n=70", "n is always 80 here"), ("split=retr&n=20", "n is always 400 here"),
      ("split=scenes-val&size=12", "from 16 to 4096"), ("split=scenes", "scenes-train, scenes-val"),
    ] {
      XCTAssertThrowsError(try DataSource.open("synth:tinyshapes?\(parameters)", labels: false)) { error in
        XCTAssertEqual((error as? Failure)?.code, .badConfig)
        XCTAssertTrue("\(error)".contains(words), "\(error)")
      }
    }
  }
}
