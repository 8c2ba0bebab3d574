/// What `sslmpi eval` is asked for.
public struct EvaluationRequest: Sendable {
  /// A protocol, or `all`.
  public var name: String
  /// A run directory or a checkpoint; nil when features are given.
  public var target: String?
  /// A data address whose splits are used, or the addresses of the splits themselves.
  public var data, train, val: String?
  /// Masks of the images, in folders like theirs.
  public var masks: String?
  /// What `sslmpi embed` wrote.
  public var features: String?
  /// Kinds of feature; the protocol's own when empty.
  public var kinds: [String] = []
  /// Which weights of the checkpoint; the method's own when nil.
  public var weights: String?
  /// The side of the images in pixels; that of the encoder when nil.
  public var size: Int?
  /// Images that pass the encoder together.
  public var batch = 32
  /// The settings of the small suite.
  public var isTiny = false
  /// The first key of every random draw.
  public var seed: UInt64 = 0
  /// Parameters of the protocol, `key=value`; of several protocols, `name.key=value`.
  public var overrides: [String] = []

  /// A request for a protocol.
  public init(name: String, target: String? = nil) {
    self.name = name
    self.target = target
  }
}
