import Basics
import Images
import TestKit
import XCTest

@testable import Evaluation

final class PromptSegmentationTests: XCTestCase {
  private func report(
    _ set: DenseSet, _ settings: [String] = [], seed: UInt64 = 0
  ) throws -> EvaluationReport {
    try set.report(PromptSegmentation.self, settings, seed: seed)
  }

  func testEveryNumberIsThatOfNumPy() throws {
    let golden = Golden.load("dense")
    for name in ["small", "odd"] {
      let set = try DenseSet(golden, name)
      for (unit, upsample, background) in [
        ("category", "bilinear", 0), ("category", "nearest", 0), ("instance", "bilinear", 0),
        ("category", "bilinear", -1),
      ] {
        let key = "\(name).promptseg.\(unit).\(upsample).\(background)"
        let found = try report(set, ["unit=\(unit)", "upsample=\(upsample)", "background=\(background)"])
        for count in ["objects", "objects_too_small", "objects_without_patch"] {
          XCTAssertEqual(found["promptseg.\(count)"], golden.number("\(key).\(count)"), "\(key) \(count)")
        }
        for t in 0..<10 {
          let metric = "promptseg.T\(Double(t) / 10)"
          XCTAssertEqual(Int(found["\(metric).common"] ?? -1), golden.ints("\(key).common")[t], "\(key) \(metric)")
          XCTAssertEqual(Int(found["\(metric).either"] ?? -1), golden.ints("\(key).either")[t], "\(key) \(metric)")
          XCTAssertEqual(
            found["\(metric).miou"] ?? 0, golden.doubles("\(key).miou")[t], accuracy: 1e-9, "\(key) \(metric)")
          XCTAssertEqual(
            found["\(metric).class_miou"] ?? 0, golden.doubles("\(key).class_miou")[t], accuracy: 1e-9, "\(key)")
        }
        XCTAssertEqual(found["promptseg.best_T"] ?? -1, golden.number("\(key).best_T"), key)
        XCTAssertEqual(found["promptseg.best.miou"] ?? 0, golden.doubles("\(key).miou").max() ?? 1, accuracy: 1e-9)
        for value in ["oracleT", "ceiling", "everything"] {
          XCTAssertEqual(
            found["promptseg.\(value).miou"] ?? 0, golden.number("\(key).\(value)"), accuracy: 1e-9, "\(key) \(value)")
        }
      }
    }
  }

  func testBelowMinusOneEverythingIsSelectedAndScoresTheShareOfTheObject() throws {
    let set = DenseSet.scenes(9)
    let found = try report(set, ["thresholds=[-1.5]"])
    XCTAssertEqual(found["promptseg.T-1.5.miou"], found["promptseg.everything.miou"])
    XCTAssertLessThan(found["promptseg.everything.miou"] ?? 100, 30)
    let known = Int(found["promptseg.T-1.5.either"] ?? 0)
    XCTAssertEqual(known, 1024 * Int(found["promptseg.objects"] ?? 0))
  }

  func testThePromptIsAlwaysSelectedOnThePatchGrid() throws {
    let set = DenseSet.scenes(9)
    let found = try report(set, ["thresholds=[0.999999]", "upsample=nearest"])
    // Random tokens: nothing but the prompt's patch of 16 pixels, each part of the object or not.
    let objects = Int(found["promptseg.objects"] ?? 0)
    let common = Int(found["promptseg.T0.999999.common"] ?? 0)
    let prompts = try pixelsOfPrompts(set)
    XCTAssertGreaterThan(objects, 10)
    XCTAssertEqual(common, prompts)
    XCTAssertGreaterThan(common, 8 * objects)
  }

