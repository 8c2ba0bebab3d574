import Basics
import Settings
import XCTest

/// Files, `extends`, presets, environment, flags and overrides: who wins, and what is refused.
final class LayerTests: XCTestCase {
  private let folder = ConfigurationFolder()

  private func load(
    _ files: [String], preset: String? = nil, _ overrides: [String] = [], environment: [String: String] = [:]
  ) throws -> SettingsTree {
    try SettingsTree.load(
      files: files, preset: preset, presetDirectory: folder.path + "/presets", overrides: overrides,
      environment: environment)
  }

  func testExtendsReadsAChainOfRelativePaths() throws {
    _ = try folder.write("base/root.yaml", "seed: 1\noptim: {base_lr: 1, eps: 0.5}\n" + minimal)
    _ = try folder.write("base/middle.yaml", "extends: root.yaml\noptim: {base_lr: 2}\n")
    let top = try folder.write("top.yaml", "extends: base/middle.yaml\nname: top\n")
    let settings = try RunSettings(from: load([top]))
    XCTAssertEqual(settings.seed, 1)
    XCTAssertEqual(settings.optim.baseLR, 2)
    XCTAssertEqual(settings.optim.eps, 0.5)
    XCTAssertEqual(settings.name, "top")
  }

  func testCircleOfExtendsIsRefused() throws {
    let a = try folder.write("a.yaml", "extends: b.yaml\n")
    _ = try folder.write("b.yaml", "seed: 1\nextends: a.yaml\n")
    expect(failure { _ = try load([a]) }, "circle", "a.yaml -> b.yaml -> a.yaml", "b.yaml:2")
  }

  func testMissingFilesAreNamed() throws {
    let a = try folder.write("a.yaml", "extends: none.yaml\n")
    expect(failure { _ = try load([a]) }, "none.yaml", "a.yaml:1", code: .inputMissing)
    expect(failure { _ = try load([folder.path]) }, "is a directory", code: .inputMissing)
  }

  func testPrecedence() throws {
    _ = try folder.write("base.yaml", "seed: 1\nname: base\nmethod: base\noptim: {eps: 0.1, lr: 0.1, base_lr: 0.1}\n")
    _ = try folder.write("presets/p.yaml", "name: preset\nmethod: preset\noptim: {eps: 0.2, lr: 0.2, base_lr: 0.2}\n")
    let first = try folder.write("1.yaml", "extends: base.yaml\nmethod: first\noptim: {eps: 0.3, lr: 0.3}\n")
    let second = try folder.write("2.yaml", "optim: {eps: 0.4}\n" + minimal)
    let tree = try load(
      [first, second], preset: "p", ["--threads runtime.threads=5", "runtime.threads=6"],
      environment: ["SSLMPI_THREADS": "4"])
    let settings = try RunSettings(from: tree)
    XCTAssertEqual(settings.seed, 1)
    XCTAssertEqual(settings.name, "preset")
    XCTAssertEqual(settings.method, "first")
    XCTAssertEqual(settings.optim.baseLR, 0.2)
    XCTAssertEqual(settings.optim.lr, 0.3)
    XCTAssertEqual(settings.optim.eps, 0.4)
    XCTAssertEqual(settings.runtime.threads, 6)
    XCTAssertEqual(tree.origin(of: "optim.eps"), second + ":1")
    let flag = try load([second], ["--threads runtime.threads=5"], environment: ["SSLMPI_THREADS": "4"])
    XCTAssertEqual(try RunSettings(from: flag).runtime.threads, 5)
    XCTAssertEqual(flag.origin(of: "runtime.threads"), "--threads")
    let variable = try load([second], environment: ["SSLMPI_THREADS": "4"])
    XCTAssertEqual(try RunSettings(from: variable).runtime.threads, 4)
    XCTAssertEqual(variable.origin(of: "runtime.threads"), "SSLMPI_THREADS")
  }

