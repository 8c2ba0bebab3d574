import Basics
import Features
import Settings

/// Which part of a train split a classifier may learn from.
///
/// - Source: spec/evaluation.md E4.
enum Subset: Equatable {
  /// So many images of every class, drawn without replacement.
  case perClass(Int)
  /// A percentage of every class, at least one image of it, drawn without replacement.
  case percent(Double)
  /// The images that a file lists.
  case list(path: String)

  /// Reads `5`, `1%` and `DIR/1imgs_class.txt`.
  init?(parsing word: String) {
    if word.hasSuffix("%") {
      guard let share = Double(word.dropLast()), share > 0, share <= 100 else { return nil }
      self = .percent(share)
    } else if let count = Int(word) {
      guard count > 0 else { return nil }
      self = .perClass(count)
    } else {
      guard word.contains("/") || word.hasSuffix(".txt") else { return nil }
      self = .list(path: word)
    }
  }

  /// Draws the images.
  ///
  /// - Parameter seed: another one draws others; with the same one, fewer images of a class are among more of it.
  /// - Returns: numbers of images of the train split, rising.
  /// - Throws: bad data when a class has too few images.
  func chosen(from splits: LabelledSplits, seed: UInt64) throws(Failure) -> [Int] {
    var members = [[Int]](repeating: [], count: splits.classes)
    for (image, label) in splits.train.labels.enumerated() { members[Int(label)].append(image) }
    var chosen: [Int] = []
    for (label, images) in members.enumerated() {
      let count = size(ofClass: images.count)
      guard count <= images.count else {
        throw Failure(
          .badData,
          "class '\(splits.name(ofClass: label))' has \(images.count) images in the train split, \(count) are asked for",
          at: "train", hint: "ask for fewer images a class, or leave the class out of both splits")
      }
      var stream = RandomStream(seed: seed, purpose: .probe, index: label)
      chosen += stream.permutation(images.count).prefix(count).map { images[Int($0)] }
    }
    return chosen.sorted()
  }

  private func size(ofClass count: Int) -> Int {
    switch self {
    case .perClass(let wanted): wanted
    case .percent(let share): max(1, Int((share / 100 * Double(count)).rounded()))
    case .list: preconditionFailure("Subset: the images of a list are not drawn")
    }
  }
}

/// The draws of one subset: what a number of the report is a mean of.
struct SubsetDraws: Equatable {
  /// For example `shot5`, `pct1`, `imagenet_10`.
  let name: String
  /// Images of the train split, rising, for each draw.
  var draws: [[Int]]

  /// All draws that some words ask for, in their order; lists with equally many images of every class are draws of one
  /// subset.
  ///
  /// - Parameters:
  ///   - splits: where to draw from.
  ///   - perClassDraws: how often a number of images a class is drawn, with the seeds from `seed` on; percentages once.
  ///   - names: the files of the train split, in its order; asked for when there is a list.
  /// - Throws: bad data for a class with too few images or a line that names none, input missing for a list that is not
  ///   there.
  static func all(
    _ subsets: [Subset], from splits: LabelledSplits, perClassDraws: Int, seed: UInt64,
    names: () throws(Failure) -> [String]
  ) throws(Failure) -> [SubsetDraws] {
    var all: [SubsetDraws] = []
    var lists: SubsetList.Images?
    for subset in subsets {
      var name: String
      var draws: [[Int]] = []
      switch subset {
      case .perClass(let count):
        name = "shot\(count)"
        for draw in 0..<perClassDraws { draws.append(try subset.chosen(from: splits, seed: seed + UInt64(draw))) }
      case .percent(let share):
        name = "pct" + (share == share.rounded() ? "\(Int(share))" : "\(share)")
        draws = [try subset.chosen(from: splits, seed: seed)]
      case .list(let path):
        if lists == nil { lists = SubsetList.Images(names: try names(), splits) }
        guard let lists else { continue }
        let list = try SubsetList(path, lists)
        (name, draws) = (list.name, [list.images])
      }
      if case .list = subset, let place = all.firstIndex(where: { $0.name == name }) {
        all[place].draws += draws
        continue
      }
      guard !all.contains(where: { $0.name == name }) else {
        throw Failure(.badConfig, "the subset '\(name)' is asked for twice", at: "subsets")
      }
      all.append(SubsetDraws(name: name, draws: draws))
    }
    return all
  }
}
