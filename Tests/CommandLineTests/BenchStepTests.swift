import Basics
import XCTest

/// `bench step`: the accounting adds up, on one rank and on several, and the turns of a comparison are answered.
final class BenchStepTests: XCTestCase {
  private let small = [
    "bench", "step", "--workload", "vit_s16", "--tokens", "6", "--width", "32", "--depth", "2", "--heads", "2",
    "--batch", "3", "--steps", "2",
  ]

  func testClassesAddUpToTheStep() throws {
    let outcome = ProgramRun.sslmpi(small + ["--json"])
    expect(outcome, code: 0)
    let record = try JSON.parse(outcome.output)
    let shares = try XCTUnwrap(record["share"]?.members).compactMap(\.value.doubleValue)
    XCTAssertEqual(shares.count, 9)
    XCTAssertEqual(shares.reduce(0, +), 1, accuracy: 1e-9)
    XCTAssertEqual(record["batch"]?.intValue, 3)
    let rates = try XCTUnwrap(record["rate"]?.members).map(\.key)
    XCTAssertEqual(rates, ["linear", "attention", "normalisation", "elementwise", "optimiser"])
  }

  func testWorkIsCountedFromTheShapes() throws {
    let record = try JSON.parse(ProgramRun.sslmpi(small + ["--json"]).output)
    let rate = { (op: String) in try XCTUnwrap(record["rate"]?[op]?.doubleValue) }
    let seconds = { (op: String) in try XCTUnwrap(record["class_s"]?[op]?.doubleValue) }
    // 3 images, 6 tokens, width 32, 2 blocks: scores and values, three times for forward and both gradients.
    XCTAssertEqual(try rate("attention") * 1e9 * seconds("attention"), 3 * 2 * 3 * 4 * 6 * 6 * 32, accuracy: 1)
    // 12 D² a token and block three times; the patch embedding of 5 patches of 768 numbers has no input gradient.
    let blocks = 3 * 2 * 3 * 2 * 6 * 12 * 32 * 32
    let embedding = 3 * 2 * 2 * 5 * 768 * 32
    XCTAssertEqual(try rate("linear") * 1e9 * seconds("linear"), Double(blocks + embedding), accuracy: 1)
    let macs = 2 * 6 * (12 * 32 * 32 + 2 * 6 * 32)
    // The analytic count embeds all 9 patches of the image, as published counts do.
    let analytic = Double(2 * (3 * macs + 2 * 9 * 768 * 32)) / 1e9
    XCTAssertEqual(try XCTUnwrap(record["gflops_per_image"]?.doubleValue), analytic, accuracy: 1e-12)
  }

  func testRanksMeasureTogether() throws {
    let outcome = ProgramRun.sslmpi(small + ["--json"], ranks: 2)
    expect(outcome, code: 0)
    XCTAssertEqual(outcome.lines.count, 1, "one rank prints")
    let record = try JSON.parse(outcome.output)
    XCTAssertEqual(record["ranks"]?.intValue, 2)
    XCTAssertEqual(record["batch"]?.intValue, 6)
    let rate = try XCTUnwrap(record["images_per_s"]?.doubleValue)
    let seconds = try XCTUnwrap(record["step_s"]?.doubleValue)
    XCTAssertEqual(rate * seconds, 6, accuracy: 1e-9)
  }

  private func turns(_ commands: String, ranks: Int) throws -> [JSON] {
    let mpirun = ["/usr/bin/env", "mpirun", "--oversubscribe", "--bind-to", "none", "-n", "\(ranks)"]
    let shell = ["/bin/sh", "-c", "printf '\(commands)' | exec \"$@\"", "sh"]
    let outcome = ProgramRun.start(
      small + ["--lockstep"], ranks: ranks, launcher: shell + mpirun + [ProgramRun.program]
    ).wait()
    expect(outcome, code: 0)
    return try outcome.lines.map { try JSON.parse($0) }
  }

  func testTurnsAreAnsweredCollectively() throws {
    let answers = try turns("go 2\\nsgemm\\ngo 1\\nquit\\n", ranks: 2)
    XCTAssertEqual(answers.count, 4)
    XCTAssertEqual(answers[0]["ready"], .bool(true))
    XCTAssertEqual(answers[0]["ranks"]?.intValue, 2)
    XCTAssertEqual(answers[1]["images"]?.intValue, 12)
    XCTAssertNotNil(answers[2]["sgemm_gflops"]?.doubleValue)
    XCTAssertEqual(answers[3]["images"]?.intValue, 6)
  }

  func testAnUnknownCommandAndTheEndOfInputEndIt() throws {
    for commands in ["", "go 0\\n", "go 1\\nstop\\ngo 1\\n"] {
      let answers = try turns(commands, ranks: 1)
      XCTAssertEqual(answers.count, commands.hasPrefix("go 1") ? 2 : 1, commands)
    }
  }

  func testSizesThatDoNotFitAreRefused() {
    let odd = ProgramRun.sslmpi(["bench", "step", "--workload", "vit_s16", "--heads", "5"])
    expect(odd, code: 78)
    XCTAssertTrue(odd.errors.contains("384 is not a multiple of 5 heads"), odd.errors)
    let masked = ProgramRun.sslmpi(["bench", "step", "--workload", "mae_s16", "--depth", "2"])
    expect(masked, code: 64)
    XCTAssertTrue(masked.errors.contains("do not go with mae_s16"), masked.errors)
  }
}
