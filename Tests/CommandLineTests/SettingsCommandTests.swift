import Basics
import Foundation
import TestKit
import XCTest

/// `config`, `list`, and how settings that are wrong end.
final class SettingsCommandTests: XCTestCase {
  func testWrongSettingsEndWithTheirCode() throws {
    let cases: [(arguments: [String], code: Int32, words: String)] = [
      (["pretrain", "--bogus"], 64, "--bogus"),
      (["pretrain", "--preset", "demo", "=1"], 66, "no such configuration file"),
      (["pretrain", "--preset", "demo", "seed="], 64, "'seed=' has no value"),
      (["pretrain", "--preset", "demo", "--time-limit", "tomorrow"], 64, "23:45:00"),
      (["pretrain", "--preset", "demo", "--overwrite", "--resume", "auto"], 64, "only one"),
      (["pretrain", "--preset", "demo", "--init-from", "a.h5", "--resume", "auto"], 64, "only one"),
      (["pretrain", "none.yaml"], 66, "none.yaml"),
      (["pretrain", "--preset", "demmo"], 66, "did you mean 'demo'?"),
      (["pretrain", "--preset", "demo", "optim.base_l=1"], 78, "did you mean 'optim.base_lr'?"),
      (["pretrain", "--preset", "demo", "mae.mask_ration=1"], 78, "did you mean 'mae.mask_ratio'?"),
      (["pretrain", "--preset", "demo", "--epochs", "many"], 78, "'train.epochs' must be a number"),
      (["pretrain", "--preset", "demo", "--method", "mea"], 78, "mae"),
      (["pretrain", "--preset", "demo", "--model", "vit_bse_patch16_224"], 78, "vit_base_patch16_224"),
      (["pretrain", "--preset", "demo", "data.train=${SSLMPI_NOT_SET}/x"], 78, "SSLMPI_NOT_SET"),
      (["pretrain", "--data", "/nowhere", "--epochs", "1"], 66, "/nowhere"),
      (["pretrain", "--epochs", "1"], 78, "data.train is not set"),
      (["config", "explain", "train.epoch"], 78, "did you mean 'train.epochs'?"),
      (["list", "things"], 64, "things"),
      (["inspect", "none.h5"], 66, "none.h5"),
      (["bench", "step", "--batch", "0"], 64, "--batch must be at least 1"),
    ]
    for (arguments, code, words) in cases {
      let outcome = ProgramRun.sslmpi(arguments)
      expect(outcome, code: code, words)
      XCTAssertEqual(outcome.output, "", "messages belong on standard error: \(arguments)")
    }
  }

  func testAWrongSettingIsReportedOnceForAllRanks() throws {
    // mpirun waits this long, twice, after the first rank that ends with a code.
    let patience = ["OMPI_MCA_odls_base_sigkill_timeout": "1"]
    let outcome = ProgramRun.sslmpi(
      ["pretrain", "--preset", "demo", "optim.base_l=1"], ranks: 2, environment: patience)
    expect(outcome, code: 78, "unknown key 'optim.base_l'")
    XCTAssertEqual(outcome.errors.components(separatedBy: "unknown key").count, 2, outcome.errors)
    let usage = ProgramRun.sslmpi(["pretrain", "--bogus"], ranks: 2, environment: patience)
    expect(usage, code: 64)
    XCTAssertEqual(usage.errors.components(separatedBy: "Unknown option").count, 2, usage.errors)
  }

  func testPresetsAreFoundFromAnyDirectory() throws {
    let outcome = ProgramRun.sslmpi(["config", "explain", "name", "--preset", "demo"], in: "/")
    expect(outcome, code: 0)
    XCTAssertTrue(outcome.output.hasPrefix("name: demo\n"), outcome.output)
    XCTAssertTrue(outcome.output.contains("configs/mae/demo.yaml:"), outcome.output)
  }

  func testPrintedSettingsRunTheSame() throws {
    let directory = temporaryDirectory("print")
    let first = ProgramRun.sslmpi(["config", "print", "--preset", "demo", "--seed", "7", "mae.mask_ratio=0.5"])
    expect(first, code: 0)
    XCTAssertTrue(first.output.contains("\nseed: 7\n") && first.output.contains("  mask_ratio: 0.5\n"), first.output)
    try first.output.write(toFile: directory + "/a.yaml", atomically: true, encoding: .utf8)
    let second = ProgramRun.sslmpi(["config", "print", "a.yaml"], in: directory)
    XCTAssertEqual(second.output, first.output)
    let json = ProgramRun.sslmpi(["config", "print", "a.yaml", "--json"], in: directory)
    XCTAssertEqual(try JSON.parse(json.output)["mae"]?["mask_ratio"]?.doubleValue, 0.5)
  }

  func testExplainListsASectionOfTheMethod() throws {
    let outcome = ProgramRun.sslmpi(["config", "explain", "mae"])
    expect(outcome, code: 0)
    XCTAssertTrue(outcome.output.contains("mae.mask_ratio: 0.75"), outcome.output)
  }

  func testVariablesAndFlagsAreNamedAsTheSource() throws {
    let variable = ProgramRun.sslmpi(["config", "explain", "runtime.threads"], environment: ["SSLMPI_THREADS": "3"])
    XCTAssertTrue(variable.output.contains("runtime.threads: 3\n") && variable.output.contains("SSLMPI_THREADS"))
    let flag = ProgramRun.sslmpi(
      ["config", "explain", "runtime.threads", "--threads", "2"], environment: ["SSLMPI_THREADS": "3"])
    XCTAssertTrue(flag.output.contains("runtime.threads: 2\n") && flag.output.contains("--threads"), flag.output)
  }

  func testListsAreReadByPeopleAndPrograms() throws {
    for (kind, name) in [("methods", "mae"), ("models", "vit_base_patch16_224"), ("presets", "mae/demo")] {
      let plain = ProgramRun.sslmpi(["list", kind])
      XCTAssertTrue(plain.lines.contains { $0.split(separator: " ").first.map(String.init) == name }, plain.output)
      let json = try JSON.parse(ProgramRun.sslmpi(["list", kind, "--json"]).output)
      XCTAssertTrue(json.arrayValue?.contains { $0["name"]?.stringValue == name } ?? false, kind)
    }
  }
}
