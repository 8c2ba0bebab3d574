import Basics
import Images

/// What an image of the split `retr` is: the queries come first, then the database.
struct RetrievalRole {
  enum Kind: String {
    case query, easy, hard, junk, stranger
  }

  static let instances = 20
  static let perInstance: [(kind: Kind, images: Int)] = [(.query, 1), (.easy, 4), (.hard, 3), (.junk, 2)]
  static let strangers = 200
  static let count = instances * perInstance.reduce(0) { $0 + $1.images } + strangers

  let kind: Kind
  /// Which thing is seen; among strangers, which stranger.
  let instance: Int
  /// Which of the pictures of this kind.
  let number: Int

  init(_ i: Int) {
    var first = 0
    for (kind, images) in Self.perInstance {
      if i < first + Self.instances * images {
        (self.kind, instance, number) = (kind, (i - first) / images, (i - first) % images)
        return
      }
      first += Self.instances * images
    }
    (kind, instance, number) = (.stranger, i - first, 0)
  }

  var name: String {
    switch kind {
    case .query: "query/\(padded(instance, 2))"
    case .stranger: "base/stranger-\(padded(instance, 3))"
    default: "base/\(padded(instance, 2))-\(kind.rawValue)-\(number)"
    }
  }
}

extension TinyShapes {
  /// Which images of the split `retr` answer a query, by their numbers in the source.
  public struct RetrievalTruth: Equatable, Sendable {
    /// The image that asks.
    public let query: Int
    /// Images that show the same thing, a little moved.
    public let easy: [Int]
    /// Images that show it small, darker, cut off, among clutter.
    public let hard: [Int]
    /// Images that show so little of it that they count neither way.
    public let junk: [Int]
  }

  /// The queries of the split `retr`; images that are no query are the database. Empty for other splits.
  public var retrievalTruth: [RetrievalTruth] {
    guard split == .retr else { return [] }
    let roles = (0..<count).map { RetrievalRole($0) }
    return (0..<RetrievalRole.instances).map { instance in
      let images = { (kind: RetrievalRole.Kind) in
        roles.indices.filter { roles[$0].kind == kind && roles[$0].instance == instance }
      }
      return RetrievalTruth(query: images(.query)[0], easy: images(.easy), hard: images(.hard), junk: images(.junk))
    }
  }
}

extension ShapeScene {
  /// A picture of one thing: two bright shapes of distinct classes, one behind the corner of the other.
  ///
  /// The thing is drawn from a stream of its own: whether it leans left or right, and its two colours. Then, for the
  /// picture: the ground (dark), the slopes, the thing's size and place, in hard pictures the light and twelve
  /// rectangles.
  init(_ role: RetrievalRole, of set: TinyShapes, _ random: inout RandomStream) {
    var thing = RandomStream(
      seed: set.seed, purpose: .synthetic, epoch: set.split.number, index: role.instance,
      view: role.kind == .stranger ? 2 : 1)
    let leansLeft = thing.integer(below: 2) == 0
    let colours = [Self.colour(0.55..<1, &thing), Self.colour(0.55..<1, &thing)]
    let kinds = Self.kinds(of: role)
    self.init(
      size: set.size, ground: Self.colour(0..<0.3, &random), slopes: Self.slopes(set.hardness, &random), shapes: [])
    let frame = Self.frame(role.kind, set.size, &random)
    for part in 0..<2 {
      let side = max(5, frame.width * (part == 0 ? 60 : 52) / 100)
      let across = (part == 0) == leansLeft ? 0 : frame.width - side
      shapes.append(
        PlacedShape(
          kind: kinds[part], side: side, left: frame.left + across,
          top: frame.top + (part == 0 ? 0 : frame.width - side), colour: colours[part],
          maskNumber: UInt8(kinds[part]) + 1))
    }
    guard role.kind == .hard else { return }
    let light = random.uniform(0.5..<0.8)
    for part in 0..<2 { shapes[part].colour = shapes[part].colour.map { $0 * light } }
    for _ in 0..<12 { clutter.append(Self.rectangle(set.size, 0..<0.3, &random)) }
  }

  /// The classes of the shape behind and of that in front: no two things share both classes, and no stranger has those
  /// of a thing in the same order.
  private static func kinds(of role: RetrievalRole) -> [Int] {
    let classes = TinyShapes.classNames.count
    let first = role.instance % classes
    let turn = role.instance / classes
    let steps = role.kind == .stranger ? [1, 2, 5, 6, 7, 8, 9] : [3, 4]
    return [first, (first + steps[turn % steps.count]) % classes]
  }

  /// Where the thing stands; it may reach over the edge.
  private static func frame(_ kind: RetrievalRole.Kind, _ size: Int, _ random: inout RandomStream) -> CropBox {
    let shares: Range<Double> =
      switch kind {
      case .query: 0.8..<0.9
      case .easy, .stranger: 0.65..<0.9
      case .hard: 0.45..<0.6
      case .junk: 0.6..<0.9
      }
    let side = Int((random.uniform(shares) * Double(size)).rounded())
    func inside(_ random: inout RandomStream) -> Int { random.integer(below: size - side + 1) }
    switch kind {
    case .query: return CropBox(left: (size - side) / 2, top: (size - side) / 2, width: side, height: side)
    case .easy, .stranger: return CropBox(left: inside(&random), top: inside(&random), width: side, height: side)
    case .hard:
      // up to a fifth is cut off on one side
      let cut = side / 5
      let left = random.integer(below: size - side + 2 * cut + 1) - cut
      return CropBox(left: left, top: inside(&random), width: side, height: side)
    case .junk:
      // a fifth is left
      let left = random.integer(below: 2) == 0 ? size - side / 5 : side / 5 - side
      return CropBox(left: left, top: inside(&random), width: side, height: side)
    }
  }
}
