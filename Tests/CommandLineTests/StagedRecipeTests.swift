import Basics
import Foundation
import TestKit
import XCTest

/// The recipes of `configs/mae-ct`, against the tables of spec mae-ct 2.5, 4.1 and 5.
final class StagedRecipeTests: XCTestCase {
  private static let configs =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path + "/configs/mae-ct"

  private struct Recipe {
    let file: String
    let arch: String
    let pool: String
    let batch: Int
    let tuneEpochs: Int
    let temperature: Double
    let k: Int
    let targetMomentum: Double
    let isAugmented: Bool
    /// The learning rates at their highest: stage mae, stage head, the encoder and the head in stage tune.
    let peaks: [String]
    /// The blocks that tune trains: the upper half.
    let trainedBlocks: Int

    var stepsPerEpoch: Int { 1_281_167 / batch }
    /// The updates of the three stages.
    var steps: [Int] { [800, 20, tuneEpochs].map { $0 * stepsPerEpoch } }
    var warmups: [Int] { [20 * stepsPerEpoch, steps[1] / 5, steps[2] / 5] }
  }

  private static func recipe(
    _ size: String, _ variant: String, epochs: Int, temperature: Double, k: Int, blocks: Int
  ) -> Recipe {
    let isHuge = size == "huge"
    let isAugmented = variant == "aug"
    let peaks = isHuge ? ["0.0006", "0.0004", "0.0004"] : ["0.0012", "0.0008", "0.0008"]
    let head = isAugmented ? (isHuge ? "0.002" : "0.004") : peaks[2]
    return Recipe(
      file: "vit_\(size)_\(variant).yaml", arch: "vit_\(size)_patch16_224",
      pool: size == "base" || size == "small" ? "mean_patch" : "cls", batch: isHuge ? 512 : 1024, tuneEpochs: epochs,
      temperature: temperature, k: k, targetMomentum: isHuge ? 0.995 : 0.99, isAugmented: isAugmented,
      peaks: peaks + [head], trainedBlocks: blocks)
  }

  /// Spec section 5; for aug H the column of the code, k = 20. Small is the B column.
  private static let recipes = [
    recipe("small", "min", epochs: 20, temperature: 0.15, k: 20, blocks: 6),
    recipe("base", "min", epochs: 20, temperature: 0.15, k: 20, blocks: 6),
    recipe("large", "min", epochs: 20, temperature: 0.2, k: 20, blocks: 12),
    recipe("huge", "min", epochs: 30, temperature: 0.3, k: 20, blocks: 16),
    recipe("base", "aug", epochs: 80, temperature: 0.15, k: 10, blocks: 6),
    recipe("large", "aug", epochs: 40, temperature: 0.15, k: 10, blocks: 12),
    recipe("huge", "aug", epochs: 40, temperature: 0.35, k: 20, blocks: 16),
  ]

