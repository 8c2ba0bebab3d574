import Basics
import TestKit
import XCTest

@testable import Images

final class ViewMakerTests: XCTestCase {
  private let goldens = ImageGoldens()

  func testResizeEqualsPillow() {
    let source = goldens.golden.ints("resize.source.size")
    let picture = Pixels(width: source[0], height: source[1], bytes: goldens.bytes("resize.source"))
    let sizes = goldens.golden.ints("resize.sizes")
    for vectorised in [true, false] {
      let maker = ViewMaker(vectorised: vectorised)
      for i in stride(from: 0, to: sizes.count, by: 2) {
        let (width, height) = (sizes[i], sizes[i + 1])
        for (interpolation, name) in [(Interpolation.bicubic, "resize"), (.bilinear, "bilinear")] {
          let expected = Pixels(width: width, height: height, bytes: goldens.bytes("\(name).\(width)x\(height)"))
          let resized = maker.resized(picture, width: width, height: height, interpolation: interpolation)
          XCTAssertEqual(
            greatestDifference(resized, expected), 0, "\(interpolation) \(width)x\(height), vectorised \(vectorised)")
        }
      }
    }
  }

  func testViewEqualsPillowsCropResizeFlip() throws {
    let bytes = goldens.bytes("photo.jpeg")
    let boxes = goldens.golden.ints("view.boxes")
    let maker = ViewMaker()
    for i in 0..<(boxes.count / 5) {
      let b = Array(boxes[(5 * i)..<(5 * i + 5)])
      let box = CropBox(left: b[0], top: b[1], width: b[2], height: b[3])
      let view = try maker.picture(ViewRequest(box: box, size: 24, isFlipped: b[4] == 1), of: bytes)
      let expected = Pixels(width: 24, height: 24, bytes: goldens.bytes("view.\(i)"))
      XCTAssertEqual(greatestDifference(view, expected), 0, "view \(i)")
    }
  }

  func testEvaluationEqualsPillow() throws {
    for (interpolation, name) in [(Interpolation.bicubic, "evaluation"), (.bilinear, "evaluation.bilinear")] {
      let request = ViewRequest.evaluation(width: 90, height: 67, size: 28, interpolation: interpolation)
      let view = try ViewMaker().picture(request, of: goldens.bytes("photo.jpeg"))
      let expected = Pixels(width: 28, height: 28, bytes: goldens.bytes(name))
      XCTAssertEqual(greatestDifference(view, expected), 0, name)
    }
  }

  func testEvaluationOfAnImageOfTheRightSizeIsTheIdentity() throws {
    let bytes = JPEG.encode(texture(32, 32), quality: 95)
    let view = try ViewMaker().picture(.evaluation(width: 32, height: 32, size: 32), of: bytes)
    XCTAssertEqual(view, try JPEG.decode(bytes))
  }

  func testNormalisedPlanesFollowTheFormula() throws {
    let bytes = JPEG.encode(texture(19, 23), quality: 95)
    let mean: [Float] = [0.485, 0.456, 0.406]
    let deviation: [Float] = [0.229, 0.224, 0.225]
    for vectorised in [true, false] {
      let maker = ViewMaker(vectorised: vectorised)
      let whole = ViewRequest(box: CropBox(left: 0, top: 0, width: 19, height: 23), size: 21, isFlipped: true)
      let picture = try maker.picture(whole, of: bytes)
      var planes = [Float](repeating: -9, count: 3 * 21 * 21)
      try planes.withUnsafeMutableBufferPointer { buffer in
        let target = ViewTarget(planes: try XCTUnwrap(buffer.baseAddress), mean: mean, deviation: deviation)
        try maker.make(bytes, into: [target]) { _, _ in [whole] }
      }
      for c in 0..<3 {
        for i in 0..<(21 * 21) {
          let expected = (Float(picture.bytes[3 * i + c]) / 255 - mean[c]) / deviation[c]
          XCTAssertEqual(planes[c * 21 * 21 + i], expected)
        }
      }
    }
  }

