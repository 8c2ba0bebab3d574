import Basics
import Images

extension ShapeScene {
  /// Image `i` of a dataset.
  init(_ set: TinyShapes, _ i: Int) {
    var random = RandomStream(seed: set.seed, purpose: .synthetic, epoch: set.split.number, index: i)
    switch set.split {
    case .train, .val, .shiftV2: self.init(single: set, i, &random)
    case .shiftRend: self.init(rendition: set, i, &random)
    case .shiftSketch: self.init(sketch: set, i, &random)
    case .shiftAdv: self.init(faint: set, i, &random)
    case .scenesTrain, .scenesVal: self.init(several: set, i, &random)
    case .retr: self.init(RetrievalRole(i), of: set, &random)
    case .video: self.init(VideoFrame(i), of: set)
    }
  }

  /// One shape, class i mod the number of classes, of 40-70 % (hardness 0) or 20-60 % (1) of the side.
  ///
  /// Drawn in this order: side, left, top; then red, green, blue of the shape and of the ground, repeated until the
  /// luma difference is at least 0.25; then the two slopes.
  private init(single set: TinyShapes, _ i: Int, _ random: inout RandomStream) {
    let h = set.hardness
    let kind = set.split.classes[Int(set.label(i))]
    let share = random.uniform((0.4 - 0.2 * h)..<(0.7 - 0.1 * h))
    let side = max(5, Int((share * Double(set.size)).rounded()))
    let left = random.integer(below: set.size - side + 1)
    let top = random.integer(below: set.size - side + 1)
    let colours = Self.colours(of: 1, h, &random)
    self.init(
      size: set.size, ground: colours.ground, slopes: Self.slopes(h, &random),
      shapes: [
        PlacedShape(
          kind: kind, side: side, left: left, top: top, colour: colours.shapes[0], maskNumber: UInt8(kind) + 1)
      ])
  }

  /// `single` as an outline on an even ground.
  private init(rendition set: TinyShapes, _ i: Int, _ random: inout RandomStream) {
    self.init(single: set, i, &random)
    slopes = (0, 0)
    outline = Self.line(set.size)
  }

  /// `single` as an outline of a grey below 0.5 on white; the grey is drawn last.
  private init(sketch set: TinyShapes, _ i: Int, _ random: inout RandomStream) {
    self.init(rendition: set, i, &random)
    ground = [1, 1, 1]
    shapes[0].colour = [Double](repeating: random.uniform(0..<0.5), count: 3)
  }

  /// `single` in other colours, on rectangles of any colour.
  ///
  /// Drawn after `single`: the colour of the ground, channels in 0.25 ... 0.75; whether the shape is brighter or darker;
  /// by how much in each channel, 0.1 ... 0.2; then twelve times left, top, width, height (6-20 % of the side) and the
  /// colour of a rectangle.
  private init(faint set: TinyShapes, _ i: Int, _ random: inout RandomStream) {
    self.init(single: set, i, &random)
    ground = Self.colour(0.25..<0.75, &random)
    let sign = random.integer(below: 2) == 0 ? 1.0 : -1.0
    shapes[0].colour = ground.map { $0 + sign * random.uniform(0.1..<0.2) }
    for _ in 0..<12 { clutter.append(Self.rectangle(set.size, 0..<1, &random)) }
  }

  /// Two or three shapes of distinct classes, none in front of another, 36-50 % (hardness 0) or 24-50 % (1) of the side.
  ///
  /// Drawn in this order: whether there are three; the classes, of which the first is i mod 10; side, left and top of
  /// every shape, repeated until their boxes are apart; the colours of the shapes and the ground, repeated until the
  /// luma of every shape differs from the ground's by at least 0.25; the two slopes.
  private init(several set: TinyShapes, _ i: Int, _ random: inout RandomStream) {
    let count = 2 + random.integer(below: 2)
    var kinds = [i % TinyShapes.classNames.count]
    while kinds.count < count {
      let kind = random.integer(below: TinyShapes.classNames.count)
      if !kinds.contains(kind) { kinds.append(kind) }
    }
    self.init(apart: kinds, shares: (0.36 - 0.12 * set.hardness)..<0.5, set, &random) { UInt8(kinds[$0]) + 1 }
  }

  /// Shapes whose boxes share no pixel, in colours of their own.
  init(
    apart kinds: [Int], shares: Range<Double>, _ set: TinyShapes, _ random: inout RandomStream,
    maskNumber: (Int) -> UInt8
  ) {
    var boxes: [CropBox]
    repeat {
      boxes = kinds.map { _ in Self.place(shares, set.size, &random) }
    } while boxes.indices.contains { a in boxes[..<a].contains { $0.meets(boxes[a]) } }
    let colours = Self.colours(of: kinds.count, set.hardness, &random)
    self.init(
      size: set.size, ground: colours.ground, slopes: Self.slopes(set.hardness, &random),
      shapes: kinds.indices.map { k in
        PlacedShape(
          kind: kinds[k], side: boxes[k].width, left: boxes[k].left, top: boxes[k].top, colour: colours.shapes[k],
          maskNumber: maskNumber(k))
      })
  }

  private static func place(_ shares: Range<Double>, _ size: Int, _ random: inout RandomStream) -> CropBox {
    let side = max(5, Int((random.uniform(shares) * Double(size)).rounded()))
    let left = random.integer(below: size - side + 1)
    let top = random.integer(below: size - side + 1)
    return CropBox(left: left, top: top, width: side, height: side)
  }

  /// Shapes and then the ground, again until each differs from it.
  private static func colours(
    of count: Int, _ h: Double, _ random: inout RandomStream
  ) -> (shapes: [[Double]], ground: [Double]) {
    while true {
      let shapes = (0..<count).map { _ in colour((0.6 - 0.6 * h)..<1, &random) }
      let ground = colour(0..<(0.4 + 0.6 * h), &random)
      if shapes.allSatisfy({ abs(luma($0) - luma(ground)) >= 0.25 }) { return (shapes, ground) }
    }
  }

  static func colour(_ range: Range<Double>, _ random: inout RandomStream) -> [Double] {
    (0..<3).map { _ in random.uniform(range) }
  }

  static func slopes(_ h: Double, _ random: inout RandomStream) -> (x: Double, y: Double) {
    (0.2 * h * random.uniform(-1..<1), 0.2 * h * random.uniform(-1..<1))
  }

  /// A rectangle somewhere, cut at the edge of the image.
  static func rectangle(
    _ size: Int, _ range: Range<Double>, _ random: inout RandomStream
  ) -> (box: CropBox, colour: [Double]) {
    let left = random.integer(below: size)
    let top = random.integer(below: size)
    let width = max(1, Int((random.uniform(0.06..<0.2) * Double(size)).rounded()))
    let height = max(1, Int((random.uniform(0.06..<0.2) * Double(size)).rounded()))
    return (CropBox(left: left, top: top, width: width, height: height), colour(range, &random))
  }

  /// The width of a line: one pixel of 32.
  private static func line(_ size: Int) -> Int { max(1, (size + 16) / 32) }
}
