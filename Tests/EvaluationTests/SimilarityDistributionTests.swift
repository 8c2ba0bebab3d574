import Basics
import Images
import TestKit
import XCTest

@testable import Evaluation

final class SimilarityDistributionTests: XCTestCase {
  private func report(_ set: DenseSet, _ settings: [String] = [], seed: UInt64 = 0) throws -> EvaluationReport {
    try set.report(SimilarityDistribution.self, settings, seed: seed)
  }

  /// The counts of the two histograms in the report's table.
  private func histograms(_ report: EvaluationReport) throws -> (intra: [Int], inter: [Int]) {
    let file = try XCTUnwrap(report.files.first { $0.name == "simdist.csv" })
    let lines = String(decoding: file.bytes, as: UTF8.self).split(separator: "\n").dropFirst()
    let cells = lines.map { $0.split(separator: ",").map(String.init) }
    return (cells.compactMap { Int($0[2]) }, cells.compactMap { Int($0[3]) })
  }

  func testEveryNumberIsThatOfNumPy() throws {
    let golden = Golden.load("dense")
    for name in ["small", "odd"] {
      let set = try DenseSet(golden, name)
      for (label, settings) in [("all", []), ("objects", ["no_background=true"])] {
        let key = "\(name).simdist.\(label)"
        let found = try report(set, settings)
        let counts = try histograms(found)
        XCTAssertEqual(counts.intra, golden.ints("\(key).intra_counts"), key)
        XCTAssertEqual(counts.inter, golden.ints("\(key).inter_counts"), key)
        for metric in ["overlap", "intra_mean", "inter_mean"] {
          XCTAssertEqual(
            found["simdist.\(metric)"] ?? .nan, golden.number("\(key).\(metric)"), accuracy: 1e-12, "\(key) \(metric)")
        }
      }
    }
  }

  func testEqualSetsOverlapWhollyAndDisjointOnesNotAtAll() {
    let cosines = ExactRandom.floats(200, seed: 5).map { Double($0) }
    var equal = SimilarityHistograms(bins: 20)
    var disjoint = SimilarityHistograms(bins: 20)
    for cosine in cosines {
      equal.add(cosine, isIntra: true)
      equal.add(cosine, isIntra: false)
      disjoint.add(abs(cosine), isIntra: true)
      disjoint.add(-abs(cosine) - 1e-9, isIntra: false)
    }
    XCTAssertEqual(equal.overlap ?? 0, 1, accuracy: 1e-12)
    XCTAssertEqual(disjoint.overlap, 0)
    XCTAssertNil(SimilarityHistograms(bins: 20).overlap)
  }

  func testTheOverlapIsThatOfTheSpecificationAndSymmetric() {
    var one = SimilarityHistograms(bins: 4)
    var other = SimilarityHistograms(bins: 4)
    for (bin, counts) in [(1, 4), (2, 3), (3, 2), (4, 1)].enumerated() {
      let cosine = -0.75 + 0.5 * Double(bin)
      for _ in 0..<counts.0 {
        one.add(cosine, isIntra: true)
        other.add(cosine, isIntra: false)
      }
      for _ in 0..<counts.1 {
        one.add(cosine, isIntra: false)
        other.add(cosine, isIntra: true)
      }
    }
    XCTAssertEqual(one.overlap ?? 0, 0.6, accuracy: 1e-15)
    XCTAssertEqual(one.overlap, other.overlap)
  }

  func testBinsHoldTheirLowerEdgeAndTheLastOneBoth() {
    for bins in [2, 7, 20, 200] {
      for edge in 0...bins {
        var histogram = SimilarityHistograms(bins: bins)
        let value = edge == bins ? 1 : Double(edge) * (2 / Double(bins)) - 1
        histogram.add(value, isIntra: true)
        XCTAssertEqual(histogram.intra.firstIndex(of: 1), min(edge, bins - 1), "\(edge) of \(bins)")
        guard edge > 0 else { continue }
        // Compute threads take subnormals for 0.
        histogram.add(value == 0 ? -Double.leastNormalMagnitude : value.nextDown, isIntra: false)
        XCTAssertEqual(histogram.inter.firstIndex(of: 1), edge - 1, "below \(edge) of \(bins)")
      }
    }
  }

