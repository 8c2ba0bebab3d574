import Basics
import Layers
import Pipeline
import Settings
import Tensors

extension ViewPlan {
  /// `count` views as `augment:` describes them, at the size of the model's input; they differ in their colours alone.
  ///
  /// - Throws: bad config when the channels are not red, green and blue, or a list has not one number a view.
  init(_ context: MethodContext, count: Int) throws(Failure) {
    let augment = context.settings.augment
    guard augment.mean.count == 3, context.vit.inChans == 3 else {
      throw Failure(
        .badConfig, "images have 3 channels, not \(context.vit.inChans) with \(augment.mean.count) means",
        at: "model.in_chans, augment.mean", hint: "leave model.in_chans at 3; mean and std take three numbers")
    }
    let recipes = try ColourRecipe.recipes(augment.colour, views: count)
    self.init(
      views: recipes.map { colour in
        ViewSpec(
          size: context.vit.imgSize, cropScale: augment.cropScale.0...augment.cropScale.1,
          cropRatio: augment.cropRatio.0...augment.cropRatio.1, flip: augment.hflip, colour: colour,
          mean: augment.mean.map(Float.init), std: augment.std.map(Float.init))
      })
  }
}

extension ColourRecipe {
  /// One recipe a view: jitter, blur, grey, solarise, in this order; nil for a view of which nothing can happen.
  ///
  /// What is off stays as a step of probability 0, so that turning it on leaves the draws of the others as they were.
  /// - Throws: bad config when a list has not one number a view.
  /// - Source: spec/mae-ct.md 4.5.
  fileprivate static func recipes(_ settings: ColourSettings, views: Int) throws(Failure) -> [ColourRecipe?] {
    let strengths = settings.jitter ?? [0, 0, 0, 0]
    let jitter = ColourJitter(
      brightness: strengths[0], contrast: strengths[1], saturation: strengths[2], hue: strengths[3])
    let jitterProb = try settings.jitterProb.spread(over: views)
    let blurProb = try settings.blurProb.spread(over: views)
    let grayProb = try settings.grayProb.spread(over: views)
    let solarizeProb = try settings.solarizeProb.spread(over: views)
    return (0..<views).map { view in
      let recipe = ColourRecipe([
        Step(.jitter(jitter), probability: settings.jitter == nil ? 0 : jitterProb[view]),
        Step(.blur(sigma: settings.blurSigma.0...settings.blurSigma.1), probability: blurProb[view]),
        Step(.grey, probability: grayProb[view]),
        Step(.solarise(threshold: settings.solarizeThreshold), probability: solarizeProb[view]),
      ])
      return recipe.steps.allSatisfy { $0.probability == 0 } ? nil : recipe
    }
  }
}

/// The views of a batch as one tensor, view-major.
///
/// - Shapes: V times [b, 3, S, S] -> [V b, 3, S, S]; one view is returned as it is.
func joined(_ views: [Tensor]) -> Tensor {
  precondition(!views.isEmpty, "joined: no views")
  precondition(views.allSatisfy { $0.shape == views[0].shape }, "joined: views of different sizes")
  if views.count == 1 { return views[0] }
  let shape = views[0].shape
  let result = Tensor(uninitialized: Shape([views.count * shape[0]] + shape.dims.dropFirst()))
  for (place, view) in views.enumerated() {
    (result.pointer + place * view.count).update(from: view.pointer, count: view.count)
  }
  return result
}
