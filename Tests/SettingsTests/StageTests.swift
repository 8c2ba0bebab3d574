import Basics
import Settings
import XCTest

/// Stages: their order, whose value wins, and what is refused.
final class StageTests: XCTestCase {
  private let folder = ConfigurationFolder()
  private let names = ["mae", "head", "tune"]
  private let three = """
    data: {train: images}
    method: mae-ct
    train: {batch_size: 64}
    optim: {base_lr: 1}
    stages:
      - name: mae
        epochs: 800
      - name: head
        epochs: 20
        optim: {base_lr: 2, warmup: 20%}
      - name: tune
        max_steps: 30
        freeze: {blocks: [0, 1]}

    """

  private func load(_ yaml: String, _ overrides: [String] = []) throws -> StagedSettings {
    let file = try folder.write("a.yaml", yaml)
    return try cut(SettingsTree.load(files: [file], overrides: overrides, environment: [:]))
  }

  private func cut(_ tree: SettingsTree) throws -> StagedSettings {
    try StagedSettings(tree, method: "mae-ct", stages: names)
  }

  /// All settings of every stage; `nnclr.top_k` is read by head and tune, `mae.mask_ratio` by mae.
  @discardableResult
  private func read(_ staged: StagedSettings) throws -> [String: RunSettings] {
    var found: [String: RunSettings] = [:]
    for stage in staged.stages {
      found[stage.name] = try RunSettings(from: stage.tree)
      if stage.name == "mae" {
        _ = try stage.tree.section("mae").double("mask_ratio", default: 0.75, in: 0.0...1, "part removed")
      } else {
        _ = try stage.tree.section("nnclr").int("top_k", default: 1, in: 1...100, "candidates")
      }
    }
    try staged.finish()
    return found
  }

  // MARK: - Order

  func testTheListGivesTheOrderAndWithoutOneTheMethodDoes() throws {
    XCTAssertEqual(try load(minimal).stages.map(\.name), names)
    XCTAssertEqual(try load(three).stages.map(\.name), names)
    XCTAssertEqual(try load(minimal + "stages: [tune, mae]\n").stages.map(\.name), ["tune", "mae"])
    XCTAssertEqual(try load(three, ["stages=[head]"]).stages.map(\.name), ["head"])
    XCTAssertEqual(try load(minimal, ["stages.tune.epochs=3"]).stages.map(\.name), names)
  }

  func testAFileThatExtendsAnotherMergesStagesByNameAndItsListGivesTheOrder() throws {
    _ = try folder.write("base.yaml", three)
    let child = try folder.write(
      "child.yaml", "extends: base.yaml\nstages:\n  - head\n  - name: mae\n    optim: {base_lr: 7}\n")
    let staged = try cut(SettingsTree.load(files: [child], environment: [:]))
    XCTAssertEqual(staged.stages.map(\.name), ["head", "mae"])
    let settings = try read(staged)
    XCTAssertEqual(settings["mae"]?.train.epochs, 800)
    XCTAssertEqual(settings["mae"]?.optim.baseLR, 7)
    XCTAssertEqual(settings["head"]?.optim.baseLR, 2)
    let silent = try folder.write("silent.yaml", "extends: base.yaml\nname: x\nstages.tune.optim.lr: 3\n")
    let same = try cut(SettingsTree.load(files: [silent], environment: [:]))
    XCTAssertEqual(same.stages.map(\.name), names)
    XCTAssertEqual(try read(same)["tune"]?.optim.lr, 3)
  }

  // MARK: - Whose value wins

  func testInsideALayerTheStageWins() throws {
    let settings = try read(load(three))
    XCTAssertEqual(names.map { settings[$0]?.optim.baseLR }, [1, 2, 1])
    XCTAssertEqual(names.map { settings[$0]?.optim.warmup }, [.epochs(20), .percent(20), .epochs(20)])
    XCTAssertEqual(names.map { settings[$0]?.train.batchSize }, [64, 64, 64])
  }

  func testALaterLayerWinsWhetherItSpeaksOfTheRunOrOfAStage() throws {
    let all = try read(load(three, ["optim.base_lr=5"]))
    XCTAssertEqual(names.map { all[$0]?.optim.baseLR }, [5, 5, 5])
    let one = try read(load(three, ["optim.base_lr=5", "stages.tune.optim.base_lr=6"]))
    XCTAssertEqual(names.map { one[$0]?.optim.baseLR }, [5, 5, 6])
    let over = try read(load(three, ["stages.tune.optim.base_lr=6", "--base-lr optim.base_lr=5"]))
    XCTAssertEqual(names.map { over[$0]?.optim.baseLR }, [5, 5, 5])
  }

