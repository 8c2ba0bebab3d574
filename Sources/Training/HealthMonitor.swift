import Basics
import Features
import Messaging
import Methods
import Pipeline
import Tensors

/// Looks at the features of some training images, always the same ones, for signs of collapse.
///
/// It watches: it draws nothing, updates nothing, and the run is the same without it.
struct HealthMonitor {
  private static let count = 256
  private let images: ProbeImages
  private let probe: FeatureProbe

  init(train: DataSource, view: ViewSpec, communicator: Communicator) {
    let probed = min(HealthMonitor.count, train.count)
    images = ProbeImages(train, (0..<probed).map { $0 * train.count / probed })
    probe = FeatureProbe(view: view, communicator: communicator)
  }

  /// Spread and effective rank of what `encode` makes of the images; nil when it makes nothing.
  ///
  /// - Shapes: encode [b, 3, S, S] -> [b, D].
  /// - Collective: all ranks.
  func measure(_ encode: (Tensor) throws -> Tensor?) throws -> FeatureHealth? {
    let (features, width) = try probe.features(of: images, encode)
    return width == 0 ? nil : FeatureHealth(features: features, width: width)
  }
}
