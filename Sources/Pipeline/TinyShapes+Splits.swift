extension TinyShapes {
  /// The parts of the dataset.
  public enum Split: String, CaseIterable, Sendable {
    /// One shape an image, classes in turn.
    case train, val
    /// Two or three shapes of distinct classes, none in front of another; no label.
    case scenesTrain = "scenes-train"
    case scenesVal = "scenes-val"
    /// Shifted test sets: drawn anew; outlines in one colour; grey outlines on white; low contrast and clutter.
    case shiftV2 = "shift-v2"
    case shiftRend = "shift-rend"
    case shiftSketch = "shift-sketch"
    case shiftAdv = "shift-adv"
    /// Twenty things made of two shapes, each seen once as a query and again in easy, hard and useless pictures, among
    /// strangers.
    case retr
    /// Sequences of two moving shapes.
    case video

    /// Images when the address names no number.
    public var defaultCount: Int {
      switch self {
      case .train: 2000
      case .val: 500
      case .scenesTrain: 600
      case .scenesVal, .shiftV2, .shiftRend, .shiftSketch, .shiftAdv: 200
      case .retr: RetrievalRole.count
      case .video: VideoFrame.sequences * VideoFrame.perSequence
      }
    }

    /// Whether the number of images follows from what the split is.
    var hasFixedCount: Bool { self == .retr || self == .video }

    /// The smallest side of an image: several shapes need room.
    var smallestSize: Int {
      switch self {
      case .scenesTrain, .scenesVal, .retr, .video: 16
      default: 8
      }
    }

    /// The classes that occur, whose positions here are the labels; empty where images have no label.
    var classes: [Int] {
      switch self {
      case .train, .val, .shiftV2, .shiftRend: Array(TinyShapes.classNames.indices)
      case .shiftSketch, .shiftAdv: [0, 2, 4, 6, 8]
      case .scenesTrain, .scenesVal, .retr, .video: []
      }
    }

    /// What keys the random streams of the split.
    var number: Int { Self.allCases.firstIndex(of: self) ?? 0 }
  }
}