  /// Pixels of the objects in the patches of their prompts.
  private func pixelsOfPrompts(_ set: DenseSet) throws -> Int {
    var pixels = 0
    for mask in set.masks {
      let labels = PatchLabels(mask, grid: 8).labels
      for label in Set(mask.classes).subtracting([0]).sorted() where mask.classes.filter({ $0 == label }).count >= 16 {
        let own = labels.indices.filter { labels[$0] == label }
        guard !own.isEmpty else { continue }
        let prompt = PromptSegmentation.centre(own, grid: 8)
        for y in 0..<4 { for x in 0..<4 where mask[prompt % 8 * 4 + x, prompt / 8 * 4 + y] == label { pixels += 1 } }
      }
    }
    return pixels
  }

  func testABestThresholdAtTheEndOfTheSweepIsNoted() throws {
    let set = DenseSet.scenes(12).withOracleTokens()
    func isNoted(_ thresholds: String) throws -> Bool {
      try report(set, ["thresholds=\(thresholds)"]).notes.contains { $0.contains("of thresholds: a better one") }
    }
    // Everything is selected below, nothing but the object's middle above.
    XCTAssertFalse(try isNoted("[-1.5,0.5,0.999]"))
    XCTAssertTrue(try isNoted("[-1.5,-1.2,0.5]"))
    XCTAssertFalse(try isNoted("[0.5]"))
  }

  func testSelectionsAreNestedInTheThreshold() throws {
    let found = try report(DenseSet.scenes(9))
    let selected = (0..<10).map { t -> Int in
      let metric = "promptseg.T\(Double(t) / 10)"
      return Int(found["\(metric).common"] ?? 0)
    }
    XCTAssertEqual(selected, selected.sorted(by: >))
    XCTAssertGreaterThan(selected[0], selected[9])
    let map = SimilarityMap(
      ExactRandom.floats(16, seed: 3).map { Double($0) }, grid: 4, size: 12, .bilinear)
    for (low, high) in [(-0.5, 0.0), (0.0, 0.3)] {
      XCTAssertTrue(map.values.allSatisfy { $0 <= high || $0 > low })
    }
  }

  func testOnlyTheDirectionOfTokensCounts() throws {
    let set = DenseSet.scenes(6)
    var scaled = set
    for i in scaled.tokens.indices { scaled.tokens[i] *= i / 6 % 2 == 0 ? 4 : 0.125 }
    for settings in [[], ["prompt=random:3"]] {
      XCTAssertEqual(try report(scaled, settings), try report(set, settings))
    }
    // Another direction is another result: the comparison above can fail.
    var turned = set
    for i in stride(from: 0, to: turned.tokens.count, by: 6) { turned.tokens[i] += 0.5 }
    XCTAssertNotEqual(try report(turned), try report(set))
  }

  func testOracleTokensReachTheCeilingOfThePatchGridAtEveryThreshold() throws {
    let found = try report(
      DenseSet.scenes(12).withOracleTokens(), ["upsample=nearest", "thresholds=[0.01,0.5,0.99]"])
    let ceiling = try XCTUnwrap(found["promptseg.ceiling.miou"])
    XCTAssertGreaterThan(ceiling, 50)
    XCTAssertLessThan(ceiling, 100)
    for threshold in ["0.01", "0.5", "0.99"] { XCTAssertEqual(found["promptseg.T\(threshold).miou"], ceiling) }
    XCTAssertEqual(found["promptseg.oracleT.miou"], ceiling)
  }

  func testCountingOncePerPixelEqualsCountingEveryPixelAgain() {
    var random = RandomStream(seed: 4, purpose: .probe)
    let thresholds = [-0.3, 0, 0.1, 0.55]
    for upsampling in SimilarityMap.Upsampling.allCases {
      let map = SimilarityMap((0..<25).map { _ in random.uniform(-1..<1) }, grid: 5, size: 30, upsampling)
      let numbers = (0..<900).map { _ in Int32(random.integer(below: 4)) - 1 }
      let fast = map.overlaps(2, in: numbers, above: thresholds)
      for (t, threshold) in thresholds.enumerated() {
        var overlap = PixelOverlap(common: 0, either: 0)
        for pixel in 0..<900 where numbers[pixel] >= 0 {
          let isSelected = map.values[pixel] > threshold
          let isObject = numbers[pixel] == 2
          overlap.common += isSelected && isObject ? 1 : 0
          overlap.either += isSelected || isObject ? 1 : 0
        }
        XCTAssertEqual(fast[t], overlap)
        XCTAssertGreaterThan(overlap.common, 0)
      }
    }
  }