  func testALengthOfAStageReplacesAnInheritedOneOfTheOtherKind() throws {
    let yaml = "data: {train: d}\ntrain: {epochs: 5}\nstages:\n  - mae\n  - name: head\n    max_steps: 7\n  - tune\n"
    let settings = try read(load(yaml, ["stages.tune.max_steps=9"]))
    XCTAssertEqual(names.map { settings[$0]?.train.epochs }, [5, nil, nil])
    XCTAssertEqual(names.map { settings[$0]?.train.maxSteps }, [nil, 7, 9])
    // A length for the whole run does not: it would be a mistake as often as not.
    expect(failure { try read(load(yaml, ["train.epochs=3"])) }, "stage head", "set twice", "a.yaml:6")
    let both = failure { try read(load(yaml, ["stages.head={epochs: 1, max_steps: 2}"])) }
    XCTAssertEqual(both.code, .badConfig)
    let cut = try read(load(yaml, ["train.epochs=null", "train.max_steps=2"]))
    XCTAssertEqual(names.map { cut[$0]?.train.maxSteps }, [2, 2, 2])
  }

  func testAStageWithoutALengthIsNamed() {
    expect(
      failure { try read(load("data: {train: d}\nstages: [head]\n")) }, "stage head", "not set", "stages.head.epochs")
  }

  // MARK: - Keys that only stages have

  func testAStageStartsFromTheOneBeforeItUnlessItSaysOtherwise() throws {
    XCTAssertEqual(try load(three).stages.map(\.settings.from), [.nothing, .stage("mae"), .stage("head")])
    XCTAssertEqual(
      try load(three, ["stages=[head,tune]", "stages.head.from=mae"]).stages.map(\.settings.from),
      [.stage("mae"), .stage("head")])
    XCTAssertEqual(
      try load(three, ["stages.head.from=runs/a", "stages.tune.from=null"]).stages.map(\.settings.from),
      [.nothing, .path("runs/a"), .nothing])
    expect(
      failure { _ = try load(three, ["stages.mae.from=tune"]) }, "'mae' starts from 'tune', which comes later",
      "at: stages.mae.from=tune", "mae, head, tune")
    expect(failure { _ = try load(three, ["stages.head.from=head"]) }, "it is itself")
  }

  func testFreezeTakesWordsOrTheLowestBlocks() throws {
    let staged = try load(three, ["stages.mae.freeze=none", "stages.head.freeze=lower_half"])
    XCTAssertEqual(staged.stages.map(\.settings.freeze), [Freeze.none, .lowerHalf, .lowerBlocks(2)])
    XCTAssertEqual(try load(three).stages.map(\.settings.freeze), [nil, nil, .lowerBlocks(2)])
    // The later layer wins, whatever form it has.
    XCTAssertEqual(try load(three, ["stages.tune.freeze=encoder"]).stages[2].settings.freeze, .encoder)
    XCTAssertEqual(
      try load(three, ["stages.mae.freeze=encoder", "stages.mae.freeze={blocks: [1, 0, 2]}"]).stages[0].settings.freeze,
      .lowerBlocks(3))
    expect(failure { _ = try load(three, ["stages.mae.freeze=lower_hal"]) }, "stages.mae.freeze", "lower_half?")
    for wrong in ["[1]", "[0, 2]", "[0, 0]"] {
      expect(failure { _ = try load(three, ["stages.mae.freeze.blocks=\(wrong)"]) }, "the lowest blocks without a gap")
    }
  }

  func testWhatOnlyAStageHasIsNoKeyOfTheRun() {
    expect(failure { _ = try load(three + "freeze: encoder\n") }, "'freeze'", "a.yaml:14", "stages.tune.freeze=encoder")
    expect(failure { _ = try load(three, ["from=a.h5"]) }, "'from'", "belongs to a stage")
  }

