import Basics
import Pipeline
import Settings

/// The data sources of a run: stages that name the same images share one source, which is opened once.
final class DataShelf {
  private var opened: [(address: String, labels: Bool, source: DataSource)] = []

  /// The training images and the labelled images for measurements, if there are any.
  ///
  /// - Throws: what `DataSource.open` throws.
  func sources(_ data: DataSettings) throws(Failure) -> (train: DataSource, validation: DataSource?) {
    let train = try open(data.train, data.labels)
    guard let address = data.val else { return (train, nil) }
    return (train, try open(address, data.labels))
  }

  /// The length of a stage.
  ///
  /// - Throws: what `DataSource.open` throws; bad config when the data hold less than one batch.
  func length(of stage: PlannedStage) throws(Failure) -> RunLength {
    try RunLength(stage.settings.train, images: sources(stage.settings.data).train.count)
  }

  private func open(_ address: String, _ labels: Bool) throws(Failure) -> DataSource {
    if let known = opened.first(where: { $0.address == address && $0.labels == labels }) { return known.source }
    let source = try DataSource.open(address, labels: labels)
    opened.append((address, labels, source))
    return source
  }
}
