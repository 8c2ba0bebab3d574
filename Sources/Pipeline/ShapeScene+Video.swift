import Basics
import Images

/// Which image of the split `video` shows what.
struct VideoFrame {
  static let sequences = 8
  static let perSequence = 10

  let sequence: Int
  let time: Int

  init(_ i: Int) { (sequence, time) = i.quotientAndRemainder(dividingBy: Self.perSequence) }
}

extension ShapeScene {
  /// Two shapes of distinct classes, 28-42 % of the side, that move by at most two pixels a frame along each axis and
  /// turn back at the edges; the second passes in front of the first. The mask numbers them 1 and 2.
  ///
  /// Drawn once a sequence, keyed by its number: the second class; the first frame as in scenes; then two steps across
  /// and two steps down.
  init(_ frame: VideoFrame, of set: TinyShapes) {
    var random = RandomStream(
      seed: set.seed, purpose: .synthetic, epoch: set.split.number, index: frame.sequence, view: 1)
    let classes = TinyShapes.classNames.count
    let first = frame.sequence % classes
    let kinds = [first, (first + 1 + random.integer(below: classes - 1)) % classes]
    self.init(apart: kinds, shares: 0.28..<0.42, set, &random) { UInt8($0) + 1 }
    for part in shapes.indices {
      let across = Self.step(&random)
      let down = Self.step(&random)
      let shape = shapes[part]
      shapes[part] = PlacedShape(
        kind: shape.kind, side: shape.side,
        left: Self.reflected(shape.left + across * frame.time, within: size - shape.side),
        top: Self.reflected(shape.top + down * frame.time, within: size - shape.side), colour: shape.colour,
        maskNumber: shape.maskNumber)
    }
  }

  /// -2, -1, 1 or 2.
  private static func step(_ random: inout RandomStream) -> Int { [-2, -1, 1, 2][random.integer(below: 4)] }

  /// A path that turns back at 0 and at `last`.
  private static func reflected(_ position: Int, within last: Int) -> Int {
    let turn = ((position % (2 * last)) + 2 * last) % (2 * last)
    return min(turn, 2 * last - turn)
  }
}