  func testOptimiserSettingsOfLayersAndHead() throws {
    let settings = try read(
      load(three, ["stages.tune.optim.layer_decay=0.65", "stages.tune.optim.head={base_lr: 1e-4, weight_decay: 1e-5}"]))
    XCTAssertNil(settings["mae"]?.optim.layerDecay)
    XCTAssertEqual(settings["tune"]?.optim.layerDecay, 0.65)
    XCTAssertEqual(settings["tune"]?.optim.head.baseLR, 1e-4)
    XCTAssertEqual(settings["tune"]?.optim.head.weightDecay, 1e-5)
    XCTAssertNil(settings["head"]?.optim.head.baseLR)
    expect(
      failure { try read(load(three, ["stages.tune.optim.layer_decay=1.5"])) }, "stages.tune.optim.layer_decay", "1")
  }

  // MARK: - What is refused

  func testAnUnknownStageIsNamedWithItsPlaceAndTheNearestOne() {
    for (yaml, place) in [("stages: [mae, tunee]\n", "a.yaml:3"), ("stages:\n  - name: tunee\n", "a.yaml:4")] {
      expect(
        failure { _ = try load(minimal + yaml) }, "mae-ct has no stage named 'tunee'", place, "did you mean 'tune'?",
        "mae, head, tune")
    }
    expect(failure { _ = try load(three, ["stages.hed.epochs=1"]) }, "'hed'", "at: stages.hed.epochs=1", "'head'")
  }

  func testKeysOfAStageThatTheRunDoesNotHave() throws {
    expect(
      failure { _ = try load(three, ["stages=[mae]", "stages.tune.epochs=1"]) }, "'tune'", "does not have",
      "at: stages.tune.epochs=1")
    // What an earlier layer says of a stage that is left out later is no mistake.
    XCTAssertEqual(try load(three, ["stages=[mae]"]).stages.map(\.name), ["mae"])
  }

  func testAnUnknownKeyInAStage() {
    let typo = three.replacingOccurrences(of: "max_steps: 30", with: "max_step: 30")
    expect(failure { try read(load(typo)) }, "'stages.tune.max_step'", "a.yaml:12", "'stages.tune.max_steps'")
    expect(
      failure { try read(load(three, ["stages.head.optim.bse=1"])) }, "'stages.head.optim.bse'",
      "did you mean 'stages.head.optim.base_lr'?")
    expect(
      failure { try read(load(three, ["stages.mae.nnclr.top_k=3"])) }, "'stages.mae.nnclr'",
      "belongs to stages.head, "
        + "stages.tune")
    expect(failure { try read(load(three, ["stages.head.nnclr.topk=3"])) }, "'stages.head.nnclr.topk'", "nnclr.top_k'?")
  }

  func testAKeyOfTheWholeRunMustMeanSomethingToOneStage() throws {
    XCTAssertNoThrow(try read(load(three + "nnclr: {top_k: 5}\nmae: {mask_ratio: 0.5}\n")))
    expect(failure { try read(load(three + "nnclr: {topk: 5}\n")) }, "'nnclr.topk'", "a.yaml:14", "'nnclr.top_k'")
    expect(failure { try read(load(three + "optim.bas_lr: 5\n")) }, "'optim.bas_lr'", "'optim.base_lr'")
    expect(failure { try read(load(three + "moca: {x: 1}\n")) }, "'moca'", "belongs to another method")
    expect(failure { try read(load(three + "nnclr: 5\n")) }, "'nnclr' is a section")
  }

  func testAWrongValueInAStageIsNamedWithStageAndLine() {
    let wrong = three.replacingOccurrences(of: "base_lr: 2,", with: "base_lr: fast,")
    expect(failure { try read(load(wrong)) }, "'stages.head.optim.base_lr' must be a number", "a.yaml:10")
  }

  func testListsThatAreNone() {
    let cases = [
      ("stages: mae\n", "'stages' must be a list, found mae"), ("stages: []\n", "lists no stage"),
      ("stages:\n  - epochs: 3\n", "with 'name: NAME' among them"), ("stages: [[mae]]\n", "must be a name"),
      ("stages: [mae, mae]\n", "listed twice"), ("stages: [a.b]\n", "must be a name"),
      ("stages: {tune: 3}\n", "'stages.tune' is a stage"),
      ("stages:\n  - name: mae\n    method: mae\n", "'stages.mae.method' is the same for all stages"),
      ("stages:\n  - name: mae\n    optim: {lr: 1}\n    optim.lr: 2\n", "'stages.mae.optim.lr' is set twice"),
    ]
    for (yaml, words) in cases { expect(failure { _ = try load(minimal + yaml) }, words, "a.yaml:") }
    expect(failure { _ = try load(minimal, ["stages=mae"]) }, "stages=[mae,head]")
  }

