import Basics
import Settings
import XCTest

/// Types, ranges, and what is written back.
final class ValueTests: XCTestCase {
  func testWrongTypesNameTheKeyTheExpectedTypeAndTheLine() {
    let cases: [(yaml: String, words: String)] = [
      ("optim: {base_lr: fast}", "'optim.base_lr' must be a number, found fast"),
      ("seed: 1.5", "'seed' must be a whole number, found 1.5"),
      ("seed: \"1\"", "'seed' must be a whole number, found \"1\""),
      ("seed: null", "'seed' must be a whole number, found null"),
      ("optim: {eps: nan}", "must be a number"),
      ("data.labels: yes", "'data.labels' must be true or false, found yes"),
      ("optim: {betas: [0.9]}", "'optim.betas' must be a list of 2"),
      ("optim: 3", "'optim' is a section"),
      ("seed: {a: 1}", "'seed' is a value"),
      ("log: {every: 20}", "a number with its unit"),
      ("eval: {every: 20%}", "cannot be a part of the run"),
      ("optim: {warmup: 3 min}", "cannot be a time"),
      ("log: {every: 0 steps}", "cannot be every 0 steps"),
      ("runtime: {hang_timeout: 10}", "10 min"),
      ("checkpoint: {engine: mpio}", "did you mean mpiio?"),
      ("runtime: {comm: {allreduce: windw}}", "did you mean window?"),
      ("log: {tensorboard: true}", "not available yet"),
      ("name: a/b", "cannot name a directory"),
    ]
    for (yaml, words) in cases {
      let fault = failure { _ = try settings(minimal + yaml + "\n") }
      expect(fault, words, "a.yaml:3")
    }
  }

  func testValuesOutOfRangeNameTheRangeAndTheUnit() {
    expect(failure { _ = try settings(minimal, ["augment.hflip=1.5"]) }, "is 1.5", "0 ... 1", "probability")
    expect(failure { _ = try settings(minimal, ["train.batch_size=0"]) }, "is 0", "1 ... 16777216", "images")
    expect(failure { _ = try settings(minimal, ["optim.betas=[0.9,1]"]) }, "0 ... below 1")
    expect(failure { _ = try settings(minimal, ["seed=-1"]) }, "0 or more")
    expect(failure { _ = try settings(minimal, ["augment.crop_scale=[1,0.5]"]) }, "[smallest, largest]")
  }

  func testRecomputeIsOneOfThree() throws {
    XCTAssertEqual(try settings(minimal).train.recompute, "none")
    XCTAssertEqual(try settings(minimal, ["train.recompute=block"]).train.recompute, "block")
    let fault = failure { _ = try settings(minimal, ["train.recompute=blocks"]) }
    expect(fault, "did you mean block?", "none", "attention")
  }

  func testLengthMustBeSetExactlyOnce() {
    expect(failure { _ = try settings("data: {train: d}\n") }, "train.epochs", "train.max_steps", "not set")
    let twice = failure { _ = try settings(minimal, ["train.max_steps=3"]) }
    expect(twice, "set twice", "train.epochs", "train.max_steps", "at: train.max_steps=3")
    XCTAssertEqual(try settings(minimal, ["train.max_steps=3", "train.epochs=null"]).train.maxSteps, 3)
  }

  func testDataMustBeGiven() {
    expect(failure { _ = try settings("train: {epochs: 1}\n") }, "data.train is not set", "--data")
  }

  func testAutoStandsForTheProgramsChoice() throws {
    let settings = try settings(minimal, ["runtime.threads=auto", "data.workers=auto", "train.micro_batch=auto"])
    XCTAssertNil(settings.runtime.threads)
    XCTAssertNil(settings.data.workers)
    XCTAssertNil(settings.train.microBatch)
    XCTAssertNil(settings.runtime.timeLimit)
    XCTAssertEqual(settings.runtime.hangTimeout, 600)
    XCTAssertEqual(settings.runtime.allReduce, "auto")
    XCTAssertEqual(settings.name, "mae-vit_small_patch16_224")
  }

