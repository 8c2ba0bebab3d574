import Basics
import Foundation
import TestKit
import XCTest

/// Weights to other programs and back, as a user does it.
final class ExchangeCommandTests: XCTestCase {
  /// The sizes of `Tests/Goldens/mae_reference.safetensors`.
  private let reference = [
    "model.width=16", "model.depth=2", "model.heads=2", "model.patch=4", "model.img_size=16", "model.decoder.dim=8",
    "model.decoder.depth=1", "model.decoder.heads=2",
  ]

  /// Imports the model of MAE's names into a directory of its own.
  private func importedReference() throws -> String {
    let path = temporaryDirectory("exchange") + "/reference.h5"
    expect(
      ProgramRun.sslmpi(
        [
          "import", Golden.path("mae_reference.safetensors"), "--model", "vit_tiny_patch16_224", "--out", path,
        ] + reference.filter { !$0.contains("decoder.d") }), code: 0, "0 missing, 0 unexpected, 0 reshaped",
      "model.pos_embed=stored")
    return path
  }

  func testARunGoesOutComesBackAndTrainsOn() throws {
    let run = TinyRun()
    XCTAssertEqual(run.train(steps: 2).code, 0)
    let place = temporaryDirectory("exchange")
    for (names, starts) in [("mae", "decoder ("), ("timm", "decoder starts from scratch")] {
      let (file, back) = ("\(place)/\(names).safetensors", "\(place)/\(names).h5")
      let out = ProgramRun.sslmpi(["export", run.directory, "--names", names, "--out", file], ranks: 2)
      expect(out, code: 0, "student of \(run.checkpoint(2))", file)
      XCTAssertTrue(out.output.contains("load_file(\"\(file)\"), strict=True"), out.output)
      let imported = ProgramRun.sslmpi(["import", file, "--out", back], ranks: 2)
      expect(imported, code: 0, "0 missing, 0 unexpected, 0 reshaped")
      XCTAssertTrue(imported.output.contains("--init-from \(back)\n"), imported.output)
      let (before, after) = (try run.tensors(2), try readFloats(of: back))
      XCTAssertEqual(
        after.count,
        before.keys.filter { $0.hasPrefix("student/") && (names == "mae" || !$0.contains("/decoder.")) }.count)
      for (name, values) in after { XCTAssertEqual(values, before[name], name) }
      let next = TinyRun()
      expect(next.train(steps: 1, ["--init-from", back]), code: 0, "mae: encoder (", "mae: \(starts)")
      expect(ProgramRun.sslmpi(["inspect", back, "--verify"]), code: 0)
    }
  }

  func testStoredPositionsStayWithTheModelThroughTraining() throws {
    let path = try importedReference()
    let run = TinyRun()
    let start = reference + ["--init-from", path]
    expect(run.train(steps: 2, start), code: 78, "positions of its own", "model.pos_embed=stored")
    expect(run.train(steps: 2, start + ["model.pos_embed=stored"]), code: 0, "encoder (30 tensors)")
    expect(run.train(steps: 4, reference + ["model.pos_embed=stored", "--resume", "auto"]), code: 0, "resumed from")
    let (before, after) = (try readFloats(of: path), try run.tensors(4))
    XCTAssertEqual(after["student/pos_embed"], before["student/pos_embed"])
    XCTAssertNotEqual(after["student/cls_token"], before["student/cls_token"])
    XCTAssertNil(after["optimizer/m/pos_embed"])

    let plain = TinyRun()
    XCTAssertEqual(plain.train(steps: 1).code, 0)
    expect(
      TinyRun().train(steps: 1, ["--init-from", plain.checkpoint(1), "model.pos_embed=stored"]), code: 78,
      "the checkpoint holds none", "model.pos_embed=sincos")
  }

  func testStagesStartFromAnImportedModel() throws {
    let path = try importedReference()
    let run = StagedRun()
    let stages = reference + ["stages.head.from=\(path)", "stages.head.max_steps=1", "stages.tune.max_steps=1"]
    expect(run.train(["--stage", "head"] + stages), code: 78, "model.pos_embed=stored")
    expect(
      run.train(["--stage", "head"] + stages + ["model.pos_embed=stored"]), code: 0, "encoder (30 tensors) from \(path)"
    )
    expect(run.train(["--stage", "tune", "--resume", "auto"] + stages + ["model.pos_embed=stored"]), code: 0)
    let positions = try XCTUnwrap(readFloats(of: path)["student/pos_embed"])
    let tuned = try readFloats(of: "\(run.place)/\(run.checkpoint("tune", 1))")
    XCTAssertEqual(tuned["student/pos_embed"], positions)
    XCTAssertEqual(tuned["ema/pos_embed"], positions)
  }

  func testBadInputIsOneClearMessage() throws {
    let place = temporaryDirectory("exchange")
    let out = "\(place)/out"
    try Data([9, 0, 0, 0, 0, 0, 0, 0, 1]).write(to: URL(fileURLWithPath: "\(place)/cut.safetensors"))
    let model = ["--model", "vit_tiny_patch16_224", "--out", out]
    expect(ProgramRun.sslmpi(["import", "\(place)/none.safetensors"] + model), code: 66, "none.safetensors")
    expect(ProgramRun.sslmpi(["import", "\(place)/cut.safetensors"] + model, ranks: 2), code: 65, "cut off")
    expect(
      ProgramRun.sslmpi(["import", Golden.path("mae_reference.safetensors"), "model.decoder.heads=2"] + model),
      code: 65,
      "missing     blocks.2.norm1.weight", "--allow-partial")
    expect(ProgramRun.sslmpi(["export", "\(place)/none", "--out", out]), code: 66, "none")
    expect(ProgramRun.sslmpi(["export", place, "--out", out]), code: 66, "checkpoints")
    expect(ProgramRun.sslmpi(["export", place, "--out", out, "--names", "tim"]), code: 64)
    let path = try importedReference()
    expect(ProgramRun.sslmpi(["export", path, "--out", out, "--weights", "ema"]), code: 65, "'ema'", "student")
    expect(ProgramRun.sslmpi(["export", path, "--out", out, "--cls-only", "1"]), code: 64, "--cls-only")
    expect(ProgramRun.sslmpi(["export", path, "--out", out, "--size", "18"]), code: 64, "patches")
    expect(ProgramRun.sslmpi(["export", path, "--out", "\(place)/no/where"]), code: 73, "no/where")
    XCTAssertFalse(FileManager.default.fileExists(atPath: out))
  }
}
