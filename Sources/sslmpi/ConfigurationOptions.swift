import ArgumentParser
import Basics
import Foundation
import Settings

/// Files, overrides and the flags that stand for one key each.
struct ConfigurationOptions: ParsableArguments {
  @Argument(
    help: ArgumentHelp(
      "Configuration files and key.sub=value overrides; later ones win.", valueName: "config.yaml|key=value"))
  var words: [String] = []

  @Option(help: "A configuration that comes with the program; see: sslmpi list presets.")
  var preset: String?

  @Option(
    help: ArgumentHelp("Training images: a folder, list:FILE or synth:tinyshapes?... (data.train).", valueName: "D"))
  var data: String?

  @Option(help: ArgumentHelp("Pre-training method (method).", valueName: "name"))
  var method: String?

  @Option(help: ArgumentHelp("Model by its timm name (model.arch).", valueName: "name"))
  var model: String?

  @Option(help: ArgumentHelp("Length in passes over the data (train.epochs).", valueName: "n"))
  var epochs: String?

  @Option(help: ArgumentHelp("Images of a step over all ranks (train.batch_size).", valueName: "n"))
  var batchSize: String?

  @Option(help: ArgumentHelp("Learning rate per 256 images (optim.base_lr).", valueName: "x"))
  var baseLr: String?

  @Option(help: ArgumentHelp("First key of every random draw (seed).", valueName: "n"))
  var seed: String?

  @Option(help: ArgumentHelp("Compute threads of a rank (runtime.threads).", valueName: "n"))
  var threads: String?

  @Option(help: ArgumentHelp("A line of metrics, for example \"20 steps\" (log.every).", valueName: "interval"))
  var logEvery: String?

  @Option(help: ArgumentHelp("Save, for example \"1 epoch\" or \"30 min\" (checkpoint.every).", valueName: "interval"))
  var saveEvery: String?

  /// The configuration files among the words.
  var files: [String] { words.filter { !ConfigurationOptions.isOverride($0) } }

  /// Flags, then overrides: what `SettingsTree.load` takes, the later ones winning.
  var overrides: [String] {
    let flags: [(String, String, String?)] = [
      ("--data", "data.train", data), ("--method", "method", method), ("--model", "model.arch", model),
      ("--epochs", "train.epochs", epochs), ("--batch-size", "train.batch_size", batchSize),
      ("--base-lr", "optim.base_lr", baseLr), ("--seed", "seed", seed), ("--threads", "runtime.threads", threads),
      ("--log-every", "log.every", logEvery), ("--save-every", "checkpoint.every", saveEvery),
    ]
    return flags.compactMap { flag, key, value in value.map { "\(flag) \(key)=\($0)" } }
      + words.filter(ConfigurationOptions.isOverride)
  }

  /// `optim.base_lr=1` is an override, `a=b.yaml` next to it is too, `dir=1/a.yaml` is a file.
  static func isOverride(_ word: String) -> Bool {
    guard let equals = word.firstIndex(of: "=") else { return false }
    return word[..<equals].allSatisfy { $0.isLetter || $0.isNumber || "._-".contains($0) } && equals != word.startIndex
  }
}
