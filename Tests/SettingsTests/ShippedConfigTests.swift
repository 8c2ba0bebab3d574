import Foundation
import Settings
import XCTest

/// Every file in `configs/` loads, holds no unknown key and says what it is.
final class ShippedConfigTests: XCTestCase {
  private let directory =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path + "/configs"

  func testEveryConfigLoadsStrictly() throws {
    let names = Presets.names(in: directory)
    XCTAssertTrue(names.contains("mae/demo") && names.contains("mae/vit_base_in1k"), "\(names)")
    for name in names {
      let tree = try SettingsTree.load(
        files: ["\(directory)/\(name).yaml"], environment: ["SSLMPI_DATA_ROOT": "/data"])
      let settings: RunSettings
      do {
        if tree.methodName == "mae-ct" {
          // The sections of its methods are checked where the methods are known: by the dry run of each file.
          let staged = try StagedSettings(tree, method: "mae-ct", stages: ["mae", "head", "tune"])
          for stage in staged.stages { _ = try RunSettings(from: stage.tree) }
          XCTAssertTrue(name.hasPrefix("mae-ct/"), name)
          XCTAssertFalse(Presets.summary(of: name, in: directory).isEmpty, name)
          continue
        }
        settings = try RunSettings(from: tree)
        let section = tree.section("mae")
        _ = try section.double("mask_ratio", default: 0.75, in: 0.0...0.99, "part of the patches that is removed")
        _ = try section.bool("norm_pix_loss", default: true, "normalised targets")
        _ = try section.string("pool", default: "auto", "features")
        try tree.finish()
      } catch {
        XCTFail("\(name): \(error)")
        continue
      }
      XCTAssertEqual(settings.method, String(name.prefix { $0 != "/" }), name)
      XCTAssertFalse(Presets.summary(of: name, in: directory).isEmpty, "\(name) has no first line that says what it is")
    }
  }

  func testTheImageNetRecipesHaveThePapersNumbers() throws {
    let rows = [("small", 1024), ("base", 1024), ("large", 1024), ("huge", 512)]
    for (size, batch) in rows {
      let tree = try SettingsTree.load(
        files: ["\(directory)/mae/vit_\(size)_in1k.yaml"], environment: ["SSLMPI_DATA_ROOT": "/data"])
      let settings = try RunSettings(from: tree)
      XCTAssertEqual(settings.model.arch, "vit_\(size)_patch16_224")
      XCTAssertEqual(settings.train.batchSize, batch)
      XCTAssertEqual(settings.train.epochs, 800)
      XCTAssertEqual(settings.augment.views, 2)
      XCTAssertEqual(settings.augment.cropScale.0, 0.2)
      XCTAssertEqual(settings.optim.baseLR, 1.5e-4)
      XCTAssertEqual(settings.optim.betas.1, 0.95)
      XCTAssertEqual(settings.optim.weightDecay, 0.05)
      XCTAssertEqual(settings.optim.warmup, .epochs(20))
      XCTAssertEqual(settings.schedule.minLR, 0)
      XCTAssertNil(settings.train.clipGrad)
      XCTAssertEqual(settings.model.decoder.dim, 512)
      XCTAssertEqual(settings.model.decoder.depth, 8)
      XCTAssertEqual(settings.model.decoder.heads, 16)
    }
  }
}
