import Basics
import XCTest

/// `bench queue`: what is counted agrees with the formula, and memory with the placement.
final class BenchQueueTests: XCTestCase {
  private let small = [
    "bench", "queue", "--capacity", "600", "--width", "32", "--queries", "6", "--top-k", "4", "--batch", "12",
    "--rounds", "2",
  ]

  func testCountedBytesStandBesideTheFormula() throws {
    let outcome = ProgramRun.sslmpi(small + ["--json"], ranks: 2)
    expect(outcome, code: 0)
    XCTAssertEqual(outcome.lines.count, 1, "one rank prints")
    let record = try JSON.parse(outcome.output)
    let placements = try XCTUnwrap(record["placements"]?.arrayValue)
    XCTAssertEqual(placements.map { $0["placement"]?.stringValue }, ["node", "global", "replicated"])
    for placement in placements {
      // Which rank has the fetched rows is chance.
      for call in ["lookup", "enqueue"] {
        let number = { (name: String) in try XCTUnwrap(placement["\(call)_\(name)"]?.doubleValue) }
        XCTAssertEqual(try number("received_bytes"), try number("formula_bytes") + number("extra_bytes"))
        XCTAssertEqual(try number("sent_bytes"), try number("received_bytes"))
        XCTAssertGreaterThan(try number("ms"), 0)
      }
    }
    XCTAssertEqual(placements[1]["lookup_formula_bytes"]?.doubleValue, 6 * 128 + 6 * 4 * 8)
    XCTAssertEqual(placements[2]["enqueue_formula_bytes"]?.doubleValue, 6 * 128)
    let rows = 600 * (32 * 4 + 16)
    XCTAssertEqual(placements.map { $0["rank_bytes"]?.intValue }, [0, rows / 2, rows])
    XCTAssertEqual(placements.dropFirst().map { $0["node_bytes"]?.intValue }, [rows, 2 * rows])
  }

  func testPlacementsCanBeChosen() throws {
    let outcome = ProgramRun.sslmpi(small + ["--placements", "global", "--threads", "2"])
    expect(outcome, code: 0)
    XCTAssertTrue(outcome.output.contains("global"), outcome.output)
    XCTAssertFalse(outcome.output.contains("replicated"), outcome.output)
  }

  func testMoreNeighboursThanRowsAreRefused() {
    let outcome = ProgramRun.sslmpi(["bench", "queue", "--capacity", "5", "--top-k", "6"])
    expect(outcome, code: 64)
    XCTAssertTrue(outcome.errors.contains("--top-k 6 is more than the 5 rows"), outcome.errors)
  }
}
