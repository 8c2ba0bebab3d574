import Images
import XCTest

@testable import Training

final class PictureSheetTests: XCTestCase {
  func testPicturesStandUnderTheirCaptionsInOrder() {
    func square(_ channel: Int) -> Pixels {
      Pixels(width: 2, height: 2, bytes: (0..<12).map { $0 % 3 == channel ? 200 : 0 })
    }
    let (red, blue) = (square(0), square(2))
    let sheet = PictureSheet(title: "T", captions: ["A", "B"], rows: [[red, blue], [blue, red]]).rendered()
    func firstColumn(of colour: [UInt8], row y: Int) -> Int? {
      (0..<sheet.width).first { x in
        Array(sheet.bytes[(y * sheet.width + x) * 3..<(y * sheet.width + x) * 3 + 3]) == colour
      }
    }
    let top = (0..<sheet.height).first { firstColumn(of: [200, 0, 0], row: $0) != nil } ?? 0
    XCTAssertLessThan(firstColumn(of: [200, 0, 0], row: top) ?? 0, firstColumn(of: [0, 0, 200], row: top) ?? 0)
    let bottom = sheet.height - 10
    XCTAssertGreaterThan(
      firstColumn(of: [200, 0, 0], row: bottom) ?? 0, firstColumn(of: [0, 0, 200], row: bottom) ?? 0)
    XCTAssertGreaterThanOrEqual(sheet.width, 256)
  }
}