  /// A checkpoint keeps the settings as JSON, with every word in quotes.
  func testResolvedJSONReadsBackToItself() throws {
    for overrides in [
      [], ["runtime.time_limit=23:45:00", "train.micro_batch=2", "eval.every=null", "optim.warmup=20%"],
    ] {
      let first = try tree(minimal, overrides)
      _ = try RunSettings(from: first)
      let json = first.resolvedJSON.line
      let second = try SettingsTree.parse(json, named: "checkpoint")
      _ = try RunSettings(from: second)
      XCTAssertEqual(second.resolvedJSON.line, json)
    }
  }

  func testResolvedTextReadsBackToItself() throws {
    let overrides = [
      "optim.base_lr=1e-7", "optim.warmup=20%", "checkpoint.every=[1 epoch, 90 s]",
      "data.train=list:/a b, c.txt?root=/d",
      "runtime.time_limit=23:45:00", "checkpoint.keep_every=100 epochs", "eval.every=null", "name=x-1.5",
      "train.clip_grad=3", "augment.std=[0.1,0.2,0.3]", "data.val='#odd: name '",
    ]
    let first = try tree(minimal, overrides)
    _ = try RunSettings(from: first)
    let yaml = first.resolvedYAML
    let second = try SettingsTree.parse(yaml, named: "config.resolved.yaml")
    let settings = try RunSettings(from: second)
    try second.finish()
    XCTAssertEqual(second.resolvedYAML, yaml)
    XCTAssertEqual(second.resolvedJSON, first.resolvedJSON)
    // As a checkpoint keeps it; words that stand for nothing, such as auto, have quotes there.
    let kept = try SettingsTree.parse(first.resolvedJSON.line, named: "step.h5")
    _ = try RunSettings(from: kept)
    XCTAssertEqual(kept.resolvedJSON, first.resolvedJSON)
    let stage = #"{"model":{"arch":"vit_tiny_patch4_32"},"train":{"micro_batch":"auto"},"from":"mae","later":[1]}"#
    XCTAssertEqual(try RunSettings(stored: stage, named: "step.h5").model.arch, "vit_tiny_patch4_32")
    XCTAssertEqual(settings.data.train, "list:/a b, c.txt?root=/d")
    XCTAssertEqual(settings.data.val, "#odd: name ")
    XCTAssertEqual(settings.checkpoint.every, [.epochs(1), .minutes(1.5)])
    XCTAssertEqual(settings.runtime.timeLimit, 85_500)
    XCTAssertTrue(yaml.contains("  base_lr: 1.0e-07\n"), yaml)
    XCTAssertTrue(yaml.contains("  every: [1 epoch, 90 s]\n"), yaml)
  }

  func testEveryDeclaredKeyHasAMeaning() throws {
    let tree = try tree()
    _ = try RunSettings(from: tree)
    XCTAssertGreaterThan(tree.keys.count, 50)
    for key in tree.keys {
      let text = try tree.explain(key)
      XCTAssertTrue(text.contains("  meaning  ") && !text.contains("  meaning  \n"), text)
    }
  }

  func testExplainSaysWhereAValueComesFrom() throws {
    let tree = try tree(minimal + "optim: {base_lr: 2e-4}\n", ["--seed seed=7"])
    _ = try RunSettings(from: tree)
    let rate = try tree.explain("optim.base_lr")
    XCTAssertTrue(rate.hasPrefix("optim.base_lr: 0.0002\n"), rate)
    XCTAssertTrue(rate.contains("a.yaml:3") && rate.contains("default  0.00015") && rate.contains("0 ... 100"), rate)
    XCTAssertTrue(try tree.explain("seed").contains("from     --seed"))
    XCTAssertTrue(try tree.explain("train.batch_size").contains("unit     images"))
    XCTAssertTrue(try tree.explain("train.batch_size").contains("from     the default"))
    let section = try tree.explain("eval")
    for key in ["eval.every: 10 epochs", "eval.knn.k: [10, 20]", "eval.health.every: 200 steps"] {
      XCTAssertTrue(section.contains(key), section)
    }
    XCTAssertTrue(try tree.explain("optim.warmup_epochs").hasPrefix("optim.warmup:"))
    expect(failure { _ = try tree.explain("optim.base") }, "unknown key", "did you mean")
  }
}