  func testOracleTokensPartTheTwoKinds() throws {
    let found = try report(DenseSet.scenes(8).withOracleTokens())
    XCTAssertEqual(found["simdist.overlap"], 0)
    XCTAssertEqual(found["simdist.intra_mean"], 1)
    XCTAssertEqual(found["simdist.inter_mean"], 0)
    XCTAssertGreaterThan(found["simdist.inter_pairs"] ?? 0, 1000)
  }

  func testTokensThatKnowNothingOverlapAlmostWholly() throws {
    let found = try report(DenseSet.scenes(30, width: 12))
    XCTAssertGreaterThan(found["simdist.overlap"] ?? 0, 0.95)
    XCTAssertEqual(found["simdist.intra_mean"] ?? 1, found["simdist.inter_mean"] ?? 0, accuracy: 0.02)
  }

  func testDrawnPairsAreDistinctAndAsManyAsWanted() throws {
    let set = DenseSet.scenes(5)
    let all = try report(set)
    let pairs = { (report: EvaluationReport) in
      Int((report["simdist.intra_pairs"] ?? 0) + (report["simdist.inter_pairs"] ?? 0))
    }
    XCTAssertLessThan(pairs(all), 5 * 2016 + 1)
    let some = try report(set, ["pairs=100"], seed: 3)
    XCTAssertEqual(pairs(some), 500)
    XCTAssertEqual(try report(set, ["pairs=100"], seed: 3), some)
    XCTAssertNotEqual(try histograms(report(set, ["pairs=100"], seed: 4)).intra, try histograms(some).intra)
    // All but one pair of each image: no bin has more than all pairs give it, and five are missing.
    let fewest = set.masks.map { mask -> Int in
      let labels = PatchLabels(mask, grid: 8)
      let kept = labels.shares.filter { $0 >= 0.5 }.count
      return kept * (kept - 1) / 2
    }
    let most = try histograms(report(set, ["pairs=\((fewest.min() ?? 2) - 1)"]))
    let whole = try histograms(all)
    XCTAssertTrue(zip(most.intra + most.inter, whole.intra + whole.inter).allSatisfy { $0 <= $1 })
    for number in 0..<15 {
      let (i, j) = SimilarityDistribution.pair(number, of: 6)
      XCTAssertEqual((0..<i).reduce(0) { $0 + 5 - $1 } + j - i - 1, number)
      XCTAssertTrue(i < j && j < 6)
    }
  }

  func testTinyComparesAllPairs() throws {
    let found = try DenseSet.scenes(3).report(SimilarityDistribution.self, isTiny: true)
    XCTAssertEqual(found.parameters.first { $0.name == "pairs" }?.value, .string("all"))
    let usual = try DenseSet.scenes(3).report(SimilarityDistribution.self)
    XCTAssertEqual(usual.parameters.first { $0.name == "pairs" }?.value, .int(4096))
  }

  func testMeansHaveTheSameBitsOnAnyNumberOfRanks() throws {
    let found = try report(DenseSet.scenes(7))
    XCTAssertEqual(found["simdist.intra_mean"], 0.002264761443916235)
    XCTAssertEqual(found["simdist.inter_mean"], 0.0007995339372513522)
  }

  func testTheOrderOfImagesChangesNoCount() throws {
    let set = DenseSet.scenes(7)
    let found = try report(set.reordered([3, 0, 6, 2, 5, 1, 4]))
    XCTAssertEqual(counts(found), counts(try report(set)))
    XCTAssertEqual(try histograms(found).intra, try histograms(report(set)).intra)
  }

  func testWhatCannotBeMeasuredIsRefused() {
    var plain = DenseSet.scenes(3)
    plain.masks = plain.masks.map { LabelMask(width: 32, height: 32, classes: $0.classes.map { _ in 0 }) }
    expectRefusal(SimilarityDistribution.self, plain, [], .badData, "0 different ones")
    expectRefusal(SimilarityDistribution.self, plain, ["no_background=true"], .badData, "0 pairs")
    expectRefusal(SimilarityDistribution.self, plain, ["pairs=0"], .badConfig, "pairs")
    var broken = DenseSet.scenes(3)
    broken.tokens[broken.tokens.count - 1] = .infinity
    expectRefusal(SimilarityDistribution.self, broken, [], .nonFinite, "image 2")
  }
}