  func testEveryRecipeIsInTheTable() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.configs)
    XCTAssertEqual(files.filter { $0 != "tiny-shapes.yaml" }.sorted(), Self.recipes.map(\.file).sorted())
  }

  /// As many images as ImageNet-1k has, and a narrow model: depth, lengths and learning rates stay.
  func testTheDryRunOfEveryRecipeShowsThePapersNumbers() throws {
    let narrow = [
      "--dry-run", "data.train=synth:tinyshapes?n=1281167&size=32", "data.val=null", "model.width=32",
      "model.heads=2", "model.decoder.dim=16", "model.decoder.depth=1", "model.decoder.heads=1", "nnclr.proj_hidden=8",
      "nnclr.pred_hidden=8", "nnclr.out_dim=4", "nnclr.queue_size=64", "runtime.threads=1",
    ]
    let place = temporaryDirectory("recipes")
    for recipe in Self.recipes {
      let outcome = ProgramRun.sslmpi(
        ["pretrain", "\(Self.configs)/\(recipe.file)"] + narrow, in: place, environment: ["SSLMPI_DATA_ROOT": "/none"])
      expect(outcome, code: 0)
      let titles = outcome.lines.filter { $0.hasPrefix("sslmpi ") }
      let data = outcome.lines.filter { $0.hasPrefix("data ") }
      let rates = outcome.lines.filter { $0.hasPrefix("lr ") }
      XCTAssertEqual([titles.count, data.count, rates.count], [3, 3, 3], outcome.output)
      guard titles.count == 3, data.count == 3, rates.count == 3 else { continue }
      for (place, stage) in ["mae", "head", "tune"].enumerated() {
        XCTAssertTrue(titles[place].contains("mae-ct stage \(place + 1)/3 \(stage) · \(recipe.arch) · "), titles[place])
        let length = "\(recipe.stepsPerEpoch) steps an epoch, \(recipe.steps[place]) steps in all"
        XCTAssertTrue(data[place].hasSuffix(length), "\(recipe.file): \(data[place]), not \(length)")
        XCTAssertTrue(data[place].contains("batch \(recipe.batch) = 1 ranks"), data[place])
        let base = stage == "mae" ? "0.00015" : "0.0001"
        let decay = stage == "head" ? "1e-05" : "0.05"
        let head = stage == "tune" ? " · layer decay 0.65 · head \(recipe.peaks[3]), weight decay 1e-05" : ""
        let expected =
          "lr    \(recipe.peaks[place]) = \(base) × \(recipe.batch) × 2 views / 256 · weight decay \(decay)\(head) · "
          + "warm-up \(recipe.warmups[place]) steps · seed 0"
        XCTAssertEqual(rates[place], expected, recipe.file)
      }
      // Weights, then scales and shifts of the norms; the shifts that no gradient reaches are frozen.
      let head = (32 * 8 + 8 * 8 + 8 * 4 + 4 * 8 + 8 * 4) + (2 * 8 + 2 * 8 + 4 + 2 * 8)
      let trained = recipe.trainedBlocks * (12 * 32 * 32 + 13 * 32) + 32 + head
      let shown = "(\(String(format: "%.2f", Double(trained) / 1e6)) M trained)"
      XCTAssertTrue(titles[2].contains(shown), "\(recipe.file): \(titles[2]), not \(shown)")
    }
    XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: place), [])
  }

  func testTheSettingsOfEveryRecipeAreThoseOfTheTable() throws {
    for recipe in Self.recipes {
      let outcome = ProgramRun.sslmpi(
        ["config", "print", "--json", "\(Self.configs)/\(recipe.file)"], environment: ["SSLMPI_DATA_ROOT": "/none"])
      expect(outcome, code: 0)
      let settings = try JSON.parse(outcome.output)
      let stages = try XCTUnwrap(settings["stages"]?.arrayValue)
      XCTAssertEqual(stages.map { $0["name"]?.stringValue }, ["mae", "head", "tune"])
      /// A value of a stage, or that of the whole run.
      func value(_ stage: Int, _ path: String...) -> JSON? {
        let found = [stages[stage], settings].compactMap { root in
          path.reduce(root as JSON?) { json, key in json?[key] }
        }
        return found.first
      }
      func number(_ stage: Int, _ path: [String], _ expected: Double?, line: UInt = #line) {
        let found = [stages[stage], settings].compactMap { root in path.reduce(root as JSON?) { $0?[$1] } }.first
        XCTAssertEqual(found?.doubleValue, expected, "\(recipe.file) \(path)", line: line)
        XCTAssertNotNil(found, "\(recipe.file) \(path)", line: line)
      }
      XCTAssertEqual(stages.map { $0["from"]?.stringValue }, [nil, "mae", "head"])
      XCTAssertEqual(stages.map { $0["freeze"]?.stringValue }, ["auto", "encoder", "lower_half"])
      for (stage, scale) in [(0, 0.2), (1, 0.08), (2, 0.08)] {
        XCTAssertEqual(value(stage, "augment", "crop_scale")?.arrayValue?.map(\.doubleValue), [scale, 1], recipe.file)
        number(stage, ["augment", "views"], 2)
        number(stage, ["augment", "hflip"], 0.5)
        number(stage, ["optim", "eps"], 1e-8)
        XCTAssertEqual(value(stage, "optim", "betas")?.arrayValue?.map(\.doubleValue), [0.9, 0.95], recipe.file)
        XCTAssertEqual(value(stage, "train", "clip_grad"), .null, recipe.file)
        number(stage, ["schedule", "min_lr"], 0)
        let colours = recipe.isAugmented && stage > 0
        XCTAssertEqual(
          value(stage, "augment", "jitter")?.arrayValue?.map(\.doubleValue), colours ? [0.4, 0.4, 0.2, 0.1] : nil)
        XCTAssertEqual(
          value(stage, "augment", "blur_prob")?.arrayValue?.map(\.doubleValue), colours ? [1, 0.1] : nil)
        XCTAssertEqual(
          value(stage, "augment", "solarize_prob")?.arrayValue?.map(\.doubleValue), colours ? [0, 0.2] : nil)
        number(stage, ["augment", "gray_prob"], colours ? 0.2 : 0)
      }
      for stage in [1, 2] {
        XCTAssertEqual(value(stage, "nnclr", "pool")?.stringValue, recipe.pool, recipe.file)
        let sizes = [("queue_size", 65536.0), ("proj_hidden", 2048), ("pred_hidden", 4096), ("out_dim", 256)]
        for (key, expected) in sizes { number(stage, ["nnclr", key], expected) }
      }
      // Section 4.1: for every size and variant.
      number(1, ["nnclr", "temperature"], 0.15)
      number(1, ["nnclr", "top_k"], 1)
      number(1, ["nnclr", "target_ema"], nil)
      number(1, ["ema", "encoder"], nil)
      number(2, ["nnclr", "temperature"], recipe.temperature)
      number(2, ["nnclr", "top_k"], Double(recipe.k))
      number(2, ["nnclr", "target_ema"], recipe.targetMomentum)
      number(2, ["ema", "encoder"], 0.9999)
      number(2, ["optim", "layer_decay"], 0.65)
    }
  }
}
