import Basics
import Settings
import XCTest

final class UnknownKeyTests: XCTestCase {
  func testNamesLineKeyAndNearest() throws {
    let fault = failure { _ = try settings("data: {train: d}\ntrain:\n  epochs: 1\noptim:\n  base_l: 1e-4\n") }
    expect(fault, "unknown key 'optim.base_l'", "a.yaml:5", "did you mean 'optim.base_lr'?")
  }

  func testKeyInTheWrongSectionIsFound() {
    expect(failure { _ = try settings(minimal + "batch_size: 8\n") }, "'batch_size'", "a.yaml:3", "'train.batch_size'")
  }

  func testMisspeltLengthIsReportedBeforeTheMissingOne() {
    expect(failure { _ = try settings("data: {train: d}\ntrain: {epoch: 5}\n") }, "'train.epoch'", "'train.epochs'")
    expect(failure { _ = try settings("data: {train: d}\ntrian: {epochs: 5}\n") }, "'trian'", "'train'")
  }

  func testOverrideIsNamedAsItWasWritten() {
    expect(failure { _ = try settings(minimal, ["optim.bas_lr=1"]) }, "at: optim.bas_lr=1", "'optim.base_lr'")
    expect(failure { _ = try settings(minimal, ["--x optim.bas_lr=1"]) }, "at: --x")
  }

  func testSectionOfAnotherMethodGetsAFittingHint() {
    let yaml = minimal + "method: mae\nmoca:\n  x: 1\n"
    expect(failure { _ = try settings(yaml) }, "unknown key 'moca'", "a.yaml:4", "another method", "mae")
  }

  func testSectionOfTheMethodIsKnownOnceItIsRead() throws {
    let tree = try tree(minimal + "mae:\n  mask_ratio: 0.5\n  mask_ration: 1\n")
    _ = try RunSettings(from: tree)
    XCTAssertEqual(try tree.section("mae").double("mask_ratio", default: 0.75, in: 0.0...0.99, "part"), 0.5)
    expect(failure { try tree.finish() }, "'mae.mask_ration'", "a.yaml:5", "'mae.mask_ratio'")
  }

  func testEmptySectionIsUnknownToo() {
    expect(failure { _ = try settings(minimal + "datta: {}\n") }, "'datta'", "'data'")
  }

  func testSeveralAreReportedTogether() {
    let fault = failure { _ = try settings(minimal + "sed: 1\noptim: {lrr: 1}\n") }
    expect(fault, "'sed'", "'optim.lrr'", "also unknown")
  }

  func testFarFetchedKeysGetNoSuggestion() {
    expect(failure { _ = try settings(minimal + "qqqqqqqqqqqq: 1\n") }, "sslmpi config explain lists every key")
  }

  func testNearestName() {
    XCTAssertEqual(nearestName(to: "vit-base", among: ["vit_tiny", "vit_base"]), "vit_base")
    XCTAssertEqual(nearestName(to: "meathod", among: ["method", "model"]), "method")
    XCTAssertEqual(nearestName(to: "lgo.every", among: ["log.every", "eval.knn.k"]), "log.every")
    XCTAssertEqual(nearestName(to: "optim.bse", among: ["optim.name", "optim.base_lr", "optim.eps"]), "optim.base_lr")
    XCTAssertNil(nearestName(to: "optim.zzz", among: ["optim.eps"]))
    XCTAssertNil(nearestName(to: "zzzzzz", among: ["method"]))
  }
}