  func testAMethodWithoutStagesRefusesThem() throws {
    for extra in ["stages: [mae]\n", "stages.mae.epochs: 3\n"] {
      let tree = try SettingsTree.load(files: [folder.write("a.yaml", minimal + extra)], environment: [:])
      expect(
        failure { _ = try StagedSettings(tree, method: "mae", stages: []) }, "unknown key 'stages'",
        "mae has no stages", "a.yaml:3")
      _ = try RunSettings(from: tree)
      expect(failure { try tree.finish() }, "unknown key 'stages'", "a.yaml:3")
    }
    let plain = try SettingsTree.load(files: [folder.write("b.yaml", minimal)], environment: [:])
    let whole = try StagedSettings(plain, method: "mae", stages: [])
    XCTAssertFalse(whole.isStaged)
    XCTAssertEqual(whole.stages.map(\.name), ["mae"])
    XCTAssertEqual(whole.stages[0].settings.from, .nothing)
  }

  // MARK: - Written back

  func testTheResolvedFileGivesTheSameStages() throws {
    let staged = try load(three + "nnclr: {top_k: 5}\nmae: {mask_ratio: 0.5}\n", ["stages.tune.nnclr.top_k=20"])
    let before = try read(staged)
    let yaml = staged.resolvedYAML
    let again = try cut(SettingsTree.parse(yaml, named: "config.resolved.yaml"))
    let after = try read(again)
    XCTAssertEqual(again.resolvedYAML, yaml)
    XCTAssertEqual(again.resolvedJSON, staged.resolvedJSON)
    XCTAssertEqual(again.stages.map(\.settings.from), staged.stages.map(\.settings.from))
    XCTAssertEqual(again.stages.map(\.settings.freeze), staged.stages.map(\.settings.freeze))
    for name in names {
      XCTAssertEqual(before[name]?.train.epochs, after[name]?.train.epochs)
      XCTAssertEqual(before[name]?.train.maxSteps, after[name]?.train.maxSteps)
      XCTAssertEqual(before[name]?.optim.baseLR, after[name]?.optim.baseLR)
    }
    // What all share stands on top, the rest with its stage.
    XCTAssertTrue(yaml.contains("\ntrain:\n  batch_size: 64\n"), yaml)
    XCTAssertTrue(yaml.contains("\nstages:\n  - name: mae\n    from: null\n"), yaml)
    XCTAssertTrue(yaml.contains("    freeze:\n      blocks: [0, 1]\n"), yaml)
    XCTAssertFalse(yaml.contains("\n    seed:"), yaml)
  }

  func testExplainShowsStagesOneByOneWhereTheyDiffer() throws {
    let staged = try load(three)
    try read(staged)
    let one = try staged.explain("stages.head.optim.base_lr")
    XCTAssertTrue(one.hasPrefix("stages.head.optim.base_lr: 2.0\n") && one.contains("a.yaml:10"), one)
    let all = try staged.explain("optim.base_lr")
    for name in names { XCTAssertTrue(all.contains("stages.\(name).optim.base_lr:"), all) }
    let shared = try staged.explain("train.batch_size")
    XCTAssertTrue(shared.hasPrefix("train.batch_size: 64\n") && !shared.contains("stages."), shared)
    XCTAssertTrue(try staged.explain("stages.mae.epochs").hasPrefix("stages.mae.train.epochs: 800.0\n"))
    let stages = try staged.explain("stages")
    XCTAssertTrue(
      stages.contains("stages.head.from: mae") && stages.contains("stages.tune.train.max_steps: 30"), stages)
    XCTAssertFalse(stages.contains("seed"), stages)
    XCTAssertTrue(try staged.explain("stages.tune").contains("stages.tune.seed: 0"))
    XCTAssertTrue(try staged.explain("").contains("\nseed: 0"))
    expect(failure { _ = try staged.explain("stages.hed.seed") }, "'hed'", "'head'")
    expect(
      failure { _ = try staged.explain("stages.head.sed") }, "'stages.head.sed'", "did you mean 'stages.head.seed'?")
    expect(failure { _ = try staged.explain("optim.base") }, "did you mean")
  }
}