  func testSeveralViewsOfOneDecodeEqualSeparateOnes() throws {
    let bytes = JPEG.encode(texture(120, 90), quality: 90, fullColour: false)
    let requests = [
      ViewRequest(box: CropBox(left: 70, top: 3, width: 40, height: 30), size: 16, isFlipped: false),
      ViewRequest(box: CropBox(left: 5, top: 50, width: 33, height: 37), size: 12, isFlipped: true),
    ]
    let maker = ViewMaker(scaledDecode: false)
    var joint = requests.map { [Float](repeating: 0, count: 3 * $0.width * $0.height) }
    let targets = joint.indices.map { v in
      ViewTarget(
        planes: joint[v].withUnsafeMutableBufferPointer { UnsafeMutablePointer.allocate(capacity: $0.count) },
        mean: [0, 0, 0], deviation: [1, 1, 1])
    }
    defer { targets.forEach { $0.planes.deallocate() } }
    try maker.make(bytes, into: targets) { _, _ in requests }
    for (v, request) in requests.enumerated() {
      joint[v] = Array(UnsafeBufferPointer(start: targets[v].planes, count: joint[v].count))
      let alone = try maker.picture(request, of: bytes)
      let count = request.width * request.height
      for i in 0..<count {
        for c in 0..<3 { XCTAssertEqual(joint[v][c * count + i], Float(alone.bytes[3 * i + c]) / 255) }
      }
    }
  }

  func testScaledDecodeStaysCloseToTheFullOne() throws {
    let bytes = JPEG.encode(texture(640, 480), quality: 90, fullColour: false)
    for box in [CropBox(left: 0, top: 0, width: 640, height: 480), CropBox(left: 33, top: 21, width: 517, height: 411)]
    {
      let request = ViewRequest(box: box, size: 48, isFlipped: false)
      let full = try ViewMaker(scaledDecode: false).picture(request, of: bytes)
      let scaled = try ViewMaker(scaledDecode: true).picture(request, of: bytes)
      XCTAssertNotEqual(scaled, full, "the scaled path was not taken")
      let sum = zip(full.bytes, scaled.bytes).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
      XCTAssertLessThan(Double(sum) / Double(full.bytes.count), 1)
    }
  }

  func testBoxesBelowFourTimesTheViewAreDecodedInFull() throws {
    let bytes = JPEG.encode(texture(500, 375), quality: 90, fullColour: false)
    let request = ViewRequest(box: CropBox(left: 0, top: 0, width: 500, height: 375), size: 224, isFlipped: false)
    XCTAssertEqual(
      try ViewMaker(scaledDecode: true).picture(request, of: bytes),
      try ViewMaker(scaledDecode: false).picture(request, of: bytes))
  }

  func testDamagedFilesThrowAndTheMakerStaysUsable() throws {
    let bytes = JPEG.encode(texture(60, 60), quality: 90)
    let maker = ViewMaker()
    let request = ViewRequest(box: CropBox(left: 2, top: 2, width: 50, height: 8), size: 16, isFlipped: false)
    let before = try maker.picture(request, of: bytes)
    XCTAssertThrowsError(try maker.picture(request, of: Array(bytes.dropLast(40))))
    XCTAssertEqual(try maker.picture(request, of: bytes), before)
  }

  func testExtremeShapesWork() throws {
    let thin = JPEG.encode(texture(600, 1), quality: 90)
    let maker = ViewMaker()
    let whole = ViewRequest(box: CropBox(left: 0, top: 0, width: 600, height: 1), size: 8, isFlipped: false)
    XCTAssertEqual(try maker.picture(whole, of: thin).width, 8)
    let evaluated = try maker.picture(.evaluation(width: 600, height: 1, size: 8), of: thin)
    XCTAssertEqual(evaluated.bytes.count, 3 * 64)
  }
}
