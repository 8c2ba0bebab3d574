import Basics
import Foundation
import TestKit
import XCTest

/// `bench knn`: a rank's part of the bank, and files that another program can read.
final class BenchKNNTests: XCTestCase {
  private let small = [
    "bench", "knn", "--queries", "30", "--bank", "4096", "--width", "64", "--top-k", "5", "--rounds", "1",
  ]

  func testEveryRankHoldsItsPartOfTheBank() throws {
    let one = ProgramRun.sslmpi(small + ["--json"])
    let two = ProgramRun.sslmpi(small + ["--json"], ranks: 2)
    for (outcome, ranks) in [(one, 1), (two, 2)] {
      expect(outcome, code: 0)
      XCTAssertEqual(outcome.lines.count, 1, "one rank prints")
      let record = try JSON.parse(outcome.output)
      XCTAssertEqual(record["ranks"]?.intValue, ranks)
      XCTAssertEqual(record["bank_mib_per_rank"]?.doubleValue, 1 / Double(ranks))
      XCTAssertGreaterThan(record["gflops"]?.doubleValue ?? 0, 0)
    }
  }

  func testFeaturesAndClassesAreKept() throws {
    let directory = temporaryDirectory("knn")
    let outcome = ProgramRun.sslmpi(small + ["--keep-in", directory])
    expect(outcome, code: 0)
    let sizes = try ["bank.f32", "queries.f32", "labels.i32", "predictions.i32"].map { name in
      try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)")).count
    }
    XCTAssertEqual(sizes, [4096 * 64 * 4, 30 * 64 * 4, 4096 * 4, 30 * 4])
  }

  func testWhatMakesNoSenseIsRefused() {
    let many = ProgramRun.sslmpi(["bench", "knn", "--bank", "5", "--top-k", "6"])
    expect(many, code: 64)
    XCTAssertTrue(many.errors.contains("--top-k 6 is more than the 5 features"), many.errors)
    let shared = ProgramRun.sslmpi(small + ["--keep-in", temporaryDirectory("knn")], ranks: 2)
    expect(shared, code: 64)
    XCTAssertTrue(shared.errors.contains("one rank keeps the features, not 2"), shared.errors)
  }
}
