import Basics
import Storage

/// What a checkpoint says about the run it comes from; stored as attributes of the file itself.
public struct CheckpointHeader: Sendable {
  /// The value of the `format` attribute.
  public static let format = "sslmpi-checkpoint-1"

  /// Updates done.
  public var step: Int
  /// Epochs done, with the part of the current one.
  public var epoch: Double
  /// Images seen by all ranks together.
  public var imagesSeen: Int
  /// The seed of the run.
  public var seed: UInt64
  /// Images of one update over all ranks.
  public var globalBatch: Int
  /// The resolved settings, as JSON.
  public var config: String
  /// A hash of the settings that decide the result.
  public var configHash: String
  /// The number of ranks that wrote the file; nothing in the file depends on it.
  public var worldSize: Int
  /// The name of the method.
  public var method: String
  /// The name of the stage; that of the method when it has none, and in files of before there were stages.
  public var stage: String
  /// The name of the model.
  public var model: String
  /// Names and versions of the program and its libraries.
  public var versions: [(String, String)]
  /// Further texts by name.
  public var extra: [(String, String)]

  /// Describes a run at one step.
  public init(
    step: Int, epoch: Double, imagesSeen: Int, seed: UInt64, globalBatch: Int, config: String, configHash: String,
    worldSize: Int, method: String, stage: String? = nil, model: String, versions: [(String, String)] = [],
    extra: [(String, String)] = []
  ) {
    self.step = step
    self.epoch = epoch
    self.imagesSeen = imagesSeen
    self.seed = seed
    self.globalBatch = globalBatch
    self.config = config
    self.configHash = configHash
    self.worldSize = worldSize
    self.method = method
    self.stage = stage ?? method
    self.model = model
    self.versions = versions
    self.extra = extra
  }

  /// The attributes of the file, `format` first, extras last.
  var attributes: [(name: String, value: AttributeValue)] {
    let own: [(name: String, value: AttributeValue)] = [
      ("format", .string(CheckpointHeader.format)), ("step", .int(Int64(step))), ("epoch", .double(epoch)),
      ("images_seen", .int(Int64(imagesSeen))), ("seed", .int(Int64(bitPattern: seed))),
      ("global_batch", .int(Int64(globalBatch))), ("config", .string(config)), ("config_hash", .string(configHash)),
      ("world_size", .int(Int64(worldSize))), ("method", .string(method)), ("stage", .string(stage)),
      ("model", .string(model)),
      ("versions", .string(JSON.object(versions.map { ($0.0, .string($0.1)) }).line)),
    ]
    let names = Set(own.map(\.name))
    precondition(!extra.contains { names.contains($0.0) }, "CheckpointHeader: an extra has the name of a field")
    return own + extra.map { ($0.0, .string($0.1)) }
  }

  /// Reads the attributes of the file at `path`.
  /// - Throws: code 65 when the format is another one or an attribute is missing.
  init(_ attributes: [(name: String, value: AttributeValue)], path: String) throws(Failure) {
    func value(_ name: String) throws(Failure) -> AttributeValue {
      guard let value = attributes.first(where: { $0.name == name })?.value else {
        throw Failure(.badData, "the file has no attribute `\(name)`", at: path)
      }
      return value
    }
    func text(_ name: String) throws(Failure) -> String {
      guard case .string(let text) = try value(name) else {
        throw Failure(.badData, "the attribute `\(name)` is no text", at: path)
      }
      return text
    }
    func whole(_ name: String) throws(Failure) -> Int {
      guard case .int(let number) = try value(name) else {
        throw Failure(.badData, "the attribute `\(name)` is no whole number", at: path)
      }
      return Int(number)
    }
    let format = try text("format")
    guard format == CheckpointHeader.format else {
      throw Failure(.badData, "the format is `\(format)` and not `\(CheckpointHeader.format)`", at: path)
    }
    guard case .double(let epoch) = try value("epoch") else {
      throw Failure(.badData, "the attribute `epoch` is no number", at: path)
    }
    self.init(
      step: try whole("step"), epoch: epoch, imagesSeen: try whole("images_seen"),
      seed: UInt64(bitPattern: Int64(try whole("seed"))), globalBatch: try whole("global_batch"),
      config: try text("config"), configHash: try text("config_hash"), worldSize: try whole("world_size"),
      method: try text("method"), stage: attributes.contains { $0.name == "stage" } ? try text("stage") : nil,
      model: try text("model"),
      versions: (try JSON.parse(try text("versions"))).members?.map { ($0.key, $0.value.stringValue ?? "") } ?? [])
    let own = Set(self.attributes.map(\.name))
    for case (let name, .string(let text)) in attributes where !own.contains(name) { extra.append((name, text)) }
  }
}
