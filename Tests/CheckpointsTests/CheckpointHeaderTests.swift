import Basics
import XCTest

@testable import Checkpoints

final class CheckpointHeaderTests: XCTestCase {
  func testAFileOfBeforeThereWereStagesIsOfTheStageOfItsMethod() throws {
    let header = sampleHeader(step: 3)
    let read = try CheckpointHeader(header.attributes, path: "a.h5")
    XCTAssertEqual(read.stage, "pretrain")
    XCTAssertEqual(read.extra.map(\.0), ["data"])
    let old = try CheckpointHeader(header.attributes.filter { $0.name != "stage" }, path: "a.h5")
    XCTAssertEqual(old.method, "mae")
    XCTAssertEqual(old.stage, "mae")
    XCTAssertEqual(old.step, 3)
  }
}
