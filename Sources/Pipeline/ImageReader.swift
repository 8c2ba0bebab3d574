import Basics
import Images
import Tensors

/// Delivers chosen images of a source in their order, batch after batch, made ahead of time.
///
/// Threads of its own read and decode; where they are late, the threads that wait for a batch help to make it. One
/// thread, the main one, calls `next()`. What an image becomes depends on its number and the preparation alone.
public final class ImageReader {
  /// Some consecutive images.
  public struct Batch {
    /// Their places among the chosen ones.
    public let range: Range<Int>
    /// [range.count, 3, S, S]; an image that cannot be read is 0, the mean colour.
    public let images: Tensor
    /// Those that cannot be read.
    public let bad: [BadImage]
  }

  private static let ahead = 2
  private let source: DataSource
  private let preparation: ImagePreparation
  private let indices: [Int]
  private let batch: Int
  private let queue: DecodeQueue
  private let helpers: [Maker]
  private var scheduled = 0
  private var delivered = 0

  /// Starts to read.
  ///
  /// - Parameters:
  ///   - indices: numbers of images in the source.
  ///   - batch: images of a batch; the last one may be smaller.
  ///   - threads: threads that decode ahead; 0 leaves everything to the team.
  /// - Memory: three batches of images.
  public init(
    _ source: DataSource, _ preparation: ImagePreparation, indices: [Int], batch: Int, threads: Int
  ) {
    precondition(batch > 0 && threads >= 0, "ImageReader: batches of \(batch), \(threads) threads")
    self.source = source
    self.preparation = preparation
    self.indices = indices
    self.batch = batch
    queue = DecodeQueue(threads: threads)
    helpers = (0..<ThreadTeam.shared.threads).map { _ in Maker(source, preparation) }
    for thread in 0..<threads {
      startThread(named: "decode-\(thread)") { [queue] in queue.serve(Maker(source, preparation).make) }
    }
    for _ in 0..<Self.ahead { schedule() }
  }

  deinit { queue.stop() }

  /// The next batch; nil after the last one.
  public func next() -> Batch? {
    guard delivered < scheduled else { return nil }
    schedule()
    if queue.firstNeedsHelp { ThreadTeam.shared.run { [queue, helpers] in queue.helpFirst(helpers[$0].make) } }
    let made = queue.takeFirst()
    let range = delivered..<delivered + made.slot.sampled.count
    delivered = range.upperBound
    return Batch(range: range, images: made.slot.views[0], bad: made.rows.flatMap(\.bad))
  }

  private func schedule() {
    guard scheduled < indices.count else { return }
    let part = Array(indices[scheduled..<min(scheduled + batch, indices.count)])
    let images = Tensor(uninitialized: [part.count, 3, preparation.size, preparation.size])
    queue.append(DecodeQueue.Slot(epoch: 0, sampled: part, views: [images]))
    scheduled += part.count
  }

  /// Makes one image after another on one thread.
  private final class Maker {
    private let source: DataSource
    private let preparation: ImagePreparation
    private let views = ViewMaker()

    init(_ source: DataSource, _ preparation: ImagePreparation) {
      self.source = source
      self.preparation = preparation
    }

    func make(_ index: Int, _ epoch: Int, _ target: SampleMaker.Target) -> SampleMaker.Made {
      let (size, planes) = (preparation.size, target.views[0])
      do throws(Failure) {
        let view = ViewTarget(planes: planes, mean: preparation.mean, deviation: preparation.std)
        try views.make(try source.bytes(index), into: [view]) {
          [preparation.request(width: $0, height: $1, index: index)]
        }
        return SampleMaker.Made(used: index, bad: [])
      } catch {
        planes.update(repeating: 0, count: 3 * size * size)
        return SampleMaker.Made(
          used: index, bad: [BadImage(index: index, name: source.name(index), reason: error.what)])
      }
    }
  }
}