  func testPresetsAreFoundByTheirLastName() throws {
    _ = try folder.write("presets/mae/demo.yaml", minimal)
    _ = try folder.write("presets/mae/twin.yaml", minimal)
    _ = try folder.write("presets/moca/twin.yaml", minimal)
    XCTAssertEqual(Presets.names(in: folder.path + "/presets"), ["mae/demo", "mae/twin", "moca/twin"])
    XCTAssertNoThrow(try load([], preset: "demo"))
    XCTAssertNoThrow(try load([], preset: "moca/twin"))
    expect(failure { _ = try load([], preset: "twin") }, "mae/twin, moca/twin")
    expect(failure { _ = try load([], preset: "dmeo") }, "did you mean", "demo", code: .inputMissing)
  }

  func testDuplicatesAreRefused() throws {
    let plain = try folder.write("a.yaml", "seed: 1\noptim:\n  lr: 1\n  lr: 2\n")
    expect(failure { _ = try load([plain]) }, "lr", "a.yaml:")
    let dotted = try folder.write("b.yaml", "optim: {lr: 1}\noptim.lr: 2\n")
    expect(failure { _ = try load([dotted]) }, "'optim.lr' is set twice", "b.yaml:2", "b.yaml:1")
  }

  func testWhatIsNotYAMLIsNamedWithItsLine() throws {
    let broken = try folder.write("a.yaml", "seed: 1\noptim: {lr: 1\n")
    expect(failure { _ = try load([broken]) }, "not YAML", "a.yaml:")
    let list = try folder.write("b.yaml", "- 1\n- 2\n")
    expect(failure { _ = try load([list]) }, "key: value", "b.yaml:1")
    XCTAssertNoThrow(try load([folder.write("empty.yaml", "# nothing\n")]))
  }

  func testOverridesTakeEveryKindOfValue() throws {
    let settings = try settings(
      minimal,
      [
        "optim.base_lr=1e-4", "augment.crop_scale=[0.08, 1.0]", "train.clip_grad=3", "train.clip_grad=null",
        "data.train=synth:tinyshapes?n=2000&size=32", "checkpoint.every=[1 epoch, 30 min]", "eval.knn={k: 5}",
        "optim.warmup_epochs=3", "model.decoder.dim=1e2", "log.every=null",
      ])
    XCTAssertEqual(settings.optim.baseLR, 1e-4)
    XCTAssertEqual(settings.augment.cropScale.0, 0.08)
    XCTAssertNil(settings.train.clipGrad)
    XCTAssertEqual(settings.data.train, "synth:tinyshapes?n=2000&size=32")
    XCTAssertEqual(settings.checkpoint.every, [.epochs(1), .minutes(30)])
    XCTAssertEqual(settings.eval.knn.k, [5])
    XCTAssertEqual(settings.optim.warmup, .epochs(3))
    XCTAssertEqual(settings.model.decoder.dim, 100)
    XCTAssertEqual(settings.log.every, .never)
  }

  func testMalformedOverridesAreUsageErrors() {
    for override in ["seed", "=1", "seed=", "a..b=1", ".a=1"] {
      expect(failure { _ = try load([], [override]) }, override, code: .usage)
    }
  }

  func testVariablesInDataAddresses() throws {
    let file = try folder.write("a.yaml", "data: {train: \"h5:${ROOT}/a-${PART}.h5\"}\ntrain: {epochs: 1}\n")
    let tree = try load([file], environment: ["ROOT": "/d", "PART": "0"])
    XCTAssertEqual(try RunSettings(from: tree).data.train, "h5:/d/a-0.h5")
    let missing = failure { _ = try RunSettings(from: load([file], environment: ["ROOT": "/d"])) }
    expect(missing, "${PART}", "a.yaml:1", "data.train=DIR")
  }

  func testWarmupSpellingsReplaceEachOther() throws {
    let base = try folder.write("base.yaml", "optim: {warmup_epochs: 20}\n" + minimal)
    let top = try folder.write("top.yaml", "extends: base.yaml\noptim: {warmup: 20%}\n")
    XCTAssertEqual(try RunSettings(from: load([base])).optim.warmup, .epochs(20))
    XCTAssertEqual(try RunSettings(from: load([top])).optim.warmup, .percent(20))
    XCTAssertEqual(try RunSettings(from: load([top], ["optim.warmup_epochs=1"])).optim.warmup, .epochs(1))
    let both = try folder.write("both.yaml", "optim: {warmup: 20%, warmup_epochs: 3}\n")
    expect(failure { _ = try load([both]) }, "'optim.warmup' is set twice")
  }
}
