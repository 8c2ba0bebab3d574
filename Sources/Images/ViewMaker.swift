import Basics
import CJPEG
import Glibc

/// One view to make of a picture: which part, how large, mirrored or not, in which colours.
public struct ViewRequest: Equatable, Sendable {
  /// The part, in pixels of the full-size picture.
  public let box: CropBox
  /// Columns and rows of the result when the whole box is kept.
  public let width: Int
  /// Rows of the result when the whole box is kept.
  public let height: Int
  /// The part of the resized box that is kept, mirrored after the cut.
  public let window: CropBox
  /// Whether the view is mirrored left to right.
  public let isFlipped: Bool
  /// How the box is resized.
  public let interpolation: Interpolation
  /// What is done to the colours of the finished view, in this order.
  public let colour: [ColourOperation]

  /// A box resized to a square.
  public init(
    box: CropBox, size: Int, isFlipped: Bool, interpolation: Interpolation = .bicubic, colour: [ColourOperation] = []
  ) {
    self.init(
      box: box, width: size, height: size, window: CropBox(left: 0, top: 0, width: size, height: size),
      isFlipped: isFlipped, interpolation: interpolation, colour: colour)
  }

  /// A box resized and then cut.
  public init(
    box: CropBox, width: Int, height: Int, window: CropBox, isFlipped: Bool,
    interpolation: Interpolation = .bicubic, colour: [ColourOperation] = []
  ) {
    precondition(window.fits(width: width, height: height), "ViewRequest: \(window) in \(width)x\(height)")
    self.box = box
    self.width = width
    self.height = height
    self.window = window
    self.isFlipped = isFlipped
    self.interpolation = interpolation
    self.colour = colour
  }

  /// What evaluation sees of a picture: the shorter side resized to round(size * 256 / 224), then the centre square;
  /// a picture that already is size x size stays as it is.
  ///
  /// - Source: spec/evaluation.md 1.2; rounding as torchvision's Resize and CenterCrop.
  public static func evaluation(
    width: Int, height: Int, size: Int, interpolation: Interpolation = .bicubic
  ) -> ViewRequest {
    let whole = CropBox(left: 0, top: 0, width: width, height: height)
    if width == size && height == size { return ViewRequest(box: whole, size: size, isFlipped: false) }
    let short = Int((Double(size) * 256 / 224).rounded(.toNearestOrEven))
    let long = short * max(width, height) / min(width, height)
    let (w, h) = width <= height ? (short, long) : (long, short)
    let left = Int((Double(w - size) / 2).rounded(.toNearestOrEven))
    let top = Int((Double(h - size) / 2).rounded(.toNearestOrEven))
    return ViewRequest(
      box: whole, width: w, height: h, window: CropBox(left: left, top: top, width: size, height: size),
      isFlipped: false, interpolation: interpolation)
  }
}

/// Where the numbers of one view go, and how they are normalised.
public struct ViewTarget {
  /// Room for three planes of the view.
  public let planes: UnsafeMutablePointer<Float>
  /// Subtracted from values in 0 ... 1: [3].
  public let mean: [Float]
  /// Divides the values after that: [3].
  public let deviation: [Float]

  /// Makes a target.
  public init(planes: UnsafeMutablePointer<Float>, mean: [Float], deviation: [Float]) {
    precondition(mean.count == 3 && deviation.count == 3, "ViewTarget: mean \(mean), deviation \(deviation)")
    self.planes = planes
    self.mean = mean
    self.deviation = deviation
  }
}

/// Decodes JPEG files and makes views of them; keeps its buffers, so use one maker per thread.
public final class ViewMaker {
  /// Whether pictures much larger than their views are decoded at a half, a quarter or an eighth of their size.
  ///
  /// The box must hold at least twice the view's pixels per side after that, so half size begins at four times
  /// the view. Off, every view has the bytes of a full decode.
  public let scaledDecode: Bool
  private let avx2: Int32
  private let picture = ByteBuffer()
  private let rows = ByteBuffer()
  private let view = ByteBuffer()
  private let painter: ColourPainter

