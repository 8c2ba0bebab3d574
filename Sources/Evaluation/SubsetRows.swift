import Basics
import Features
import Messaging
import Tensors

extension FeatureSet {
  /// Some rows of all ranks, whole on every rank.
  ///
  /// - Parameter wanted: numbers of images in the set, rising.
  /// - Shapes: result [wanted.count, D]
  /// - Collective: all ranks, with the same `wanted`.
  func gathered(_ wanted: [Int], _ communicator: Communicator) throws(Failure) -> Tensor {
    precondition(zip(wanted, wanted.dropFirst()).allSatisfy { $0 < $1 }, "gathered: the images are not in order")
    let width = width
    // Images of a rank are a block, so those wanted of it stand together.
    let starts = (0...communicator.size).map { rank in
      rank == communicator.size
        ? wanted.count
        : wanted.partitioningIndex(from: blockRange(count: count, part: rank, of: communicator.size).lowerBound)
    }
    let own = wanted[starts[communicator.rank]..<starts[communicator.rank + 1]].map { Int32($0 - range.lowerBound) }
    let mine = Tensor(uninitialized: [own.count, width])
    own.withUnsafeBufferPointer { own in
      guard let base = own.baseAddress else { return }
      Kernels.gatherRows(rows.pointer, base, into: mine.pointer, rows: own.count, width: width)
    }
    guard communicator.size > 1 else { return mine }
    let all = Tensor(uninitialized: [wanted.count, width])
    let bytes = (0..<communicator.size).map { (starts[$0 + 1] - starts[$0]) * width * MemoryLayout<Float>.stride }
    try communicator.allGather(mine.pointer, bytes: bytes, into: all.pointer)
    return all
  }
}

extension [Int] {
  /// Of rising numbers, the place of the first that is at least `bound`.
  fileprivate func partitioningIndex(from bound: Int) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle] < bound { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
