import Basics
import Messaging
import Pipeline
import Tensors

/// Some images of a source, with their labels.
struct ProbeImages {
  let source: DataSource
  let indices: [Int]
  let labels: [Int32]

  init(_ source: DataSource, _ indices: [Int]) {
    self.source = source
    self.indices = indices
    labels = indices.map { source.label($0) }
  }
}

/// Extracts evaluation features with the ranks of the run.
///
/// Images pass in tiles of one fixed size dealt to the ranks, so that every feature has the same bits for any number
/// of ranks.
/// - Source: `spec/evaluation.md` section 1.3.
struct FeatureProbe {
  private static let tile = 32
  let view: ViewSpec
  let communicator: Communicator

  /// Features of all images in their order, the same on every rank. An image that cannot be read is the mean colour.
  ///
  /// - Shapes: encode [b, 3, S, S] -> [b, D]; result [n, D] flat, empty when `encode` gives nothing.
  /// - Collective: all ranks.
  func features(
    of images: ProbeImages, _ encode: (Tensor) throws -> Tensor?
  ) throws -> (values: [Float], width: Int) {
    let tile = FeatureProbe.tile
    let tiles = (images.indices.count + tile - 1) / tile
    let mine = try communicator.together {
      var rows: [Float] = []
      for number in blockRange(count: tiles, part: communicator.rank, of: communicator.size) {
        let range = number * tile..<min((number + 1) * tile, images.indices.count)
        let padding = [Int](repeating: images.indices[range.lowerBound], count: tile - range.count)
        let batch = try evaluationBatch(
          images.source, indices: Array(images.indices[range]) + padding, size: view.size, mean: view.mean,
          std: view.std, bad: { _ in })
        guard let features = try encode(batch) else { continue }  // [tile, D]
        rows += features.array.prefix(range.count * features.shape.lastAxis)
      }
      return rows
    }
    let parts = try communicator.allGather(mine.withUnsafeBytes { Array($0) })
    let all = parts.flatMap { part in part.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) } }
    return (all, all.count / max(images.indices.count, 1))
  }
}
