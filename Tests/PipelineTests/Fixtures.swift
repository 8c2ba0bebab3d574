import Basics
import Foundation
import Images
import Pipeline
import TestKit

/// Writes a file, and the directories above it.
func write(_ bytes: [UInt8], _ path: String) throws {
  let url = URL(fileURLWithPath: path)
  try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
  try Data(bytes).write(to: url)
}

/// A small JPEG whose pixels depend on `seed`.
func smallJPEG(_ seed: UInt64, width: Int = 40, height: Int = 30) -> [UInt8] {
  let noise = ExactRandom.floats(3 * width * height, seed: seed)
  let bytes = noise.map { UInt8(128 + 100 * $0) }
  return JPEG.encode(Pixels(width: width, height: height, bytes: bytes), quality: 85)
}

/// A folder of `count` good JPEG files in two classes.
func smallFolder(_ count: Int) throws -> String {
  let root = temporaryDirectory("folder")
  for i in 0..<count { try write(smallJPEG(UInt64(i)), "\(root)/\(i % 2 == 0 ? "even" : "odd")/\(1000 + i).jpg") }
  return root
}

/// A plan of `views` small views.
func smallPlan(views: Int = 1, size: Int = 16) -> ViewPlan {
  ViewPlan(views: (0..<views).map { _ in ViewSpec(size: size, cropScale: 0.2...1) })
}

/// A loader with the defaults of these tests.
func makeLoader(
  _ source: DataSource, views: Int = 1, plan: ViewPlan? = nil, batch: Int = 6, rank: Int = 0, ranks: Int = 1,
  threads: Int = 2, prefetch: Int = 2, firstStep: Int = 0
) throws -> Loader {
  try Loader(
    source: source, plan: plan ?? smallPlan(views: views), seed: 9, globalBatch: batch, rank: rank, ranks: ranks,
    threads: threads, prefetch: prefetch, firstStep: firstStep)
}

/// What a batch holds, as plain values.
struct BatchContent: Equatable {
  var views: [[Float]]
  var indices: [Int]
  var sampled: [Int]
  var labels: [Int32]
  var epoch: Int

  init(_ batch: Batch) {
    views = batch.views.map(\.array)
    indices = batch.indices
    sampled = batch.sampled
    labels = batch.labels
    epoch = batch.epoch
  }

  /// The content of the global batch from that of its ranks.
  init(joining parts: [BatchContent]) {
    self = parts[0]
    for part in parts.dropFirst() {
      for v in views.indices { views[v] += part.views[v] }
      indices += part.indices
      sampled += part.sampled
      labels += part.labels
    }
  }
}

/// The next `count` batches of a loader.
func take(_ count: Int, _ loader: Loader) throws -> [BatchContent] {
  try (0..<count).map { _ in BatchContent(try loader.next()) }
}
