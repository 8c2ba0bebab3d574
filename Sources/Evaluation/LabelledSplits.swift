import Basics
import Features

/// The splits that a classifier learns from and is measured on: one vector and one label an image, checked.
struct LabelledSplits {
  /// What is learned from.
  let train: FeatureSet
  /// What is measured on.
  let val: FeatureSet
  /// How many classes labels name.
  let classes: Int

  /// The evaluation features of both splits.
  ///
  /// - Throws: bad data when a label, a class or a feature is missing or the splits do not belong together, non-finite
  ///   for a feature that is not a number.
  /// - Collective: all ranks.
  init(_ context: EvaluationContext) throws(Failure) {
    try self.init(train: context.features(.train), context)
  }

  /// The same with other features of the train split: those of a training view.
  init(train: FeatureSet, _ context: EvaluationContext) throws(Failure) {
    guard train.itemShape.count == 1 else {
      throw Failure(
        .badData, "a classifier needs one vector an image, these features are \(train.itemShape)", at: train.place,
        hint: "take another feature: --feature cls, patchmean or concat")
    }
    try train.requireNumbers(context.communicator)
    try train.requireLabels(.train)
    val = try context.labelled(.val)
    self.train = train
    classes = max(train.classes, val.classes)
    try train.requireMatch(with: val, .train, .val)
    guard classes > 1 else {
      throw Failure(.badData, "there is nothing to classify: the images have \(classes) class", at: train.place)
    }
  }

  /// The name of a class, or its number.
  func name(ofClass label: Int) -> String { train.name(ofClass: label) }
}