  /// Makes a maker.
  ///
  /// - Parameters:
  ///   - vectorised: use the vector loops when the machine has them; the results are the same.
  public init(scaledDecode: Bool = true, vectorised: Bool = true) {
    self.scaledDecode = scaledDecode
    avx2 = vectorised ? cimage_has_avx2() : 0
    painter = ColourPainter(vectorised: vectorised)
  }

  /// Decodes `bytes` once and writes each view as planes of (value / 255 - mean) / deviation.
  ///
  /// Only the part of the file that the views need is decoded, and pixels past it are not looked at.
  /// - Shapes: view v at targets[v].planes: [3, window.height, window.width].
  /// - Parameters:
  ///   - requests: the views, chosen from the picture's width and height.
  /// - Throws: `Failure` of code 65 for a damaged file.
  public func make(
    _ bytes: [UInt8], into targets: [ViewTarget], requests: (_ width: Int, _ height: Int) -> [ViewRequest]
  ) throws(Failure) {
    let size = try JPEG.size(of: bytes)
    let requests = requests(size.width, size.height)
    precondition(requests.count == targets.count, "ViewMaker: \(requests.count) views for \(targets.count) targets")
    let source = try decode(bytes, size: size, for: requests)
    for (request, target) in zip(requests, targets) {
      render(source, request)
      let count = request.window.width * request.window.height
      let out = target.planes
      cimage_normalise(
        view.pointer, Int32(count), target.mean, target.deviation, out, out + count, out + 2 * count, avx2)
    }
  }

  /// One view as a picture.
  ///
  /// - Throws: `Failure` of code 65 for a damaged file.
  public func picture(_ request: ViewRequest, of bytes: [UInt8]) throws(Failure) -> Pixels {
    render(try decode(bytes, size: try JPEG.size(of: bytes), for: [request]), request)
    return takePicture(width: request.window.width, height: request.window.height)
  }

  /// A picture resized with Pillow's filter.
  public func resized(
    _ source: Pixels, width: Int, height: Int, interpolation: Interpolation = .bicubic
  ) -> Pixels {
    let whole = CropBox(left: 0, top: 0, width: source.width, height: source.height)
    place(source, in: picture)
    let request = ViewRequest(
      box: whole, width: width, height: height, window: CropBox(left: 0, top: 0, width: width, height: height),
      isFlipped: false, interpolation: interpolation)
    resample(Decoded(left: 0, top: 0, columns: source.width, rows: source.height, eighths: 8), request)
    return takePicture(width: width, height: height)
  }

  /// A picture after colour operations, in their order.
  public func recoloured(_ source: Pixels, _ operations: [ColourOperation]) -> Pixels {
    place(source, in: view)
    painter.apply(operations, to: view.pointer, width: source.width, height: source.height)
    return takePicture(width: source.width, height: source.height)
  }

  /// What stands in `picture`: a part of the picture at eighths / 8 of its size.
  private struct Decoded {
    let left, top, columns, rows, eighths: Int
  }

  private func decode(
    _ bytes: [UInt8], size: (width: Int, height: Int), for requests: [ViewRequest]
  ) throws(Failure) -> Decoded {
    let eighths = requests.map { eighthsNeeded($0) }.max() ?? 8
    var box: CropBox?
    for request in requests {
      precondition(request.box.fits(width: size.width, height: size.height), "ViewMaker: \(request.box) in \(size)")
      let part = scaled(request.box, eighths: eighths)
      box = box?.union(part) ?? part
    }
    guard let box else { preconditionFailure("ViewMaker: no view is asked for") }
    picture.reserve(JPEG.regionBytes(box, channels: 4))
    let place = try JPEG.decodeRegion(bytes, box, eighths: eighths, channels: 4, into: picture.buffer)
    return Decoded(left: place.first, top: box.top, columns: place.columns, rows: box.height, eighths: eighths)
  }

  private func eighthsNeeded(_ request: ViewRequest) -> Int {
    guard scaledDecode else { return 8 }
    for eighths in [1, 2, 4] {
      let margin = 2 * 8
      if request.box.width * eighths >= margin * request.width
        && request.box.height * eighths >= margin * request.height
      {
        return eighths
      }
    }
    return 8
  }

