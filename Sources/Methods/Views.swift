import Basics
import Layers
import Pipeline
import Tensors

extension ViewPlan {
  /// `count` equal views as `augment:` describes them, at the size of the model's input.
  ///
  /// - Throws: bad config when the channels are not red, green and blue.
  init(_ context: MethodContext, count: Int) throws(Failure) {
    let augment = context.settings.augment
    guard augment.mean.count == 3, context.vit.inChans == 3 else {
      throw Failure(
        .badConfig, "images have 3 channels, not \(context.vit.inChans) with \(augment.mean.count) means",
        at: "model.in_chans, augment.mean", hint: "leave model.in_chans at 3; mean and std take three numbers")
    }
    let spec = ViewSpec(
      size: context.vit.imgSize, cropScale: augment.cropScale.0...augment.cropScale.1,
      cropRatio: augment.cropRatio.0...augment.cropRatio.1, flip: augment.hflip, mean: augment.mean.map(Float.init),
      std: augment.std.map(Float.init))
    self.init(views: Array(repeating: spec, count: count))
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
