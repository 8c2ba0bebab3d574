import Basics
import Foundation
import TestKit
import XCTest

/// `tools/bench/compare` with sides of our own: threads, ranks and another choice of flags take turns.
final class CompareTests: XCTestCase {
  private let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("tools/bench/compare").path
  private let small = [
    "--workload", "vit_s16", "--batch", "4", "--threads", "2", "--sides", "sslmpi,ranks", "--flags",
    "--tokens 6 --width 32 --depth 1 --heads 2",
  ]

  private func compare(_ arguments: [String]) -> ProgramRun {
    ProgramRun.start(
      arguments + ["--program", ProgramRun.program], launcher: ["/usr/bin/env", "python3", "-B", script]
    ).wait()
  }

  func testSidesTakeTurnsAndRatiosAreFormedInsideARound() throws {
    let file = temporaryDirectory("compare") + "/results.jsonl"
    let more = [
      "--side", "deeper=--depth 2", "--rounds", "3", "--steps", "1", "--max-foreign", "1000", "--minutes", "5",
      "--output", file,
    ]
    expect(compare(small + more), code: 0)
    let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
    XCTAssertEqual(lines.count, 1)
    let result = try JSON.parse(String(lines[0]))
    XCTAssertEqual(result["clean_rounds"]?.intValue, 3)
    XCTAssertEqual(result["sides"]?.members?.map(\.key), ["sslmpi", "ranks", "deeper"])
    XCTAssertEqual(result["sides"]?["ranks"]?["ranks"]?.intValue, 2)
    let rounds = try XCTUnwrap(result["rounds"]?.arrayValue)
    // Every side begins a round once in three.
    XCTAssertEqual(Set(rounds.compactMap { $0["order"]?.arrayValue?.first?.stringValue }).count, 3)
    let inside = try rounds.map { round -> Double in
      let rate = { try XCTUnwrap(round["turns"]?[$0]?["images_per_s"]?.doubleValue) }
      return try rate("deeper") / rate("sslmpi")
    }
    let reported = try XCTUnwrap(result["ratios"]?["deeper/sslmpi"])
    XCTAssertEqual(try XCTUnwrap(reported["median"]?.doubleValue), inside.sorted()[1], accuracy: 1e-12)
    XCTAssertEqual(try XCTUnwrap(reported["min"]?.doubleValue), try XCTUnwrap(inside.min()), accuracy: 1e-12)
    XCTAssertEqual(try XCTUnwrap(reported["max"]?.doubleValue), try XCTUnwrap(inside.max()), accuracy: 1e-12)
  }

  func testForeignLoadRejectsARound() throws {
    // Nothing is idle enough for a limit below zero, so no round counts and the script says so.
    let outcome = compare(small + ["--max-rounds", "2", "--steps", "1", "--max-foreign=-1", "--minutes", "5"])
    XCTAssertEqual(outcome.code, 2, outcome.errors + outcome.output)
    XCTAssertEqual(outcome.lines.filter { $0.contains("REJECTED") }.count, 2, outcome.output)
  }

  func testASideThatFailsEndsTheComparison() throws {
    let outcome = compare(small + ["--side", "odd=--heads 5", "--minutes", "5"])
    XCTAssertNotEqual(outcome.code, 0)
    XCTAssertTrue(outcome.errors.contains("odd ended with code 78"), outcome.errors)
  }

  func testRoundsBeforeASideDiesAreKept() throws {
    let folder = temporaryDirectory("compare")
    // A side that speaks the protocol; `odd`, which gets the flag --die, is gone in its third turn.
    let program = folder + "/side"
    try """
    #!/usr/bin/env python3
    from json import dumps
    from sys import argv, exit, stdin
    def say(**record): print(dumps(record), flush=True)
    batch = int(argv[argv.index("--batch") + 1])
    say(ready=True, engine="sslmpi", ranks=1, threads=2, gflops_per_image=1.0, step_seconds=1.0)
    turns = 0
    for line in stdin:
        if line.startswith("go"):
            turns += 1
            if turns == 3 and "--die" in argv: exit(9)
            say(steps=1, seconds=1.0, images=batch)
        else:
            say(sgemm_gflops=1.0)
    """.write(toFile: program, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
    let arguments = [
      "--batch", "4", "--threads", "2", "--sides", "sslmpi", "--side", "odd=--die", "--steps", "1", "--rounds", "5",
      "--max-foreign", "1000", "--program", program, "--output", folder + "/results.jsonl",
    ]
    let outcome = ProgramRun.start(arguments, launcher: ["/usr/bin/env", "python3", "-B", script]).wait()
    XCTAssertEqual(outcome.code, 1, outcome.errors + outcome.output)
    XCTAssertTrue(outcome.errors.contains("odd ended with code 9"), outcome.errors)
    XCTAssertTrue(outcome.errors.contains("the 2 rounds before it are kept"), outcome.errors)
    let result = try JSON.parse(String(contentsOfFile: folder + "/results.jsonl", encoding: .utf8))
    XCTAssertEqual(result["clean_rounds"]?.intValue, 2)
  }
}