  /// The whole pixels of the scaled picture that touch `box`.
  private func scaled(_ box: CropBox, eighths: Int) -> CropBox {
    let left = box.left * eighths / 8
    let top = box.top * eighths / 8
    let right = JPEG.scaledSide(box.left + box.width, eighths: eighths)
    let bottom = JPEG.scaledSide(box.top + box.height, eighths: eighths)
    return CropBox(left: left, top: top, width: right - left, height: bottom - top)
  }

  /// All that a request asks for: `picture` -> `view`.
  private func render(_ source: Decoded, _ request: ViewRequest) {
    resample(source, request)
    painter.apply(
      request.colour, to: view.pointer, width: request.window.width, height: request.window.height)
  }

  /// Crop, resize, cut and mirror: `picture` -> `view`, in two passes with 8 bits between.
  private func resample(_ source: Decoded, _ request: ViewRequest) {
    let part = scaled(request.box, eighths: source.eighths)
    let factor = Double(source.eighths) / 8
    let window = request.window
    let across = ResizeFilter(
      request.interpolation, from: Double(request.box.left) * factor - Double(part.left),
      length: Double(request.box.width) * factor,
      limit: part.width, size: request.width, window: window.left..<(window.left + window.width))
    let down = ResizeFilter(
      request.interpolation, from: Double(request.box.top) * factor - Double(part.top),
      length: Double(request.box.height) * factor,
      limit: part.height, size: request.height, window: window.top..<(window.top + window.height))
    let corner = picture.pointer + 4 * ((part.top - source.top) * source.columns + part.left - source.left)
    view.reserve(4 * window.width * window.height)
    // Pillow 13 filters vertically first when that takes away more than twice as many rows as the other pass takes
    // columns; older ones never do. With 8 bits between, the order shows in the last bits.
    if part.height - request.height > 2 * max(0, part.width - request.width) {
      rows.reserve(4 * part.width * window.height)
      filterColumns(corner, 4 * source.columns, down, columns: part.width, into: rows.pointer)
      filterRows(rows.pointer, 4 * part.width, across, 0..<window.height, request.isFlipped, into: view.pointer)
    } else {
      rows.reserve(4 * window.width * part.height)
      filterRows(corner, 4 * source.columns, across, down.inputs, request.isFlipped, into: rows.pointer)
      filterColumns(rows.pointer, 4 * window.width, down, columns: window.width, into: view.pointer)
    }
  }

  /// Filters the rows in `range`, each to the same row of `out`.
  private func filterRows(
    _ base: UnsafePointer<UInt8>, _ stride: Int, _ filter: ResizeFilter, _ range: Range<Int>, _ isFlipped: Bool,
    into out: UnsafeMutablePointer<UInt8>
  ) {
    var table = filter.table
    cimage_filter_rows(
      base + range.lowerBound * stride, stride, Int32(range.count), &table, isFlipped ? 1 : 0,
      out + 4 * range.lowerBound * filter.outputs, avx2)
  }

  /// Filters `columns` columns to `filter.outputs` rows.
  private func filterColumns(
    _ base: UnsafePointer<UInt8>, _ stride: Int, _ filter: ResizeFilter, columns: Int,
    into out: UnsafeMutablePointer<UInt8>
  ) {
    var table = filter.table
    for y in 0..<filter.outputs {
      cimage_filter_column(
        base, stride, Int32(filter.inputs.upperBound), &table, Int32(y), Int32(columns), out + 4 * y * columns, avx2)
    }
  }

  private func place(_ source: Pixels, in buffer: ByteBuffer) {
    let count = source.width * source.height
    buffer.reserve(4 * count)
    let out = buffer.pointer
    source.bytes.withUnsafeBufferPointer { bytes in
      for i in 0..<count {
        for c in 0..<3 { out[4 * i + c] = bytes[3 * i + c] }
        out[4 * i + 3] = 0
      }
    }
  }

  private func takePicture(width: Int, height: Int) -> Pixels {
    let count = width * height
    let pixels = view.pointer
    let bytes = [UInt8](unsafeUninitializedCapacity: 3 * count) { bytes, initialised in
      for i in 0..<count {
        for c in 0..<3 { bytes[3 * i + c] = pixels[4 * i + c] }
      }
      initialised = 3 * count
    }
    return Pixels(width: width, height: height, bytes: bytes)
  }
}
