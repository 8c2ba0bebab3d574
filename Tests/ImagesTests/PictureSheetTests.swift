import XCTest

@testable import Images

final class PictureSheetTests: XCTestCase {
  private func square(_ channel: Int, side: Int = 2) -> Pixels {
    Pixels(width: side, height: side, bytes: (0..<3 * side * side).map { $0 % 3 == channel ? 200 : 0 })
  }

  private func colour(_ sheet: Pixels, _ x: Int, _ y: Int) -> [UInt8] {
    Array(sheet.bytes[(y * sheet.width + x) * 3..<(y * sheet.width + x) * 3 + 3])
  }

  /// The places of the pixels of a colour: first and last column, first and last row.
  private func extent(_ wanted: [UInt8], in sheet: Pixels) -> (x: ClosedRange<Int>, y: ClosedRange<Int>)? {
    var (xs, ys): ([Int], [Int]) = ([], [])
    for y in 0..<sheet.height {
      for x in 0..<sheet.width where colour(sheet, x, y) == wanted {
        xs.append(x)
        ys.append(y)
      }
    }
    guard let left = xs.min(), let right = xs.max(), let top = ys.min(), let bottom = ys.max() else { return nil }
    return (left...right, top...bottom)
  }

  func testPicturesStandUnderTheirCaptionsInOrderAndEnlarged() throws {
    let rows = [PictureSheet.Row([.init(square(0)), .init(square(2))]), .init([.init(square(1)), .init(nil)])]
    let sheet = PictureSheet(title: "T", captions: ["A", "B"], rows: rows).rendered()
    let red = try XCTUnwrap(extent([200, 0, 0], in: sheet))
    let blue = try XCTUnwrap(extent([0, 0, 200], in: sheet))
    let green = try XCTUnwrap(extent([0, 200, 0], in: sheet))
    XCTAssertEqual([red.x.count, red.y.count, blue.x.count, green.y.count], [160, 160, 160, 160])
    XCTAssertLessThan(red.x.upperBound, blue.x.lowerBound)
    XCTAssertEqual(red.y, blue.y)
    XCTAssertEqual(red.x, green.x)
    XCTAssertLessThan(red.y.upperBound, green.y.lowerBound)
  }

  func testNothingIsCutOff() throws {
    let long = "a title that is much longer than its only picture is wide"
    let sheet = PictureSheet(
      title: long, rows: [.init([.init(square(0), note: "unbreakablylongnoteword", frame: .right)], label: "label")],
      bar: ColourBar(.sequential, from: -1, to: 1, caption: "similarity"))
    let drawn = sheet.rendered()
    for y in 0..<drawn.height {
      XCTAssertEqual(colour(drawn, 0, y), [255, 255, 255])
      XCTAssertEqual(colour(drawn, drawn.width - 1, y), [255, 255, 255])
    }
    for x in 0..<drawn.width {
      XCTAssertEqual(colour(drawn, x, 0), [255, 255, 255])
      XCTAssertEqual(colour(drawn, x, drawn.height - 1), [255, 255, 255])
    }
    XCTAssertGreaterThan(drawn.width, BitmapFont.width(of: long) * 2)
  }

  func testEveryLetterHasAShapeOfItsOwn() {
    let letters = (33...126).compactMap { Unicode.Scalar($0).map { Character($0) } } + Array("×±→·")
    let shapes = Dictionary(grouping: letters) { BitmapFont.rows(of: $0) }
    for (_, same) in shapes { XCTAssertEqual(same.count, 1, "\(same) look alike") }
    let box = BitmapFont.rows(of: "\u{2603}")
    for letter in letters {
      let rows = BitmapFont.rows(of: letter)
      XCTAssertNotEqual(rows, box, "\(letter) is missing")
      XCTAssertLessThanOrEqual(rows.count, BitmapFont.height, "\(letter)")
      XCTAssertTrue(rows.contains { $0 > 0 } && rows.allSatisfy { $0 < 32 }, "\(letter)")
    }
  }

  func testTextIsAsWideAsItsDots() {
    let text = "jumps: 1/2 Il"
    var canvas = Canvas(width: 200, height: 20)
    canvas.write(text, x: 0, y: 4, scale: 1)
    let ink = extent([Colour.ink.red, Colour.ink.green, Colour.ink.blue], in: canvas.pixels)
    XCTAssertEqual(ink?.x, 0...BitmapFont.width(of: text) - 1)
    XCTAssertEqual(ink?.y, 4...12)
  }

  func testLinesAreBrokenBetweenWords() {
    XCTAssertEqual(
      BitmapFont.lines(of: "one two  three", width: BitmapFont.width(of: "one two")), ["one two", "three"])
    XCTAssertEqual(BitmapFont.lines(of: "unbreakable", width: 1), ["unbreakable"])
    XCTAssertEqual(BitmapFont.lines(of: "", width: 10), [])
  }

  func testALargePictureIsNotEnlarged() throws {
    let sheet = PictureSheet(title: "", rows: [.init([.init(square(0, side: 224))])]).rendered()
    XCTAssertEqual(try XCTUnwrap(extent([200, 0, 0], in: sheet)).x.count, 224)
  }
}
