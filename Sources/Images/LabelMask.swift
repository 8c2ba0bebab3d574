/// The class of every pixel of a picture.
///
/// - Shapes: classes [height, width].
public struct LabelMask: Equatable, Sendable {
  /// Stands where nobody knows, or nobody asks: such pixels count nowhere.
  public static let ignored: UInt8 = 255
  /// Columns.
  public let width: Int
  /// Rows.
  public let height: Int
  /// The classes of all pixels, row by row.
  public var classes: [UInt8]

  /// Wraps classes as a mask.
  public init(width: Int, height: Int, classes: [UInt8]) {
    precondition(
      width > 0 && height > 0 && classes.count == width * height,
      "LabelMask: \(width)x\(height) needs \(width * height) classes, got \(classes.count)")
    self.width = width
    self.height = height
    self.classes = classes
  }

  /// The class at column `x` of row `y`.
  public subscript(x: Int, y: Int) -> UInt8 { classes[y * width + x] }

  /// The part that a view shows, at the view's size: each pixel takes the class under its middle, that to the
  /// right of and below it when the middle falls between two.
  ///
  /// - Shapes: [request.window.height, request.window.width].
  public func seen(through request: ViewRequest) -> LabelMask {
    let (box, window) = (request.box, request.window)
    precondition(box.fits(width: width, height: height), "LabelMask: \(box) in \(width)x\(height)")
    // floor((o + 1/2) * length / outputs), in whole numbers
    let columns = (window.left..<(window.left + window.width)).map {
      box.left + (2 * $0 + 1) * box.width / (2 * request.width)
    }
    let across = request.isFlipped ? columns.reversed() : columns
    var seen: [UInt8] = []
    seen.reserveCapacity(window.width * window.height)
    for row in window.top..<(window.top + window.height) {
      let start = (box.top + (2 * row + 1) * box.height / (2 * request.height)) * width
      for column in across { seen.append(classes[start + column]) }
    }
    return LabelMask(width: window.width, height: window.height, classes: seen)
  }
}
