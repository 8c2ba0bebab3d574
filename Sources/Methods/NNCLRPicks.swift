import Basics
import Pipeline

/// Which of its candidates each image takes as neighbour.
package enum NNCLRPicks {
  /// One in 0 ..< k for each image of a batch, all equally likely, drawn from the image's own stream.
  ///
  /// - Source: spec mae-ct 3.2.
  package static func drawn(_ batch: Batch, view: Int, k: Int, seed: UInt64) -> [Int] {
    batch.indices.map { image in
      var dice = RandomStream(seed: seed, purpose: .dice, epoch: batch.epoch, index: image, view: view)
      return dice.integer(below: k)
    }
  }
}
