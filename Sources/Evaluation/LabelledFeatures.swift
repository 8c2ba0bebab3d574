import Basics
import Features
import Images
import Pipeline

extension EvaluationContext {
  /// The features of a split for a protocol that compares with labels: numbers all, an image in every class, a class for
  /// every image.
  ///
  /// - Throws: input missing when there is no such split; non-finite when a feature is not a number; bad data when an
  ///   image has no label, or a class no image.
  /// - Collective: all ranks.
  func labelled(_ split: Split) throws(Failure) -> FeatureSet { try checked(features(split), split) }

  /// The same of a training view.
  func labelled(_ split: Split, pass: Int, _ interpolation: Interpolation) throws(Failure) -> FeatureSet {
    try checked(features(split, pass: pass, interpolation), split)
  }

  private func checked(_ set: FeatureSet, _ split: Split) throws(Failure) -> FeatureSet {
    try set.requireNumbers(communicator)
    try set.requireLabels(split)
    return set
  }

  /// The features of two splits that are compared with each other.
  ///
  /// - Throws: as `labelled(_:)`; bad data when classes or widths differ.
  /// - Collective: all ranks.
  func labelled(_ first: Split, against second: Split) throws(Failure) -> (FeatureSet, FeatureSet) {
    let (a, b) = (try labelled(first), try labelled(second))
    try a.requireMatch(with: b, first, second)
    return (a, b)
  }
}

extension FeatureSet {
  /// The name of a class, or its number.
  func name(ofClass label: Int) -> String { classNames.isEmpty ? "\(label)" : classNames[label] }

  /// - Throws: bad data when an image has no label, or a class no image.
  func requireLabels(_ split: Split) throws(Failure) {
    let unlabelled = labels.count { $0 < 0 }
    guard count > 0, unlabelled == 0 else {
      throw Failure(
        .badData,
        count == 0
          ? "the split '\(split.rawValue)' has no images"
          : "\(unlabelled) of \(count) images of the split '\(split.rawValue)' have no label",
        at: place, hint: "the protocol needs labels: a folder of images has one subfolder a class")
    }
    try requireEveryClass(of: classes, split)
  }

  fileprivate func requireEveryClass(of count: Int, _ split: Split) throws(Failure) {
    let present = Set(labels)
    guard let empty = (0..<count).first(where: { !present.contains(Int32($0)) }) else { return }
    throw Failure(
      .badData, "the class '\(name(ofClass: empty))' has no image in the split '\(split.rawValue)'", at: place,
      hint: "remove the class from every split, or add its images")
  }

  /// Whether this set, of the split `first`, and another one speak of the same classes in vectors of one length.
  ///
  /// - Throws: bad data when they do not.
  func requireMatch(with other: FeatureSet, _ first: Split, _ second: Split) throws(Failure) {
    guard itemShape == other.itemShape else {
      throw Failure(
        .badData,
        "features of the split '\(first.rawValue)' have the shape \(itemShape), those of "
          + "'\(second.rawValue)' \(other.itemShape)", at: other.place, hint: "make both with one call of sslmpi embed")
    }
    guard classNames == other.classNames else {
      let place = zip(classNames, other.classNames).enumerated().first { $0.element.0 != $0.element.1 }?.offset
      let difference =
        place.map { "class \($0) is '\(classNames[$0])' here and '\(other.classNames[$0])' there" }
        ?? "\(classNames.count) here and \(other.classNames.count) there"
      throw Failure(
        .badData, "the splits '\(first.rawValue)' and '\(second.rawValue)' have other classes: \(difference)",
        at: other.place, hint: "both splits need a folder for each class, with the same names")
    }
    let count = max(classes, other.classes)
    try requireEveryClass(of: count, first)
    try other.requireEveryClass(of: count, second)
  }
}