  func testThePromptIsThePatchFarthestFromEverythingElse() {
    // A 3 x 3 block in a grid of 5: its middle. A line: the first of equals. All patches: the first.
    XCTAssertEqual(PromptSegmentation.centre([6, 7, 8, 11, 12, 13, 16, 17, 18], grid: 5), 12)
    XCTAssertEqual(PromptSegmentation.centre([3, 8, 13], grid: 5), 3)
    XCTAssertEqual(PromptSegmentation.centre(Array(0..<25), grid: 5), 0)
    // The edge of the image is no other object: the corner is farthest.
    XCTAssertEqual(PromptSegmentation.centre([0, 1, 5, 6], grid: 5), 0)
  }

  func testRandomPromptsFollowTheSeedAndAllPatchesLeaveNoChoice() throws {
    let set = DenseSet.scenes(8)
    XCTAssertEqual(try report(set, ["prompt=random:2"], seed: 1), try report(set, ["prompt=random:2"], seed: 1))
    XCTAssertNotEqual(try report(set, ["prompt=random:2"], seed: 1), try report(set, ["prompt=random:2"], seed: 2))
    XCTAssertEqual(try report(set, ["prompt=random:64"], seed: 1), try report(set, ["prompt=random:64"], seed: 2))
  }

  func testTheOrderOfImagesChangesNoCount() throws {
    let set = DenseSet.scenes(11)
    let order = [4, 9, 0, 10, 2, 7, 1, 8, 3, 6, 5]
    XCTAssertEqual(counts(try report(set.reordered(order))), counts(try report(set)))
  }

  func testMeansHaveTheSameBitsOnAnyNumberOfRanks() throws {
    let found = try report(DenseSet.scenes(7))
    XCTAssertEqual(found["promptseg.best.miou"], 12.414733120541525)
    XCTAssertEqual(found["promptseg.oracleT.miou"], 15.596972506182688)
  }

  func testTokensWithoutObjectsScoreLikeTheWholeImage() throws {
    // The same token everywhere: every patch is selected at any T below 1.
    var set = DenseSet.scenes(6)
    for i in set.tokens.indices { set.tokens[i] = Float(i % 6) + 1 }
    let found = try report(set)
    XCTAssertEqual(found["promptseg.best.miou"], found["promptseg.everything.miou"])
    XCTAssertEqual(found["promptseg.best_T"], 0)
  }

  func testWhatCannotBeMeasuredIsRefused() {
    let set = DenseSet.scenes(3)
    expectRefusal(PromptSegmentation.self, set, ["prompt=middle"], .badConfig, "random:3")
    expectRefusal(PromptSegmentation.self, set, ["prompt=random:0"], .badConfig, "random:0")
    expectRefusal(PromptSegmentation.self, set, ["thresholds=[0.1,0.1]"], .badConfig, "twice")
    expectRefusal(PromptSegmentation.self, set, ["unit=segment"], .badConfig, "unit")
    expectRefusal(PromptSegmentation.self, set, ["split=train"], .inputMissing, "train")
    var empty = set
    empty.masks = empty.masks.map { LabelMask(width: 32, height: 32, classes: $0.classes.map { _ in 0 }) }
    expectRefusal(PromptSegmentation.self, empty, [], .badData, "no mask of the split 'val' holds an object")
    var broken = set
    broken.tokens[5] = .nan
    expectRefusal(PromptSegmentation.self, broken, [], .nonFinite, "image 0")
    let uneven = set.masks.map { LabelMask(width: 30, height: 30, classes: Array($0.classes[..<900])) }
    expectRefusal(
      PromptSegmentation.self, DenseSet(set.tokens, uneven, grid: 8), [], .badData,
      "30 pixels cannot be divided into 8 x 8")
  }
}
