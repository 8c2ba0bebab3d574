import Basics
import Features
import XCTest

final class FeatureKindTests: XCTestCase {
  func testEveryKindIsReadAsItIsWritten() throws {
    let words = [
      "cls", "cls+", "patchmean", "concat", "lastK:4", "lastK:4+mean", "patches", "patches:6,8,10,12", "tokens",
      "cls:prenorm", "patches:2:prenorm",
    ]
    for word in words { XCTAssertEqual(try FeatureKind(parsing: word).description, word) }
  }

  func testAnotherWordIsAUsageError() {
    for word in ["", "clss", "lastK:", "lastK:0", "patches:", "patches:1,,2", "lastK:2+meen", "prenorm"] {
      XCTAssertThrowsError(try FeatureKind(parsing: word)) { error in
        XCTAssertEqual((error as? Failure)?.code, .usage, word)
      }
    }
  }
}
