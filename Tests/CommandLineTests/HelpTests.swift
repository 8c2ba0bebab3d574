import XCTest

/// The names people type. A change here is a change for every script that calls the program.
final class HelpTests: XCTestCase {
  private let settings = [
    "--preset", "--data", "--method", "--model", "--epochs", "--batch-size", "--base-lr", "--seed", "--threads",
    "--log-every", "--save-every",
  ]
  private let start = ["--resume", "--init-from", "--stage", "-q", "-v"]

  func testOptionNamesAreFrozen() throws {
    let frozen: [([String], [String])] = [
      (["pretrain"], settings + start + ["--out", "--overwrite", "--time-limit", "--dry-run"]),
      (["trace-step"], settings + start + ["--out", "--run"]),
      (
        ["embed"],
        [
          "--data", "--out", "--feature", "--tokens", "--save-inputs", "--format", "--weights", "--size",
          "--interpolation", "--batch", "--allow-bad", "--threads",
        ]
      ),
      (
        ["eval"],
        [
          "--data", "--train", "--val", "--masks", "--weights", "--size", "--batch", "--threads", "--feature",
          "--features", "--seed", "--tiny", "--out", "--json", "--explain",
        ]
      ),
      (["export"], ["--names", "--format", "--out", "--weights", "--cls-only", "--size"]),
      (["import"], ["--model", "--out", "--allow-partial"]),
      (["inspect"], ["--verify", "--json"]),
      (["bench", "gemm"], ["--rows", "--columns", "--inner", "--seconds", "--threads", "--engine", "--json"]),
      (["bench", "kernels"], ["--rows", "--width", "--seconds", "--threads", "--json"]),
      (
        ["bench", "step"],
        [
          "--workload", "--batch", "--threads", "--gemm", "--recompute", "--steps", "--tokens", "--width", "--depth",
          "--heads", "--json",
        ]
      ),
      (["bench", "allreduce"], ["--repetitions", "--json"]),
      (
        ["bench", "queue"],
        [
          "--capacity", "--width", "--queries", "--top-k", "--batch", "--placements", "--rounds", "--threads",
          "--json",
        ]
      ),
      (
        ["bench", "features"],
        ["--model", "--data", "--images", "--batch", "--rounds", "--threads", "--workers", "--json"]
      ),
      (
        ["bench", "knn"],
        ["--queries", "--bank", "--width", "--top-k", "--rounds", "--threads", "--keep-in", "--json"]
      ),
      (["bench", "jpeg"], ["--images", "--rounds", "--augment", "--keep-in", "--json"]),
      (["config", "print"], settings + ["--json"]),
      (["config", "explain"], settings),
      (["list"], ["--json"]),
      (["pack"], ["--out", "--as"]),
      (["export"], ["--names", "--format", "--out", "--weights", "--cls-only", "--size"]),
      (["import"], ["--model", "--out", "--allow-partial"]),
      (
        ["visualize"],
        [
          "--data", "--train", "--val", "--masks", "--weights", "--size", "--batch", "--threads", "--feature",
          "--images", "--seed", "--out",
        ]
      ),
    ]
    for (command, expected) in frozen {
      let help = ProgramRun.sslmpi(command + ["--help"])
      expect(help, code: 0)
      let found = help.lines.compactMap { line -> String? in
        guard line.hasPrefix("  -") else { return nil }
        return line.split(whereSeparator: { " ,".contains($0) }).first.map(String.init)
      }
      XCTAssertEqual(
        found.filter { !["-h", "--version"].contains($0) }, expected, command.joined(separator: " "))
    }
  }

  func testCommandsAreFrozen() throws {
    let help = ProgramRun.sslmpi(["--help"])
    expect(help, code: 0)
    let listed = help.lines.drop { $0 != "SUBCOMMANDS:" }.dropFirst().prefix { $0.hasPrefix("  ") && !$0.contains("'") }
    let names = listed.filter { !$0.hasPrefix("   ") }.compactMap { $0.split(separator: " ").first.map(String.init) }
    XCTAssertEqual(
      names,
      [
        "pretrain", "eval", "embed", "visualize", "export", "import", "inspect", "trace-step", "bench", "config",
        "list",
        "pack",
      ])
  }

  func testEveryFlagNamesItsKey() throws {
    let help = ProgramRun.sslmpi(["pretrain", "--help"]).output
    for key in [
      "data.train", "method", "model.arch", "train.epochs", "train.batch_size", "optim.base_lr", "seed",
      "runtime.threads", "log.every", "checkpoint.every",
    ] {
      XCTAssertTrue(help.contains("(\(key))"), key)
    }
  }

  func testWithoutArgumentsTheProgramIntroducesItself() throws {
    let outcome = ProgramRun.sslmpi([])
    expect(outcome, code: 0)
    XCTAssertTrue(outcome.output.contains("sslmpi pretrain --preset demo"))
  }
}
