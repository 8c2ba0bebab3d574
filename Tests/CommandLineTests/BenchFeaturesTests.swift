import Basics
import Foundation
import XCTest

/// `sslmpi bench features` as a user starts it; its times are nobody's business here.
final class BenchFeaturesTests: XCTestCase {
  func testRatesStandBesideEachOther() throws {
    let arguments = ["bench", "features", "--model", "vit_tiny_patch4_32", "--images", "2", "--batch", "1"]
    for (ranks, more) in [(0, []), (2, ["--data", "synth:tinyshapes?n=5"])] {
      let run = ProgramRun.sslmpi(arguments + ["--rounds", "1", "--json"] + more, ranks: ranks)
      expect(run, code: 0)
      let result = try JSON.parse(run.output.trimmingCharacters(in: .newlines))
      XCTAssertEqual(result["ranks"], .int(max(ranks, 1)))
      for field in ["forward_images_per_s", "extraction_images_per_s", "fraction_of_forward", "peak_mib_per_rank"] {
        XCTAssertGreaterThan(result[field]?.doubleValue ?? 0, 0, field)
      }
    }
  }

  func testAnUnknownModelIsRefused() {
    expect(ProgramRun.sslmpi(["bench", "features", "--model", "vit_giant"]), code: 64, "sslmpi list models")
  }
}
