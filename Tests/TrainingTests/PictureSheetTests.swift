import Images
import XCTest

@testable import Training

final class PictureSheetTests: XCTestCase {
  func testPicturesStandUnderTheirCaptionsInOrder() {
    let red = Pixels(
      width: 2, height: 2, bytes: [UInt8](repeating: 0, count: 12).enumerated().map { $0.offset % 3 == 0 ? 200 : 0 })
    let blue = Pixels(
      width: 2, height: 2, bytes: [UInt8](repeating: 0, count: 12).enumerated().map { $0.offset % 3 == 2 ? 200 : 0 })
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
