import Basics
import Foundation
import Storage
import TestKit
import XCTest

/// `sslmpi eval` as a user calls it: the small suite, and what can be wrong.
final class EvalTests: XCTestCase {
  /// A run of a few steps on generated shapes.
  private static let run: String = {
    let directory = temporaryDirectory("eval") + "/run"
    let trained = ProgramRun.sslmpi([
      "pretrain", "--preset", "mae/tiny-shapes", "--out", directory, "--quiet", "train.epochs=null",
      "train.max_steps=3",
      "train.batch_size=16", "optim.warmup=1 step", "eval.every=null", "log.images.every=null", "model.width=32",
      "model.depth=2", "model.heads=2",
    ])
    precondition(trained.code == 0, "EvalTests: \(trained.errors)")
    return directory
  }()

  private func report(_ words: [String], ranks: Int = 0) throws -> JSON {
    let outcome = ProgramRun.sslmpi(["eval"] + words + ["--json"], ranks: ranks)
    expect(outcome, code: 0)
    return try JSON.parse(XCTUnwrap(outcome.lines.last { $0.hasPrefix("{") }))
  }

  /// The whole numbers of a report by protocol and name: counts, which no number of ranks may change.
  private func counts(_ report: JSON) -> [String: Int] {
    var found: [String: Int] = [:]
    for record in report["records"]?.arrayValue ?? [report] {
      let name = record["protocol"]?.stringValue ?? ""
      for member in record["metrics"]?.members ?? [] {
        if case .int(let count) = member.value { found["\(name) \(member.key)"] = count }
      }
    }
    return found
  }

  func testTheSmallSuiteGivesTheSameCountsOnOneAndTwoRanks() throws {
    let words = ["all", Self.run, "--tiny", "--threads", "1"]
    let one = try report(words)
    let two = try report(words, ranks: 2)
    let names = one["records"]?.arrayValue?.compactMap { $0["protocol"]?.stringValue } ?? []
    XCTAssertEqual(
      names.filter { $0 != "cost" }, ["knn", "linear", "lowshot", "cluster", "promptseg", "simdist", "embed"])
    // What a run cost is no measurement of features.
    let (a, b) = (counts(one).filter { !$0.key.hasPrefix("cost") }, counts(two).filter { !$0.key.hasPrefix("cost") })
    XCTAssertGreaterThan(a.count, 50)
    XCTAssertEqual(a, b)
    XCTAssertEqual(two["records"]?.arrayValue?.first?["ranks"]?.intValue, 2)
  }

  func testAReportSaysWhatItsNumbersDependOn() throws {
    let report = try report(["knn", Self.run, "--tiny", "k=[1,5]", "--seed", "3"])
    XCTAssertEqual(report["protocol"]?.stringValue, "knn")
    XCTAssertEqual(report["checkpoint_sha256"]?.stringValue?.count, 64)
    XCTAssertEqual(report["weights"]?.stringValue, "student")
    XCTAssertEqual(report["feature"]?.stringValue, "patchmean")
    XCTAssertEqual(report["seed"]?.stringValue, "3")
    XCTAssertEqual(report["dataset"]?["images"]?.intValue, 500)
    XCTAssertEqual(report["metrics"]?["knn.k5.top1_of"]?.intValue, 500)
    XCTAssertEqual(report["provenance"]?.stringValue, "reproduction")
    let written = try JSON.parse(String(contentsOfFile: Self.run + "/eval/knn.json", encoding: .utf8))
    XCTAssertEqual(counts(written), counts(report))
  }

  func testStoredFeaturesGiveTheSameCounts() throws {
    let folder = temporaryDirectory("features") + "/features"
    let data = "synth:tinyshapes?hardness=0"
    expect(ProgramRun.sslmpi(["embed", Self.run, "--data", data, "--out", folder], ranks: 2), code: 0)
    let stored = try report(["knn", "--features", folder, "--feature", "patchmean", "k=[1,5]"])
    let direct = try report(["knn", Self.run, "--data", data, "k=[1,5]"])
    XCTAssertEqual(counts(stored), counts(direct))
    XCTAssertEqual(stored["checkpoint_sha256"], direct["checkpoint_sha256"])
  }

  func testPicturesAreOfTheImagesOfTheRunWhenNoneAreNamed() throws {
    let folder = temporaryDirectory("pictures")
    expect(ProgramRun.sslmpi(["visualize", "pca", Self.run, "--images", "2", "--out", folder]), code: 0)
    XCTAssertEqual(Directory.entries(folder), ["pca.json", "pca.png"])
    let named = temporaryDirectory("named")
    let shapes = "synth:tinyshapes?n=2000&size=32&seed=0&split=val"
    let again = ["visualize", "pca", Self.run, "--images", "2", "--out", named, "--val", shapes]
    expect(ProgramRun.sslmpi(again), code: 0)
    XCTAssertTrue(FileManager.default.contentsEqual(atPath: "\(folder)/pca.png", andPath: "\(named)/pca.png"))
  }

  func testWhatIsWrongIsNamed() throws {
    let run = Self.run
    let images = temporaryDirectory("images")
    let packed = ["pack", "synth:tinyshapes?n=20", "--out", images + "/train", "--as", "folder"]
    expect(ProgramRun.sslmpi(packed), code: 0)
    let unmeasured = TinyRun()
    expect(unmeasured.train(steps: 1, ["data.train=\(images)/train/images"]), code: 0)
    let cases: [(words: [String], code: Int32, says: String)] = [
      (["knn", unmeasured.directory], 66, "trained without data.val"),
      (["knm", run], 64, "did you mean knn?"),
      (["knn"], 64, "there is nothing to measure"),
      (["knn", run, "--tiny", "kk=3"], 78, "'knn.k'"),
      (["knn", run, "--tiny", "k=0"], 78, "knn.k"),
      (["all", run, "--tiny", "k=3"], 64, "names no protocol"),
      (["knn", run, "--tiny", "--feature", "clss"], 64, "there is no feature named 'clss'"),
      (["knn", run, "--tiny", "--feature", "cls+"], 64, "class token"),
      (["knn", run, "--tiny", "--weights", "ema"], 65, "no encoder named 'ema'"),
      (["knn", run, "--tiny", "--size", "33"], 64, "33 pixels"),
      (["knn", images + "/none.h5"], 66, "no such checkpoint or run"),
      (["knn", run, "--data", images + "/none"], 66, "does not exist"),
      (["knn", run, "--val", images + "/train/images"], 66, "train"),
      (["promptseg", run, "--val", images + "/train/images"], 66, "mask"),
      (["knn", "--features", images + "/none"], 66, "none"),
    ]
    for (words, code, says) in cases {
      let outcome = ProgramRun.sslmpi(["eval"] + words)
      expect(outcome, code: code)
      XCTAssertTrue(outcome.errors.contains(says), "\(words): \(outcome.errors)")
    }
  }

  func testParametersAreExplained() throws {
    let all = ProgramRun.sslmpi(["eval", "knn", "--explain"])
    expect(all, code: 0)
    XCTAssertTrue(all.output.contains("knn.temperature: 0.07"), all.output)
    let one = ProgramRun.sslmpi(["config", "explain", "knn.temperature"])
    expect(one, code: 0)
    XCTAssertTrue(one.output.contains("  default  0.07"), one.output)
    let list = ProgramRun.sslmpi(["eval", "list"])
    expect(list, code: 0)
    XCTAssertEqual(list.lines.first?.prefix(4), "knn ")
  }
}
