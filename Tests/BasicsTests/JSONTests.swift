import Basics
import XCTest

final class JSONTests: XCTestCase {
  func testRoundTripKeepsOrderAndTypes() throws {
    let text = #"{"b":1,"a":[1.5,-2,true,null,"x\"\\\n"],"nested":{"z":{},"y":[]}}"#
    XCTAssertEqual(try JSON.parse(text).line, text)
  }

  func testNumbersThatAreNotFiniteBecomeNull() {
    XCTAssertEqual(JSON.array([.double(.nan), .double(.infinity), .double(0.1)]).line, "[null,null,0.1]")
  }

  func testSurrogatePairs() throws {
    XCTAssertEqual(try JSON.parse(#""\ud83d\ude00""#), .string("😀"))
  }

  func testDamagedTextIsRefusedWithItsPosition() {
    for text in ["", "{", "[1,]", "{\"a\" 1}", "tru", "1 2", "\"abc", "{1:2}", "\"\\ud83d\""] {
      XCTAssertThrowsError(try JSON.parse(text), text) { error in
        XCTAssertEqual((error as? Failure)?.code, .badData)
        XCTAssert((error as? Failure)?.place?.hasPrefix("byte ") ?? false)
      }
    }
  }
}
